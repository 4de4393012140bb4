"""What comes of a hand-over: each answer its outcome, no answer never a repetition."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

import scenes
from conftest import with_settings
from core import campaigns, consents, messages, senders, sending, settling, variants
from core.bootstrap import Platform
from core.models import Campaign, Chat, Event, Message, Recipient, Sender
from core.ports import (
    Accepted,
    Ambiguous,
    Deferred,
    Expired,
    Found,
    Lookup,
    Outgoing,
    PermanentContent,
    PermanentRecipient,
    PermanentTemplate,
    RateLimited,
    Receipt,
    Retryable,
    SenderBlocked,
    SendError,
    SessionLost,
    WindowClosed,
)
from core.sending import Intent
from core.settling import Answer
from fakes import ANYTHING, FakeClock, FakeConnector


async def _ready(platform: Platform, count: int = 1) -> Campaign:
    await scenes.people(platform, count)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    return campaign


async def _intents(platform: Platform, campaign_id: int) -> list[Intent]:
    """As a run does up to the hand-over; whoever drops the result has died right there."""
    async with platform.database.transaction() as tx:
        monotonic, now = time.monotonic(), await platform.clock.now(tx)
        gate = await sending.gate(tx, campaign_id)
        assert gate.shut is None
        families = await variants.families(tx, gate.campaign)
        claims = await sending.claim(
            tx,
            gate.campaign,
            families,
            installation=platform.installation,
            limit=64,
            now=now,
            settings=platform.settings,
        )
        intended = await sending.intend(
            tx, gate, claims, capabilities=ANYTHING, settings=platform.settings, now=now, monotonic=monotonic
        )
        await sending.release(tx, intended.kept)
    return intended.intents


async def _settle(
    platform: Platform, campaign_id: int, intents: Sequence[Intent], result: Accepted | SendError | None = None
) -> None:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        answers = [Answer(one, result or Accepted(f"wamid.{one.outgoing.client_id}")) for one in intents]
        gate = await sending.gate(tx, campaign_id)
        await settling.settle(tx, gate, answers, settings=platform.settings, now=now)


async def _receipt(platform: Platform, intent: Intent, *statuses: str) -> None:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        client_id = intent.outgoing.client_id
        failed = PermanentRecipient("undeliverable")
        receipts = [
            Receipt(f"wamid.{client_id}", client_id, status, now, failed if status == "failed" else None)  # type: ignore[arg-type]
            for status in statuses
        ]
        await messages.apply_receipts(tx, receipts, at=now)


async def _message(platform: Platform) -> Message:
    async with platform.database.reading() as tx:
        return (await tx.execute(select(Message).order_by(Message.id).limit(1))).scalar_one()


async def _recipient(platform: Platform) -> Recipient:
    async with platform.database.reading() as tx:
        return (await tx.execute(select(Recipient).order_by(Recipient.id).limit(1))).scalar_one()


async def _lapse(platform: Platform, clock: FakeClock) -> None:
    clock.advance(seconds=platform.settings.lease_s + platform.settings.lease_margin_s + 1)
    await settling.reconcile(platform)


async def _silence(platform: Platform, clock: FakeClock) -> None:
    clock.advance(seconds=platform.settings.silence_window_s)
    await settling.reconcile(platform)


# ---- each answer its outcome --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "state", "reason", "attempts"),
    [
        (Accepted("wamid.1"), "sent", None, 1),
        (Ambiguous("timeout"), "sending", "timeout", 1),
        (Retryable("busy"), "queued", "busy", 1),
        (Expired("too_late"), "queued", "too_late", 0),
        (RateLimited("too_fast", scope="pair", retry_after_s=6), "queued", "too_fast", 0),
        (RateLimited("too_fast", scope="sender", retry_after_s=6), "queued", "too_fast", 0),
        (Deferred("not_now", wait_s=3600), "queued", "not_now", 0),
        (WindowClosed("window_closed"), "failed", "window_closed", 1),
        (PermanentRecipient("not_on_whatsapp"), "failed", "not_on_whatsapp", 1),
        (PermanentContent("bad_content"), "failed", "bad_content", 1),
        (PermanentTemplate("template_paused"), "queued", "template_paused", 0),
        (SenderBlocked("restricted"), "queued", "restricted", 0),
        (SessionLost("token_expired"), "queued", "token_expired", 0),
        (SendError("who_knows"), "failed", "who_knows", 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Accepted | SendError) else "",
)
async def test_every_answer_has_its_outcome(
    platform: Platform, result: Accepted | SendError, state: str, reason: str | None, attempts: int
) -> None:
    campaign = await _ready(platform)
    await _settle(platform, campaign.id, await _intents(platform, campaign.id), result)
    recipient = await _recipient(platform)
    assert (recipient.state, recipient.reason, recipient.attempts) == (state, reason, attempts)
    assert (recipient.sent_at is not None) is (state == "sent")
    async with platform.database.reading() as tx:
        told = (await tx.execute(select(Event.data).where(Event.type == "messages.moved"))).scalars().all()
    assert told == [{"state": "in_doubt" if state == "sending" else state, "message_ids": [1], "chats": []}]


async def test_what_had_no_effect_is_tried_a_few_times_and_then_failed(platform: Platform, clock: FakeClock) -> None:
    campaign = await _ready(platform)
    ids = set()
    for attempt in range(1, platform.settings.max_attempts + 1):
        (intent,) = await _intents(platform, campaign.id)
        ids.add(intent.outgoing.client_id)
        assert intent.attempts == attempt
        await _settle(platform, campaign.id, [intent], Retryable("busy"))
        assert await _intents(platform, campaign.id) == []
        clock.advance(seconds=130)
    assert len(ids) == 1
    assert ((await _recipient(platform)).state, (await _recipient(platform)).reason) == ("failed", "busy")


async def test_what_says_nothing_of_the_message_burns_no_attempt(platform: Platform, clock: FakeClock) -> None:
    campaign = await _ready(platform)
    for error in [RateLimited("fast", scope="pair", retry_after_s=5), Expired("late"), Deferred("later", wait_s=5)] * 4:
        (intent,) = await _intents(platform, campaign.id)
        assert intent.attempts == 1
        await _settle(platform, campaign.id, [intent], error)
        clock.advance(seconds=6)
    (intent,) = await _intents(platform, campaign.id)
    await _settle(platform, campaign.id, [intent])
    assert (await _recipient(platform)).attempts == 1


async def test_a_person_waits_as_long_as_whatsapp_asks(platform: Platform, clock: FakeClock) -> None:
    campaign = await _ready(platform)
    await _settle(
        platform, campaign.id, await _intents(platform, campaign.id), RateLimited("f", scope="pair", retry_after_s=60)
    )
    clock.advance(seconds=58)
    assert await _intents(platform, campaign.id) == []
    clock.advance(seconds=3)
    assert len(await _intents(platform, campaign.id)) == 1


async def test_a_sender_that_is_too_fast_rests_as_a_whole(platform: Platform, connector: FakeConnector) -> None:
    campaign = await _ready(platform, 5)
    connector.answering = lambda message: RateLimited("too_fast", scope="sender", retry_after_s=60)
    rest = await scenes.dispatched(with_settings(platform, send_concurrency=1), connector, campaign.id)
    assert rest.why == "no_slot"
    assert len(connector.calls) == 1
    assert (await scenes.progress(platform, campaign.id)).queued == 5


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (SessionLost("token_expired"), "sender_paused"),
        (SenderBlocked("restricted"), "sender_blocked"),
        (PermanentTemplate("template_paused"), "campaign_paused"),
    ],
)
async def test_what_is_wrong_with_all_of_them_stops_them_all(
    platform: Platform, connector: FakeConnector, error: SendError, why: str
) -> None:
    """The turn that settles the error commits no intent any more."""
    campaign = await _ready(platform, 30)
    connector.answering = lambda message: error
    rest = await scenes.dispatched(with_settings(platform, send_concurrency=2), connector, campaign.id)
    assert rest.why == why
    assert len(connector.calls) <= 2
    assert (await scenes.progress(platform, campaign.id)).queued == 30
    async with platform.database.reading() as tx:
        sender, campaign = await senders.get(tx, 1), await campaigns.get(tx, campaign.id)
    told = (sender.state, sender.state_reason) if why.startswith("sender") else (campaign.state, campaign.state_reason)
    assert told == (why.partition("_")[2], error.code)


async def test_who_stopped_us_at_whatsapp_is_suppressed(platform: Platform) -> None:
    campaign = await _ready(platform, 2)
    intents = await _intents(platform, campaign.id)
    await _settle(platform, campaign.id, intents[:1], PermanentRecipient("opted_out", opted_out=True))
    async with platform.database.reading() as tx:
        assert await consents.suppressed(tx, [1, 2]) == {1}


async def test_what_comes_back_after_a_cancel_is_not_queued_again(platform: Platform) -> None:
    campaign = await _ready(platform, 3)
    intents = await _intents(platform, campaign.id)
    async with platform.database.transaction() as tx:
        await campaigns.cancel(tx, campaign.id, at=await platform.clock.now(tx))
    await _settle(platform, campaign.id, intents[:1], Retryable("busy"))
    await _settle(platform, campaign.id, intents[1:2])
    await _settle(platform, campaign.id, intents[2:], Ambiguous("timeout"))
    progress = await scenes.progress(platform, campaign.id)
    assert (progress.failed, progress.sent, progress.sending, progress.queued) == ({"cancelled": 1}, 1, 1, 0)


async def test_an_answer_is_written_down_once(platform: Platform) -> None:
    """After a commit whose answer was lost, the same answers are settled again."""
    campaign = await _ready(platform)
    intents = await _intents(platform, campaign.id)
    await _settle(platform, campaign.id, intents)
    await _settle(platform, campaign.id, intents)
    await _settle(platform, campaign.id, intents, Expired("not_handed_over"))
    async with platform.database.reading() as tx:
        assert len((await tx.execute(select(Event.id).where(Event.type == "messages.moved"))).all()) == 1
    assert (await _recipient(platform)).state == "sent"


async def test_a_stale_token_settles_nothing(platform: Platform) -> None:
    campaign = await _ready(platform)
    (first,) = await _intents(platform, campaign.id)
    await _settle(platform, campaign.id, [first], Expired("late"))
    (second,) = await _intents(platform, campaign.id)
    await _settle(platform, campaign.id, [first])
    await _settle(platform, campaign.id, [replace(second, token="stolen")])
    assert (await _message(platform)).state == "intent"
    await _settle(platform, campaign.id, [second])
    assert (await _message(platform)).state == "sent"


# ---- nobody answers -----------------------------------------------------------------------------------------


async def test_an_intent_of_a_dead_process_comes_into_doubt_and_then_is_unknown(
    platform: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    campaign = await _ready(platform)
    await _intents(platform, campaign.id)
    clock.advance(seconds=platform.settings.lease_s + 1)
    assert (await settling.reconcile(platform)).doubted == 0  # its lease has lapsed, the margin has not
    clock.advance(seconds=platform.settings.lease_margin_s)
    assert (await settling.reconcile(platform)).doubted == 1
    assert ((await _message(platform)).state, (await _recipient(platform)).state) == ("in_doubt", "sending")
    assert await _intents(platform, campaign.id) == []
    assert (await settling.reconcile(platform)).unknown == 0
    clock.advance(seconds=platform.settings.silence_window_s)
    assert (await settling.reconcile(platform)).unknown == 1
    recipient = await _recipient(platform)
    assert (recipient.state, recipient.reason) == ("unknown", "process_died")
    assert await settling.reconcile(platform) == settling.Reconciled(released=0, doubted=0, proven=0, unknown=0)
    assert await _intents(platform, campaign.id) == []
    assert connector.calls == []
    async with platform.database.transaction() as tx:
        assert await campaigns.finish_if_done(tx, campaign.id, at=await platform.clock.now(tx))


async def test_a_doubt_that_the_lookup_resolves_is_sent_with_proof(
    platform: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    campaign = await _ready(platform)
    (intent,) = await _intents(platform, campaign.id)
    connector.lookups[intent.outgoing.client_id] = Found(Lookup.ACCEPTED, "wamid.found")
    await _lapse(platform, clock)
    clock.advance(seconds=platform.settings.silence_window_s)
    assert (await settling.reconcile(platform)).proven == 1
    message, recipient = await _message(platform), await _recipient(platform)
    assert (message.state, message.provider_id, message.reason) == ("sent", "wamid.found", None)
    assert (recipient.state, recipient.reason) == ("sent", None)
    assert recipient.sent_at is not None


async def test_one_proof_is_not_used_for_two(platform: Platform, connector: FakeConnector, clock: FakeClock) -> None:
    campaign = await _ready(platform, 2)
    for intent in await _intents(platform, campaign.id):
        connector.lookups[intent.outgoing.client_id] = Found(Lookup.ACCEPTED, "wamid.found")
    await _lapse(platform, clock)
    await _silence(platform, clock)
    progress = await scenes.progress(platform, campaign.id)
    assert (progress.sent, progress.unknown) == (1, {"process_died": 1})


async def test_of_two_doubts_about_one_person_the_lookup_proves_neither(
    platform: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    """Two campaigns at once: the history names a person and a time, and the message found may be either."""
    await scenes.people(platform, 1)
    sender = await scenes.a_sender(platform)
    for name in ("spring", "summer"):
        campaign = await scenes.a_campaign(platform, sender, name=name)
        await scenes.launched(platform, campaign.id)
        (intent,) = await _intents(platform, campaign.id)
        connector.lookups[intent.outgoing.client_id] = Found(Lookup.ACCEPTED, f"wamid.of.{name}")
    await _lapse(platform, clock)
    clock.advance(seconds=platform.settings.silence_window_s)
    reconciled = await settling.reconcile(platform)
    assert (reconciled.proven, reconciled.unknown) == (0, 2)


async def test_a_receipt_with_an_id_that_another_message_holds_is_still_taken(platform: Platform) -> None:
    campaign = await _ready(platform, 2)
    first, second = await _intents(platform, campaign.id)
    async with platform.database.transaction() as tx:
        await tx.execute(update(Message).where(Message.id == first.message_id).values(provider_id="wamid.held"))
        now = await platform.clock.now(tx)
        receipt = Receipt("wamid.held", second.outgoing.client_id, "delivered", now)
        assert await messages.apply_receipts(tx, [receipt], at=now) == 1
    async with platform.database.reading() as tx:
        rows = await tx.execute(select(Message.provider_id, Message.receipt).order_by(Message.id))
    assert [tuple(row) for row in rows] == [("wamid.held", 0), (None, 2)]


async def test_a_lookup_that_breaks_keeps_no_other_in_doubt(platform: Platform, clock: FakeClock) -> None:
    class Broken(FakeConnector):
        async def lookup(self, message: Outgoing, *, since: object) -> Found:
            raise RuntimeError

    broken = replace(platform, connectors=type(platform.connectors)(Broken()))  # type: ignore[call-arg]
    campaign = await _ready(platform, 3)
    await _intents(platform, campaign.id)
    await _lapse(broken, clock)
    await _silence(broken, clock)
    assert (await scenes.progress(platform, campaign.id)).unknown == {"process_died": 3}


async def test_a_stored_message_that_cannot_be_read_keeps_no_other_in_doubt(
    platform: Platform, clock: FakeClock
) -> None:
    campaign = await _ready(platform, 3)
    await _intents(platform, campaign.id)
    async with platform.database.transaction() as tx:
        await tx.execute(update(Message).where(Message.id == 1).values(content={"type": "of another version"}))
    await _lapse(platform, clock)
    await _silence(platform, clock)
    assert (await scenes.progress(platform, campaign.id)).unknown == {"process_died": 3}


async def test_an_ambiguous_answer_waits_for_proof_and_is_never_repeated(
    platform: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    campaign = await _ready(platform)
    intents = await _intents(platform, campaign.id)
    await _settle(platform, campaign.id, intents, Ambiguous("reset"))
    await _lapse(platform, clock)
    assert await _intents(platform, campaign.id) == []
    await _receipt(platform, intents[0], "delivered")
    message = await _message(platform)
    assert (message.state, message.reason, message.late) == ("sent", None, False)
    await _silence(platform, clock)
    assert (await _recipient(platform)).state == "sent"


# ---- what comes late ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", ["doubt", "unknown"])
async def test_an_answer_after_its_lease_attaches_and_is_flagged(
    platform: Platform, clock: FakeClock, after: str
) -> None:
    campaign = await _ready(platform)
    intents = await _intents(platform, campaign.id)
    await _lapse(platform, clock)
    if after == "unknown":
        await _silence(platform, clock)
    await _settle(platform, campaign.id, intents)
    message, recipient = await _message(platform), await _recipient(platform)
    assert (message.state, message.late, message.reason) == ("sent", True, None)
    assert message.provider_id == f"wamid.{intents[0].outgoing.client_id}"
    assert (recipient.state, recipient.reason) == ("sent", None)


async def test_a_late_answer_that_had_no_effect_fails_and_repeats_nothing(platform: Platform, clock: FakeClock) -> None:
    campaign = await _ready(platform)
    intents = await _intents(platform, campaign.id)
    await _lapse(platform, clock)
    await _settle(platform, campaign.id, intents, Retryable("busy"))
    assert ((await _recipient(platform)).state, (await _recipient(platform)).reason) == ("failed", "busy")
    assert await _intents(platform, campaign.id) == []


_STORIES: Sequence[tuple[list[str], str, int]] = [
    (["sent"], "sent", 1),
    (["read", "delivered", "sent"], "sent", 3),
    (["delivered", "delivered"], "sent", 2),
    (["failed"], "failed", -1),
    (["sent", "failed"], "failed", -1),
    (["failed", "sent"], "failed", -1),
    (["failed", "delivered"], "sent", 2),
    (["delivered", "failed"], "sent", 2),
    (["read", "failed", "failed"], "sent", 3),
]


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "in one webhook"])
@pytest.mark.parametrize("at", ["intent", "doubt", "unknown", "sent"])
async def test_receipts_in_any_order_lead_to_one_truth(
    platform: Platform, clock: FakeClock, at: str, together: bool
) -> None:
    campaign = await _ready(platform, len(_STORIES))
    intents = await _intents(platform, campaign.id)
    if at in {"doubt", "unknown"}:
        await _lapse(platform, clock)
    if at == "unknown":
        await _silence(platform, clock)
    if at == "sent":
        await _settle(platform, campaign.id, intents)
    for intent, (statuses, _, _) in zip(intents, _STORIES, strict=True):
        for some in [statuses] if together else [[status] for status in statuses]:
            await _receipt(platform, intent, *some)
    if at == "intent":
        assert (await _recipient(platform)).state == "sending"  # the holder of the lease settles it
        await _settle(platform, campaign.id, intents)

    async def check() -> None:
        async with platform.database.reading() as tx:
            rows = await tx.execute(
                select(Message, Recipient).join(Recipient, Recipient.id == Message.recipient_id).order_by(Message.id)
            )
            found = rows.tuples().all()
        for (message, recipient), (statuses, state, rank) in zip(found, _STORIES, strict=True):
            assert (message.state, message.receipt) == (recipient.state, recipient.receipt) == (state, rank), statuses
            assert recipient.reason == message.reason == ("undeliverable" if state == "failed" else None)
            assert message.late is (at == "unknown")
            assert message.settled_at is not None
            assert (recipient.sent_at is not None) is (state == "sent")
            assert (message.delivered_at is not None) is (rank >= 2)
            assert (message.read_at is not None) is (rank == 3)

    await check()
    # Neither a late answer nor a sweep changes what is proven.
    await _settle(platform, campaign.id, intents, Ambiguous("timeout"))
    await _lapse(platform, clock)
    await _silence(platform, clock)
    await check()


@pytest.mark.parametrize("result", [Ambiguous("timeout"), Retryable("busy"), PermanentContent("bad")])
@pytest.mark.parametrize(("status", "state"), [("sent", "sent"), ("failed", "failed")])
async def test_a_receipt_that_overtook_the_answer_decides(
    platform: Platform, result: SendError, status: str, state: str
) -> None:
    campaign = await _ready(platform)
    (intent,) = await _intents(platform, campaign.id)
    await _receipt(platform, intent, status)
    await _settle(platform, campaign.id, [intent], result)
    assert (await _recipient(platform)).state == state
    assert await _intents(platform, campaign.id) == []


@pytest.mark.parametrize(("status", "state"), [("delivered", "sent"), ("failed", "failed")])
async def test_a_receipt_settles_what_a_dead_process_left(
    platform: Platform, clock: FakeClock, status: str, state: str
) -> None:
    campaign = await _ready(platform)
    (intent,) = await _intents(platform, campaign.id)
    await _receipt(platform, intent, status)
    clock.advance(seconds=platform.settings.lease_s + platform.settings.lease_margin_s + 1)
    assert await settling.reconcile(platform) == settling.Reconciled(released=0, doubted=0, proven=1, unknown=0)
    assert (await _recipient(platform)).state == state


async def test_reconciling_while_a_run_sends_doubts_nothing(platform: Platform, connector: FakeConnector) -> None:
    campaign = await _ready(platform, 20)
    intents = await _intents(platform, campaign.id)
    found = await settling.reconcile(platform)
    assert found == settling.Reconciled(released=0, doubted=0, proven=0, unknown=0)
    await _settle(platform, campaign.id, intents)
    assert (await scenes.progress(platform, campaign.id)).sent == len(intents)


async def test_a_retry_opens_no_second_conversation(platform: Platform, clock: FakeClock) -> None:
    campaign = await _ready(platform)
    async with platform.database.transaction() as tx:
        await tx.execute(update(Sender).values(conversation_cap=1))
    await _settle(platform, campaign.id, await _intents(platform, campaign.id), Expired("late"))
    assert len(await _intents(platform, campaign.id)) == 1
    async with platform.database.reading() as tx:
        chat = (await tx.execute(select(Chat))).scalar_one()
        assert chat.last_out_at is not None
        assert await clock.now(tx) - chat.last_out_at < timedelta(minutes=1)

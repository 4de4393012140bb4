"""Single messages leave once, on the sender's one budget, and only if nothing forbids it."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

import scenes
from conftest import with_settings
from core import consents, messages, outbox, pacing, senders, sending, settling
from core.bootstrap import Platform
from core.content import Template, Text
from core.models import Message, Sender
from core.outbox import Outbox
from core.ports import (
    Accepted,
    Ambiguous,
    Expired,
    Found,
    Lookup,
    PermanentTemplate,
    RateLimited,
    Receipt,
    Retryable,
    SenderBlocked,
    SendError,
    SessionLost,
)
from fakes import ANYTHING, FakeClock, FakeConnector


@pytest.fixture
async def sender(platform: Platform) -> Sender:
    await scenes.people(platform, 5)
    return await scenes.a_sender(platform)


async def test_a_message_leaves_and_is_sent(platform: Platform, sender: Sender, connector: FakeConnector) -> None:
    message = await scenes.a_message(platform, sender)
    assert (message.state, message.recipient_id) == ("queued", None)
    assert await scenes.let_out(platform) == ["queue_empty"]
    done = await scenes.reread(platform, message)
    assert (done.state, done.provider_id, done.attempts) == ("sent", f"wamid.{done.client_id}", 1)
    (call,) = connector.calls
    assert (call.client_id, call.to.value, call.content) == (done.client_id, "+966500000000", Text(body="hello"))
    async with platform.database.reading() as tx:
        sender.daily_cap = 10
        left = await pacing.allowance(tx, sender, now=await platform.clock.now(tx))
    assert left.messages == 9
    assert await scenes.let_out(platform) == []


async def test_after_a_stop_commits_a_queued_message_does_not_leave(
    platform: Platform, sender: Sender, connector: FakeConnector
) -> None:
    message = await scenes.a_message(platform, sender)
    other = await scenes.a_message(platform, sender, contact_id=2)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await consents.opt_out(tx, 1, reason="stop_word", source="whatsapp", at=now)
    await scenes.let_out(platform)
    stopped = await scenes.reread(platform, message)
    assert (stopped.state, stopped.reason, stopped.attempts) == ("failed", "opted_out", 0)
    assert (await scenes.reread(platform, other)).state == "sent"
    assert [call.client_id for call in connector.calls] == [other.client_id]


async def test_what_needs_consent_or_an_open_window_has_it_looked_at(
    platform: Platform, sender: Sender, connector: FakeConnector
) -> None:
    connector.capabilities = replace(ANYTHING, free_form_anytime=False)
    marketing = await scenes.a_message(platform, sender, purpose="marketing", contact_id=1)
    text = await scenes.a_message(platform, sender, contact_id=2)
    template = await scenes.a_message(platform, sender, contact_id=3, content=Template(name="t", language="en"))
    await scenes.let_out(platform)
    found = [await scenes.reread(platform, one) for one in (marketing, text, template)]
    assert [(one.state, one.reason) for one in found] == [
        ("failed", "unverified"),
        ("failed", "window_closed"),
        ("sent", None),
    ]


async def test_the_kill_switch_and_a_paused_sender_keep_it_queued(
    platform: Platform, sender: Sender, connector: FakeConnector
) -> None:
    message = await scenes.a_message(platform, sender)
    async with platform.database.transaction() as tx:
        await senders.turn_sending(tx, is_on=False, reason="", at=await platform.clock.now(tx))
    assert await scenes.let_out(platform) == []
    assert (await outbox.Lane(platform, connector, sender).run(seconds=5)).why == "sending_is_off"
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await senders.turn_sending(tx, is_on=True, reason="", at=now)
        await senders.move(tx, await senders.get(tx, sender.id, lock=True), senders.PAUSED, reason="", at=now)
    assert await scenes.let_out(platform) == []
    assert (await outbox.Lane(platform, connector, sender).run(seconds=5)).why == "sender_paused"
    assert (await scenes.reread(platform, message)).state == "queued"
    assert connector.calls == []


async def test_not_before_its_time_and_not_after(platform: Platform, sender: Sender, clock: FakeClock) -> None:
    async with platform.database.reading() as tx:
        now = await platform.clock.now(tx)
    later = await scenes.a_message(platform, sender, not_before=now + timedelta(minutes=5))
    short = await scenes.a_message(platform, sender, contact_id=2, expires_at=now + timedelta(minutes=1))
    async with platform.database.transaction() as tx:
        await senders.turn_sending(tx, is_on=False, reason="", at=now)
    clock.advance(minutes=2)
    assert await outbox.expire(platform) == 1
    assert await outbox.expire(platform) == 0
    async with platform.database.transaction() as tx:
        await senders.turn_sending(tx, is_on=True, reason="", at=now)
    assert await scenes.let_out(platform) == []
    clock.advance(minutes=4)
    assert await scenes.let_out(platform) == ["queue_empty"]
    found = [await scenes.reread(platform, one) for one in (later, short)]
    assert [(one.state, one.reason) for one in found] == [("sent", None), ("failed", "expired")]


@pytest.mark.parametrize(
    ("answer", "state", "reason"),
    [
        (Retryable("not_connected"), "queued", "not_connected"),
        (RateLimited("too_fast", scope="pair", retry_after_s=6), "queued", "too_fast"),
        (RateLimited("too_fast", scope="sender", retry_after_s=60), "queued", "too_fast"),
        (SessionLost("token_expired"), "queued", "token_expired"),
        (SenderBlocked("account_restricted"), "queued", "account_restricted"),
        (Ambiguous("in_doubt"), "in_doubt", "in_doubt"),
        (PermanentTemplate("template_paused"), "failed", "template_paused"),
    ],
)
async def test_each_answer_leads_where_a_campaigns_would(
    platform: Platform,
    sender: Sender,
    connector: FakeConnector,
    clock: FakeClock,
    answer: SendError,
    state: str,
    reason: str,
) -> None:
    connector.answering = lambda _: answer
    message = await scenes.a_message(platform, sender)
    await scenes.let_out(platform)
    found = await scenes.reread(platform, message)
    assert (found.state, found.reason) == (state, reason)
    assert len(connector.calls) == 1, "it is not tried again before its time"
    connector.answering = None
    clock.advance(minutes=10)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await senders.move(tx, await senders.get(tx, sender.id, lock=True), senders.ACTIVE, reason="", at=now)
    await scenes.let_out(platform)
    found = await scenes.reread(platform, message)
    assert found.state == ("sent" if state == "queued" else state)


async def test_it_is_not_tried_for_ever(platform: Platform, sender: Sender, connector: FakeConnector) -> None:
    platform = with_settings(platform, max_attempts=1)
    connector.answering = lambda _: Retryable("service_busy")
    message = await scenes.a_message(platform, sender)
    await scenes.let_out(platform)
    assert (await scenes.reread(platform, message)).state == "failed"


async def test_one_that_lapsed_before_the_write_goes_again(
    platform: Platform, sender: Sender, connector: FakeConnector
) -> None:
    answers: list[SendError] = [Expired("expired")]
    connector.answering = lambda one: answers.pop() if answers else Accepted(f"wamid.{one.client_id}")
    message = await scenes.a_message(platform, sender)
    await scenes.let_out(platform)
    found = await scenes.reread(platform, message)
    assert (found.state, found.attempts, len(connector.calls)) == ("sent", 1, 2)


async def test_two_processes_at_once_send_each_once(
    platform: Platform, sender: Sender, connector: FakeConnector
) -> None:
    await scenes.people(platform, 60)
    connector.delay_s = 0.005
    for contact_id in range(1, 61):
        await scenes.a_message(platform, sender, contact_id=contact_id)
    boxes = [Outbox(platform), Outbox(platform)]
    tasks = [asyncio.create_task(box.run()) for box in boxes]
    async with asyncio.timeout(20):
        while len(connector.effects) < 60:  # noqa: ASYNC110  effects are in a list
            await asyncio.sleep(0.02)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len({call.client_id for call in connector.calls}) == len(connector.calls) == 60
    async with platform.database.reading() as tx:
        states = {(await messages.get(tx, number)).state for number in range(1, 61)}
    assert states == {"sent"}


async def test_all_lanes_together_leave_no_more_unsettled_than_one_run(
    platform: Platform, connector: FakeConnector
) -> None:
    """Whatever the number of senders, and each of them gets its share."""
    connector.delay_s = 0.1
    await scenes.people(platform, 8)
    names = [f"sender-{number}" for number in range(5)]
    for name in names:
        sender = await scenes.a_sender(platform, name=name)
        for contact_id in range(1, 9):
            await scenes.a_message(platform, sender, contact_id=contact_id)
    task = asyncio.create_task(Outbox(with_settings(platform, send_concurrency=7)).run())
    most = 0
    async with asyncio.timeout(30):
        while len(connector.effects) < 40:
            await asyncio.sleep(0.02)
            async with platform.database.reading() as tx:
                unsettled = (await tx.execute(select(Message.id).where(Message.state == "intent"))).all()
            most = max(most, len(unsettled))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert 4 < most <= 7
    assert connector.most_at_once <= 7


async def test_to_one_person_they_leave_in_order_and_others_do_not_wait(
    platform: Platform, sender: Sender, connector: FakeConnector
) -> None:
    connector.delay_s = 0.02
    for number in range(8):
        await scenes.a_message(platform, sender, content=Text(body=str(number)))
    await scenes.a_message(platform, sender, contact_id=2)
    await scenes.let_out(platform)
    first = [call for call in connector.calls if call.to.value == "+966500000000"]
    assert [call.content for call in first] == [Text(body=str(number)) for number in range(8)]
    assert [call.to.value for call in connector.calls].index("+966500000001") == 1


async def test_caps_are_one_budget_and_an_open_conversation_goes_on(
    platform: Platform, connector: FakeConnector
) -> None:
    await scenes.people(platform, 5)
    sender = await scenes.a_sender(platform, name="capped", conversation_cap=2)
    for contact_id in (1, 2, 3):
        await scenes.a_message(platform, sender, contact_id=contact_id)
    answer = await scenes.a_message(platform, sender, contact_id=1, content=Text(body="again"))
    await scenes.let_out(platform)
    assert (await scenes.reread(platform, answer)).state == "sent"
    async with platform.database.reading() as tx:
        third = await messages.get(tx, 3)
    assert (third.state, third.reason) == ("queued", "conversation_cap")
    campaign = await scenes.a_campaign(platform, sender, audience={"all": True})
    await scenes.launched(platform, campaign.id)
    assert (await scenes.dispatched(platform, connector, campaign.id)).why == "queue_empty"
    progress = await scenes.progress(platform, campaign.id)
    assert progress.sent == 2, "only the two whose conversation is open"


async def test_a_full_day_stops_the_sender_and_no_other(platform: Platform, connector: FakeConnector) -> None:
    await scenes.people(platform, 3)
    full, free = [
        await scenes.a_sender(platform, name=name, **caps) for name, caps in (("a", {"daily_cap": 1}), ("b", {}))
    ]
    mine = [await scenes.a_message(platform, full, contact_id=number) for number in (1, 2)]
    await scenes.a_message(platform, free)
    assert sorted(await scenes.let_out(platform)) == ["no_slot", "queue_empty"]
    assert [(await scenes.reread(platform, one)).state for one in mine] == ["sent", "queued"]
    assert len(connector.effects) == 2
    assert await scenes.let_out(platform) == []


async def test_what_a_dead_process_left_ends_true(
    platform: Platform, sender: Sender, connector: FakeConnector, clock: FakeClock
) -> None:
    """As after a kill between the commit and the write: nobody answers for the intent."""
    message = await scenes.a_message(platform, sender)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        gate_ = await sending.sender_gate(tx, sender.id)
        done = await outbox.intend(
            tx, gate_, busy=(), limit=4, capabilities=ANYTHING, settings=platform.settings, now=now, monotonic=0
        )
    assert len(done.intents) == 1
    assert await scenes.let_out(platform) == []
    clock.advance(minutes=1)
    await settling.reconcile(platform)
    assert (await scenes.reread(platform, message)).state == "in_doubt"
    clock.advance(minutes=15)
    connector.lookups[message.client_id or ""] = Found(Lookup.ACCEPTED, "wamid.found")
    waits = await scenes.a_message(platform, sender, not_before=now + timedelta(days=1))
    await settling.reconcile(platform)
    found = await scenes.reread(platform, message)
    assert (found.state, found.provider_id) == ("sent", "wamid.found")
    assert (await scenes.reread(platform, waits)).state == "queued"


async def test_a_receipt_is_proof(platform: Platform, sender: Sender, connector: FakeConnector) -> None:
    connector.answering = lambda _: Ambiguous("timeout")
    message = await scenes.a_message(platform, sender)
    await scenes.let_out(platform)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        receipts = [Receipt("wamid.x", message.client_id, "delivered", now)]
        assert await messages.apply_receipts(tx, receipts, at=now) == 1
    found = await scenes.reread(platform, message)
    assert (found.state, found.receipt, found.delivered_at) == ("sent", 2, now)


async def test_marketing_by_single_messages_counts_for_the_week(
    platform: Platform, sender: Sender, connector: FakeConnector
) -> None:
    platform = with_settings(platform, marketing_per_week=1)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        hashes = [platform.key.hash("phone", "+966500000000")]
        await consents.grant(tx, hashes, purpose="marketing", source="t", wording="t", given_at=now, at=now)
    first, second = [await scenes.a_message(platform, sender, purpose="marketing") for _ in range(2)]
    await scenes.let_out(platform)
    found = [await scenes.reread(platform, one) for one in (first, second)]
    assert [(one.state, one.reason) for one in found] == [("sent", None), ("failed", "weekly_cap")]


async def test_a_replaced_token_counts_at_once(platform: Platform, sender: Sender, connector: FakeConnector) -> None:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await senders.replace_token(tx, platform.key, sender.id, access_token="new", at=now)
    await scenes.a_message(platform, sender)
    assert (await outbox.Lane(platform, connector, sender).run(seconds=5)).why == "token_replaced"
    assert await scenes.let_out(platform) == ["queue_empty"]


async def test_stopping_the_process_settles_what_is_under_way(
    platform: Platform, sender: Sender, connector: FakeConnector
) -> None:
    connector.delay_s = 0.2
    message = await scenes.a_message(platform, sender)
    box = Outbox(platform)
    task = asyncio.create_task(box.run())
    async with asyncio.timeout(10):
        while not connector.most_at_once:  # noqa: ASYNC110  until WhatsApp is asked
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await scenes.reread(platform, message)).state == "sent"

"""Every recipient's outcome is explained, with what proves it."""

from collections.abc import Sequence

import pytest
from sqlalchemy import update

import scenes
from core import campaigns, consents, messages, planning, senders, why
from core.bootstrap import Platform
from core.errors import NotFound
from core.models import Recipient
from core.ports import Accepted, Ambiguous, Outgoing, PermanentRecipient, Receipt, SendError
from core.reasons import REASONS, explained
from core.why import Answer, Evidence
from fakes import FakeConnector


async def _asked(platform: Platform, campaign_id: int, contact_id: int) -> Answer:
    async with platform.database.reading() as tx:
        (answer,) = await why.ask(tx, campaign_id, contact_id, now=await platform.clock.now(tx))
    return answer


def _of(answer: Answer, kind: str) -> Sequence[Evidence]:
    return [one for one in answer.evidence if one.kind == kind]


async def test_who_got_it_who_did_not_and_who_may_have(platform: Platform, connector: FakeConnector) -> None:
    def answering(message: Outgoing) -> Accepted | SendError:
        match message.to.value[-1]:
            case "1":
                return PermanentRecipient("not_on_whatsapp")
            case "2":
                return Ambiguous("in_doubt", "no whole answer")
            case _:
                return Accepted(f"wamid.{message.client_id}")

    connector.answering = answering
    await scenes.people(platform, 4)  # contacts 1 to 4 with numbers ending in 0 to 3
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await consents.opt_out(tx, 4, reason="stop_word", source="whatsapp", wording="توقف", at=now)
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)

    sent = await _asked(platform, campaign.id, 1)
    assert (sent.outcome, sent.reason, sent.because) == ("sent", None, "Sent: WhatsApp's answer proves it.")
    (message,) = _of(sent, "message")
    assert message.facts["provider_id"] == f"wamid.{connector.effects[0].client_id}"

    failed = await _asked(platform, campaign.id, 2)
    assert (failed.outcome, failed.reason) == ("failed", "not_on_whatsapp")
    assert failed.because == "The number is not on WhatsApp."

    doubtful = await _asked(platform, campaign.id, 3)
    assert (doubtful.outcome, doubtful.reason) == ("sending", "in_doubt")

    stopped = await _asked(platform, campaign.id, 4)
    assert (stopped.outcome, stopped.reason) == ("skipped", "opted_out")
    assert _of(stopped, "suppression")[0].facts["reason"] == "stop_word"
    assert [(one.facts["action"], one.facts["wording"]) for one in _of(stopped, "consent")] == [("withdrawn", "توقف")]


async def test_a_receipt_is_the_better_proof(platform: Platform, connector: FakeConnector) -> None:
    await scenes.people(platform, 1)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        read = Receipt(f"wamid.{connector.effects[0].client_id}", client_id=None, status="read", at=now)
        await messages.apply_receipts(tx, [read], at=now)
    assert (await _asked(platform, campaign.id, 1)).because == "Sent: a receipt proves it."


async def test_who_waits_learns_what_for(platform: Platform, connector: FakeConnector) -> None:
    await scenes.people(platform, 2)
    sender = await scenes.a_sender(platform, daily_cap=1)
    campaign = await scenes.a_campaign(platform, sender)
    assert (await _asked(platform, campaign.id, 1)).because == "The campaign was not launched yet."
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    waiting = await _asked(platform, campaign.id, 2)
    assert (waiting.outcome, waiting.because) == ("queued", "It waits for its turn.")
    (limit,) = _of(waiting, "limit")
    assert (limit.facts["daily_cap"], limit.facts["messages_today"]) == (1, 1)
    assert limit.facts["rests_s"] > 0
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await senders.move(tx, await senders.get(tx, sender.id, lock=True), senders.PAUSED, reason="by hand", at=now)
    assert (await _asked(platform, campaign.id, 2)).reason == "sender_paused"
    async with platform.database.transaction() as tx:
        await campaigns.pause(tx, campaign.id, at=await platform.clock.now(tx))
    assert (await _asked(platform, campaign.id, 2)).reason == "campaign_paused"


async def test_who_was_never_in_it_learns_that_too(platform: Platform) -> None:
    await scenes.people(platform, 1, tags=["vip"])
    await scenes.people(platform, 1, start=1)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform), audience={"tag": "vip"})
    await scenes.launched(platform, campaign.id)
    await scenes.people(platform, 1, start=2, tags=["vip"])
    without_tag = await _asked(platform, campaign.id, 2)
    assert without_tag.outcome == "not_in_audience"
    assert without_tag.evidence[0].facts["would_be_now"] is False
    late = await _asked(platform, campaign.id, 3)
    assert late.because == "The person came after the audience was frozen at the launch."
    with pytest.raises(NotFound):
        await _asked(platform, campaign.id, 99)


async def test_whom_the_planning_never_came_to_learns_whether_it_still_will(platform: Platform) -> None:
    await scenes.people(platform, 3)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await campaigns.launch(tx, campaign.id, at=now)
        await planning.plan_chunk(tx, campaign.id, at=now, size=1)
    assert (await _asked(platform, campaign.id, 3)).because == "The campaign is still being planned."
    async with platform.database.transaction() as tx:
        await campaigns.cancel(tx, campaign.id, at=await platform.clock.now(tx))
    assert (await _asked(platform, campaign.id, 1)).reason == "cancelled"
    never = await _asked(platform, campaign.id, 3)
    assert never.outcome == "not_in_audience"
    assert never.because == "The campaign was cancelled before everybody was planned; it had not come to this person."


async def test_a_person_is_found_by_number(platform: Platform) -> None:
    await scenes.people(platform, 1)
    async with platform.database.reading() as tx:
        assert await why.whose(tx, platform.key, "+966500000000") == 1
        with pytest.raises(NotFound):
            await why.whose(tx, platform.key, "+966500000001")


@pytest.mark.parametrize(("code", "words"), [("opted_out", REASONS["opted_out"]), ("new_code", "new_code")])
def test_a_code_without_words_is_shown_as_it_is(code: str, words: str) -> None:
    assert explained(code) == words
    assert explained(f"{code}:city") == (words if code in REASONS else f"{code}:city")


async def test_a_rule_is_evidence(platform: Platform) -> None:
    await scenes.people(platform, 1)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    async with platform.database.transaction() as tx:
        night = {"zone": "Asia/Riyadh", "basis": "number"}
        await tx.execute(update(Recipient).values(reason="quiet_hours", evidence=night))
    answer = await _asked(platform, campaign.id, 1)
    assert (answer.reason, [one.facts for one in _of(answer, "rule")]) == ("quiet_hours", [night])

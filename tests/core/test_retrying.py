"""Again, but only when somebody says so, and never to who got it."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert, select, update

import scenes
from core import campaigns, consents, merges, messages, retrying, settling
from core.bootstrap import Platform
from core.errors import Conflict
from core.models import Message, Recipient
from core.ports import Accepted, Ambiguous, Outgoing, PermanentContent, PermanentRecipient, Receipt, SendError
from fakes import FakeClock, FakeConnector


def _each_its_own(message: Outgoing) -> Accepted | SendError:
    match int(message.to.value[-1]) % 4:
        case 0:
            return PermanentRecipient("not_on_whatsapp")
        case 1:
            return Ambiguous("in_doubt")
        case 2:
            return PermanentContent("refused")
        case _:
            return Accepted(f"wamid.{message.client_id}")


async def _over(platform: Platform, connector: FakeConnector, clock: FakeClock) -> int:
    """A finished campaign to eight people: two of each outcome, two of the failures for another reason."""
    connector.answering = _each_its_own
    campaign_id = await _given_up_on(platform, connector, clock, people=8)
    async with platform.database.transaction() as tx:
        assert await campaigns.finish_if_done(tx, campaign_id, at=await platform.clock.now(tx))
    connector.answering = None
    return campaign_id


async def _given_up_on(platform: Platform, connector: FakeConnector, clock: FakeClock, *, people: int) -> int:
    """A campaign that was sent, and after which nothing more was heard for as long as is waited."""
    await scenes.people(platform, people)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    clock.advance(minutes=15)
    await settling.reconcile(platform)
    return campaign.id


async def _goes_on(platform: Platform, connector: FakeConnector, campaign_id: int) -> dict[str, int]:
    await scenes.dispatched(platform, connector, campaign_id)
    async with platform.database.transaction() as tx:
        await campaigns.finish_if_done(tx, campaign_id, at=await platform.clock.now(tx))
        states = (await tx.execute(select(Recipient.state))).scalars().all()
        assert (await campaigns.get(tx, campaign_id)).state == campaigns.FINISHED
    return {state: list(states).count(state) for state in set(states)}


async def test_a_retry_takes_only_what_had_no_effect(
    platform: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    campaign_id = await _over(platform, connector, clock)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        assert await retrying.retry_failed(tx, campaign_id, reason="refused", at=now) == 2
    assert await _goes_on(platform, connector, campaign_id) == {"sent": 4, "failed": 2, "unknown": 2}
    async with platform.database.transaction() as tx:
        assert await retrying.retry_failed(tx, campaign_id, at=await platform.clock.now(tx)) == 2
    assert await _goes_on(platform, connector, campaign_id) == {"sent": 6, "unknown": 2}
    assert len({one.to.value for one in connector.effects}) == len(connector.effects) == 6


async def test_unknown_goes_again_only_with_its_number_confirmed(
    platform: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    campaign_id = await _over(platform, connector, clock)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        with pytest.raises(Conflict, match="Of 2 people") as refused:
            await retrying.resend_unknown(tx, campaign_id, confirm=1, at=now)
        assert refused.value.field == "confirm"
    async with platform.database.transaction() as tx:
        assert await retrying.resend_unknown(tx, campaign_id, confirm=2, at=await platform.clock.now(tx)) == 2
    assert await _goes_on(platform, connector, campaign_id) == {"sent": 4, "failed": 4}


async def test_a_proof_that_comes_before_the_second_attempt_saves_it(
    platform: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    campaign_id = await _over(platform, connector, clock)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        doubtful = (await tx.execute(select(Message.client_id).where(Message.state == "unknown"))).scalars().first()
        await retrying.resend_unknown(tx, campaign_id, confirm=2, at=now)
        read = Receipt("wamid.late", client_id=doubtful, status="read", at=now)
        await messages.apply_receipts(tx, [read], at=now)
    calls = len(connector.calls)
    assert await _goes_on(platform, connector, campaign_id) == {"sent": 4, "failed": 4}
    assert len(connector.calls) == calls + 1


async def test_a_draft_and_a_cancelled_campaign_have_nothing_to_repeat(
    platform: Platform, connector: FakeConnector
) -> None:
    await scenes.people(platform, 1)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        with pytest.raises(Conflict):
            await retrying.retry_failed(tx, campaign.id, at=now)
        await campaigns.cancel(tx, campaign.id, at=now)
        with pytest.raises(Conflict):
            await retrying.resend_unknown(tx, campaign.id, confirm=0, at=now)


async def test_a_failure_told_again_says_nothing_of_the_second_attempt(
    platform: Platform, connector: FakeConnector
) -> None:
    await scenes.people(platform, 1)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    name = connector.effects[0].client_id
    told = Receipt(
        f"wamid.{name}", name, "failed", datetime(2026, 3, 1, tzinfo=UTC), PermanentRecipient("not_on_whatsapp")
    )

    async def tell() -> None:
        async with platform.database.transaction() as tx:
            await messages.apply_receipts(tx, [told], at=await platform.clock.now(tx))

    await tell()
    async with platform.database.transaction() as tx:
        assert await retrying.retry_failed(tx, campaign.id, at=await platform.clock.now(tx)) == 1
    connector.answering = lambda message: Accepted("wamid.second")
    await scenes.dispatched(platform, connector, campaign.id)
    await tell()
    assert (await scenes.progress(platform, campaign.id)).sent == 1


async def _resent(platform: Platform, connector: FakeConnector, clock: FakeClock) -> int:
    """A campaign to one person who got it, of which we heard nothing; somebody has it sent again."""
    connector.answering = lambda message: Ambiguous("timeout")
    campaign_id = await _given_up_on(platform, connector, clock, people=1)
    async with platform.database.transaction() as tx:
        assert await retrying.resend_unknown(tx, campaign_id, confirm=1, at=await platform.clock.now(tx)) == 1
    return campaign_id


async def _is_cancelled(platform: Platform, connector: FakeConnector, campaign_id: int) -> None:
    async with platform.database.transaction() as tx:
        await campaigns.cancel(tx, campaign_id, at=await platform.clock.now(tx))


async def _opts_out(platform: Platform, connector: FakeConnector, campaign_id: int) -> None:
    async with platform.database.transaction() as tx:
        await consents.opt_out(tx, 1, reason="stop_word", source="whatsapp", at=await platform.clock.now(tx))
    await scenes.dispatched(platform, connector, campaign_id)


async def _is_refused(platform: Platform, connector: FakeConnector, campaign_id: int) -> None:
    connector.answering = lambda message: PermanentContent("refused")
    await scenes.dispatched(platform, connector, campaign_id)


async def _is_accepted_and_fails(platform: Platform, connector: FakeConnector, campaign_id: int) -> None:
    connector.answering = None
    await scenes.dispatched(platform, connector, campaign_id)
    (sent,) = connector.effects
    error = PermanentRecipient("not_on_whatsapp")
    told = Receipt(f"wamid.{sent.client_id}", sent.client_id, "failed", datetime(2026, 3, 1, tzinfo=UTC), error)
    async with platform.database.transaction() as tx:
        await messages.apply_receipts(tx, [told], at=await platform.clock.now(tx))


async def _is_merged(platform: Platform, connector: FakeConnector, campaign_id: int) -> None:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await tx.execute(
            insert(Recipient).values(
                campaign_id=campaign_id, occurrence=1, contact_id=2, state="sent", receipt=0, attempts=1
            )
        )
        await merges.merge(tx, 2, 1, at=now)


@pytest.mark.parametrize(
    ("ends", "reason"),
    [
        (_is_cancelled, "cancelled"),
        (_opts_out, "opted_out"),
        (_is_refused, "refused"),
        (_is_accepted_and_fails, "not_on_whatsapp"),
        (_is_merged, "merged"),
    ],
)
async def test_however_a_resent_unknown_ends_without_a_proof_it_is_unknown_again(
    platform: Platform,
    connector: FakeConnector,
    clock: FakeClock,
    ends: Callable[[Platform, FakeConnector, int], Awaitable[None]],
    reason: str,
) -> None:
    campaign_id = await _resent(platform, connector, clock)
    if ends is _is_merged:
        await scenes.people(platform, 1, start=1)
    await ends(platform, connector, campaign_id)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        recipient = (await tx.execute(select(Recipient).where(Recipient.id == 1))).scalar_one()
        message = (await tx.execute(select(Message).where(Message.recipient_id == 1))).scalar_one()
        assert (recipient.state, recipient.reason) == (message.state, message.reason) == ("unknown", reason)
        if ends is not _is_cancelled:
            assert await retrying.retry_failed(tx, campaign_id, at=now) == 0
        read = Receipt("wamid.first", message.client_id, "read", now)
        await messages.apply_receipts(tx, [read], at=now)
        await tx.refresh(recipient)
        assert recipient.state == "sent"


async def test_who_has_no_message_and_was_resent_is_unknown_again(platform: Platform, connector: FakeConnector) -> None:
    """As after a restored backup, which knows only that they may have been written to."""
    await scenes.people(platform, 1)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await tx.execute(update(Recipient).values(state="unknown", reason="restored"))
        assert await retrying.resend_unknown(tx, campaign.id, confirm=1, at=now) == 1
    await _is_refused(platform, connector, campaign.id)
    async with platform.database.transaction() as tx:
        states = (await tx.execute(select(Recipient.state, Recipient.reason))).all()
    assert [tuple(one) for one in states] == [("unknown", "refused")]

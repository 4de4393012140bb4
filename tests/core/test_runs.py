"""A run keeps up with what changes under it."""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime

import pytest

import scenes
from conftest import with_settings
from core import campaigns, contacts, runs, senders
from core.bootstrap import Platform
from core.contacts import NewContact
from core.database import DatabaseClock, Tx
from core.dispatch import Rest
from core.ports import Accepted, Outgoing, SendError, SessionLost
from core.runs import Run
from fakes import FakeConnector, FakeConnectors


async def test_a_token_replaced_under_way_is_taken_up_and_the_old_ones_refusals_pause_nobody(
    platform: Platform, connector: FakeConnector
) -> None:
    connectors = platform.connectors
    assert isinstance(connectors, FakeConnectors)

    def answer(message: Outgoing) -> Accepted | SendError:
        fresh = connectors.opened[-1].access_token == "fresh"
        return Accepted(f"wamid.{message.client_id}") if fresh else SessionLost("token_expired")

    await scenes.people(platform, 100)
    sender = await scenes.a_sender(platform, rate=1000)
    campaign = await scenes.a_campaign(platform, sender)
    await scenes.launched(platform, campaign.id)
    connector.answering, connector.delay_s = answer, 0.4
    run = await Run.opened(platform, campaign.id)
    assert run is not None
    batch = asyncio.create_task(run.send_batch())
    await asyncio.sleep(0.2)  # the first are with WhatsApp, which will refuse the old token
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await senders.replace_token(tx, platform.key, sender.id, access_token="fresh", at=now)
    rest = await batch
    assert rest.why == "token_replaced"
    assert not connector.effects
    connector.delay_s = 0
    while await run.has_more(rest):
        rest = await run.send_batch()
    assert await run.close()
    assert len({one.to.value for one in connector.effects}) == len(connector.effects) == 100
    async with platform.database.reading() as tx:
        assert (await senders.get(tx, sender.id)).state == senders.ACTIVE


@dataclass
class _Breaking:
    """A clock that breaks once, when it is asked for the `at`-th time."""

    error: Exception
    at: int
    asked: int = 0

    async def now(self, tx: Tx) -> datetime:
        self.asked += 1
        if self.asked == self.at:
            raise self.error
        return await DatabaseClock().now(tx)


_AT_ONCE = 10


async def _two_chunks(platform: Platform) -> int:
    """A campaign to as many as two chunks of planning are, launched."""
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        several = [NewContact(phone=f"+9665{number:08d}") for number in range(_AT_ONCE + 3)]
        await contacts.save(tx, platform.key, several, at=now)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    async with platform.database.transaction() as tx:
        await campaigns.launch(tx, campaign.id, at=await platform.clock.now(tx))
    return campaign.id


async def test_planning_goes_on_after_the_database_was_away(platform: Platform) -> None:
    platform = with_settings(platform, plan_at_once=_AT_ONCE)
    campaign_id = await _two_chunks(platform)
    run = await Run.opened(platform, campaign_id)
    assert run is not None
    run.platform = replace(platform, clock=_Breaking(ConnectionResetError(), at=2))
    await run.plan()
    assert (await scenes.progress(platform, campaign_id)).queued == _AT_ONCE + 3
    await run.close()


async def test_a_run_whose_planning_broke_ends_and_the_sweep_starts_another(
    platform: Platform,
) -> None:
    platform = with_settings(platform, plan_at_once=_AT_ONCE)
    campaign_id = await _two_chunks(platform)
    run = await Run.opened(platform, campaign_id)
    assert run is not None
    run.platform = replace(platform, clock=_Breaking(ValueError("a defect"), at=2))
    with pytest.raises(ValueError, match="a defect"):
        await run.plan()
    async with platform.database.reading() as tx:
        assert not campaigns.planned(await campaigns.get(tx, campaign_id))
    with pytest.raises(ValueError, match="a defect"):
        await run.has_more(Rest("queue_empty", 0))
    assert await run.close() is False
    assert await runs.sweep(platform) == [campaign_id]

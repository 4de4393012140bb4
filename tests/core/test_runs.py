"""A run keeps up with what changes under it."""

import asyncio

import scenes
from core import senders
from core.bootstrap import Platform
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

"""One run of a campaign, on both databases: what is sent, to whom, how many at once, and what stops it."""

from datetime import UTC, datetime

import scenes
from core import campaigns, messages
from core.bootstrap import Platform
from core.ports import Ambiguous, Receipt
from fakes import FakeConnector


async def test_everybody_is_written_to_once(platform: Platform, connector: FakeConnector) -> None:
    await scenes.people(platform, 300)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    rest = await scenes.dispatched(platform, connector, campaign.id)
    assert rest.why == "queue_empty"
    assert len({effect.to.value for effect in connector.effects}) == len(connector.effects) == 300
    progress = await scenes.progress(platform, campaign.id)
    assert progress.sent == progress.total == 300
    async with platform.database.transaction() as tx:
        assert await campaigns.finish_if_done(tx, campaign.id, at=await platform.clock.now(tx))


async def test_no_more_than_the_concurrency_is_ever_without_an_answer(
    platform: Platform, connector: FakeConnector
) -> None:
    connector.delay_s = 0.02
    await scenes.people(platform, 400)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform, rate=10_000))
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    assert 8 < connector.most_at_once <= 64


async def test_a_doubt_is_not_repeated(platform: Platform, connector: FakeConnector) -> None:
    connector.answering = lambda message: Ambiguous("timeout")
    await scenes.people(platform, 5)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    assert len(connector.calls) == 5
    assert (await scenes.progress(platform, campaign.id)).sending == 5


async def test_a_number_speaks_only_for_its_own_messages(platform: Platform, connector: FakeConnector) -> None:
    await scenes.people(platform, 1)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform, name="ours"))
    await scenes.a_sender(platform, name="theirs")
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    sent = connector.effects[0]

    async def reported(number: str) -> int:
        receipt = Receipt("wamid.x", sent.client_id, "read", datetime.now(UTC), sender_phone_number_id=number)
        async with platform.database.transaction() as tx:
            return await messages.apply_receipts(tx, [receipt], at=await platform.clock.now(tx))

    assert await reported("id-theirs") == 0
    assert (await scenes.progress(platform, campaign.id)).read == 0
    assert await reported("id-ours") == 1
    assert (await scenes.progress(platform, campaign.id)).read == 1

"""A funnel at rest is not counted again, and never shown after it has changed."""

from sqlalchemy import select, update

import scenes
from core import bus, messages
from core.bootstrap import Platform
from core.kept_funnels import KeptFunnels
from core.models import Message, Recipient
from core.outcomes import Progress
from core.ports import Receipt
from fakes import FakeConnector


async def _shown(platform: Platform, kept: KeptFunnels, campaign_id: int) -> Progress:
    await bus.number_all(platform.database)
    async with platform.database.reading() as tx:
        return await kept.progress(tx, campaign_id, occurrence=None)


async def _change_unseen(platform: Platform) -> None:
    """As nothing in WaQtor does: without an event."""
    async with platform.database.transaction() as tx:
        await tx.execute(update(Recipient).values(receipt=Recipient.receipt + 1))


async def _client_ids(platform: Platform) -> list[str]:
    async with platform.database.reading() as tx:
        return list((await tx.execute(select(Message.client_id).order_by(Message.id))).scalars())


async def test_a_funnel_at_rest_is_counted_once(platform: Platform, connector: FakeConnector) -> None:
    await scenes.people(platform, 3)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    kept = KeptFunnels()
    assert (await _shown(platform, kept, campaign.id)).queued == 3
    await _change_unseen(platform)
    assert (await _shown(platform, kept, campaign.id)).queued == 3
    await scenes.dispatched(platform, connector, campaign.id)
    assert (await _shown(platform, kept, campaign.id)).sent == 3
    await _change_unseen(platform)
    assert (await _shown(platform, kept, campaign.id)).delivered == 0, "nothing was written to the log: not counted"


async def test_what_is_committed_late_is_seen_though_others_were_numbered_before(
    platform: Platform, connector: FakeConnector
) -> None:
    await scenes.people(platform, 2)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    early, late = await _client_ids(platform)
    kept = KeptFunnels()
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await messages.apply_receipts(tx, [Receipt("wamid.late", late, "delivered", now)], at=now)
        if platform.database.is_postgres:  # where two may write at once
            async with platform.database.transaction() as other:
                await messages.apply_receipts(other, [Receipt("wamid.early", early, "read", now)], at=now)
            async with platform.database.reading() as looking:
                assert (await kept.progress(looking, campaign.id, occurrence=None)).read == 1, "not numbered yet"
            assert (await _shown(platform, kept, campaign.id)).delivered == 1
    async with platform.database.reading() as looking:
        found = await kept.progress(looking, campaign.id, occurrence=None)
    assert found.delivered == (2 if platform.database.is_postgres else 1)
    assert found == await _shown(platform, kept, campaign.id) == await scenes.progress(platform, campaign.id)

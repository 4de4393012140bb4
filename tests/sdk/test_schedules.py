"""Schedules through the client, against the real API."""

import pytest

import scenes
from serving import Server
from waqtor import AsyncClient, Error


async def test_a_schedule_and_what_comes_of_it(server: Server, waqtor: AsyncClient) -> None:
    campaign = await scenes.a_campaign(server.platform, await scenes.a_sender(server.platform))
    monthly = "FREQ=MONTHLY;BYDAY=1MO;BYHOUR=9;BYMINUTE=0"
    coming = await waqtor.schedules.preview(campaign.id, rrule=monthly, timezone="Asia/Riyadh")
    made = await waqtor.schedules.set(campaign.id, rrule=monthly, timezone="Asia/Riyadh", include_earlier=False)
    assert (made.rrule, made.cron, made.next) == (monthly, None, coming.next)
    assert await waqtor.schedules.get(campaign.id) == made
    (waiting,) = [one async for one in waqtor.schedules.occurrences(campaign.id)]
    assert (waiting.number, waiting.state, waiting.due_at) == (1, "scheduled", made.next[0])
    assert (await waqtor.schedules.remove(campaign.id)).state == "draft"
    with pytest.raises(Error, match="is no time zone"):
        await waqtor.schedules.set(campaign.id, at="2099-01-01T09:00", timezone="Riyadh")
    assert (await waqtor.campaigns.progress(campaign.id, occurrence="all")).total == 0
    (answer,) = [one async for one in waqtor.schedules.occurrences(campaign.id, state="cancelled")]
    assert answer.reason == "unscheduled"

"""Schedules over HTTP: set, looked at, refused with the field that is wrong; and each occurrence by itself."""

from typing import Any

import httpx
import pytest

import scenes
from core import campaigns, planning, schedules
from fakes import FakeClock, FakeConnector, FakeJobs

RIYADH = {"timezone": "Asia/Riyadh"}


async def _prepared(server: Any) -> str:
    await scenes.people(server.platform, 2)
    campaign = await scenes.a_campaign(server.platform, await scenes.a_sender(server.platform))
    return f"/api/v3/campaigns/{campaign.id}"


async def test_set_changed_and_removed(server: Any, api: httpx.AsyncClient, jobs: FakeJobs) -> None:
    base = await _prepared(server)
    assert (await api.get(f"{base}/schedule")).status_code == 404
    weekly = {"cron": "0 9 * * MON", "include_earlier": False, **RIYADH}
    preview = await api.post(f"{base}/schedule/preview", json=weekly)
    made = await api.put(f"{base}/schedule", json=weekly)
    assert made.status_code == 200, made.text
    assert made.json()["next"] == preview.json()["next"]
    assert len(made.json()["next"]) == 5
    assert all(one.endswith("T06:00:00Z") for one in made.json()["next"])
    assert (await api.get(f"{base}/schedule")).json() == made.json()
    await server.app.state.background.finish(timeout_s=5)
    assert len(jobs.waiting()) == 1
    assert (await api.get(base)).json()["state"] == "scheduled"
    assert (await api.post(f"{base}/launch")).status_code == 409
    once = await api.put(f"{base}/schedule", json={"at": "2099-01-01T09:00", **RIYADH})
    assert (once.json()["at"], once.json()["next"]) == ("2099-01-01T06:00:00Z", ["2099-01-01T06:00:00Z"])
    (only,) = (await api.get(f"{base}/occurrences")).json()["data"]
    assert (only["number"], only["state"], only["due_at"]) == (1, "scheduled", "2099-01-01T06:00:00Z")
    assert (await api.delete(f"{base}/schedule")).json()["state"] == "draft"
    assert (await api.delete(f"{base}/schedule")).status_code == 404
    (only,) = (await api.get(f"{base}/occurrences", params={"state": "cancelled"})).json()["data"]
    assert only["reason"] == "unscheduled"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"cron": "0 9 * *", "include_earlier": True, **RIYADH}, "cron"),
        ({"cron": "0 9 * * MON", **RIYADH}, "include_earlier"),
        ({"rrule": "FREQ=SOMETIMES", "include_earlier": True, **RIYADH}, "rrule"),
        ({"at": "2020-01-01T09:00:00Z", **RIYADH}, "at"),
        ({"at": "2099-01-01T09:00:00Z", "timezone": "Riyadh"}, "timezone"),
        ({"at": "2099-01-01T09:00:00Z", "cron": "0 9 * * MON", **RIYADH}, "at"),
        (RIYADH, "at"),
        ({"at": "2099-01-01T09:00:00Z"}, "timezone"),
        ({"at": "9999-12-31T23:59:59-14:00", **RIYADH}, "at"),
    ],
)
async def test_what_is_wrong_is_named(server: Any, api: httpx.AsyncClient, body: dict[str, Any], field: str) -> None:
    base = await _prepared(server)
    answer = await api.put(f"{base}/schedule", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["field"] == field
    assert (await api.get(base)).json()["state"] == "draft"


async def test_each_occurrence_by_itself_and_all_together(
    server: Any, api: httpx.AsyncClient, connector: FakeConnector, clock: FakeClock
) -> None:
    base = await _prepared(server)
    campaign_id, platform = int(base.rpartition("/")[2]), server.platform
    await api.put(f"{base}/schedule", json={"cron": "0 9 * * *", "include_earlier": True, "timezone": "UTC"})
    for _ in range(2):
        clock.advance(days=1)
        async with platform.database.reading() as tx:
            late = (await platform.clock.now(tx)).hour * 60 + (await platform.clock.now(tx)).minute - 9 * 60
        clock.advance(minutes=1 - late)
        assert await schedules.launch_due(platform) == [campaign_id]
        async with platform.database.transaction() as tx:
            await planning.plan_chunk(tx, campaign_id, at=await platform.clock.now(tx))
        await scenes.dispatched(platform, connector, campaign_id)
        async with platform.database.transaction() as tx:
            await campaigns.finish_if_done(tx, campaign_id, at=await platform.clock.now(tx))
        await scenes.people(platform, 1, start=50)

    async def sent(**asked: object) -> int:
        return int((await api.get(f"{base}/progress", params=asked)).json()["sent"])

    last = (await api.get(base)).json()["occurrence"]
    assert await sent() == await sent(occurrence="latest") == await sent(occurrence=last) == 3
    assert await sent(occurrence=last - 1) == 2
    assert await sent(occurrence="all") == 5
    assert (await api.get(f"{base}/progress", params={"occurrence": 99})).status_code == 404
    rows = (await api.get(f"{base}/recipients", params={"occurrence": "all"})).json()["data"]
    assert len(rows) == 5
    why = (await api.post(f"{base}/why", params={"occurrence": "all"}, json={"contact_id": 1})).json()["answers"]
    assert [one["occurrence"] for one in why] == [last - 1, last]
    assert len((await api.post(f"{base}/why", json={"contact_id": 1})).json()["answers"]) == 1
    retried = await api.post(f"{base}/retry", params={"occurrence": last - 1})
    assert retried.json() == {"queued": 0}
    await api.put(f"{base}/schedule", json={"cron": "0 9 * * *", "include_earlier": False, "timezone": "UTC"})
    preflight = (await api.post(f"{base}/preflight")).json()
    assert (preflight["people"], preflight["excluded"]) == (3, {"had_it_before": 3})

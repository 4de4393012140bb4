"""A campaign over HTTP: made, launched once, watched to its end, told per person."""

import asyncio
import csv
import io
import re
from typing import Any

import httpx

import scenes
from core import bus, planning, senders
from fakes import FakeClock, FakeConnector, FakeJobs


async def prepared(server: Any, api: httpx.AsyncClient, *, people: int = 3) -> int:
    await scenes.people(server.platform, people, tags=["vip"])
    sender = await scenes.a_sender(server.platform)
    template = (await api.post("/api/v3/templates", json={"name": "t", "body": "Hello {name}"})).json()
    body = {"name": "spring", "sender_id": sender.id, "template_id": template["id"], "audience": {"tag": "vip"}}
    body |= {"purpose": "service"}
    answer = await api.post("/api/v3/campaigns", json=body)
    assert answer.status_code == 201, answer.text
    campaign_id: int = answer.json()["id"]
    return campaign_id


async def test_from_draft_to_every_outcome(server: Any, api: httpx.AsyncClient, connector: FakeConnector) -> None:
    campaign_id = await prepared(server, api)
    platform = server.platform
    await api.post("/api/v3/contacts", json={"phone": "+966512345678", "name": "=cmd()", "tags": ["vip"]})
    await api.post("/api/v3/contacts/1/opt-out")
    assert (await api.post(f"/api/v3/campaigns/{campaign_id}/launch")).json()["state"] == "running"
    while True:
        async with platform.database.transaction() as tx:
            if not await planning.plan_chunk(tx, campaign_id, at=await platform.clock.now(tx)):
                break
    await scenes.dispatched(platform, connector, campaign_id)
    progress = (await api.get(f"/api/v3/campaigns/{campaign_id}/progress")).json()
    assert (progress["total"], progress["sent"], progress["skipped"]) == (4, 3, {"opted_out": 1})
    assert (await api.get(f"/api/v3/campaigns/{campaign_id}")).json()["progress"] == progress
    skipped = (await api.get(f"/api/v3/campaigns/{campaign_id}/recipients", params={"state": "skipped"})).json()
    assert [(one["contact_id"], one["reason"], one["client_id"]) for one in skipped["data"]] == [(1, "opted_out", None)]
    sent = (await api.get(f"/api/v3/campaigns/{campaign_id}/recipients", params={"state": "sent"})).json()["data"]
    assert all(one["provider_id"] == f"wamid.{one['client_id']}" and one["sent_at"] for one in sent)
    assert all(re.fullmatch(r"\+9665\d{8}", one["phone"]) for one in sent)
    download = await api.get(f"/api/v3/campaigns/{campaign_id}/recipients.csv")
    rows = list(csv.DictReader(io.StringIO(download.text.removeprefix("\ufeff"))))
    assert len(rows) == 4
    assert rows[-1]["name"] == "'=cmd()"
    chat = (await api.get("/api/v3/messages", params={"contact_id": sent[0]["contact_id"]})).json()["data"]
    assert [(one["direction"], one["content"]["body"]) for one in chat] == [("out", "Hello Person 1")]


async def test_a_campaign_launched_twice_at_once_is_launched_once(
    server: Any, api: httpx.AsyncClient, jobs: FakeJobs
) -> None:
    campaign_id = await prepared(server, api)
    both = await asyncio.gather(*(api.post(f"/api/v3/campaigns/{campaign_id}/launch") for _ in range(2)))
    assert sorted(answer.status_code for answer in both) == [200, 409]
    refused = next(answer for answer in both if answer.status_code == 409)
    assert refused.json()["error"]["code"] == "conflict"
    await server.app.state.background.finish(timeout_s=5)
    assert jobs.started == [("send-campaign/send-campaign", {"campaign_id": campaign_id}, f"campaign:{campaign_id}:1")]


async def test_a_launch_does_not_need_the_orchestrator(server: Any, api: httpx.AsyncClient, jobs: FakeJobs) -> None:
    jobs.is_down = True
    campaign_id = await prepared(server, api)
    assert (await api.post(f"/api/v3/campaigns/{campaign_id}/launch")).status_code == 200
    await server.app.state.background.finish(timeout_s=5)


async def test_pause_resume_cancel(server: Any, api: httpx.AsyncClient, jobs: FakeJobs) -> None:
    campaign_id = await prepared(server, api)
    base = f"/api/v3/campaigns/{campaign_id}"
    assert (await api.post(f"{base}/pause")).status_code == 409
    await api.post(f"{base}/launch")
    paused = (await api.post(f"{base}/pause", json={"reason": "price"})).json()
    assert (paused["state"], paused["state_reason"]) == ("paused", "price")
    assert (await api.post(f"{base}/resume")).json()["launches"] == 2
    assert (await api.post(f"{base}/cancel")).json()["state"] == "cancelled"
    assert (await api.post(f"{base}/resume")).status_code == 409
    await server.app.state.background.finish(timeout_s=5)
    assert [key for _, _, key in jobs.started] == [f"campaign:{campaign_id}:1", f"campaign:{campaign_id}:2"]
    listed = await api.get("/api/v3/campaigns", params={"state": "cancelled"})
    assert [one["id"] for one in listed.json()["data"]] == [campaign_id]
    assert (await api.get("/api/v3/campaigns", params={"state": "lost"})).status_code == 422


async def test_those_under_way_today_are_also_some_that_began_earlier_or_were_cancelled(
    server: Any, api: httpx.AsyncClient, clock: FakeClock
) -> None:
    platform = server.platform
    sender = await scenes.a_sender(platform)
    await scenes.people(platform, 2)
    over, sends, stopped, _draft = [
        (await scenes.a_campaign(platform, sender, name=name)).id for name in ("over", "sends", "stopped", "draft")
    ]
    for campaign_id in (over, sends, stopped):
        await api.post(f"/api/v3/campaigns/{campaign_id}/launch")
    await api.post(f"/api/v3/campaigns/{over}/cancel")
    clock.advance(hours=24)
    async with platform.database.reading() as tx:
        today = (await clock.now(tx)).isoformat()
    clock.advance(hours=1)
    await api.post(f"/api/v3/campaigns/{stopped}/cancel")
    listed = await api.get("/api/v3/campaigns", params={"active_since": today})
    assert [one["id"] for one in listed.json()["data"]] == [sends, stopped]
    assert (await api.get("/api/v3/campaigns", params={"active_since": "today"})).status_code == 422


async def test_an_audience_is_everybody_or_a_tag(server: Any, api: httpx.AsyncClient) -> None:
    for audience in ({}, {"all": True, "tag": "vip"}, {"all": False}, {"tag": "  "}):
        body = {"name": "n", "sender_id": 1, "template_id": 1, "audience": audience}
        answer = await api.post("/api/v3/campaigns", json=body)
        assert answer.status_code == 422, audience
        assert answer.json()["error"]["field"].startswith("audience")


async def test_an_expired_token_stops_a_launch_until_it_is_replaced(server: Any, api: httpx.AsyncClient) -> None:
    campaign_id = await prepared(server, api)
    async with server.platform.database.transaction() as tx:
        sender = await senders.get(tx, 1)
        await senders.move(tx, sender, senders.PAUSED, reason="token_expired", at=await server.platform.clock.now(tx))
    refused = await api.post(f"/api/v3/campaigns/{campaign_id}/launch")
    assert refused.status_code == 409
    assert "token_expired" in refused.text
    replaced = await api.put("/api/v3/senders/1/token", json={"access_token": "fresh-token-value"})
    assert replaced.json()["state"] == "active"
    assert "fresh-token-value" not in replaced.text
    assert (await api.post(f"/api/v3/campaigns/{campaign_id}/launch")).status_code == 200


async def test_an_unknown_variable_is_told_before_anything_is_sent(api: httpx.AsyncClient) -> None:
    stray = await api.post("/api/v3/templates", json={"name": "t", "body": "Hello {first name}"})
    assert (stray.status_code, stray.json()["error"]["field"]) == (422, "body")
    default = await api.post("/api/v3/templates", json={"name": "t", "body": "Hi {name}", "defaults": {"nmae": "x"}})
    assert (default.status_code, default.json()["error"]["field"]) == (422, "defaults")
    made = (await api.post("/api/v3/templates", json={"name": "t", "body": "Hi {name} in {city}"})).json()
    preview = f"/api/v3/templates/{made['id']}/preview"
    unknown = await api.post(preview, json={"values": {"nmae": "x"}})
    assert (unknown.status_code, unknown.json()["error"]["field"]) == (422, "values.nmae")
    missing = await api.post(preview, json={"values": {"name": "x"}})
    assert (missing.status_code, missing.json()["error"]["field"]) == (422, "values.city")
    full = await api.post(preview, json={"values": {"name": "نورة", "city": "Jeddah"}})
    assert full.json()["text"] == "Hi نورة in Jeddah"
    assert (await api.post("/api/v3/templates", json={"name": "t", "body": "x"})).status_code == 409


async def test_the_kill_switch(api: httpx.AsyncClient) -> None:
    assert (await api.get("/api/v3/sending")).json()["on"] is True
    off = (await api.put("/api/v3/sending", json={"on": False, "reason": "wrong price"})).json()
    assert (off["on"], off["reason"]) == (False, "wrong price")
    assert (await api.get("/api/v3/sending")).json() == off


async def test_a_draft_is_changed_and_nothing_else_is(server: Any, api: httpx.AsyncClient) -> None:
    campaign_id = await prepared(server, api)
    at = f"/api/v3/campaigns/{campaign_id}"
    changes = {"name": "summer", "audience": {"all": True}, "quiet_hours": {"from": "21:00", "to": "09:00"}}
    key = {"Idempotency-Key": "once"}
    changed = await api.patch(at, json=changes, headers=key)
    assert (
        changed.json().items() >= {"name": "summer", "purpose": "service", "state": "draft", "timezone": None}.items()
    )
    assert changed.json()["quiet_hours"] == changes["quiet_hours"]
    assert (await api.patch(at, json=changes, headers=key)).headers["Idempotency-Replayed"] == "true"
    assert (await api.patch(at, json={"quiet_hours": None, "name": None})).json()["quiet_hours"] is None
    async with server.platform.database.transaction() as tx:
        await bus.number(tx)  # PostgreSQL's events are read once they are numbered
    events = (await api.get("/api/v3/events", params={"since": 0})).json()["data"]
    assert [one["type"] for one in events].count("campaign.changed") == 2
    for wrong, field in (
        ({"sender_id": 99}, "sender_id"),
        ({"template_id": 99}, "template_id"),
        ({"audience": {"segment": 99}}, "audience"),
        ({"audience": {}}, "audience"),
        ({"purpose": "Bad purpose"}, "purpose"),
        ({"quiet_hours": {"from": "25:00", "to": "09:00"}}, "quiet_hours"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"name": " "}, "name"),
        ({"state": "running"}, "state"),
    ):
        refused = await api.patch(at, json=wrong)
        assert refused.status_code in (404, 422), refused.text
        assert refused.json()["error"]["field"] == field
    await api.post(f"{at}/launch")
    refused = await api.patch(at, json={"name": "winter"})
    assert (refused.status_code, refused.json()["error"]["field"]) == (409, "state")


async def test_lists_are_asked_for_a_name(server: Any, api: httpx.AsyncClient) -> None:
    await prepared(server, api)
    await api.post("/api/v3/segments", json={"name": "s", "filter": "has x"})
    for what, name in (("campaigns", "spring"), ("templates", "t"), ("segments", "s"), ("senders", "shop")):
        found = (await api.get(f"/api/v3/{what}", params={"name": name})).json()["data"]
        assert [one["name"] for one in found] == [name]
        assert (await api.get(f"/api/v3/{what}", params={"name": name.upper()})).json()["data"] == []

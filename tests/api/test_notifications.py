"""Notifications over HTTP: what each may see and do, and the addresses of version 2.3.0."""

import asyncio
from typing import Any

import httpx
import pytest

import scenes
from accounts import signed_in

URL = "/api/v3/notifications"
ABOUT_CAMPAIGN = {"severity": "warning", "title": "Stock is low", "text": "12 left", "about": "campaign:7"}


async def _ids(client: httpx.AsyncClient, **params: Any) -> list[int]:
    answer = await client.get(URL, params=params)
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["data"]]


async def _count(client: httpx.AsyncClient) -> tuple[int, int]:
    said = (await client.get(f"{URL}/count")).json()
    return said["unread"], said["total"]


async def test_from_a_program_to_people_and_out_of_their_sight(server: Any, api: httpx.AsyncClient) -> None:
    assert (await api.delete(f"{URL}/1")).status_code == 200  # that this key was made
    repeat = {"Idempotency-Key": "once"}
    made = [await api.post(URL, json=ABOUT_CAMPAIGN, headers=repeat) for _ in range(2)]
    assert [one.status_code for one in made] == [201, 201]
    assert made[0].json() == made[1].json()
    shown = made[0].json()
    assert (shown["kind"], shown["title"], shown["text"]) == ("program", "Stock is low", "12 left")
    assert (shown["about"], shown["path"], shown["read_at"]) == ("campaign:7", "/api/v3/campaigns/7", None)
    first = shown["id"]
    second = (await api.post(URL, json={"severity": "info", "title": "+966501234567 called"})).json()["id"]
    viewer, user = await signed_in(server, "viewer"), await signed_in(server, "user")
    async with viewer.client as looking, user.client as working:
        assert await _ids(looking) == [second, first]
        assert (await looking.get(f"{URL}/{second}")).json()["title"] == "+9665•••••67 called", "numbers are masked"
        assert await _ids(looking, severity="warning") == [first]
        assert await _ids(looking, kind="program", limit=1) == [second]
        page = (await looking.get(URL, params={"limit": 1})).json()
        assert await _ids(looking, limit=1, cursor=page["next_cursor"]) == [first]
        assert (await looking.patch(f"{URL}/{first}", json={"read": True})).json()["read_at"] is not None
        assert await _ids(looking, unread=True) == [second]
        assert await _count(looking) == (1, 2)
        assert await _count(working) == (2, 2), "what one has read the other has not"
        third = (await working.post(URL, json={"severity": "success", "title": "Packed"})).json()["id"]
        assert (await looking.post(f"{URL}/read", json={"up_to": second})).json() == {"read": 1}
        assert await _ids(looking, unread=True) == [third]
        assert (await looking.post(f"{URL}/read")).json() == {"read": 1}
        assert (await looking.delete(f"{URL}/{first}")).json()["id"] == first
        assert (await looking.get(f"{URL}/{first}")).status_code == 404
        assert await _ids(looking) == [third, second]
        assert await _ids(working) == [third, second, first]
        assert (await working.post(f"{URL}/{first}/withdraw")).status_code == 403
        assert (await looking.post(URL, json={"severity": "info", "title": "no"})).status_code == 403
    assert (await api.post(f"{URL}/{first}/withdraw")).json()["id"] == first
    assert first not in await _ids(api)
    for _ in range(100):  # PostgreSQL's events are numbered soon after
        events = (await api.get("/api/v3/events", params={"limit": 500})).json()["data"]
        live = [(one["type"], one["topic"]) for one in events if one["type"].startswith("notification.")]
        if live[-1:] == [("notification.withdrawn", "notifications")]:
            break
        await asyncio.sleep(0.02)
    assert live[-1] == ("notification.withdrawn", "notifications")
    audited = [one["action"] for one in (await api.get("/api/v3/audit")).json()["data"]]
    assert "withdraw_notification" in audited


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"severity": "error"}, "severity"),
        ({"title": ""}, "title"),
        ({"about": "planet:7"}, "about"),
        ({"about": "campaign:0"}, "about"),
        ({"link": "/x"}, "link"),
    ],
)
async def test_what_is_wrong_is_named(api: httpx.AsyncClient, wrong: dict[str, str], field: str) -> None:
    answer = await api.post(URL, json={"severity": "info", "title": "t", **wrong})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)


async def test_a_key_sees_what_its_scopes_let_it_look_at(server: Any, api: httpx.AsyncClient) -> None:
    async with (
        server.client(await server.new_key("read")) as reading,
        server.client(await server.new_key("write")) as writing,
    ):
        assert await _ids(reading) == [], "keys are for admins"
        assert len(await _ids(api, kind="api_key.made")) == 3
        assert (await writing.post(URL, json=ABOUT_CAMPAIGN)).status_code == 201
        assert (await writing.get(URL)).status_code == 403
        assert (await reading.post(URL, json=ABOUT_CAMPAIGN)).status_code == 403
        assert await _count(reading) == (1, 1)
        assert (await reading.post(f"{URL}/read")).json() == {"read": 1}


async def test_many_failed_tries_to_sign_in_are_told_to_admins(server: Any, api: httpx.AsyncClient) -> None:
    user = await signed_in(server, "user")
    async with server.client("") as thief, user.client as working:
        for address in ("user@example.com", "nobody@example.com"):
            for number in range(6):
                body = {"email": address, "password": f"olive kettle {number}"}
                assert (await thief.post("/api/v3/auth/sign-in", json=body)).status_code in (401, 429)
        told = (await api.get(URL, params={"kind": "sign_ins.failed"})).json()["data"]
        assert [(one["about"], one["title"]) for one in told] == [
            ("user:1", "Many failed tries to sign in to one account")
        ]
        assert "example.com" not in str(told)
        assert await _ids(working, kind="sign_ins.failed") == []


async def test_pausing_by_hand_is_no_news(server: Any, api: httpx.AsyncClient) -> None:
    await scenes.people(server.platform, 1)
    sender = await scenes.a_sender(server.platform)
    campaign = await scenes.a_campaign(server.platform, sender)
    await scenes.launched(server.platform, campaign.id)
    before = await _ids(api)
    assert (await api.post(f"/api/v3/campaigns/{campaign.id}/pause")).status_code == 200
    assert (await api.post(f"/api/v3/senders/{sender.id}/pause")).status_code == 200
    assert await _ids(api) == before


async def test_the_addresses_of_version_2(server: Any, api: httpx.AsyncClient) -> None:
    user = await signed_in(server, "user")
    async with user.client as mine:
        body = {"type": "error", "title": "Message Failed", "message": "It did", "link": "/messages", "extra": 1}
        made = (await mine.post("/api/notifications", json=body)).json()
        assert (made["success"], made["message"]) == (True, "Notification created successfully")
        one = made["data"]
        assert set(one) == {"id", "userId", "type", "title", "message", "icon", "link", "read", "createdAt"}
        assert (one["userId"], one["type"], one["icon"], one["link"]) == ("user:1", "error", "pi-bell", "/messages")
        assert (await mine.post("/api/notifications", json={**body, "link": None})).status_code == 200
        listed = (await mine.get("/api/notifications", params={"limit": 1})).json()
        assert listed["pagination"] == {"total": 2, "limit": 1, "offset": 0, "hasMore": True}
        assert listed["data"][0]["link"] is None
        second = (await mine.get("/api/notifications", params={"limit": 1, "offset": 1})).json()
        assert (second["data"][0]["id"], second["pagination"]["hasMore"]) == (one["id"], False)
        patched = await mine.patch(f"/api/notifications/{one['id']}", json={"read": True})
        assert (patched.json()["message"], patched.json()["data"]["read"]) == (
            "Notification updated successfully",
            True,
        )
        assert (await mine.get("/api/notifications/count")).json() == {
            "success": True,
            "data": {"unread": 1, "total": 2},
        }
        unread = (await mine.get("/api/notifications", params={"filter": "unread"})).json()
        assert unread["pagination"]["total"] == len(unread["data"]) == 1
        done = await mine.post("/api/notifications", json={"action": "mark-all-read"})
        assert done.json() == {"success": True, "message": "All notifications marked as read"}
        gone = await mine.delete(f"/api/notifications/{one['id']}")
        assert gone.json() == {"success": True, "message": "Notification deleted successfully"}
        for missing in (one["id"], "none", "99999999999999999999"):
            refused = await mine.delete(f"/api/notifications/{missing}")
            assert (refused.status_code, refused.json()["error"]) == (404, "Notification not found")
        for wrong in ({}, {"type": "info", "title": "only"}, {"type": "odd", "title": "a", "message": "b"}):
            refused = await mine.post("/api/notifications", json=wrong)
            assert (refused.status_code, refused.json()["success"]) == (400, False)
        refused = await mine.post("/api/notifications", json={**body, "link": "javascript:alert(1)"})
        assert refused.status_code == 400
    viewer = await signed_in(server, "viewer")
    async with viewer.client as looking:
        assert (await looking.post("/api/notifications", json=body)).status_code == 403

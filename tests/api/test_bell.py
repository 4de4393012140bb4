"""Notifications over a real WebSocket: to each what is for them, whole, and how many they have not read."""

import json
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection

from accounts import Person, signed_in
from core import apikeys, notices, notifications
from core.notices import Notice
from live import ask, at_port, joined, told
from serving import Server

URL = "/api/v3/notifications"


async def _bell(ws: ClientConnection, since: int | None = None) -> dict[str, Any]:
    """Subscribed; the count that comes with it."""
    more = {} if since is None else {"since": since}
    assert (await ask(ws, type="subscribe", topics=["notifications"], **more))["type"] == "subscribed"
    return await _next(ws, "notification:count")


async def _next(ws: ClientConnection, kind: str) -> dict[str, Any]:
    """What comes before it is passed over, if it is a count."""
    while (one := await told(ws))["type"] != kind:
        assert one["type"] == "notification:count", one
    return one


async def _counted(ws: ClientConnection, unread: int, total: int) -> None:
    """Several changes may be counted together, so the first count need not be this one."""
    while (one := (await _next(ws, "notification:count"))["data"])["total"] != total or one["unread"] != unread:
        pass


def _ids(one: dict[str, Any]) -> list[int]:
    found: list[int] = one["data"]["notification_ids"]
    return found


async def _key_is_made(server: Server, name: str) -> None:
    async with server.platform.database.transaction() as tx:
        await apikeys.create(
            tx, server.platform.key, name=name, scopes=["read"], at=await server.platform.clock.now(tx)
        )


def _join(url: str, person: Person) -> Any:
    return joined(url, person.access)


async def test_each_is_told_what_is_for_them_and_nobody_what_is_anothers(
    server: Server, api: httpx.AsyncClient
) -> None:
    admin, viewer = await signed_in(server, "admin"), await signed_in(server, "viewer")
    async with at_port(server) as url, _join(url, admin) as boss, _join(url, viewer) as clerk:
        before = (await _bell(boss))["data"]
        assert (await _bell(clerk))["data"] == {"userId": "user:2", "unread": 0, "total": 0}
        await _key_is_made(server, "reports")
        about_key = await _next(boss, "notification:new")
        body = {"severity": "problem", "title": "+966501234567 called", "about": "campaign:7"}
        assert (await api.post(URL, json=body)).status_code == 201
        to_boss, to_clerk = await _next(boss, "notification:new"), await _next(clerk, "notification:new")

        assert about_key["data"]["wording"] == "api_key.made"
        assert to_boss["prev"] == about_key["seq"]
        assert to_clerk["prev"] == 0, "the one before it was none of theirs, so it is no gap"
        number = to_boss["data"]["id"]
        listed = (await api.get("/api/notifications", params={"limit": 1})).json()["data"][0]
        assert {name: to_boss["data"][name] for name in listed} == {**listed, "userId": "user:1"}
        assert to_boss["data"]["title"] == "+966501234567 called"
        assert (to_clerk["data"]["title"], to_clerk["data"]["userId"]) == ("+9665•••••67 called", "user:2")
        assert (to_clerk["topic"], to_clerk["data"]["link"]) == ("notifications", "/api/v3/campaigns/7")
        await _counted(boss, before["unread"] + 2, before["total"] + 2)
        await _counted(clerk, 1, 1)

        async with viewer.client as looking:
            assert (await looking.patch(f"{URL}/{number}", json={"read": True})).status_code == 200
            read = await _next(clerk, "notification.read")
            assert (_ids(read), read["prev"]) == ([int(number)], to_clerk["seq"])
            await _counted(clerk, 0, 1)
            assert (await looking.delete(f"{URL}/{number}")).status_code == 200
            assert _ids(await _next(clerk, "notification.dismissed")) == [int(number)]
            await _counted(clerk, 0, 0)
        async with admin.client as ruling:
            assert (await ruling.post(f"{URL}/{number}/withdraw")).status_code == 200
        gone = await _next(boss, "notification.withdrawn")
        assert gone["prev"] == to_boss["seq"], "what the clerk did with theirs is not told to the boss"
        assert _ids(await _next(clerk, "notification.withdrawn")) == [int(number)]
        await _counted(boss, before["unread"] + 1, before["total"] + 1)


async def test_who_was_away_gets_theirs_and_counts_again(server: Server, api: httpx.AsyncClient) -> None:
    viewer = await signed_in(server, "viewer")
    async with at_port(server) as url:
        async with _join(url, viewer) as ws:
            since = (await ask(ws, type="subscribe", topics=["notifications"]))["seq"]
        await _key_is_made(server, "reports")
        titles = ["one", "two", "three"]
        made = [(await api.post(URL, json={"severity": "info", "title": one})).json()["id"] for one in titles]
        assert (await api.post(f"{URL}/{made[1]}/withdraw")).status_code == 200
        async with _join(url, viewer) as ws:
            # Withdrawn: it is not there to be told any more.
            answer = await ask(ws, type="subscribe", topics=["notifications"], since=since)
            seen = [await told(ws) for _ in range(3)]
            assert [one["type"] for one in seen] == ["notification:new"] * 2 + ["notification.withdrawn"]
            assert [one["data"]["title"] for one in seen[:2]] == ["one", "three"]
            assert [one["prev"] for one in seen] == [since, seen[0]["seq"], seen[1]["seq"]]
            await _counted(ws, 2, 2)
            assert answer["recovered"] is True
            async with server.platform.database.transaction() as tx:
                now = await server.platform.clock.now(tx)
                for cause in ("a", "a", "b"):
                    notice = Notice("sending.switched", "info", cause=cause, wording="sending.on")
                    await notifications.tell(tx, notice, at=now)
            live = [await _next(ws, "notification:new") for _ in range(2)]
            assert [one["prev"] for one in live] == [seen[-1]["seq"], live[0]["seq"]]
            assert live[0]["data"]["title"] == notices.said("sending.on", {})[0]
        base = url.replace("ws://", "http://").removesuffix("/ws")
        asked = {"topic": "notifications", "since": str(since)}
        headers = {"Authorization": f"Bearer {viewer.access}"}
        async with (
            httpx.AsyncClient(base_url=base, headers=headers, timeout=10) as client,
            client.stream("GET", "/api/v3/events/stream", params=asked) as stream,
        ):
            assert stream.status_code == 200, await stream.aread()
            data = (line.removeprefix("data: ") async for line in stream.aiter_lines() if line.startswith("data: "))
            over_http = [json.loads(await anext(data)) for _ in range(5)]
        assert [one["type"] for one in over_http[:3]] == [one["type"] for one in seen]
        assert [one["seq"] for one in over_http[3:]] == [one["seq"] for one in live]


async def test_a_bell_takes_the_permission(server: Server) -> None:
    async with at_port(server) as url, joined(url, await server.new_key("write")) as ws:
        assert (await ask(ws, type="subscribe", topics=["notifications"]))["code"] == "not_allowed"

"""Who may open a WebSocket: each as who they are, and nobody as another."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from types import SimpleNamespace

import httpx
import pytest
from fastapi import Request
from sqlalchemy import event
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from accounts import PASSWORD, a_user, signed_in
from api import cookies
from core.errors import NotSignedIn
from core.principals import Principal
from core.roles import Role
from core.settings import Settings
from fakes import FakeClock, FakeConnector, FakeConnectors, FakeJobs
from live import at_port, told
from serving import Server, inside


@pytest.fixture
async def url(server: Server) -> AsyncIterator[str]:
    async with at_port(server) as url:
        yield url


async def a_cookie(server: Server, email: str = "admin@example.com") -> str:
    """Of a browser that signed in."""
    async with server.client("") as browser:
        body = {"email": email, "password": PASSWORD, "kind": "browser"}
        await browser.post("/api/v3/auth/sign-in", json=body)
        return f"{cookies.NAME}={browser.cookies[cookies.NAME]}"


async def answer_to(url: str, headers: Mapping[str, str]) -> int | str:
    """`welcome`, the code it is closed with, or the HTTP status."""
    try:
        async with connect(url, additional_headers=headers) as ws:
            return str((await told(ws))["type"])
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 1006
    except InvalidStatus as refused:
        return refused.response.status_code


@pytest.mark.parametrize("empty", ["Bearer", "Bearer ", ""])
async def test_nobody_comes_in_by_the_cookie_of_who_came_a_moment_before(server: Server, url: str, empty: str) -> None:
    await a_user(server.platform)
    own = {"Origin": url.replace("ws://", "http://").removesuffix("/ws")}
    cookie = {"Cookie": await a_cookie(server)}
    assert await answer_to(url, {**own, **cookie}) == "welcome"
    assert await answer_to(url, {**own, **cookie, "Authorization": empty}) == 1008
    assert await answer_to(url, {**own, "Authorization": empty}) == 1008


async def test_however_many_are_looked_at_again_the_database_is_asked_as_often_as_for_one(server: Server) -> None:
    entrance, statements = server.app.state.live.entrance, [0]
    roles: tuple[Role, ...] = ("admin", "user", "viewer")
    people = [await signed_in(server, role) for role in roles]
    was = [
        Principal("user", one.said["user"]["id"], frozenset(), "", sign_in_id=one.said["sign_in_id"]) for one in people
    ]
    async with people[0].client as admin:
        await admin.put("/api/v3/protected-pages/contacts", json={"open_minutes": 15})
        body = {"user_id": was[1].id}
        code = (await admin.post("/api/v3/protected-pages/contacts/codes", json=body)).json()["code"]
    async with people[1].client as user:
        assert (await user.post("/api/v3/auth/pages/contacts/open", json={"code": code})).status_code == 200

    @event.listens_for(server.platform.database.engine.sync_engine, "before_cursor_execute")
    def count(*_: object) -> None:
        statements[0] += 1

    async def asked(who: Sequence[Principal]) -> int:
        """Of some tries the one in which nothing beside them asked."""
        numbers = []
        for _ in range(5):
            statements[0] = 0
            await asyncio.gather(*(entrance.recognise(one, "") for one in who))
            numbers.append(statements[0])
        return min(numbers)

    assert await asked(was) == await asked(was[:1])
    now_they_are = await asyncio.gather(*(entrance.recognise(one, "") for one in was))
    assert [one.id for one in now_they_are] == [one.id for one in was]
    assert ["contacts" in one.closed for one in now_they_are] == [True, False, True]
    async with people[2].client as viewer:
        await viewer.post("/api/v3/auth/sign-out")
    mixed = await asyncio.gather(*(entrance.recognise(one, "") for one in was), return_exceptions=True)
    assert [isinstance(one, NotSignedIn) for one in mixed] == [False, False, True]
    event.remove(server.platform.database.engine.sync_engine, "before_cursor_execute", count)


async def test_streams_over_plain_http_are_refused_from_where_websockets_are_and_counted_alike(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "api")
    few = settings.model_copy(update={"live_addresses_refused": "127.0.0.9", "live_per_principal": 1})
    made = inside(few, connectors=FakeConnectors(FakeConnector()), jobs=FakeJobs(), clock=FakeClock())
    async with made as server, at_port(server) as url:
        stream = f"{url.replace('ws://', 'http://').removesuffix('/ws')}/api/v3/events/stream"
        key = {"X-API-Key": server.key}
        elsewhere = httpx.AsyncHTTPTransport(local_address="127.0.0.9")
        async with httpx.AsyncClient(headers=key) as here, httpx.AsyncClient(headers=key, transport=elsewhere) as there:
            assert (await there.get(stream)).status_code == 403
            async with here.stream("GET", stream) as first:
                assert first.status_code == 200
                assert (await here.get(stream)).status_code == 429
        assert await answer_to(url.removesuffix("/ws") + "/elsewhere", key) == 404
        counts = server.app.state.live.connections.counts
        assert counts.refused == {"bad_address": 1, "too_many_of_principal": 1, "not_found": 1}
    for line in ("bad_address from=127.0.0.9", "too_many_of_principal from=127.0.0.1", "not_found from=127.0.0.1"):
        assert f"websocket_refused why={line}" in caplog.text


@pytest.mark.parametrize(
    ("scheme", "host", "origin", "is_own"),
    [
        ("http", "waqtor:8080", "http://waqtor:8080", True),
        ("http", "waqtor:8080", "http://waqtor:8081", False),
        ("http", "waqtor.example", "https://waqtor.example", True),
        ("https", "waqtor.example", "https://waqtor.example:443", True),
        ("https", "waqtor.example", "http://waqtor.example", False),
        ("https", "waqtor.example:443", "http://waqtor.example:443", False),
        ("http", "waqtor.example", "http://waqtor.example:8501", False),
        ("http", "waqtor:8080", "https://shop.example", True),
        ("http", "waqtor:8080", "https://shop.example:8443", False),
        ("http", "waqtor:8080", "http://shop.example", False),
        ("http", "", "http://", False),
        ("http", "waqtor:8080", "http://waqtor:x", False),
    ],
)
def test_only_pages_of_the_api_itself_and_of_the_dashboard_are_ours(
    scheme: str, host: str, origin: str, is_own: bool
) -> None:
    platform = SimpleNamespace(settings=Settings(dashboard_url="https://shop.example/pages/"))
    app = SimpleNamespace(state=SimpleNamespace(platform=platform))
    where = {"scheme": scheme, "server": ("127.0.0.1", 8080), "path": "/", "query_string": b"", "client": ("::1", 1)}
    scope = {"type": "http", "app": app, "headers": [(b"host", host.encode())], **where}
    assert cookies.is_own(Request(scope), origin) is is_own

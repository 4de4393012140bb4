"""Who may open a WebSocket: each as who they are, and nobody as another."""

from collections.abc import AsyncIterator, Mapping

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from accounts import PASSWORD, a_user
from api import cookies
from live import at_port, told
from serving import Server


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

"""What somebody may do to the gateway who was let in."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from core import events
from live import ask, at_port, joined, told
from serving import Server


@pytest.fixture
async def url(server: Server) -> AsyncIterator[str]:
    async with at_port(server) as url:
        yield url


async def _texts(ws: ClientConnection) -> None:
    await ws.send('{"type":"ping"}')


async def _bytes(ws: ClientConnection) -> None:
    await ws.send(b"x")


async def _pings(ws: ClientConnection) -> None:
    await ws.ping()


async def _empty_parts(ws: ClientConnection) -> None:
    await ws.send([""] * 10)


async def _read_on(ws: ClientConnection) -> None:
    async with asyncio.timeout(10):
        while True:
            await ws.recv()


@pytest.mark.parametrize("says", [_texts, _bytes, _pings, _empty_parts])
async def test_who_floods_us_with_whatever_it_is_is_sent_away(
    server: Server, url: str, says: Callable[[ClientConnection], Awaitable[None]]
) -> None:
    async with joined(url, server.key) as ws:
        for _ in range(300):
            await says(ws)
        with pytest.raises(ConnectionClosed) as closed:
            await _read_on(ws)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "Too many messages.")
    counts = server.app.state.live.connections.counts
    assert counts.rate_limited == 101
    assert counts.received >= counts.rate_limited


async def test_one_message_in_many_large_parts_is_one_message(server: Server, url: str) -> None:
    parts = ['{"type":"ping","id":"', *["x" * 4_096] * 100]
    async with joined(url, server.key, compression=None) as ws:
        await ws.send([*parts, '"}'])
        assert (await ask(ws, type="ping"))["type"] in ("pong", "error")
    assert server.app.state.live.connections.counts.rate_limited == 0


async def _paused(server: Server, number: int) -> None:
    async with server.platform.database.transaction() as tx:
        moved = events.CampaignMoved(campaign_id=7, what="paused", reason=str(number))
        await events.publish(tx, moved, at=await server.platform.clock.now(tx))


async def test_who_is_ahead_of_this_process_is_told_nothing_twice(server: Server, url: str) -> None:
    following = server.app.state.live.following
    async with joined(url, server.key) as other, joined(url, server.key) as ws:
        await ask(other, type="subscribe", topics=["campaigns"])
        for number in range(3):
            await _paused(server, number)
        since = [(await told(other))["seq"] for _ in range(3)][-1]
        following.position = since - 3  # as if it had yet to read them
        assert (await ask(ws, type="subscribe", topics=["campaigns"], since=since))["recovered"]
        await _paused(server, 3)
        assert (await told(ws))["seq"] > since

"""What somebody may do to the gateway who was let in."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

import scenes
from api import topics
from api.frames import Prepared
from api.protocol import BUFFER_BYTES
from core import events, messages
from core.content import Text
from core.errors import Invalid
from core.ports import Address, Inbound
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


async def test_a_chat_is_followed_by_the_id_that_rest_gives_it(server: Server, url: str) -> None:
    """And nobody else's comes with it."""
    platform = server.platform
    await scenes.people(platform, 2)
    sender = await scenes.a_sender(platform)
    async with joined(url, server.key) as ws, server.client() as api:
        await ask(ws, type="subscribe", topics=[f"chat:{sender.id}-1"])
        for person in (2, 1):
            async with platform.database.transaction() as tx:
                now = await platform.clock.now(tx)
                who = [Address("phone", f"+9665{person - 1:08d}")]
                said = Inbound(f"wamid.{person}", sender.phone_number_id, who, None, Text(body="hello"), None, now)
                await messages.receive(tx, platform.key, said, at=now)
        assert await _next(ws) == ("message.received", 1)
        assert (await api.post(f"/api/v3/chats/{sender.id}-1/read", json={})).status_code == 200
        assert await _next(ws) == ("chat.read", 1)
        for contact_id in (2, 1):
            body = {"sender_id": sender.id, "contact_id": contact_id, "content": {"type": "text", "body": "news"}}
            assert (await api.post("/api/v3/messages", json=body)).status_code == 202
        seen = [await told(ws) for _ in range(2)]
        assert [one["data"]["state"] for one in seen] == ["queued", "sent"]
        assert all(f"{sender.id}-1" in one["data"]["chats"] for one in seen)


async def _next(ws: ClientConnection) -> tuple[str, int]:
    event = await told(ws)
    return event["type"], event["data"]["contact_id"]


@pytest.mark.parametrize("topic", ["chat:3", "chat:3-", "chat:03-1", "campaign:3-1", "sender:3-1", "chat:3-1-1"])
def test_a_topic_that_would_never_carry_anything_is_refused(topic: str) -> None:
    with pytest.raises(Invalid, match="no topic"):
        topics.permission(topic)


async def test_however_much_is_published_at_once_little_waits_for_who_does_not_read(server: Server, url: str) -> None:
    connections = server.app.state.live.connections
    async with joined(url, server.key, max_queue=1, compression=None) as slow:
        (client,) = connections.clients
        connections.follow(client, "campaigns", after=0)
        one = Prepared(b'{"type":"x","seq":0,"filler":"%b"}' % (b"x" * 20_000))
        for seq in range(1, 1_001):
            connections.publish("campaigns", one, seq=seq)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert client.sent > 2, "what fits is told"
        assert BUFFER_BYTES < client.socket.waiting() <= BUFFER_BYTES + len(one.plain)
        assert client.missed > 0
        seen = [(await told(slow))["type"] for _ in range(client.sent - 2)]
        assert set(seen) == {"x"}
        missed = await told(slow)
    assert (missed["type"], missed["seq"]) == ("missed", len(seen))

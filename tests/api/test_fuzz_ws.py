"""Nonsense of every kind, from fixed seeds: nobody comes in by it, nothing breaks, nothing stays behind, and every
refusal is counted. `make fuzz-ws` does the same with ten thousand."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import islice
from typing import Any

import pytest

from bench import noise
from core.settings import Settings
from fakes import FakeClock, FakeConnector, FakeConnectors, FakeJobs
from live import ask, at_port, joined, told
from serving import Server, inside
from wire import DEFLATE, TEXT, frame
from wire import joined as knocked

_PLENTY = {"live_messages_per_s": 1e6, "live_messages_at_once": 10**6, "strangers_per_s": 1e6, "requests_per_s": 1e6}


@pytest.fixture
async def server(settings: Settings, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Server]:
    """With limits that are not what is looked at here; afterwards there is no mistake of ours in the log."""
    settings = settings.model_copy(update=_PLENTY)
    connectors = FakeConnectors(FakeConnector())
    async with inside(settings, connectors=connectors, jobs=FakeJobs(), clock=FakeClock()) as server:
        yield server
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR or one.exc_info] == []


async def _gone(server: Server, but: int = 0) -> None:
    """Until nobody but so many are connected."""
    live = server.app.state.live
    async with asyncio.timeout(10):
        while len(live.connections.clients) > but or live.entrance.places.taken["all"] > but:  # noqa: ASYNC110  they go one by one
            await asyncio.sleep(0.02)


async def test_handshakes_that_are_wrong_are_refused_and_counted(server: Server) -> None:
    wrong = 300
    async with server.platform.database.reading() as tx:
        now = await server.platform.clock.now(tx)
    made = islice(noise.handshakes(1, await server.new_key("read"), lambda: int(now.timestamp() * 1000)), wrong)
    counts = server.app.state.live.connections.counts
    async with at_port(server) as url:
        port = int(url.split(":")[2].split("/")[0])

        async def knock(one: noise.Handshake) -> None:
            peer = await knocked(port, path=f"/ws?{one.query}", **one.headers)
            status = int(peer.answer.split()[1])
            ended = await peer.code() if status == 101 else status
            peer.writer.close()
            if ended not in (1008, 400, 403) or sum(counts.refused.values()) != before + 1:
                others.append((one, ended))

        others: list[tuple[noise.Handshake, int]] = []
        for one in made:
            before = sum(counts.refused.values())
            await knock(one)
        assert others == []
        await _gone(server)
        assert (counts.connected, sum(counts.refused.values())) == (0, wrong)


async def test_commands_that_are_wrong_are_answered(server: Server) -> None:
    async with at_port(server) as url, joined(url, server.key) as ws:
        for number, said in enumerate(islice(noise.commands(2), 200)):
            with suppress(UnicodeDecodeError):
                await ws.send(said.decode())
                if number % 20 == 0:
                    await ws.send(f'{{"type":"ping","id":"{number}"}}')
                    while (answer := await told(ws)).get("id") != str(number) or answer["type"] != "pong":
                        assert answer["type"] in _ANSWERS or "seq" in answer, answer


_ANSWERS = ("error", "pong", "subscribed", "unsubscribed", "session_state", "qr_code", "notification:count")


async def test_frames_that_are_wrong_harm_nobody_else(server: Server) -> None:
    async with at_port(server) as url, joined(url, server.key) as other:
        port = int(url.split(":")[2].split("/")[0])
        for number, said in enumerate(islice(noise.frames(3), 100)):
            headers: dict[str, Any] = {"X-API-Key": server.key}
            peer = await knocked(port, path="/ws", extensions=DEFLATE if number % 2 else "", **headers)
            with suppress(ConnectionError):
                for at in range(0, len(said), 1 + number * 7):
                    peer.send(said[at : at + 1 + number * 7])
                peer.send(frame(TEXT, b'{"type":"ping"}'))
                await peer.writer.drain()
            peer.writer.close()
            if number % 25 == 0:
                assert (await ask(other, type="ping"))["type"] == "pong"
        await _gone(server, but=1)

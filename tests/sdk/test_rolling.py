"""Two API processes behind one address, restarted one after the other while events are written."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress

import httpx
import pytest

from bench.redis_server import RedisServer
from core.settings import Settings
from serving import ROOT, Process, api_process, environment, free_port, made_key
from waqtor import AsyncClient, Backoff, LiveEvent

COUNT = 400
WRITER = f"""
import asyncio
from core import events
from core.database import DatabaseClock, connect
from core.settings import Settings

async def main():
    database = connect(Settings())
    for number in range({COUNT}):
        async with database.transaction() as tx:
            moved = events.CampaignMoved(campaign_id=7 + number % 2, what="paused", reason=str(number))
            await events.publish(tx, moved, at=await DatabaseClock().now(tx))
        await asyncio.sleep(0.02)
    await database.close()

asyncio.run(main())
"""


class Proxy:
    """One address before several: each connection goes to the first process that says it is ready."""

    def __init__(self, ports: list[int]) -> None:
        self.ports = ports
        self.taken = dict.fromkeys(ports, 0)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        async with httpx.AsyncClient(timeout=2) as self._http:
            server = await asyncio.start_server(self._taken, "127.0.0.1", 0)
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            server.close()

    async def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = await self._ready()
        if port is None:
            writer.close()
            return
        self.taken[port] += 1
        with suppress(OSError):
            back, forth = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_pipe(reader, forth), _pipe(back, writer))

    async def _ready(self) -> int | None:
        for port in self.ports:
            with suppress(httpx.TransportError):
                if (await self._http.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200:
                    return port
        return None


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.mark.slow
@pytest.mark.only_on("postgres")
async def test_nobody_misses_anything_and_nobody_hears_it_twice(settings: Settings, redis: RedisServer) -> None:
    settings = settings.model_copy(update={"redis_url": redis.url})
    key = await asyncio.to_thread(made_key, settings)
    ports = [free_port(), free_port()]
    proxy = Proxy(ports)
    seen: list[list[LiveEvent]] = [[] for _ in range(6)]
    async with AsyncExitStack() as stack:
        running = stack.enter_context(ExitStack())

        async def started(port: int) -> Process:
            return await asyncio.to_thread(
                running.enter_context, api_process(settings, port=port, WAQTOR_LIVE_DRAIN_S="0.5")
            )

        async def ended(process: Process) -> None:
            process.popen.terminate()
            assert await asyncio.to_thread(process.popen.wait, 30) == 0, process.log.read_text()

        one, two = await started(ports[0]), await started(ports[1])
        url = await stack.enter_async_context(proxy.listening())
        waqtor = await stack.enter_async_context(AsyncClient(url, key))
        following = [asyncio.create_task(_follow(waqtor, number, mine)) for number, mine in enumerate(seen)]
        writer = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, env=environment(settings, 1), cwd=ROOT
        )
        await _until(seen, 50)
        await ended(one)
        await _until(seen, 120)
        await started(ports[0])
        await _until(seen, 180)
        await ended(two)
        async with asyncio.timeout(60):
            await asyncio.gather(*following)
        assert await writer.wait() == 0
    assert all(proxy.taken.values())
    for mine in seen:
        assert [one.data["reason"] for one in mine] == [str(number) for number in range(COUNT)]


async def _follow(waqtor: AsyncClient, number: int, seen: list[LiveEvent]) -> None:
    """Some over plain HTTP. A restart is none of their attempts' business: the default has to do."""
    stream = waqtor.events.follow(
        "campaigns", since=0, transport="websocket" if number % 3 else "sse", backoff=Backoff(base_s=0.2, cap_s=1)
    )
    async for event in stream:
        if event.seq is not None:
            seen.append(event)
        if len(seen) == COUNT:
            return


async def _until(seen: list[list[LiveEvent]], count: int) -> None:
    async with asyncio.timeout(60):
        while any(len(mine) < count for mine in seen):  # noqa: ASYNC110  others fill them
            await asyncio.sleep(0.02)

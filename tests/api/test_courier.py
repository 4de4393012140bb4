"""The API process delivers what endpoints are told: at once, and all of it when it is killed over its attempts."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import select, update

import scenes
from conftest import with_settings
from core import consents
from core.bootstrap import Platform
from core.models import Delivery, DeliveryAttempt
from serving import Process, api_process

_PEOPLE = 12
_LOCAL = {"WAQTOR_WEBHOOK_NETWORKS": "127.0.0.0/8", "WAQTOR_WEBHOOK_HTTP": "true"}


@dataclass
class _Receiver:
    """Keeps what arrives by `webhook-id`, and answers only when it is let."""

    url: str = ""
    bodies: dict[str, set[bytes]] = field(default_factory=dict)
    arrived: Counter[str] = field(default_factory=Counter)
    answers: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                headers = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:] if line)
                body = await reader.readexactly(int(headers["content-length"]))
                self.bodies.setdefault(headers["webhook-id"], set()).add(body)
                self.arrived[headers["webhook-id"]] += 1
                await self.answers.wait()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@asynccontextmanager
async def _receiving() -> AsyncIterator[_Receiver]:
    receiver = _Receiver()
    server = await asyncio.start_server(receiver.take, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hooks"
    try:
        yield receiver
    finally:
        receiver.answers.set()
        server.close()


@asynccontextmanager
async def _process(platform: Platform) -> AsyncIterator[Process]:
    """It is started and awaited beside the receiver."""
    process = api_process(platform.settings, **_LOCAL)
    started = await asyncio.to_thread(process.__enter__)
    try:
        yield started
    finally:
        await asyncio.to_thread(process.__exit__, None, None, None)


async def _until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await is_so():  # noqa: ASYNC110  another process does it
            await asyncio.sleep(0.05)


async def test_a_kill_between_the_attempt_and_its_answer_loses_nothing(platform: Platform) -> None:
    local = with_settings(
        platform, webhook_networks="127.0.0.0/8", webhook_http=True, webhook_ports=platform.settings.webhook_ports
    )
    await scenes.people(local, _PEOPLE)

    async def states() -> Counter[str]:
        async with platform.database.reading() as tx:
            return Counter((await tx.execute(select(Delivery.state))).scalars().all())

    async def one_is_there() -> bool:
        return len(receiver.arrived) > 0

    async def all_are_delivered() -> bool:
        return await states() == {"delivered": _PEOPLE}

    async with _receiving() as receiver:
        await scenes.a_webhook(local, receiver.url, events=["contact.opted_out"])
        async with _process(platform) as first:
            for contact_id in range(1, _PEOPLE + 1):
                async with platform.database.transaction() as tx:
                    now = await platform.clock.now(tx)
                    await consents.opt_out(tx, contact_id, reason="asked", source="x", at=now)
            await _until(one_is_there)
            first.popen.kill()
        under_way = (await states())["sending"]
        assert under_way >= 1
        assert sum((await states()).values()) == _PEOPLE, "what is to be told is in the database"
        early = Counter(receiver.arrived)
        async with platform.database.transaction() as tx:  # its lease lapses too late for this test
            later = await platform.clock.now(tx) + timedelta(hours=1)
            await tx.execute(update(Delivery).where(Delivery.state == "sending").values(lease_until=later))
        receiver.answers.set()
        async with _process(platform):
            await _until(all_are_delivered)
    assert len(receiver.arrived) == _PEOPLE
    assert {one for one, times in receiver.arrived.items() if times > 1} == set(early), "again, by the same id"
    assert all(len(bodies) == 1 for bodies in receiver.bodies.values()), "and with the same body"
    async with platform.database.reading() as tx:
        ended = select(DeliveryAttempt.error).where(DeliveryAttempt.error.is_not(None))
        assert (await tx.execute(ended)).scalars().all() == ["interrupted"] * under_way

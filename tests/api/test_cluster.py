"""Several API processes on one database: with Redis they are as one, without it the second refuses to start."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from api.limits import Limits
from bench.redis_server import RedisServer
from core import handshakes
from core.errors import TooMany
from core.handshakes import Signed
from core.settings import Settings
from serving import Process, api_process, environment, free_port, made_key

LIMITS = {
    "WAQTOR_LIVE_PER_PRINCIPAL": "3",
    "WAQTOR_LIVE_MESSAGES_PER_S": "0.1",
    "WAQTOR_LIVE_MESSAGES_AT_ONCE": "20",
    "WAQTOR_STRANGERS_PER_S": "0.2",
    "WAQTOR_TRUSTED_PROXIES": "127.0.0.1",
}


def from_where(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}


def ws_of(process: Process) -> str:
    return f"{process.url.replace('http://', 'ws://')}/ws"


@asynccontextmanager
async def joined(process: Process, key: str, *topics: str, address: str = "") -> AsyncIterator[ClientConnection]:
    headers = {"X-API-Key": key, **(from_where(address) if address else {})}
    async with connect(ws_of(process), additional_headers=headers) as ws:
        for kind in ("welcome", "session_state"):
            assert (await told(ws))["type"] == kind
        if topics:
            await ws.send(json.dumps({"type": "subscribe", "topics": topics}))
            assert (await told(ws))["type"] == "subscribed"
        yield ws


async def told(ws: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(10):
        found: dict[str, Any] = json.loads(await ws.recv())
        return found


async def come(process: Process, key: str, stay: AsyncExitStack) -> int:
    try:
        await stay.enter_async_context(connect(ws_of(process), additional_headers={"X-API-Key": key}))
    except InvalidStatus as refused:
        return refused.response.status_code
    return 101


async def closed(ws: ClientConnection) -> int:
    async with asyncio.timeout(5):
        await ws.wait_closed()
    return ws.close_code or 0


class Two:
    """Both processes, and a key that may do everything."""

    def __init__(self, one: Process, two: Process, key: str, client: httpx.AsyncClient) -> None:
        self.one, self.two, self.key = one, two, key
        self.both = (one, two)
        self.client = client

    async def asked(self, process: Process, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(f"{process.url}{path}", headers=headers)

    async def new_key(self) -> tuple[int, str]:
        made = await self.client.post(f"{self.one.url}/api/v3/api-keys", json={"name": "t", "scopes": ["read"]})
        return made.json()["id"], made.json()["key"]

    async def happens(self, at: Process, seen_by: ClientConnection, number: int) -> None:
        """What is committed through one process reaches who is at another."""
        made = await self.client.post(f"{at.url}/api/v3/contacts", json={"phone": f"+96650123456{number}"})
        assert made.status_code == 201, made.text
        seen = await told(seen_by)
        assert (seen["type"], seen["data"]["contact_id"]) == ("contact.saved", made.json()["id"])

    async def until_redis_is(self, state: str) -> None:
        async with asyncio.timeout(10):
            for process in self.both:
                while (ready := await self.asked(process, "/readyz")).json()["redis"] != state:
                    assert ready.status_code == 200

    async def until_present(self, ref: str, connections: int) -> None:
        """As each of them shows it."""
        async with asyncio.timeout(5):
            for process in self.both:
                found = -1
                while found != connections:
                    shown = (await self.asked(process, "/api/v3/presence")).json()
                    assert (len(shown["instances"]), shown["is_whole"]) == (2, True)
                    found = sum(one["connections"] for one in shown["data"] if one["principal"] == ref)


@asynccontextmanager
async def two_processes(settings: Settings, redis: RedisServer) -> AsyncIterator[Two]:
    settings = settings.model_copy(update={"redis_url": redis.url})
    key = await asyncio.to_thread(made_key, settings)
    headers = {"X-API-Key": key}
    with api_process(settings, **LIMITS) as one, api_process(settings, **LIMITS) as two:
        async with httpx.AsyncClient(headers=headers, timeout=10) as client:
            pair = Two(one, two, key, client)
            await pair.until_redis_is("ok")
            yield pair


@pytest.mark.only_on("postgres")
async def test_two_processes_are_as_one(settings: Settings, redis: RedisServer) -> None:
    async with two_processes(settings, redis) as two:
        await _places_and_presence(two)
        await _what_is_good_once(two)
        await _limits(two)
        await _a_revoked_key(two)
        async with joined(two.one, two.key, "contacts") as here, joined(two.two, two.key, "contacts") as there:
            await two.happens(two.one, there, 1)
            await told(here)
            redis.kill()
            await two.until_redis_is("away")
            await two.happens(two.two, here, 2)
            await told(there)
            _, key = await two.new_key()
            async with AsyncExitStack() as stay, AsyncExitStack() as longer:
                answers = [await come(two.one, key, stay) for _ in range(4)]
                answers += [await come(two.two, key, longer) for _ in range(4)]
                assert answers == [101, 101, 101, 429] * 2, "each keeps to its own"
                redis.start()
                await two.until_redis_is("ok")
                await stay.aclose()
                assert await come(two.one, key, stay) == 429, "all places are taken at the other"
            await two.happens(two.one, there, 3)


async def _places_and_presence(two: Two) -> None:
    key_id, key = await two.new_key()
    async with AsyncExitStack() as stay:
        answers = await asyncio.gather(*(come(process, key, stay) for process in two.both * 4))
        assert sorted(answers) == [101] * 3 + [429] * 5
        await two.until_present(f"api_key:{key_id}", 3)
    await two.until_present(f"api_key:{key_id}", 0)


async def _what_is_good_once(two: Two) -> None:
    ticket = (await two.client.post(f"{two.one.url}/api/v3/ws-tickets")).json()["ticket"]
    prefix, _, secret = two.key.removeprefix("wq_").partition("_")
    moment = int(time.time() * 1000)
    said = Signed(key=prefix, timestamp_ms=moment, nonce="used-once", signature="")
    signature = handshakes.signature(secret, said.text)
    signed = f"key={prefix}&ts={moment}&nonce=used-once&sig={signature}"
    for way, address in ((f"ticket={ticket}", "192.0.2.4"), (signed, "192.0.2.5")):
        async with connect(f"{ws_of(two.two)}?{way}") as ws:
            assert (await told(ws))["type"] == "welcome"
        async with connect(f"{ws_of(two.one)}?{way}", additional_headers=from_where(address)) as ws:
            assert await closed(ws) == 1008


async def _limits(two: Two) -> None:
    _, key = await two.new_key()
    async with (
        joined(two.one, key, address="192.0.2.6") as here,
        joined(two.two, key, address="192.0.2.6") as there,
    ):
        kinds = []
        for ws, times in ((here, 15), (there, 15)):
            for _ in range(times):
                await ws.send('{"type":"ping"}')
                kinds.append((await told(ws))["type"])
            await asyncio.sleep(0.5)
        assert "error" not in kinds[:15]
        assert 4 <= kinds[15:].count("pong") <= 8
    wrong: Mapping[str, str] = {"X-API-Key": "wq_a_b", **from_where("192.0.2.7")}
    answers = [(await two.asked(two.one, "/api/v3/events", **wrong)).status_code for _ in range(2)]
    assert answers == [401, 429]
    await asyncio.sleep(0.5)
    assert (await two.asked(two.two, "/api/v3/events", **wrong)).status_code == 429


async def _a_revoked_key(two: Two) -> None:
    key_id, key = await two.new_key()
    async with joined(two.one, key) as here, joined(two.two, key) as there:
        await two.client.delete(f"{two.two.url}/api/v3/api-keys/{key_id}")
        assert [await closed(ws) for ws in (here, there)] == [1008, 1008]


def test_what_others_took_is_paid_back() -> None:
    one, two = (Limits(Settings(requests_per_s=2)) for _ in range(2))
    one.share(is_shared=True)
    for limits in (one, two):
        for _ in range(10):
            limits.known("user:1")
    two.others_took(one.taken())
    assert one.taken() == {}
    with pytest.raises(TooMany) as refused:
        two.known("user:1")
    assert refused.value.retry_after_s > 5


def test_without_redis_a_second_process_refuses_to_start_and_a_killed_one_is_in_nobodys_way(
    settings: Settings, redis: RedisServer
) -> None:
    with api_process(settings) as first:
        for other in (settings, settings.model_copy(update={"redis_url": redis.url})):
            refused = subprocess.run(
                [sys.executable, "-m", "api"],
                env=environment(other, free_port()),
                cwd=Path(settings.data_dir),
                capture_output=True,
                timeout=60,
                text=True,
            )
            assert refused.returncode == 2, refused.stderr
            assert "another_instance: Another API process works on this database" in refused.stderr
            assert "WAQTOR_REDIS_URL" in refused.stderr
            assert "Traceback" not in refused.stderr
        first.popen.kill()
        with api_process(settings) as second:
            assert httpx.get(f"{second.url}/readyz").json()["instance"] == "ok"

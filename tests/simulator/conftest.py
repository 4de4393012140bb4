"""A real simulator on a loopback port, a client that speaks Graph, and a webhook that remembers."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from simulator.config import NUMBER_ID, TOKEN, Config
from simulator.profiles import PROFILES
from simulator.server import running

SHARED = Path(__file__).resolve().parents[3] / "shared"


def missing(what: str) -> None:
    """Skip for want of something outside the repository; a failure where everything must be there."""
    if os.environ.get("WAQTOR_REQUIRE_ALL") == "1":
        pytest.fail(f"missing: {what}")
    pytest.skip(f"missing: {what}")


class Sim:
    """One simulator and a client of it."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session

    async def call(
        self, method: str, path: str, body: Any = None, *, token: str = TOKEN, raw: bytes | None = None
    ) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        data = raw if raw is not None else orjson.dumps(body) if body is not None else None
        async with self.session.request(method, self.url + path, data=data, headers=headers) as answer:
            return answer.status, orjson.loads(await answer.read())

    async def get(self, path: str) -> Any:
        status, answer = await self.call("GET", path)
        assert status == 200, answer
        return answer

    async def post(self, path: str, body: Any) -> Any:
        status, answer = await self.call("POST", path, body)
        assert status == 200, answer
        return answer

    async def send(
        self, to: str, body: str = "hi", *, callback: str = "", number: str = NUMBER_ID, **more: Any
    ) -> tuple[int, Any]:
        message = {"messaging_product": "whatsapp", "to": to, "type": "text", "text": {"body": body}} | more
        return await self.raw_send(message, callback=callback, number=number)

    async def raw_send(
        self, message: dict[str, Any], *, callback: str = "", number: str = NUMBER_ID
    ) -> tuple[int, Any]:
        if callback:
            message["biz_opaque_callback_data"] = callback
        return await self.call("POST", f"/v23.0/{number}/messages", message)

    async def template(
        self,
        to: str,
        name: str = "order_update",
        *words: str,
        language: str = "en",
        callback: str = "",
        **more: Any,
    ) -> tuple[int, Any]:
        words = words or ("Ann", "77")
        parameters = [{"type": "text", "text": word} for word in words]
        template = {
            "name": name,
            "language": {"code": language},
            "components": [{"type": "body", "parameters": parameters}],
        }
        return await self.send(to, callback=callback, type="template", template=template, **more)

    async def idle(self, *, within_s: float = 10.0) -> None:
        give_up = time.monotonic() + within_s
        while not (state := await self.get("/_sim/idle"))["idle"]:
            assert time.monotonic() < give_up, state
            await asyncio.sleep(0.02)

    async def rows(self, what: str = "requests", query: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.get(f"/_sim/ledger/{what}?{query}"))["data"]
        return found


class Hook:
    """A webhook: keeps every POST, answers what `answers` says, 200 when that is empty."""

    def __init__(self) -> None:
        self.url = ""
        self.posts: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.verify_token = "told"

    async def handle(self, request: web.Request) -> web.Response:
        if request.method == "GET":
            good = request.query.get("hub.verify_token") == self.verify_token
            return web.Response(text=request.query["hub.challenge"] if good else "no", status=200 if good else 403)
        self.posts.append((dict(request.headers), await request.read()))
        return web.Response(status=self.answers.pop(0) if self.answers else 200)

    def values(self, field: str = "messages") -> list[dict[str, Any]]:
        changes = [orjson.loads(body)["entry"][0]["changes"][0] for _, body in self.posts]
        return [change["value"] for change in changes if change["field"] == field]

    def statuses(self) -> list[dict[str, Any]]:
        return [status for value in self.values() for status in value.get("statuses", [])]

    def messages(self) -> list[dict[str, Any]]:
        return [message for value in self.values() for message in value.get("messages", [])]

    async def until(self, true: Callable[[], object], *, within_s: float = 8.0) -> None:
        give_up = time.monotonic() + within_s
        while not true():
            assert time.monotonic() < give_up, "the webhook waited in vain"
            await asyncio.sleep(0.01)


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    hook, app = Hook(), web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/hook", hook.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hook.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield hook
    await runner.cleanup()


Start = Callable[..., AbstractAsyncContextManager[Sim]]


@asynccontextmanager
async def started(
    profile: str = "bench", *, seed: int = 1, state: Path | None = None, callback: str = "", **changed: Any
) -> AsyncIterator[Sim]:
    made = replace(PROFILES[profile], **changed)
    config = Config(port=0, profile=made, seed=seed, state=state, callback_url=callback)
    async with running(config) as url, aiohttp.ClientSession() as session:
        yield Sim(url, session)


@pytest.fixture
def start() -> Start:
    return started


# Receipts come at once, so that a test waits for nothing but the sockets.
QUICK = {"sent_s": 0.01, "delivered_s": 0.02, "read_s": 0.02, "reads_message": 1.0, "linger_s": 0.005}


@pytest.fixture
async def sim(hook: Hook) -> AsyncIterator[Sim]:
    """No limits, all contacts on WhatsApp, quick receipts, webhooks to `hook`."""
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(started("bench", callback=hook.url, **QUICK))


@pytest.fixture
async def strict(hook: Hook) -> AsyncIterator[Sim]:
    """All account rules of the demo profile, no chance, no latency."""
    calm = dict.fromkeys(
        ("not_on_whatsapp", "never_reads", "offline", "replies", "stops", "stops_marketing", "blocks"), 0.0
    )
    calm |= dict.fromkeys(("refuses_marketing", "duplicates", "reorders"), 0.0)
    async with started("demo", callback=hook.url, answer_latency_s=(0.0, 0.0), **calm) as sim:
        yield sim


@pytest.fixture
def shared() -> Path:
    if not SHARED.is_dir():
        missing(f"{SHARED.name}/ beside the repository")
    return SHARED


@pytest.fixture
def missing_for_test() -> Callable[[str], None]:
    return missing

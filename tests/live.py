"""The app on a real port, and clients of its WebSocket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from api.app import Server as Listening
from cli.local import free_port
from serving import Server


@asynccontextmanager
async def at_port(server: Server) -> AsyncIterator[str]:
    """The app on a real port, as `waqtor api` has it."""
    port = free_port()
    listening = Listening(server.app, server.platform.settings, host="127.0.0.1", port=port)
    task = asyncio.create_task(listening.serve())
    while not listening.started:  # noqa: ASYNC110  uvicorn's own flag
        await asyncio.sleep(0.01)
    try:
        yield f"ws://127.0.0.1:{port}/ws"
    finally:
        listening.should_exit = True
        await task


@asynccontextmanager
async def joined(url: str, key: str, **options: Any) -> AsyncIterator[ClientConnection]:
    """Connected, and past the welcome."""
    async with connect(url, additional_headers={"X-API-Key": key}, **options) as ws:
        assert (await told(ws))["type"] == "welcome"
        assert (await told(ws))["type"] == "session_state"
        yield ws


async def told(ws: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(10):
        found: dict[str, Any] = json.loads(await ws.recv())
        return found


async def ask(ws: ClientConnection, **said: Any) -> dict[str, Any]:
    await ws.send(json.dumps(said))
    return await told(ws)

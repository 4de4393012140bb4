"""Thirty programs that follow live events over the WebSocket while a picture of the monitor is made."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue

from websockets.asyncio.client import connect

from cli.local import Local
from waqtor import Client

HOW_MANY = 30
PROXY = "127.0.0.1"
"""We are one to the API, so that each may come from an address of its own."""

_NAMES = ("Shop dashboard", "CRM", "لوحة المتجر", "Warehouse", "نظام الطلبات", "Billing", "Reports", "Call centre")
_FOLLOWS = (
    '["campaigns","messages"]',
    '["messages"]',
    '["campaigns"]',
    '["campaign:1","messages","contacts","senders","templates"]',
)


@contextmanager
def onlookers(local: Local) -> Iterator[None]:
    """Connected as long as the block runs."""
    with Client(local.settings.api_url, local.api_key) as client:
        keys = [client.api_keys.create(name, ["read"]).key for name in _NAMES]
    url = f"{local.settings.api_url.replace('http', 'ws')}/ws"
    told: Queue[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Queue()

    async def watch() -> None:
        enough = asyncio.Event()
        told.put((asyncio.get_running_loop(), enough))
        watching = [asyncio.create_task(_one(url, keys[number % len(keys)], number)) for number in range(HOW_MANY)]
        await enough.wait()
        for one in watching:
            one.cancel()
        await asyncio.gather(*watching, return_exceptions=True)

    thread = threading.Thread(target=lambda: asyncio.run(watch()))
    thread.start()
    loop, enough = told.get()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(enough.set)
        thread.join()


async def _one(url: str, key: str, number: int) -> None:
    await asyncio.sleep(number * 0.3)
    headers = {"X-API-Key": key, "X-Forwarded-For": f"203.0.113.{10 + number}"}
    compression = "deflate" if number % 5 else None
    async with connect(url, additional_headers=headers, compression=compression, close_timeout=1) as ws:
        await ws.send(f'{{"type":"subscribe","topics":{_FOLLOWS[number % len(_FOLLOWS)]}}}')
        async for _ in ws:
            pass

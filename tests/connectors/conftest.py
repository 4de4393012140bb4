"""Real sockets: a raw server whose every move a test chooses, and one connector that talks to it."""

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import orjson
import pytest
import pytest_asyncio

from connectors.cloud import CloudConnector
from core.content import Content, Text
from core.ports import Address, Outgoing, SenderConfig

TOKEN = "EAAtokenthatmustneverappearanywhere0123456789"
PHONE = "+966512345678"
ACCEPTED = {
    "messaging_product": "whatsapp",
    "contacts": [{"input": PHONE, "wa_id": PHONE[1:]}],
    "messages": [{"id": "wamid.HBgMOTY2NTEyMzQ1Njc4FQIAERgSOUEzREEwNjdGMEY4RTRGAA=="}],
}


def http(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def graph_error(status: int, code: int | None, message: str = "no", **more: object) -> bytes:
    error = {"message": message, **({"code": code} if code is not None else {}), **more}
    return http(status, orjson.dumps({"error": error}))


@dataclass
class Peer:
    """One connection, seen from the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: "RawServer"

    async def request(self) -> bytes:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        )
        whole = head + await self.reader.readexactly(length)
        self.server.received += whole
        self.server.requests += 1
        return whole

    async def answer(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Peer], Awaitable[None]]


@dataclass
class RawServer:
    port: int = 0
    script: Script | None = None
    received: bytearray = field(default_factory=bytearray)
    requests: int = 0
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        peer = Peer(reader, writer, self)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            assert self.script is not None
            await self.script(peer)
        writer.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v23.0"


@pytest_asyncio.fixture
async def server() -> AsyncIterator[RawServer]:
    raw = RawServer()
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(raw.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    raw.port = listener.sockets[0].getsockname()[1]
    yield raw
    listener.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def sender(number: str = "106540352242922") -> SenderConfig:
    return SenderConfig(
        sender_id=1,
        kind="cloud",
        phone_number_id=number,
        waba_id="419561257915477",
        access_token=TOKEN,
        app_secret="app-secret",
    )


@pytest.fixture(name="sender")
def _sender() -> SenderConfig:
    return sender()


@pytest_asyncio.fixture
async def connector(server: RawServer, sender: SenderConfig) -> AsyncIterator[CloudConnector]:
    cloud = CloudConnector(sender, base_url=server.url, request_timeout_s=1.0)
    yield cloud
    await cloud.close()


@pytest.fixture
def outgoing() -> Callable[..., Outgoing]:
    def make(
        content: Content | None = None, *, within_s: float = 5.0, to: Address | None = None, reply_to: str | None = None
    ) -> Outgoing:
        return Outgoing(
            client_id="3EB0AABBCCDD",
            to=to or Address("phone", PHONE),
            content=content or Text(body="مرحبا"),
            send_by=time.monotonic() + within_s,
            reply_to=reply_to,
        )

    return make

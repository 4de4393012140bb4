"""Receivers of webhooks, good and bad, in a process of their own. `/_seen?3` tells what arrived, from the third on;
`/_well` makes those that were unwell now and then good ones."""

import asyncio
import json
import random
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, cast

import httpx

from cli.local import free_port

_PIECE = b"x" * 65536
_GIGABYTE = 1 << 30
_KEPT = ("webhook-id", "webhook-timestamp", "webhook-signature")
_NO_CONTENT = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"
_BROKEN = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"

Arrival = dict[str, Any]
"""`at` (seconds since 1970), `path`, `body`, and the three headers of a signature."""


class Receivers:
    """The process, from here. Use as a context manager."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._http = httpx.Client(trust_env=False, timeout=60)
        self._arrivals: list[Arrival] = []
        self.port, self._nobody = 0, free_port()

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "bench.webhook_receivers"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._http.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def url(self, kind: str, number: int = 0) -> str:
        """`kind`: good, flaky, hang, drip, gigabyte, reset, dead."""
        return f"http://127.0.0.1:{self._nobody if kind == 'dead' else self.port}/{kind}/{number}"

    def arrivals(self) -> list[Arrival]:
        """All so far, in order."""
        answer = self._http.get(f"http://127.0.0.1:{self.port}/_seen?{len(self._arrivals)}")
        self._arrivals += [json.loads(line) for line in answer.text.splitlines()]
        return self._arrivals

    def get_well(self) -> None:
        self._http.get(f"http://127.0.0.1:{self.port}/_well")


@dataclass
class _Kept:
    seen: list[Arrival] = field(default_factory=list)
    is_well: bool = False


class _Peer(asyncio.Protocol):
    def __init__(self, kept: _Kept) -> None:
        self._kept = kept
        self._buffer = b""
        self._wanted: asyncio.Event = asyncio.Event()
        self._wanted.set()
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without saying so

    def connection_lost(self, exc: Exception | None) -> None:
        self._wanted.set()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._wanted.clear()

    def resume_writing(self) -> None:
        self._wanted.set()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            head, mark, rest = self._buffer.partition(b"\r\n\r\n")
            if not mark:
                return
            line, *lines = head.decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in lines)}
            size = int(headers.get("content-length", 0))
            if len(rest) < size:
                return
            self._buffer = rest[size:]
            self._answer(line.split(" ")[1], headers, rest[:size])

    def _answer(self, path: str, headers: dict[str, str], body: bytes) -> None:
        if path.startswith("/_seen?"):
            told = "".join(json.dumps(one) + "\n" for one in self._kept.seen[int(path.partition("?")[2]) :]).encode()
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(told) + told)
            return
        if path == "/_well":
            self._kept.is_well = True
            self._transport.write(_NO_CONTENT)
            return
        self._kept.seen.append(
            {"at": time.time(), "path": path, "body": body.decode(), **{name: headers.get(name) for name in _KEPT}}
        )
        kind = path.split("/")[1]
        if kind == "flaky":
            drawn = random.choices(("good", "broken", "reset", "slow", "hang"), (65, 13, 12, 9, 1))[0]
            kind = "good" if self._kept.is_well else drawn
        match kind:
            case "good":
                self._transport.write(_NO_CONTENT)
            case "broken":
                self._transport.write(_BROKEN)
            case "reset":
                linger = struct.pack("ii", 1, 0)
                self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self._transport.abort()
            case "slow" | "drip" | "gigabyte":
                self._task = asyncio.get_running_loop().create_task(getattr(self, f"_{kind}")())
            case _:
                """Nothing is answered."""

    async def _slow(self) -> None:
        await asyncio.sleep(random.uniform(0.2, 2))
        self._transport.write(_NO_CONTENT)

    async def _drip(self) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not self._transport.is_closing():
            self._transport.write(b"x")
            await asyncio.sleep(1)

    async def _gigabyte(self) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % _GIGABYTE)
        for _ in range(_GIGABYTE // len(_PIECE)):
            if self._transport.is_closing():
                return
            self._transport.write(_PIECE)
            await self._wanted.wait()


async def _serve() -> None:
    kept = _Kept()
    server = await asyncio.get_running_loop().create_server(lambda: _Peer(kept), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve())

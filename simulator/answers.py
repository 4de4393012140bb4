"""Answers that know whether they were written, and the ways to break one."""

import asyncio
import socket
import struct

import orjson
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from simulator.errors import GraphError
from simulator.ledger import Ledger, Request

_NO_LINGER = struct.pack("ii", 1, 0)
# How long an answer may lie in the socket's buffer before we call it not written.
_DRAIN_STEPS_S = (0.0, 0.01, 0.1, 1.0, 5.0)


class Answer(web.Response):
    """A JSON answer. With a ledger row, the row learns when the whole answer has gone to the socket."""

    def __init__(self, body: bytes, status: int = 200, *, row: Request | None = None, ledger: Ledger | None = None):
        super().__init__(body=body, status=status, content_type="application/json")
        self._row = row
        self._ledger = ledger
        self._transport: asyncio.Transport | None = None

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        self._transport = request.transport
        return await super().prepare(request)

    async def write_eof(self, data: bytes = b"") -> None:
        await super().write_eof(data)
        if self._row is not None and self._transport is not None and not self._transport.is_closing():
            # uvloop writes at the end of the loop's turn, so the truth is known one turn later. By then the
            # client may have read all and left, which is no reason to call the answer unwritten.
            asyncio.get_running_loop().call_soon(self._look, 0)

    def _look(self, step: int) -> None:
        transport, row, ledger = self._transport, self._row, self._ledger
        if transport is None or row is None or ledger is None:
            return
        if transport.get_write_buffer_size() == 0:
            row.answer_written = True
            ledger.write(row)
        elif step + 1 < len(_DRAIN_STEPS_S) and not transport.is_closing():
            asyncio.get_running_loop().call_later(_DRAIN_STEPS_S[step + 1], self._look, step + 1)


def as_json(value: object, status: int = 200) -> Answer:
    """Any value as an answer."""
    return Answer(orjson.dumps(value), status)


def refusal(error: GraphError, trace: str, *, row: Request | None = None, ledger: Ledger | None = None) -> Answer:
    """A Graph error as an answer."""
    return Answer(orjson.dumps(error.body(trace)), error.status, row=row, ledger=ledger)


def gone(request: web.BaseRequest) -> bool:
    """Whether the client has left."""
    return request.transport is None or request.transport.is_closing()


def reset(request: web.BaseRequest) -> Answer:
    """Reset the connection; the answer returned is for aiohttp, nobody will see it."""
    transport = request.transport
    if transport is not None:
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()
    return Answer(b"")


async def half(request: web.BaseRequest, answer: Answer) -> Answer:
    """Write the head and half of the body, then reset."""
    body = bytes(answer.body) if isinstance(answer.body, (bytes, bytearray)) else b""
    head = f"HTTP/1.1 {answer.status} OK\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    if request.transport is not None:
        request.transport.write(head.encode() + body[: len(body) // 2])
        await asyncio.sleep(0.05)
    return reset(request)

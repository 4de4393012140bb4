"""The HTTP client of the Cloud connector: it knows for each request whether a byte of it may have left.

aiohttp connects, waits and writes inside one call. Whether a failure had an effect hangs on the single moment
of the write, so the check of the deadline and the mark "begun" sit there, in `write_bytes`, with no `await`
between them and the write to the socket.
"""

import time
from contextvars import ContextVar
from typing import NewType

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_reqrep import ClientResponse
from aiohttp.connector import Connection

KEEPALIVE_S = 10
"""Short, so that a connection the other side has given up is seldom reused: that would end in doubt."""


class NotWritten(Exception):
    """The request was given up before its first byte."""


class Attempt:
    """One send. `begun` turns true right before the first byte is written, and never back."""

    __slots__ = ("begun", "send_by")

    def __init__(self, send_by: float) -> None:
        self.send_by = send_by
        self.begun = False

    @property
    def late(self) -> bool:
        return time.monotonic() >= self.send_by


attempt_in_progress: ContextVar[Attempt | None] = ContextVar("attempt_in_progress", default=None)


class GuardedRequest(aiohttp.ClientRequest):
    """Writes nothing after the attempt's deadline, nor on a connection that is already of no use."""

    async def send(self, conn: Connection) -> ClientResponse:
        # A proxy may have answered the idle connection ("408"); that is not the answer to this request.
        if attempt_in_progress.get() is not None and conn.protocol is not None and len(conn.protocol):
            raise NotWritten("the connection carried a stray answer")
        return await super().send(conn)

    async def write_bytes(
        self, writer: AbstractStreamWriter, conn: Connection, content_length: int | None = None
    ) -> None:
        # Headers are only buffered until here; they leave together with the body. Up to Python 3.11 this runs
        # in a task of its own, one turn of the loop after `send`, which is why `send` would be too early.
        attempt = attempt_in_progress.get()
        if attempt is not None:
            protocol = conn.protocol
            if protocol is None:
                return
            if protocol.transport is None or protocol.transport.is_closing():
                protocol.set_exception(NotWritten("the connection was closed"))
                return
            if attempt.late:
                protocol.set_exception(NotWritten("send_by has passed"))
                return
            attempt.begun = True
        await super().write_bytes(writer, conn, content_length)


GuardedSession = NewType("GuardedSession", aiohttp.ClientSession)
"""A session made by `open_session`: with any other, `Attempt.begun` would stay false and lie."""


def open_session() -> GuardedSession:
    """The caller bounds concurrency and closes it. Nothing is repeated and no redirect is followed for a POST:
    aiohttp itself repeats only idempotent methods, and only where no middleware is in between."""
    return GuardedSession(
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_S),
            request_class=GuardedRequest,
            cookie_jar=aiohttp.DummyCookieJar(),
            raise_for_status=False,
            trust_env=False,
        )
    )

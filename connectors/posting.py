"""Carries webhooks to addresses that strangers chose, from inside a network that they would like to reach.

The address that a socket is about to connect to is the one that is checked, by its numbers: `_new_socket` is asked for
every connection there is. All addresses of a name are looked at first, so that one which is also at home here gets
nothing at all. TLS and `Host` go by the name. A connection kept for the next letter went to a checked address too.
"""

import asyncio
import os
import socket
import ssl
import time
import weakref
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import cache, lru_cache
from typing import Final

import aiohttp
from aiohttp.client_reqrep import ClientResponse
from aiohttp.connector import AddrInfoType, Connection
from multidict import CIMultiDict
from yarl import URL

from connectors.posting_names import LookUp, Names, NotResolved
from core.ports import Letter, Posted, PostError, PostFailure
from core.webhook_addresses import Rules

CONNECT_S: Final = 5.0
TOTAL_S: Final = 15.0
MOST_OF_BODY: Final = 16 * 1024
MOST_HEADERS: Final = 100
LONGEST_VALUE: Final = 1024
KEEPALIVE_S: Final = 4.0  # Node and uvicorn hang up after 5 s of silence
_READ_AHEAD: Final = 4 * 1024  # of an answer, beyond what was asked for
_KERNEL_AHEAD: Final = 16 * 1024
MOST_OPEN: Final = 256  # with more than that, none is kept for the next letter
MOST_TRIES: Final = 3
_KNOWN: Final = 1024  # texts of addresses; what they lead to is looked at anew
AGENT: Final = "WaQtor-Webhook/3.0"

NewSocket = Callable[[AddrInfoType], socket.socket]


class Forbidden(Exception):
    """Nothing may connect there. The kind is told, the address is not: it may be a secret of this network."""


class _Try:
    """One request: what it goes over, whether that was made for it, whether the head of an answer came."""

    __slots__ = ("answered", "connected", "transport")

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.connected = False
        self.answered = False

    def drop(self) -> None:
        """At once: closing would first write what the receiver does not take."""
        if self.transport is not None:
            self.transport.abort()


_under_way: ContextVar[_Try | None] = ContextVar("posting_under_way", default=None)


class _Request(aiohttp.ClientRequest):
    async def send(self, conn: Connection) -> ClientResponse:
        one = _under_way.get()
        if one is not None:
            one.transport = conn.transport
        return await super().send(conn)


class Posting:
    """The `Poster`. Made inside a running loop. The caller bounds how many letters are under way."""

    def __init__(
        self,
        rules: Rules,
        *,
        proxy: str | None = None,
        total_s: float = TOTAL_S,
        connect_s: float = CONNECT_S,
        tls: ssl.SSLContext | None = None,
        look_up: LookUp | None = None,
        new_socket: NewSocket | None = None,
    ) -> None:
        self._rules = rules
        self._proxy = URL(proxy) if proxy else None
        self._total_s = total_s
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_s)
        self._connect_s = connect_s
        self._open: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._make_socket = new_socket or _plain_socket
        self._names = Names(self._admit, look_up)
        self._known = lru_cache(maxsize=_KNOWN)(self._checked)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                keepalive_timeout=KEEPALIVE_S,
                resolver=None if self._proxy else self._names,
                socket_factory=self._new_socket,
                ssl=tls or _tls(),
            ),
            request_class=_Request,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            read_bufsize=_READ_AHEAD,
            max_headers=MOST_HEADERS,
            raise_for_status=False,
            trust_env=False,
        )

    async def post(self, letter: Letter) -> Posted:
        began = time.monotonic()
        url = self._known(letter.url)
        try:
            async with asyncio.timeout(self._total_s):
                status, headers, body = await self._until_answered(url, letter)
        except TimeoutError:
            raise PostError("timeout", f"no whole answer within {self._total_s:g} s") from None
        return Posted(status, headers, body, time.monotonic() - began)

    async def close(self) -> None:
        await self._session.close()
        await self._names.close()

    async def _until_answered(self, url: URL, letter: Letter) -> tuple[int, Mapping[str, str], bytes]:
        """A kept connection may be hung up on just as it is used again. That says nothing of the receiver, so the
        letter goes once more, over a new one in the end; it bears the same id."""
        for left in reversed(range(MOST_TRIES)):
            one = _Try()
            try:
                return await self._once(url, letter, one)
            except PostError as error:
                if error.reason != "reset" or one.connected or one.answered or not left:
                    raise
        raise AssertionError("the last try answers or raises")

    async def _once(self, url: URL, letter: Letter, one: _Try) -> tuple[int, Mapping[str, str], bytes]:
        mark = _under_way.set(one)
        whole = False
        try:
            where, named = await self._pinned(url)
            headers = _headers(letter.headers, host=named)
            answer = await self._session.post(
                where,
                data=letter.body,
                headers=headers,
                proxy=self._proxy,
                server_hostname=named and url.raw_host,
                allow_redirects=False,
                timeout=self._timeout,
            )
            one.answered = True
            body = await _beginning(answer)
            whole = answer.content.at_eof()
            if not whole or len(self._open) > MOST_OPEN:
                answer.close()
            return answer.status, _kept(answer.headers), body
        except (aiohttp.ClientError, Forbidden, NotResolved, OSError, RuntimeError, ValueError) as error:
            raise _named(error) from None
        finally:
            _under_way.reset(mark)
            if not whole:
                one.drop()

    async def _pinned(self, url: URL) -> tuple[URL, str | None]:
        """Behind a proxy the address is ours to choose as well, so the proxy is given that, and no name."""
        if self._proxy is None:
            return url, None
        host, port = url.raw_host or "", url.port or 443
        try:
            async with asyncio.timeout(self._connect_s):
                first = (await self._names.resolve(host, port))[0]["host"]
        except TimeoutError:
            raise NotResolved(f"{host} took too long") from None
        return url.with_host(first), url.raw_authority

    def _checked(self, text: str) -> URL:
        try:
            url = URL(text)
            host, port = url.raw_host or "", url.port or 0
        except ValueError:
            raise PostError("invalid_url", "the address cannot be read") from None
        why = self._rules.refusal_of_url(url.scheme, host, port, credentials=bool(url.raw_user or url.raw_password))
        if why is None and self._proxy is not None and url.scheme != "https":
            why = "only https:// addresses are posted to through a proxy"
        if why is not None:
            raise PostError("invalid_url", why)
        return url.with_fragment(None)

    def _admit(self, address: str) -> None:
        if (kind := self._rules.refusal(address)) is not None:
            raise Forbidden(f"the address is not on the public internet ({kind})")

    def _new_socket(self, info: AddrInfoType) -> socket.socket:
        if self._proxy is None:
            self._admit(str(info[4][0]))
        made = self._make_socket(info)
        self._open.add(made)
        if (one := _under_way.get()) is not None:
            one.connected = True
        return made


@cache
def _tls() -> ssl.SSLContext:
    """Whom this machine trusts. Reading it takes tens of milliseconds."""
    return ssl.create_default_context()


def _plain_socket(info: AddrInfoType) -> socket.socket:
    made = socket.socket(info[0], info[1], info[2])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _KERNEL_AHEAD)  # whoever streams has to wait for us
    return made


def _headers(signed: Mapping[str, str], *, host: str | None) -> CIMultiDict[str]:
    headers = CIMultiDict({"User-Agent": AGENT, "Accept": "*/*"})
    headers.update(signed)
    headers["Accept-Encoding"] = "identity"  # whatever comes is kept as it is, never unpacked
    if host is not None:
        headers["Host"] = host
    return headers


async def _beginning(answer: ClientResponse) -> bytes:
    pieces: list[bytes] = []
    left = MOST_OF_BODY
    while left > 0 and (piece := await answer.content.readany()):
        pieces.append(piece[:left])
        left -= len(piece)
    return b"".join(pieces)


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    kept: dict[str, str] = {}
    for name, value in headers.items():
        if name.lower() != "set-cookie":
            kept.setdefault(name.lower()[:128], value[:LONGEST_VALUE])
    return kept


def _named(error: Exception) -> PostError:
    for kinds, reason in _REASONS:
        if isinstance(error, kinds):
            return PostError(reason, _detail(error))
    return PostError("bad_answer", type(error).__name__)


_REASONS: Final[tuple[tuple[type[Exception] | tuple[type[Exception], ...], PostFailure], ...]] = (
    (Forbidden, "forbidden_address"),
    ((NotResolved, aiohttp.ClientConnectorDNSError), "not_resolved"),
    ((aiohttp.InvalidURL, UnicodeError), "invalid_url"),
    ((aiohttp.ClientSSLError, ssl.SSLError), "tls"),
    (aiohttp.ConnectionTimeoutError, "connect_timeout"),
    ((aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError), "connect_failed"),
    (TimeoutError, "timeout"),
    ((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError), "reset"),
)


def _detail(error: Exception) -> str:
    """In words of ours or of the operating system: what a library says carries addresses, perhaps of this network."""
    if isinstance(error, Forbidden | NotResolved):
        return str(error)
    if isinstance(error, aiohttp.InvalidURL):
        return "the address cannot be read"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = getattr(error.certificate_error, "verify_message", "")
        return f"the certificate is not good: {reason}" if reason else "the certificate is not good"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answered {error.status}"
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    return type(error).__name__

"""Connections on which events come: a WebSocket, or server-sent events over plain HTTP; at once or awaited."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Protocol, TypeVar

import httpx
from websockets.asyncio.client import ClientConnection as AsyncSocket
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI, ProtocolError
from websockets.sync.client import ClientConnection as Socket
from websockets.sync.client import connect

from waqtor import errors
from waqtor.asking import Ask, given
from waqtor.errors import Error, NotSignedIn
from waqtor.following import ASK_S, Broken, broken

X = TypeVar("X")
Said = Mapping[str, Any]
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_RETRY_AFTER_S = 30.0
_OPEN_S, _CLOSE_S = 10.0, 2.0
_LARGEST_BYTES = 16 * 1024 * 1024
_MOST_SILENT_S = 3 * ASK_S
_POLICY = 1008
_FINAL = frozenset({1003, 1007, _POLICY, 1009})  # with these nobody gets further by coming back
_PROBLEMS = (OSError, EOFError, TimeoutError, ConnectionClosed, InvalidHandshake, InvalidURI, ProtocolError)
# Asking whether the other side is there is ours: a reader who is slow must not be taken for one who is dead.
_OPTIONS: dict[str, Any] = {
    "open_timeout": _OPEN_S,
    "close_timeout": _CLOSE_S,
    "ping_interval": None,
    "max_size": _LARGEST_BYTES,
}


class Line(Protocol):
    """Raises `Broken`, or an `Error` that another try would not mend."""

    def open(self) -> None: ...
    def say(self, said: Said) -> None: ...
    def hear(self, within_s: float) -> Said | None: ...
    def close(self) -> None: ...


class AsyncLine(Protocol):
    async def open(self) -> None: ...
    async def say(self, said: Said) -> None: ...
    async def hear(self, within_s: float) -> Said | None: ...
    async def close(self) -> None: ...


def there(line: X | None) -> X:
    if line is None:
        raise RuntimeError("nothing was opened yet")
    return line


def listening(topics: tuple[str, ...], since: int | None) -> Ask[None]:
    """The request of a stream over plain HTTP."""
    params = given(topic=list(topics) or None, since=since)
    return Ask("GET", "/events/stream", lambda _: None, params=params, timeout_s=_MOST_SILENT_S)


class WebSocketLine:
    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url = url
        self._headers = headers
        self._socket: Socket | None = None

    def open(self) -> None:
        try:
            self._socket = connect(_address(self._url), additional_headers=self._headers, **_OPTIONS)
        except _PROBLEMS as problem:
            raise _why(problem, self._url) from problem

    def say(self, said: Said) -> None:
        try:
            there(self._socket).send(json.dumps(said))
        except _PROBLEMS as problem:
            raise _why(problem, self._url) from problem

    def hear(self, within_s: float) -> Said | None:
        try:
            return _read(there(self._socket).recv(within_s))
        except TimeoutError:
            return None
        except _PROBLEMS as problem:
            raise _why(problem, self._url) from problem

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()


class AsyncWebSocketLine:
    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url = url
        self._headers = headers
        self._socket: AsyncSocket | None = None

    async def open(self) -> None:
        try:
            self._socket = await connect_async(_address(self._url), additional_headers=self._headers, **_OPTIONS)
        except _PROBLEMS as problem:
            raise _why(problem, self._url) from problem

    async def say(self, said: Said) -> None:
        try:
            await there(self._socket).send(json.dumps(said))
        except _PROBLEMS as problem:
            raise _why(problem, self._url) from problem

    async def hear(self, within_s: float) -> Said | None:
        try:
            async with asyncio.timeout(within_s):
                return _read(await there(self._socket).recv())
        except TimeoutError:
            return None
        except _PROBLEMS as problem:
            raise _why(problem, self._url) from problem

    async def close(self) -> None:
        if self._socket is not None:
            await self._socket.close()


class SseLine:
    """How long is waited for a word is the request's own timeout: the server says one often enough."""

    def __init__(self, http: httpx.Client, request: Mapping[str, Any]) -> None:
        self._http = http
        self._request = request
        self._response: httpx.Response | None = None
        self._lines: Iterator[str] = iter(())

    def open(self) -> None:
        try:
            self._response = self._http.send(self._http.build_request(**self._request), stream=True)
            if not _is_stream(self._response):
                self._response.read()
        except httpx.TransportError as problem:
            raise _lost(problem, self._request) from problem
        _look_at(self._response)
        self._lines = self._response.iter_lines()

    def say(self, said: Said) -> None:
        raise RuntimeError("server-sent events go one way")

    def hear(self, within_s: float) -> Said | None:
        block: dict[str, str] = {}
        try:
            for line in self._lines:
                if (said := _gathered(block, line)) is not None:
                    return said
        except (httpx.TransportError, httpx.StreamError) as problem:
            raise _lost(problem, self._request) from problem
        raise broken("The stream ended.")

    def close(self) -> None:
        if self._response is not None:
            self._response.close()


class AsyncSseLine:
    def __init__(self, http: httpx.AsyncClient, request: Mapping[str, Any]) -> None:
        self._http = http
        self._request = request
        self._response: httpx.Response | None = None
        self._lines: AsyncIterator[str] | None = None

    async def open(self) -> None:
        try:
            self._response = await self._http.send(self._http.build_request(**self._request), stream=True)
            if not _is_stream(self._response):
                await self._response.aread()
        except httpx.TransportError as problem:
            raise _lost(problem, self._request) from problem
        _look_at(self._response)
        self._lines = self._response.aiter_lines()

    async def say(self, said: Said) -> None:
        raise RuntimeError("server-sent events go one way")

    async def hear(self, within_s: float) -> Said | None:
        block: dict[str, str] = {}
        try:
            async for line in there(self._lines):
                if (said := _gathered(block, line)) is not None:
                    return said
        except (httpx.TransportError, httpx.StreamError) as problem:
            raise _lost(problem, self._request) from problem
        raise broken("The stream ended.")

    async def close(self) -> None:
        if self._response is not None:
            await self._response.aclose()


def _address(url: str) -> str:
    return f"ws{url.removeprefix('http')}/ws"


def _read(message: str | bytes) -> Said:
    said: Said = json.loads(message)
    return said


def _gathered(block: dict[str, str], line: str) -> Said | None:
    """What the lines up to an empty one say. An id alone means that everything up to it has been told."""
    if line:
        name, _, value = line.partition(":")
        block[name] = value.removeprefix(" ")
        return None
    data, seq = block.get("data"), block.get("id")
    block.clear()
    if data is not None:
        return _read(data)
    return None if seq is None else {"type": "pong", "seq": int(seq)}


def _why(problem: BaseException, url: str) -> Broken | Error:
    """What it means that a WebSocket did not open, or is no more."""
    match problem:
        case InvalidStatus():
            response = problem.response
            refused = errors.from_refusal(response.status_code, bytes(response.body or b"").decode(errors="replace"))
            after = response.headers.get("Retry-After", "")
            return _again(refused, after) if response.status_code in _AGAIN else refused
        case ConnectionClosed() if problem.rcvd is not None and problem.rcvd.code in _FINAL:
            code, reason = problem.rcvd.code, problem.rcvd.reason or "The server closed the connection."
            if code == _POLICY:
                return NotSignedIn(reason, code="not_signed_in", hint="Is the API key or access token still valid?")
            return Error(reason, code=f"closed_{code}")
        case InvalidURI():
            return errors.Invalid(f"{url} is no address of a server.", code="invalid", field="url")
    return broken(f"{url}: the connection broke ({type(problem).__name__}).")


def _lost(problem: Exception, request: Mapping[str, Any]) -> Broken:
    return broken(f"{request['url']}: the stream broke ({type(problem).__name__}).")


def _is_stream(response: httpx.Response) -> bool:
    return response.is_success and response.headers.get("content-type", "").startswith("text/event-stream")


def _look_at(response: httpx.Response) -> None:
    if _is_stream(response):
        return
    if response.is_success:
        raise Error("This is no stream of events.", code="unexplained", hint="Does something in between answer?")
    refused = errors.from_response(response)
    raise _again(refused, response.headers.get("retry-after", "")) if response.status_code in _AGAIN else refused


def _again(refused: Error, after: str) -> Broken:
    return Broken(refused, after_s=min(float(after), _LONGEST_RETRY_AFTER_S) if after.isdecimal() else 0.0)

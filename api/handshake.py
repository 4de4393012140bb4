"""The request that asks for a WebSocket, and what is answered to it (RFC 6455, section 4)."""

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from uvicorn.config import Config
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from websockets.exceptions import InvalidHeader, NegotiationError
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.headers import build_extension, parse_extension

WINDOW_BITS = 12
"""Ours, for what we send: enough for messages of a few kilobytes, and a fifth of the cost of 15."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_VERSION = b"13"
_LEAST_BITS = 9  # zlib writes no raw stream with a smaller window
_deflate = ServerPerMessageDeflateFactory(
    # Each message by itself, both ways: ours is shared by many, theirs costs no memory between two messages.
    server_no_context_takeover=True,
    client_no_context_takeover=True,
    server_max_window_bits=WINDOW_BITS,
)


class Refused(Exception):
    """Not a request for a WebSocket as RFC 6455 wants it."""

    def __init__(self, status: HTTPStatus, why: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        super().__init__(why)
        self.status = status
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Head:
    """`headers`: names in small letters, in the order in which they came."""

    path: bytes
    query: bytes
    headers: list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Compression:
    """What was agreed; `window_bits` is 0 where nothing was, and `header` empty."""

    window_bits: int
    header: bytes


PLAIN = Compression(0, b"")


def read(head: bytes) -> Head:
    """`head` up to and with the empty line, as the HTTP parser passes it on: it is well-formed."""
    lines = head[:-4].split(b"\r\n")
    _, target, _ = lines[0].split(b" ", 2)
    path, _, query = target.partition(b"?")
    headers = []
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        headers.append((name.lower(), value.strip()))
    return Head(path, query, headers)


def accepted_key(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The proof that we understood. Raises `Refused`."""
    found = dict(headers)
    if b"upgrade" not in {one.strip().lower() for one in found.get(b"connection", b"").split(b",")}:
        raise Refused(HTTPStatus.BAD_REQUEST, "The header Connection does not say Upgrade.")
    if found.get(b"sec-websocket-version") != _VERSION:
        newer = ((b"sec-websocket-version", _VERSION),)
        raise Refused(HTTPStatus.UPGRADE_REQUIRED, "Only version 13 of the protocol is spoken here.", newer)
    key = found.get(b"sec-websocket-key", b"")
    try:
        is_key = len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        is_key = False
    if not is_key:
        raise Refused(HTTPStatus.BAD_REQUEST, "The header Sec-WebSocket-Key is not 16 bytes in base64.")
    return base64.b64encode(hashlib.sha1(key + _GUID).digest())  # noqa: S324  the standard's choice; no secret


def scope(head: Head, config: Config, transport: asyncio.Transport) -> dict[str, Any]:
    """What an ASGI app is told of the connection."""
    root = config.root_path
    return {
        "type": "websocket",
        "asgi": {"version": config.asgi_version, "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "wss" if is_ssl(transport) else "ws",
        "server": get_local_addr(transport),
        "client": get_remote_addr(transport),
        "root_path": root,
        "path": root + unquote(head.path.decode("latin-1")),
        "raw_path": root.encode() + head.path,
        "query_string": head.query,
        "headers": head.headers,
        "subprotocols": [
            one.strip().decode("latin-1")
            for name, value in head.headers
            if name == b"sec-websocket-protocol"
            for one in value.split(b",")
        ],
    }


@lru_cache(maxsize=256)
def compression(offered: bytes) -> Compression:
    """What we agree to of what a client offers in Sec-WebSocket-Extensions. Browsers all offer the same."""
    try:
        offers = parse_extension(offered.decode("latin-1"))
    except InvalidHeader:
        return PLAIN
    for name, parameters in offers:
        if name != PerMessageDeflate.name:
            continue
        try:
            agreed, extension = _deflate.process_request_params(parameters, [])
        except NegotiationError:
            continue
        if extension.local_max_window_bits < _LEAST_BITS:
            continue
        header = build_extension([(name, list(agreed))]).encode()
        return Compression(extension.local_max_window_bits, header)
    return PLAIN


def switching(key: bytes, agreed: Compression, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The answer 101."""
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + key,
        *([b"Sec-WebSocket-Extensions: " + agreed.header] if agreed.header else ()),
        *(name + b": " + value for name, value in headers),
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def refusal(status: HTTPStatus, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}".encode(),
        b"Connection: close",
        b"Content-Length: " + str(len(body)).encode(),
        *(name + b": " + value for name, value in headers if name.lower() not in (b"connection", b"content-length")),
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body

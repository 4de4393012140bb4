"""WebSocket frames (RFC 6455) and their compression (RFC 7692), made once for however many get them."""

import struct
import zlib
from collections.abc import Collection

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
WORTH_COMPRESSING = 256
"""Bytes. Below it the frame would hardly shrink, and every receiver would have to inflate it."""

_FINAL, _COMPRESSED = 0x80, 0x40
_TAIL = b"\x00\x00\xff\xff"
_LEVEL, _MEMORY = 6, 5
_MAX_REASON = 123


def frame(opcode: int, payload: bytes, *, is_compressed: bool = False) -> bytes:
    """As a server sends it: whole and unmasked."""
    first = _FINAL | (_COMPRESSED if is_compressed else 0) | opcode
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65536:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


def close(code: int, reason: str = "") -> bytes:
    told = reason.encode()[:_MAX_REASON].decode(errors="ignore").encode()
    return frame(CLOSE, struct.pack("!H", code) + told)


def deflated(payload: bytes, *, window_bits: int) -> bytes:
    """By itself: it refers to no message before it, so it may be given to anybody at any time."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -window_bits, _MEMORY)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[: -len(_TAIL)]


class TooBig(Exception):
    """Inflated, the message is larger than it may be."""


def inflated(payload: bytes, *, at_most: int) -> bytes:
    """Of a peer that compresses each message by itself. Raises `TooBig` before more than `at_most` bytes are made,
    `zlib.error` where it cannot be inflated."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    data = inflater.decompress(payload + _TAIL, at_most + 1)
    if len(data) > at_most:
        raise TooBig
    return data


class Prepared:
    """A text message for many: each form of its frame is made when the first receiver needs it, and then shared."""

    __slots__ = ("_deflated", "payload", "plain")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.plain = frame(TEXT, payload)
        self._deflated: dict[int, bytes] = {}

    @property
    def is_worth_compressing(self) -> bool:
        return len(self.payload) >= WORTH_COMPRESSING

    @property
    def deflations(self) -> Collection[bytes]:
        """The compressed forms that were made."""
        return self._deflated.values()

    def frame(self, window_bits: int) -> bytes:
        """`window_bits`: what the receiver agreed to; 0 where it does not inflate."""
        if not window_bits or not self.is_worth_compressing:
            return self.plain
        made = self._deflated.get(window_bits)
        if made is None:
            made = frame(TEXT, deflated(self.payload, window_bits=window_bits), is_compressed=True)
            self._deflated[window_bits] = made
        return made

"""A WebSocket client that sends whatever it is told to, right or wrong, byte by byte."""

import asyncio
import base64
import os
import struct
import zlib
from dataclasses import dataclass

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
DEFLATE = "permessage-deflate; client_max_window_bits"


def frame(opcode: int, payload: bytes = b"", *, fin: int = 0x80, rsv: int = 0, masked: bool = True) -> bytes:
    size = len(payload)
    head = bytes([fin | rsv | opcode])
    mark = 0x80 if masked else 0
    if size < 126:
        head += bytes([mark | size])
    elif size < 65536:
        head += struct.pack("!BH", mark | 126, size)
    else:
        head += struct.pack("!BQ", mark | 127, size)
    if not masked:
        return head + payload
    mask = b"\x01\x02\x03\x04"
    return head + mask + bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


def close_frame(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


def deflated(payload: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


@dataclass
class Peer:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    answer: bytes
    window_bits: int = 15
    """What the server may compress with."""

    def send(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))

    async def next(self) -> tuple[int, bytes]:
        """Opcode and payload, inflated."""
        async with asyncio.timeout(10):
            first, second = await self.reader.readexactly(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
            payload = await self.reader.readexactly(size)
        if first & 0x40:
            payload = zlib.decompressobj(-self.window_bits).decompress(payload + b"\x00\x00\xff\xff")
        return first & 0x0F, payload

    async def code(self) -> int:
        """Of the goodbye; what comes before it is passed over."""
        while (one := await self.next())[0] != CLOSE:
            pass
        return int(struct.unpack("!H", one[1][:2])[0]) if one[1] else 1005


async def joined(port: int, *, path: str = "/", extensions: str = "", **headers: str) -> Peer:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    wanted = {
        "Host": "x",
        "Upgrade": "websocket",
        "Connection": "keep-alive, Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        **({"Sec-WebSocket-Extensions": extensions} if extensions else {}),
        **headers,
    }
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in wanted.items())]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
    async with asyncio.timeout(10):
        return Peer(reader, writer, await reader.readuntil(b"\r\n\r\n"))

"""Frames that hardly ever come (fragments, closing, whatever is malformed), read by the `websockets` library."""

import logging
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Farewell:
    """The library has said goodbye; `answered`: the peer has too."""

    code: int
    reason: str
    answered: bool


class RareFrames:
    """Of one connection, made when the first comes. `window_bits` 0: nothing is compressed."""

    __slots__ = ("_library", "_opcode", "_parts")

    def __init__(self, *, max_size: int, window_bits: int) -> None:
        self._library = Protocol(Side.SERVER, state=State.OPEN, max_size=max_size, logger=logger)
        if window_bits:
            self._library.extensions = [PerMessageDeflate(True, True, zlib.MAX_WBITS, window_bits)]
        self._opcode = Opcode.TEXT
        self._parts: bytearray | None = None

    @property
    def is_within(self) -> bool:
        """Between the first and the last part of a message."""
        return self._library.current_size is not None

    def read(self, raw: bytes) -> Iterator[tuple[Opcode, bytes]]:
        """The messages that are whole with these frames, by kind."""
        self._library.receive_data(raw)
        for event in self._library.events_received():
            if (payload := self._whole_with(cast(Frame, event))) is not None:  # an empty one is a message too
                yield self._opcode, bytes(payload)

    def answers(self) -> list[bytes]:
        return [written for written in self._library.data_to_send() if written]

    @property
    def farewell(self) -> Farewell | None:
        library = self._library
        if library.close_sent is None:
            return None
        told = library.close_rcvd or library.close_sent
        return Farewell(told.code, told.reason, answered=library.close_rcvd is not None)

    def _whole_with(self, one: Frame) -> bytearray | None:
        if one.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._opcode = Opcode(one.opcode)
        elif one.opcode != Opcode.CONT:
            return None
        self._parts = self._parts or bytearray()
        self._parts += one.data
        if not one.fin:
            return None
        payload, self._parts = self._parts, None
        return payload

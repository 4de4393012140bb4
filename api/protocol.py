"""WebSocket connections for uvicorn (`ws="api.protocol:WebSocket"`), as an ordinary ASGI server speaks them.

Whole text frames, ping and pong are read here, and frames that are prepared once are written to many. What is rare
(fragments, closing, everything malformed) is left to the `websockets` library, which knows the standard. Why not all:
docs/decisions/0016-the-gateway-reads-whole-frames-itself.md.
"""

import asyncio
import logging
import sys
import zlib
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.server import ServerState
from websockets.frames import Opcode

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform without the compiled part
    from websockets.utils import apply_mask

from api import frames, handshake
from api.frames import Prepared
from api.handshake import PLAIN, Compression, Refused
from api.mailbox import Mailbox
from api.rare_frames import Farewell, RareFrames

EXTENSION = "waqtor.connection"
"""The key in `scope["extensions"]` under which an app finds the connection itself."""
BUFFER_BYTES = 512 * 1024
"""What may wait for a reader. Above it nothing more is added (SPEC, A2)."""

_WHOLE = 0x80
_RSV1, _RSV2_3 = 0x40, 0x30
_MASKED = 0x80
_LONG, _VERY_LONG = 126, 127
_QUEUED = 64
_SMALL_PART = 1024  # bytes; who says a megabyte in larger parts says one message
_CLOSE_WAIT_S = 2.0
_OUR_MISTAKE = "Something went wrong here, not in your message."
_GONE = {"type": "websocket.disconnect", "code": 1005}
_ABNORMAL = {"type": "websocket.disconnect", "code": 1006}
logger = logging.getLogger(__name__)


def _without_end() -> int:
    return sys.maxsize


class WebSocket(asyncio.Protocol):
    """One connection. `on_text`, where an app sets it, gets each text message at once and without a task; what is
    written meanwhile leaves together."""

    __slots__ = (
        "_agreed",
        "_app_state",
        "_closing",
        "_config",
        "_corked",
        "_is_deaf",
        "_is_open",
        "_is_paused",
        "_key",
        "_loop",
        "_mailbox",
        "_needed",
        "_pending",
        "_rare",
        "_refusal",
        "_server_state",
        "_timer",
        "_writable",
        "heard",
        "max_size",
        "may_say",
        "on_text",
        "transport",
        "waiting",
        "window_bits",
        "write_now",
    )

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self._loop = _loop or asyncio.get_event_loop()
        self.transport: asyncio.Transport
        self.max_size = config.ws_max_size
        self.on_text: Callable[[bytes], None] | None = None
        self.may_say: Callable[[], bool] | None = None
        """Asked for each message, ping and small part of a message before anything is made of it; False passes it over.
        A part cannot be passed over: that it was refused only counts."""
        self.heard = 0.0
        """When the peer was last heard of, in the loop's time."""
        self.window_bits = 0
        """For `Prepared.frame`; 0: this peer does not inflate."""
        self._is_open = False
        self._closing = False
        self.waiting: Callable[[], int] = _without_end
        """Bytes that the peer has not taken yet; without end where it is not open."""
        self.write_now: Callable[[bytes], None]
        """Of the transport, past what is joined: for a message to many, whose moment is not that of a reading."""
        self._is_paused = False
        self._is_deaf = False
        self._key = b""
        self._agreed: Compression = PLAIN
        self._pending: bytearray | None = None
        self._needed = 0
        self._rare: RareFrames | None = None
        self._mailbox = Mailbox(self._loop)
        self._corked: list[bytes] | None = None
        self._refusal: tuple[HTTPStatus, list[tuple[bytes, bytes]], bytes] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._writable: asyncio.Event | None = None

    # --- what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._server_state.connections.add(self)  # type: ignore[arg-type]  # uvicorn names its own classes only
        self.transport.set_write_buffer_limits(high=BUFFER_BYTES)
        self.write_now = self.transport.write

    def connection_lost(self, exc: Exception | None) -> None:
        self._server_state.connections.discard(self)
        self._mailbox.put(_GONE if self._is_open else _ABNORMAL)
        self._is_open = False
        self._close_books()
        if self._timer is not None:
            self._timer.cancel()
        if self._writable is not None:
            self._writable.set()

    def pause_writing(self) -> None:
        self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    def shutdown(self) -> None:
        """uvicorn ends: it waits for the app's tasks and for the connections to go."""
        self.close(1012, "The server restarts.")

    def data_received(self, data: bytes) -> None:
        self.heard = self._loop.time()
        if self._is_deaf:
            return
        if self._pending:
            self._pending += data
            if len(self._pending) < self._needed:  # a large frame that comes in many pieces
                return
            data = bytes(self._pending)
            self._pending = None
        if not self._key:
            self._begin(data)
            return
        if not self._is_open and not self._closing:
            self._pending = bytearray(data)  # before our 101: to be read after it
            if len(data) > self.max_size:
                self.abort()
            return
        self.hold()
        try:
            rest = self._take(data)
        finally:
            self.let_go()
        if rest:
            self._pending = bytearray(rest)

    # --- the handshake

    def _begin(self, data: bytes) -> None:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._pending = bytearray(data)
            return
        head = handshake.read(data[: end + 4])
        self._pending = bytearray(data[end + 4 :])
        try:
            self._key = handshake.accepted_key(head.headers)
        except Refused as refused:
            if turned_away := getattr(self._config.app, "turned_away", None):  # an app that wants to know
                turned_away("malformed")
            self._answer(refused.status, list(refused.headers), str(refused).encode())
            return
        if self._config.ws_per_message_deflate:
            offers = b", ".join(value for name, value in head.headers if name == b"sec-websocket-extensions")
            self._agreed = handshake.compression(offers) if offers else PLAIN
        scope = handshake.scope(head, self._config, self.transport)
        scope |= {"state": self._app_state.copy(), "extensions": {"websocket.http.response": {}, EXTENSION: self}}
        self._mailbox.put({"type": "websocket.connect"})
        task = self._loop.create_task(self._run(scope))
        self._server_state.tasks.add(task)
        task.add_done_callback(self._server_state.tasks.discard)

    async def _run(self, scope: dict[str, Any]) -> None:
        try:
            await self._config.loaded_app(scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except Exception:  # the last place that can say goodbye
            logger.exception("websocket_failed")
            if self._is_open:
                self.close(1011, _OUR_MISTAKE)
        if not self._is_open and not self.transport.is_closing():
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, [], b"")

    def _answer(self, status: HTTPStatus, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self._close_books()
        self._mailbox.put(_ABNORMAL)
        self.transport.write(handshake.refusal(status, headers, body))
        self.transport.close()

    # --- reading

    def _take(self, data: bytes) -> bytes:
        """Every whole frame in `data`; returns the beginning of one that is not whole yet."""
        at, size = 0, len(data)
        self._needed = 0
        while size - at >= 2 and not self.transport.is_closing():
            first, second = data[at], data[at + 1]
            if not second & _MASKED:
                return self._lose(data[at:])
            length, start = second & 0x7F, at + 2
            if length == _LONG:
                start += 2
                length = int.from_bytes(data[at + 2 : start])
            elif length == _VERY_LONG:
                start += 8
                length = int.from_bytes(data[at + 2 : start])
            start += 4
            if size < start:
                break
            end = start + length
            if length > self.max_size:
                return self._lose(data[at:end])
            if size < end:
                self._needed = end - at
                break
            if not self._closing and self._is_refused(first, length):
                at = end
                continue
            if self._closing or (first & _WHOLE and not first & _RSV2_3):
                self._whole(first, data, at, start, end)
            else:
                self._ask_library(data[at:end])
            if self._is_deaf:
                return b""
            at = end
        return data[at:]

    def _is_refused(self, first: int, length: int) -> bool:
        opcode = first & 0x0F
        is_message = opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.PING)
        is_small_part = opcode == Opcode.CONT and length < _SMALL_PART
        if self.may_say is None or not (is_message or is_small_part) or self.may_say():
            return False
        return is_message and bool(first & _WHOLE)

    def _lose(self, data: bytes) -> bytes:
        """Where the next frame begins cannot be told any more: the library says why, and nothing more is read."""
        if not self._closing:
            self._ask_library(data)
        self._is_deaf = True
        return b""

    def _whole(self, first: int, data: bytes, at: int, start: int, end: int) -> None:
        opcode = first & 0x0F
        if self._closing:
            if opcode == Opcode.CLOSE:  # the answer to our goodbye
                self.transport.close()
            return
        is_compressed = bool(first & _RSV1)
        is_small = end - start < _LONG
        within = self._rare is not None and self._rare.is_within
        if opcode == Opcode.TEXT and not within and (not is_compressed or self._agreed.window_bits):
            payload = apply_mask(data[start:end], data[start - 4 : start])
            if is_compressed:
                try:
                    payload = frames.inflated(payload, at_most=self.max_size)
                except frames.TooBig:
                    self.close(1009, f"Inflated, a message may have {self.max_size:,} bytes.")
                    return
                except zlib.error:
                    self.close(1007, "The message cannot be inflated.")
                    return
            self._text(payload)
        elif opcode == Opcode.PING and is_small and not is_compressed:
            if not self.room():  # of pings that come faster than pongs are read not each has to be answered
                return
            self.write(frames.frame(frames.PONG, apply_mask(data[start:end], data[start - 4 : start])))
        elif opcode == Opcode.PONG and is_small and not is_compressed:
            pass  # `heard` says it
        else:
            if opcode == Opcode.CLOSE and within:  # it may come between the parts of a message
                self._rare = None
            self._ask_library(data[at:end])

    def _text(self, payload: bytes) -> None:
        try:
            text = payload.decode()
        except UnicodeDecodeError:
            self.close(1007, "A text message has to be UTF-8.")
            return
        if self.on_text is not None:
            try:
                self.on_text(payload)
            except Exception:  # the last place that can say goodbye
                logger.exception("websocket_failed")
                self.close(1011, _OUR_MISTAKE)
            return
        self._received({"type": "websocket.receive", "text": text})

    def _received(self, event: dict[str, Any]) -> None:
        if self._closing:
            return
        self._mailbox.put(event)
        if len(self._mailbox) >= _QUEUED and not self._is_paused:
            self._is_paused = True
            self.transport.pause_reading()

    def _ask_library(self, raw: bytes) -> None:
        if self._rare is None:
            self._rare = RareFrames(max_size=self.max_size, window_bits=self._agreed.window_bits)
        for kind, payload in self._rare.read(raw):
            if kind == Opcode.TEXT:
                self._text(payload)
            else:
                self._received({"type": "websocket.receive", "bytes": payload})
        for written in self._rare.answers():
            self.write(written)
        if farewell := self._rare.farewell:
            self._ended(farewell)

    # --- writing

    @property
    def is_open(self) -> bool:
        return self._is_open and not self._closing

    def room(self) -> bool:
        """It is open, and the peer reads fast enough to be given more."""
        return self.waiting() <= BUFFER_BYTES

    def _close_books(self) -> None:
        """Nothing more is written but a goodbye."""
        self._closing = True
        self.waiting = _without_end

    def write(self, data: bytes) -> None:
        """Frames, in order with everything else that is written."""
        if self._corked is not None:
            self._corked.append(data)
        elif not self.transport.is_closing():
            self.transport.write(data)

    def hold(self) -> None:
        """What is written from here on leaves together, by `let_go`. Nothing may be waited for in between."""
        self._corked = []

    def let_go(self) -> None:
        corked, self._corked = self._corked, None
        if corked and not self.transport.is_closing():
            self.transport.write(b"".join(corked))

    def give(self, message: Prepared) -> int:
        """Returns the size of the frame."""
        data = message.frame(self.window_bits)
        self.write(data)
        return len(data)

    def close(self, code: int, reason: str = "") -> None:
        """Says goodbye and waits for the answer, for `_CLOSE_WAIT_S` at most."""
        if self._closing or not self._is_open:
            if not self._is_open and not self.transport.is_closing():
                self.transport.close()
            return
        self.write(frames.close(code, reason))
        self._mailbox.put({"type": "websocket.disconnect", "code": code, "reason": reason, "ours": True})
        self._close_books()
        self._timer = self._loop.call_later(_CLOSE_WAIT_S, self.transport.abort)
        if self._is_paused:  # the peer's answer is behind what nobody will read
            self._is_paused = False
            self.transport.resume_reading()

    def abort(self) -> None:
        """At once: nobody is there, or what waits for the peer must not be kept."""
        self.transport.abort()

    def _ended(self, farewell: Farewell) -> None:
        """Where the peer has said goodbye too, that is all; else its answer is waited for: a connection closed over
        unread bytes is reset, and the goodbye is lost with it."""
        if not self._closing:
            told = {"code": farewell.code, "reason": farewell.reason, "ours": not farewell.answered}
            self._mailbox.put({"type": "websocket.disconnect", **told})
        self._close_books()
        if farewell.answered:
            corked, self._corked = self._corked, []
            if corked:
                self.transport.write(b"".join(corked))
            self.transport.close()
        elif self._timer is None:
            self._timer = self._loop.call_later(_CLOSE_WAIT_S, self.transport.abort)

    # --- ASGI

    def leave_to(self, told: Callable[[dict[str, Any]], None]) -> None:
        """From here on `told` gets what the app would `receive`, up to one disconnect, and the app may return: a
        connection on which nothing happens then has neither a task nor what the app held for it."""
        self._mailbox.leave_to(told)

    async def receive(self) -> dict[str, Any]:
        event = await self._mailbox.get()
        if self._is_paused and not self._mailbox:
            self._is_paused = False
            self.transport.resume_reading()
        return event

    async def send(self, message: Any) -> None:
        if self._writable is not None:
            await self._writable.wait()
        kind = message["type"]
        if self._refusal is not None and kind == "websocket.http.response.body":
            status, headers, body = self._refusal
            self._refusal = (status, headers, body + message.get("body", b""))
            if not message.get("more_body", False):
                self._answer(*self._refusal)
            return
        if self._closing or self.transport.is_closing():
            raise ClientDisconnected
        if kind == "websocket.send":
            text = message.get("text")
            opcode = frames.TEXT if text is not None else Opcode.BINARY
            self.write(frames.frame(opcode, text.encode() if text is not None else message["bytes"]))
        elif kind == "websocket.accept":
            self._accept(message)
        elif kind == "websocket.close":
            if self._is_open:
                self.close(message.get("code", 1000), message.get("reason") or "")
            else:
                self._answer(HTTPStatus.FORBIDDEN, [], b"")
        elif kind == "websocket.http.response.start":
            self._refusal = (HTTPStatus(message["status"]), list(message.get("headers", [])), b"")
        else:
            raise RuntimeError(f"unexpected ASGI message {kind}")

    def _accept(self, message: Any) -> None:
        headers = list(message.get("headers", []))
        if subprotocol := message.get("subprotocol"):
            headers.append((b"Sec-WebSocket-Protocol", subprotocol.encode()))
        self._is_open = True
        self.waiting = self.transport.get_write_buffer_size
        self.window_bits = self._agreed.window_bits
        self.heard = self._loop.time()
        self.write(handshake.switching(self._key, self._agreed, headers))
        if early := self._pending:
            self._pending = None
            self._loop.call_soon(self.data_received, bytes(early))

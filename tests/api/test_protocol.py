"""The standard, frame by frame (RFC 6455, RFC 7692): what the peer sends wrongly ends with the code that says so, and
what it may send is understood however it is cut up."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.local import free_port
from wire import BINARY, CLOSE, DEFLATE, PING, PONG, TEXT, close_frame, deflated, frame, joined

MOST = 64 * 1024


async def echo(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] != "websocket.disconnect":
        await send({**event, "type": "websocket.send"})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    number = free_port()
    config = uvicorn.Config(
        echo, port=number, ws="api.protocol:WebSocket", ws_max_size=MOST, lifespan="off", log_config=None
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield number
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(frame(TEXT, b"x", masked=False), 1002, id="not masked"),
        pytest.param(frame(TEXT, b"x", rsv=0x40), 1002, id="compressed, which was not agreed"),
        pytest.param(frame(TEXT, b"x", rsv=0x20), 1002, id="a reserved bit"),
        pytest.param(frame(0x3, b"x"), 1002, id="an opcode that is none"),
        pytest.param(frame(0xB), 1002, id="a control opcode that is none"),
        pytest.param(frame(PING, b"x" * 126), 1002, id="a ping too long"),
        pytest.param(frame(PING, b"x", fin=0), 1002, id="a ping in parts"),
        pytest.param(frame(0x0, b"x"), 1002, id="a continuation of nothing"),
        pytest.param(frame(TEXT, b"x", fin=0) + frame(TEXT, b"x"), 1002, id="a new message within one"),
        pytest.param(frame(TEXT, b"\xff\xfe"), 1007, id="text that is not UTF-8"),
        pytest.param(frame(TEXT, b"\xd8", fin=0) + frame(0x0, b"x"), 1007, id="parts that are not UTF-8 together"),
        pytest.param(frame(TEXT, b"x" * (MOST + 1)), 1009, id="too large"),
        pytest.param(frame(TEXT, b"x" * MOST, fin=0) + frame(0x0, b"x"), 1009, id="too large in parts"),
        pytest.param(b"\x81\xff" + b"\x7f" + b"\xff" * 7 + b"\0\0\0\0", 1009, id="a length of 2^63 - 1"),
        pytest.param(close_frame(1000, b"bye"), 1000, id="a goodbye"),
        pytest.param(close_frame(4999), 4999, id="a goodbye of their own"),
        pytest.param(frame(CLOSE), 1005, id="a goodbye without a code"),
        pytest.param(frame(CLOSE, b"\x03"), 1002, id="a goodbye of one byte"),
        pytest.param(close_frame(1006), 1002, id="1006 is only ever observed"),
        pytest.param(close_frame(999), 1002, id="a code that is none"),
        pytest.param(close_frame(1000, b"\xff"), 1007, id="a reason that is not UTF-8"),
    ],
)
async def test_what_may_not_be_sent_ends_with_its_code(port: int, sent: bytes, code: int) -> None:
    peer = await joined(port)
    peer.send(sent)
    assert await peer.code() == code
    peer.send(close_frame(1000))
    with suppress(ConnectionResetError):  # it was faster, and our answer found nobody
        async with asyncio.timeout(10):
            assert await peer.reader.read() == b""


async def test_what_may_be_sent_is_understood(port: int) -> None:
    peer = await joined(port)
    long = "سلام ".encode() * 5_000
    peer.send(frame(TEXT, b""), frame(TEXT, long), frame(BINARY, b"\x00\xff"))
    assert [await peer.next() for _ in range(3)] == [(TEXT, b""), (TEXT, long), (BINARY, b"\x00\xff")]
    peer.send(frame(TEXT, b"in ", fin=0), frame(PING, b"between"), frame(0x0, b"par", fin=0), frame(0x0, b"ts"))
    assert [await peer.next() for _ in range(2)] == [(PONG, b"between"), (TEXT, b"in parts")]
    peer.send(frame(PONG, b"unasked"), frame(TEXT, b"a") + frame(TEXT, b"b"))
    assert [await peer.next() for _ in range(2)] == [(TEXT, b"a"), (TEXT, b"b")]


async def test_compressed_messages(port: int) -> None:
    peer = await joined(port, extensions=DEFLATE)
    assert b"permessage-deflate; server_no_context_takeover; client_no_context_takeover" in peer.answer
    text = "سلام ".encode() * 1_000
    half = deflated(text)
    peer.send(
        frame(TEXT, deflated(text), rsv=0x40),
        frame(TEXT, half[:50], rsv=0x40, fin=0),
        frame(PING),
        frame(0x0, half[50:]),
        frame(TEXT, b"plain"),
    )
    got = [await peer.next() for _ in range(4)]
    assert [one for one in got if one[0] == TEXT] == [(TEXT, text), (TEXT, text), (TEXT, b"plain")]
    assert (PONG, b"") in got


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(frame(TEXT, deflated(b"\0" * 50_000_000), rsv=0x40), 1009, id="a bomb"),
        pytest.param(frame(TEXT, deflated(b"\0" * 50_000_000)[:20_000], rsv=0x40, fin=0), 1009, id="a bomb in parts"),
        pytest.param(frame(TEXT, b"\xff\xff\xff", rsv=0x40), 1007, id="nothing that can be inflated"),
        pytest.param(frame(PING, b"x", rsv=0x40), 1002, id="a compressed ping"),
    ],
)
async def test_compressed_nonsense(port: int, sent: bytes, code: int) -> None:
    peer = await joined(port, extensions=DEFLATE)
    peer.send(sent)
    assert await peer.code() == code


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 400), max_size=12), texts=st.lists(st.binary(max_size=300), min_size=1, max_size=5))
async def test_it_does_not_matter_where_the_network_cuts(port: int, cuts: list[int], texts: list[bytes]) -> None:
    peer = await joined(port)
    data = b"".join(frame(BINARY, one) for one in texts)
    at = 0
    for cut in sorted(cuts):
        peer.writer.write(data[at:cut])
        await asyncio.sleep(0)
        at = max(at, min(cut, len(data)))
    peer.writer.write(data[at:])
    assert [await peer.next() for _ in texts] == [(BINARY, one) for one in texts]
    peer.writer.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(min_size=1, max_size=200))
async def test_noise_harms_nobody_else(port: int, noise: bytes) -> None:
    peer, other = await joined(port, extensions=DEFLATE), await joined(port)
    peer.writer.write(noise)
    peer.writer.close()
    other.send(frame(TEXT, b"still here"))
    assert await other.next() == (TEXT, b"still here")
    other.writer.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-WebSocket-Version": "8"}, b"426"),
        ({"Sec-WebSocket-Key": "short"}, b"400"),
        ({"Sec-WebSocket-Key": "not base64!"}, b"400"),
    ],
)
async def test_a_handshake_that_is_none(port: int, headers: dict[str, str], status: bytes) -> None:
    peer = await joined(port, **headers)
    assert peer.answer.split()[1] == status
    assert (b"sec-websocket-version: 13" in peer.answer.lower()) == (status == b"426")


@pytest.mark.parametrize("extensions", ["nonsense; =", "permessage-deflate; server_max_window_bits=8", "x-unknown"])
async def test_an_offer_that_is_not_taken_leaves_it_plain(port: int, extensions: str) -> None:
    peer = await joined(port, extensions=extensions)
    assert b"101" in peer.answer
    assert b"Extensions" not in peer.answer
    peer.send(frame(TEXT, b"x" * 1_000))
    assert await peer.next() == (TEXT, b"x" * 1_000)

"""The case groups of the Autobahn test suite, by their numbers, against the API process: whole, and octet by octet.

The gateway takes commands and no mere text. What shows that a message was read whole and unchanged is the answer: a
pong with the id that was said, or the error that it is no command.
"""

import asyncio
import json
import struct
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from serving import Process, api_process, made_key, new_installation
from wire import BINARY, CLOSE, CONT, DEFLATE, PING, PONG, TEXT, Peer, close_frame, deflated, frame, joined

MOST = 1024 * 1024
LENGTHS = (0, 125, 126, 127, 128, 65535, 65536)
NO_COMMAND, NO_TEXT = "not_understood", "only text"
Answer = bytes | str | int | tuple[str, str]
"""Bytes of a pong, an error, the code of a goodbye, or a command that was answered with its id."""


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Process]:
    with pytest.MonkeyPatch.context() as environment:
        for name in ("MESSAGES_PER_S", "MESSAGES_AT_ONCE", "PER_PRINCIPAL", "PER_ADDRESS"):
            environment.setenv(f"WAQTOR_LIVE_{name}", "1000000")
        environment.setenv("WAQTOR_REQUESTS_PER_S", "1000000")
        settings = new_installation(tmp_path_factory.mktemp("rfc"), sqlite_template)
        with api_process(settings) as process:
            yield process
    log = process.log.read_text()
    assert "Traceback" not in log, log


@pytest.fixture(scope="module")
def key(process: Process) -> str:
    return made_key(process.settings)


@asynccontextmanager
async def at_gateway(process: Process, key: str, *, extensions: str = "") -> AsyncIterator[Peer]:
    """Connected, and past the welcome."""
    port = int(process.url.rpartition(":")[2])
    peer = await joined(port, path="/ws", extensions=extensions, **{"X-API-Key": key})
    assert b" 101 " in peer.answer, peer.answer
    for kind in ("welcome", "session_state"):
        assert json.loads((await peer.next())[1])["type"] == kind
    try:
        yield peer
    finally:
        peer.writer.close()


def said(id_: str, *, size: int = 0) -> bytes:
    """A command of `size` bytes at least."""
    return json.dumps({"type": "ping", "id": id_}, ensure_ascii=False).encode().ljust(size)


def text(id_: str, **more: Any) -> bytes:
    return frame(TEXT, said(id_), **more)


def cut(payload: bytes, size: int, *, opcode: int = TEXT, rsv: int = 0) -> list[bytes]:
    """A message in fragments of `size`."""
    parts = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
    return [
        frame(CONT if number else opcode, part, fin=0x80 if number == len(parts) - 1 else 0, rsv=0 if number else rsv)
        for number, part in enumerate(parts)
    ]


async def heard(peer: Peer) -> Answer:
    opcode, payload = await peer.next()
    if opcode == PONG:
        return payload
    if opcode == CLOSE:
        return int(struct.unpack("!H", payload[:2])[0]) if payload else 1005
    answer = json.loads(payload)
    if answer["type"] == "pong":
        return "pong", answer["id"]
    return NO_TEXT if answer["message"].startswith("Only text") else str(answer["code"])


async def converse(peer: Peer, sent: bytes, wanted: Sequence[Answer], *, chop: int) -> None:
    with suppress(ConnectionError):  # it was told goodbye before it had said everything
        for at in range(0, len(sent), chop):
            peer.writer.write(sent[at : at + chop])
            await peer.writer.drain()
    assert [await heard(peer) for _ in wanted] == list(wanted)
    if wanted and wanted[-1] == 1009:
        return  # where the next frame begins is not known any more, so our goodbye would not be read
    if wanted and isinstance(wanted[-1], int):
        with suppress(ConnectionError):  # it is gone already, or our goodbye found nobody
            peer.send(close_frame(1000))
            async with asyncio.timeout(10):
                assert await peer.reader.read() == b"", "after the goodbye comes nothing"
        return
    peer.send(text("still here"))
    assert await heard(peer) == ("pong", "still here")


def case(number: str, *sent: bytes, answers: Sequence[Answer]) -> Any:
    return pytest.param(b"".join(sent), answers, id=number)


FRAMING = [
    *(case(f"1.1 text of {n}", frame(TEXT, said("x", size=n)), answers=[("pong", "x")]) for n in LENGTHS if n),
    case("1.1 text of 0", frame(TEXT), answers=[NO_COMMAND]),
    *(case(f"1.2 binary of {n}", frame(BINARY, b"\xfe" * n), answers=[NO_TEXT]) for n in LENGTHS),
]
PINGS = [
    case("2.1 empty", frame(PING), answers=[b""]),
    case("2.2 text", frame(PING, b"Hello, world!"), answers=[b"Hello, world!"]),
    case("2.3 binary", frame(PING, b"\x00\xff\xfe\xfd\xfc"), answers=[b"\x00\xff\xfe\xfd\xfc"]),
    case("2.4 of 125", frame(PING, b"\xfe" * 125), answers=[b"\xfe" * 125]),
    case("2.5 of 126", frame(PING, b"\xfe" * 126), answers=[1002]),
    case("2.7 a pong nobody asked for", frame(PONG), answers=[]),
    case("2.8 the same with a payload", frame(PONG, b"unsolicited"), answers=[]),
    case("2.9 and a ping", frame(PONG, b"unsolicited"), frame(PING, b"asked"), answers=[b"asked"]),
    case("2.10 ten", *(frame(PING, b"%d" % n) for n in range(10)), answers=[b"%d" % n for n in range(10)]),
]
RESERVED_BITS = [
    case(
        f"3.{bits} {kind}, after text",
        text("a"),
        frame(opcode, b"", rsv=bits << 4),
        text("b"),
        answers=[("pong", "a"), 1002],
    )
    for bits in range(1, 8)
    for kind, opcode in (("text", TEXT), ("binary", BINARY), ("ping", PING), ("close", CLOSE))
]
RESERVED_OPCODES = [
    case(f"4 opcode {opcode}{what}", text("a"), frame(opcode, payload), text("b"), answers=[("pong", "a"), 1002])
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    for what, payload in (("", b""), (" with a payload", b"Hello, world!"))
]
START, END = said("in parts")[:9], said("in parts")[9:]
WHOLE = ("pong", "in parts")
FRAGMENTS = [
    case("5.1 a ping in two", frame(PING, b"a", fin=0), frame(CONT, b"b"), answers=[1002]),
    case("5.2 a pong in two", frame(PONG, b"a", fin=0), frame(CONT, b"b"), answers=[1002]),
    case("7 a goodbye in two", frame(CLOSE, b"\x03", fin=0), frame(CONT, b"\xe8"), answers=[1002]),
    case("5.3 text in two", frame(TEXT, START, fin=0), frame(CONT, END), answers=[WHOLE]),
    case("5.6 a ping between", frame(TEXT, START, fin=0), frame(PING, b"!"), frame(CONT, END), answers=[b"!", WHOLE]),
    case("5.6 a pong between", frame(TEXT, START, fin=0), frame(PONG, b"!"), frame(CONT, END), answers=[WHOLE]),
    case("5.9 a continuation of nothing", frame(CONT, b"x"), text("a"), answers=[1002]),
    case("5.12 the same, not the last", frame(CONT, b"x", fin=0), text("a"), answers=[1002]),
    case(
        "5.15 a continuation after the end",
        *(frame(TEXT, START, fin=0), frame(CONT, END), frame(CONT, b"x", fin=0), text("a")),
        answers=[WHOLE, 1002],
    ),
    case("5.18 a new text within one", frame(TEXT, START, fin=0), frame(TEXT, END), answers=[1002]),
    case("5.18 binary within text", frame(TEXT, START, fin=0), frame(BINARY, END), answers=[1002]),
    case(
        "5.19 five parts, two pings",
        *(frame(TEXT, START[:3], fin=0), frame(CONT, START[3:], fin=0), frame(PING, b"1"), frame(CONT, END[:2], fin=0)),
        *(frame(CONT, b"", fin=0), frame(PING, b"2"), frame(CONT, END[2:])),
        answers=[b"1", b"2", WHOLE],
    ),
    case("5 nothing but empty parts", *cut(b"", 1)[:0], frame(TEXT, fin=0), frame(CONT), answers=[NO_COMMAND]),
    case("5 binary in parts", *cut(b"\xff" * 300, 7, opcode=BINARY), answers=[NO_TEXT]),
    case("10.1 64 KiB in parts of 1,300", *cut(said("auto", size=65536), 1300), answers=[("pong", "auto")]),
]
CLOSING = [
    case("7.1.1 after a text", text("a"), close_frame(1000), answers=[("pong", "a"), 1000]),
    case("7.3.1 empty", frame(CLOSE), answers=[1005]),
    case("7.3.2 of one byte", frame(CLOSE, b"a"), answers=[1002]),
    case("7.3.4 with a reason", close_frame(1000, b"Hello, world!"), answers=[1000]),
    case("7.3.5 of 125", close_frame(1000, b"*" * 123), answers=[1000]),
    case("7.3.6 of 126", close_frame(1000, b"*" * 124), answers=[1002]),
    case("7.5.1 a reason that is not UTF-8", close_frame(1000, b"\xce\xba\xed\xa0\x80edited"), answers=[1007]),
    *(
        case(f"7.7 {code}", close_frame(code), answers=[code])
        for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    ),
    *(
        case(f"7.9 {code}", close_frame(code), answers=[1002])
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    ),
]

AFTER = [
    case("7.1.2 twice", close_frame(1000), close_frame(1000), answers=[1000]),
    case("7.1.3 a ping after it", close_frame(1000), frame(PING), answers=[1000]),
    case("7.1.4 a text after it", close_frame(1000), text("a"), answers=[1000]),
    case("7.1.5 within a message", frame(TEXT, START, fin=0), close_frame(1000), frame(CONT, END), answers=[1000]),
    case(
        "7.1.6 after 256 KiB",
        *(frame(TEXT, said("long", size=1 << 18)), close_frame(1000), frame(PING)),
        answers=[("pong", "long"), 1000],
    ),
]


@pytest.mark.parametrize(
    ("sent", "answers"), [*FRAMING, *PINGS, *RESERVED_BITS, *RESERVED_OPCODES, *FRAGMENTS, *CLOSING]
)
async def test_frames(process: Process, key: str, sent: bytes, answers: Sequence[Answer]) -> None:
    for chop in (len(sent), 1 if len(sent) < 2000 else 997):
        async with at_gateway(process, key) as peer:
            await converse(peer, sent, answers, chop=chop)


@pytest.mark.parametrize(("sent", "answers"), AFTER)
async def test_nothing_is_heard_after_a_goodbye(
    process: Process, key: str, sent: bytes, answers: Sequence[Answer]
) -> None:
    async with at_gateway(process, key) as peer:
        await converse(peer, sent, answers, chop=len(sent))


VALID = {
    "6.2 accents": "Hello-µ@ßöäüàá-UTF-8!!",
    "6.2 Greek": "κόσμε",
    "6.5 Arabic": "سلام عليكم",
    "6.6 first of each length": "\x7f\u0080\u0800\U00010000",
    "6.7 last of each length": "\u007f\u07ff\uffff\U0010ffff",
    "6.9 around the surrogates": "\ud7ff\ue000\ufffd",
    "6.22 what is no character": "\ufffe\uffff\U0001fffe\U0001ffff\U0002fffe\U0010fffe\U0010ffff",
}
INVALID = {
    "6.3 a surrogate within": b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    "6.4 beyond 10FFFF": b"\xf4\x90\x80\x80edited",
    "6.8 first of 5 and 6": b"\xf8\x88\x80\x80\x80",
    "6.8 6": b"\xfc\x84\x80\x80\x80\x80",
    "6.10 F7": b"\xf7\xbf\xbf\xbf",
    "6.10 FB": b"\xfb\xbf\xbf\xbf\xbf",
    "6.10 FD": b"\xfd\xbf\xbf\xbf\xbf\xbf",
    "6.11 one past the end": b"\xf4\x90\x80\x80",
    "6.12 80": b"\x80",
    "6.12 BF": b"\xbf",
    "6.12 80 BF 80 BF": b"\x80\xbf\x80\xbf",
    "6.12 all of them": bytes(range(0x80, 0xC0)),
    "6.13 lonely C0 to DF": b" ".join(bytes([one]) for one in range(0xC0, 0xE0)),
    "6.13 lonely E0 to EF": b" ".join(bytes([one]) for one in range(0xE0, 0xF0)),
    "6.13 lonely F0 to FF": b" ".join(bytes([one]) for one in range(0xF0, 0x100)),
    "6.14 C2 without its last": b"\xc2",
    "6.14 E0 A0": b"\xe0\xa0",
    "6.14 F0 90 80": b"\xf0\x90\x80",
    "6.14 DF": b"\xdf",
    "6.14 EF BF": b"\xef\xbf",
    "6.14 F7 BF BF": b"\xf7\xbf\xbf",
    "6.15 all of those": b"\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xdf\xef\xbf",
    "6.16 FE": b"\xfe",
    "6.16 FF": b"\xff",
    "6.17 overlong / of 2": b"\xc0\xaf",
    "6.17 overlong / of 3": b"\xe0\x80\xaf",
    "6.17 overlong / of 4": b"\xf0\x80\x80\xaf",
    "6.18 longest overlong of 2": b"\xc1\xbf",
    "6.18 longest overlong of 3": b"\xe0\x9f\xbf",
    "6.18 longest overlong of 4": b"\xf0\x8f\xbf\xbf",
    "6.19 overlong NUL of 2": b"\xc0\x80",
    "6.19 overlong NUL of 3": b"\xe0\x80\x80",
    **{
        f"6.20 surrogate {code:X}": chr(code).encode(errors="surrogatepass")
        for code in (0xD800, 0xDB7F, 0xDB80, 0xDBFF, 0xDC00, 0xDF80, 0xDFFF)
    },
    "6.21 surrogates in pairs": "\ud800\udc00\udbff\udfff".encode(errors="surrogatepass"),
}


@pytest.mark.parametrize("word", VALID.values(), ids=VALID)
async def test_text_that_is_utf8_is_understood_however_it_is_cut(process: Process, key: str, word: str) -> None:
    payload = said(word)
    async with at_gateway(process, key) as peer:
        sent = frame(TEXT, payload) + b"".join(cut(payload, 1)) + b"".join(cut(payload, len(payload) - 3))
        await converse(peer, sent, [("pong", word)] * 3, chop=1)


@pytest.mark.parametrize("nonsense", INVALID.values(), ids=INVALID)
async def test_text_that_is_not_utf8_ends_it_however_it_is_cut(process: Process, key: str, nonsense: bytes) -> None:
    payload = said("word")[:-2] + nonsense + b'"}'
    at = payload.index(nonsense) + 1
    compressed = frame(TEXT, deflated(payload), rsv=0x40)
    for sent, extensions in (
        (frame(TEXT, payload), ""),
        (frame(TEXT, nonsense), ""),
        (b"".join(cut(payload, 1)), ""),
        (frame(TEXT, payload[:at], fin=0) + frame(PING) + frame(CONT, payload[at:]), ""),
        (compressed, DEFLATE),
    ):
        async with at_gateway(process, key, extensions=extensions) as peer:
            answers: list[Answer] = [b"", 1007] if frame(PING) in sent else [1007]
            await converse(peer, sent, answers, chop=len(sent))


LARGE = [
    *(
        case(f"9.1 text of {n >> 10} KiB", frame(TEXT, said("x", size=n)), answers=[("pong", "x")])
        for n in (1 << 18, MOST)
    ),
    case("9.2 binary of 1 MiB", frame(BINARY, bytes(MOST)), answers=[NO_TEXT]),
    case("9.3 1 MiB in parts of 1 KiB", *cut(said("x", size=MOST), 1024), answers=[("pong", "x")]),
    case("9.3 64 KiB in parts of 64", *cut(said("x", size=65536), 64), answers=[("pong", "x")]),
    case("9.4 binary in parts of 64 KiB", *cut(bytes(MOST), 65536, opcode=BINARY), answers=[NO_TEXT]),
    case(
        "9.7 a thousand small ones",
        *(text(str(n)) for n in range(1000)),
        answers=[("pong", str(n)) for n in range(1000)],
    ),
    case("9 one byte too much", frame(TEXT, said("x", size=MOST + 1)), answers=[1009]),
    case("9 one byte too much, binary", frame(BINARY, bytes(MOST + 1)), answers=[1009]),
    case("9 too much in parts", *cut(said("x", size=MOST + 1), 65536), answers=[1009]),
    case("9 a length of 2^63 - 1", b"\x81\xff\x7f" + b"\xff" * 7 + bytes(4), answers=[1009]),
    case("9 a length of 2^63", b"\x81\xff\x80" + bytes(7) + bytes(4), answers=[1009]),
]


@pytest.mark.parametrize(("sent", "answers"), LARGE)
async def test_large_messages(process: Process, key: str, sent: bytes, answers: Sequence[Answer]) -> None:
    for chop in (len(sent), 4096):
        async with at_gateway(process, key) as peer:
            await converse(peer, sent, answers, chop=chop)


# ---- compression (RFC 7692; groups 12 and 13) -----------------------------------------------------------------

NAME = "permessage-deflate"


@pytest.mark.parametrize(
    ("offer", "server_bits", "client_bits"),
    [
        (NAME, 12, None),
        (f"{NAME}; client_no_context_takeover", 12, None),
        (f"{NAME}; server_no_context_takeover; client_no_context_takeover", 12, None),
        (f"{NAME}; client_max_window_bits", 12, 15),
        (f"{NAME}; client_max_window_bits=9", 12, 9),
        (f'{NAME}; client_max_window_bits="10"', 12, 10),
        (f"{NAME}; client_max_window_bits=15; server_max_window_bits=15", 12, 15),
        (f"{NAME}; server_max_window_bits=12", 12, None),
        (f"{NAME}; server_max_window_bits=11", 11, None),
        (f"{NAME}; server_max_window_bits=9; client_max_window_bits", 9, 15),
        (f"{NAME}; server_max_window_bits=8, {NAME}", 12, None),
        (f"{NAME}; unheard_of, {NAME}; server_max_window_bits=10", 10, None),
        (f"x-webkit-deflate-frame, {NAME}; client_max_window_bits", 12, 15),
        (f"{NAME}; server_max_window_bits=8", 0, None),
        (f"{NAME}; server_max_window_bits=16", 0, None),
        (f"{NAME}; server_max_window_bits=7", 0, None),
        (f"{NAME}; server_max_window_bits=0", 0, None),
        (f"{NAME}; server_max_window_bits", 0, None),
        (f"{NAME}; server_max_window_bits=010", 0, None),
        (f"{NAME}; server_max_window_bits=9; server_max_window_bits=9", 0, None),
        (f"{NAME}; client_max_window_bits=16", 0, None),
        (f"{NAME}; client_max_window_bits=seven", 0, None),
        (f"{NAME}; server_no_context_takeover=1", 0, None),
        (f"{NAME}; client_no_context_takeover; client_no_context_takeover", 0, None),
        (f"{NAME}; unheard_of=1", 0, None),
        ("permessage-bzip2", 0, None),
        (f"{NAME};", 0, None),
        ("=", 0, None),
    ],
)
async def test_what_is_agreed_on_compression(
    process: Process, key: str, offer: str, server_bits: int, client_bits: int | None
) -> None:
    async with at_gateway(process, key, extensions=offer) as peer:
        lines = [
            one for one in peer.answer.decode().split("\r\n") if one.lower().startswith("sec-websocket-extensions")
        ]
        if not server_bits:
            assert lines == []
            peer.send(frame(TEXT, deflated(said("x")), rsv=0x40))
            assert await heard(peer) == 1002
            return
        (name, *parameters) = [one.strip() for one in lines[0].partition(":")[2].split(";")]
        agreed = dict(one.partition("=")[::2] for one in parameters)
        assert (name, len(agreed)) == (NAME, len(parameters))
        assert {"server_no_context_takeover", "client_no_context_takeover"} <= set(agreed)
        assert agreed.get("server_max_window_bits") == str(server_bits)
        assert ("client_max_window_bits" in agreed) <= (client_bits is not None)
        assert int(agreed.get("client_max_window_bits", 15)) <= (client_bits or 15)
        peer.window_bits = server_bits
        topics = [f"campaign:{number}" for number in range(1, 150)]
        peer.send(frame(TEXT, json.dumps({"type": "subscribe", "topics": topics}).encode()))
        first = await peer.reader.readexactly(1)
        assert first[0] == 0xC1, "what is long comes compressed"
        assert (await peer.reader.readexactly(1))[0] == 126
        size = int.from_bytes(await peer.reader.readexactly(2))
        inflater = zlib.decompressobj(-server_bits)
        answer = inflater.decompress(await peer.reader.readexactly(size) + b"\x00\x00\xff\xff")
        assert json.loads(answer)["topics"] == sorted(topics)


def by(level: int, strategy: int, payload: bytes, *, end: int = zlib.Z_SYNC_FLUSH, bits: int = 15) -> bytes:
    compressor = zlib.compressobj(level, zlib.DEFLATED, -bits, 8, strategy)
    made = compressor.compress(payload) + compressor.flush(end)
    return made[:-4] if end == zlib.Z_SYNC_FLUSH else made


def in_two_blocks(payload: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    made = compressor.compress(payload[:5]) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return made + (compressor.compress(payload[5:]) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


LONG = said("packed", size=70_000)
PACKED = ("pong", "packed")
COMPRESSED = [
    case("12.1 small", frame(TEXT, deflated(said("packed")), rsv=0x40), answers=[PACKED]),
    case("12.1 large", frame(TEXT, deflated(LONG), rsv=0x40), answers=[PACKED]),
    case("12.1 1 MiB", frame(TEXT, deflated(said("packed", size=MOST)), rsv=0x40), answers=[PACKED]),
    case("12.2 binary", frame(BINARY, deflated(bytes(1000)), rsv=0x40), answers=[NO_TEXT]),
    case("12 empty", frame(TEXT, deflated(b""), rsv=0x40), answers=[NO_COMMAND]),
    case("12 an empty frame", frame(TEXT, b"", rsv=0x40), answers=[NO_COMMAND]),
    case(
        "12 not compressed",
        text("a"),
        frame(TEXT, deflated(LONG), rsv=0x40),
        text("b"),
        answers=[("pong", "a"), PACKED, ("pong", "b")],
    ),
    case("12 stored", frame(TEXT, by(0, zlib.Z_DEFAULT_STRATEGY, LONG), rsv=0x40), answers=[PACKED]),
    case("12 fixed codes", frame(TEXT, by(9, zlib.Z_FIXED, LONG), rsv=0x40), answers=[PACKED]),
    case("12 a small window", frame(TEXT, by(6, zlib.Z_DEFAULT_STRATEGY, LONG, bits=9), rsv=0x40), answers=[PACKED]),
    case("12 two blocks", frame(TEXT, in_two_blocks(said("packed")), rsv=0x40), answers=[PACKED]),
    case(
        "12 a last block",
        frame(TEXT, by(6, zlib.Z_DEFAULT_STRATEGY, LONG, end=zlib.Z_FINISH) + b"\0", rsv=0x40),
        answers=[PACKED],
    ),
    *(case(f"13 in parts of {n}", *cut(deflated(LONG), n, rsv=0x40), answers=[PACKED]) for n in (1, 7, 64, 1000)),
    case(
        "13 parts with a ping between",
        *(cut(deflated(LONG), 40, rsv=0x40)[0], frame(PING, b"!"), *cut(deflated(LONG), 40, rsv=0x40)[1:]),
        answers=[b"!", PACKED],
    ),
    case("13 twice", *cut(deflated(LONG), 64, rsv=0x40) * 2, answers=[PACKED, PACKED]),
    case(
        "13 RSV1 on a continuation",
        frame(TEXT, deflated(LONG)[:9], fin=0, rsv=0x40),
        frame(CONT, deflated(LONG)[9:], rsv=0x40),
        answers=[1002],
    ),
    case(
        "13 RSV1 on a continuation of plain text", frame(TEXT, START, fin=0), frame(CONT, END, rsv=0x40), answers=[1002]
    ),
    *(
        case(f"13 a compressed {name}", frame(opcode, b"", rsv=0x40), answers=[1002])
        for name, opcode in (("ping", PING), ("pong", PONG), ("goodbye", CLOSE))
    ),
    case("13 RSV2 beside it", frame(TEXT, deflated(LONG), rsv=0x60), answers=[1002]),
    case("13 nothing that can be inflated", frame(TEXT, b"\xff" * 20, rsv=0x40), answers=[1007]),
    case("13 the same in parts, which the library calls 1002", *cut(b"\xff" * 20, 5, rsv=0x40), answers=[1002]),
    case("13 a bomb", frame(TEXT, deflated(bytes(64 * MOST)), rsv=0x40), answers=[1009]),
    case("13 a bomb in parts", *cut(deflated(bytes(64 * MOST)), 500, rsv=0x40), answers=[1009]),
    case("13 one byte too much", frame(TEXT, deflated(said("x", size=MOST + 1)), rsv=0x40), answers=[1009]),
    case("13 a bomb that is binary", frame(BINARY, deflated(bytes(64 * MOST)), rsv=0x40), answers=[1009]),
]


@pytest.mark.parametrize(("sent", "answers"), COMPRESSED)
async def test_compressed_messages(process: Process, key: str, sent: bytes, answers: Sequence[Answer]) -> None:
    for chop in (len(sent), 1 if len(sent) < 2000 else 997):
        async with at_gateway(process, key, extensions=DEFLATE) as peer:
            await converse(peer, sent, answers, chop=chop)

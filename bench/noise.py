"""What nobody should send to the WebSocket, drawn from a seed: handshakes, commands and frames."""

import base64
import hashlib
import hmac
import json
import random
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_ODD = (
    "\0",
    "٣",
    "²",
    "-1",
    "1e9",
    "9" * 30,
    "9" * 5000,
    "é" * 40,
    "%",
    "../..",
    "' OR 1=1 --",
    "\ufffd",
    "a" * 4000,
)
_ODD_HOSTS = ("[", "]", "[::1", "a b", "x:99999", "x:y", "@", "xn--", "é", "..")
_OPCODES = (0, 1, 2, 8, 9, 10)


@dataclass(frozen=True)
class Handshake:
    kind: str
    query: str
    headers: Mapping[str, str] = field(default_factory=dict)


def handshakes(seed: int, key: str, now_ms: Callable[[], int]) -> Iterator[Handshake]:
    """None of them may come in, though some are made with the right `key`: every odd value, then what is drawn. For
    ever."""
    draw = random.Random(seed)
    prefix, _, secret = key.removeprefix("wq_").partition("_")
    ways: list[Callable[[], Handshake]] = []

    def way(make: Callable[[], Handshake]) -> Callable[[], Handshake]:
        ways.append(make)
        return make

    def asked(kind: str, headers: Mapping[str, str] | None = None, **query: str) -> Handshake:
        return Handshake(kind, urlencode(query, errors="surrogatepass"), headers or {})

    def signed(with_secret: str = secret, *, apart_ms: int = 0, nonce: str = "", ip: str = "") -> dict[str, str]:
        ts, nonce = str(now_ms() + apart_ms), nonce or _word(draw, 16)
        kept = hashlib.sha256(with_secret.encode()).hexdigest().encode()
        made = hmac.new(kept, ".".join((prefix, ts, nonce, ip)).encode(), hashlib.sha256).hexdigest()
        return {"key": prefix, "ts": ts, "nonce": nonce, "sig": made, **({"ip": ip} if ip else {})}

    @way
    def _no_signature() -> Handshake:
        return asked("no signature of anything", **{**signed(), "sig": _hex(draw, 64)})

    @way
    def _another_secret() -> Handshake:
        return asked("of another secret", **signed(_word(draw, 40)))

    @way
    def _changed() -> Handshake:
        said = signed()
        name = draw.choice(("nonce", "sig"))
        at = draw.randrange(len(said[name]))
        changed = said[name][:at] + ("0" if said[name][at] != "0" else "1") + said[name][at + 1 :]
        return asked("changed on the way", **{**said, name: changed})

    @way
    def _out_of_time() -> Handshake:
        apart = draw.choice((-1, 1)) * draw.randrange(330_000, 10**12)
        return asked("too old or too early", **signed(apart_ms=apart))

    @way
    def _unknown() -> Handshake:
        return asked("of an unknown key", **{**signed(), "key": _hex(draw, 10)})

    @way
    def _missing() -> Handshake:
        return asked("with something left out", **{**signed(), draw.choice(("key", "ts", "nonce", "sig")): ""})

    @way
    def _nonce() -> Handshake:
        return asked("with a nonce of a wrong length", **signed(nonce=_word(draw, draw.choice((1, 7, 101, 3000)))))

    @way
    def _elsewhere() -> Handshake:
        return asked("for another address", **signed(ip=f"10.{draw.randrange(256)}.0.1"))

    @way
    def _raw() -> Handshake:
        noise = quote(draw.randbytes(draw.randrange(40)), safe="&=;+")
        return Handshake("with noise", f"sig={noise}&ts={noise}&key={noise}&nonce={noise}")

    @way
    def _ticket() -> Handshake:
        said = base64.urlsafe_b64encode(b'{"kind":"user","id":1,"sign_in":1,"jti":"x","exp":99999999999}').rstrip(b"=")
        head = draw.choice((b'{"alg":"none"}', b'{"alg":"HS256"}', b"{}", b"["))
        forged = b".".join((base64.urlsafe_b64encode(head).rstrip(b"="), said, draw.randbytes(8).hex().encode()))
        return asked("with a ticket that is none", ticket=draw.choice((forged.decode(), _word(draw, 60), ".", "\0")))

    @way
    def _api_key() -> Handshake:
        wrong = draw.choice(
            (f"wq_{prefix}_{_word(draw, 43)}", _word(draw, 20), f"wq_{prefix}", f"{key}\0", "\0", "wq_\0_\0")
        )
        return asked("with a wrong API key", apiKey=wrong)

    @way
    def _odd_host() -> Handshake:
        host = {draw.choice(("Host", "Origin")): draw.choice(("", "http://")) + draw.choice(_ODD_HOSTS)}
        return asked("from an odd place", host, **{**signed(), "sig": _hex(draw, 64)})

    for name in ("key", "ts", "nonce", "sig", "ip"):
        for odd in _ODD:
            yield asked(f"with an odd {name}", **{**signed(), name: odd})
    while True:
        yield draw.choice(ways)()


def commands(seed: int) -> Iterator[bytes]:
    """Texts that are commands or nearly so. For ever."""
    draw = random.Random(seed)
    kinds = ("subscribe", "unsubscribe", "ping", "get_state", "get_qr", "SUBSCRIBE", "", "error")
    while True:
        said = {
            "type": draw.choice((*kinds, _value(draw, 2))),
            **{name: _value(draw, 2) for name in ("topics", "events", "since", "id", "more") if draw.random() < 0.4},
        }
        text = json.dumps(said, ensure_ascii=draw.random() < 0.5).encode(errors="surrogatepass")
        match draw.randrange(6):
            case 0:
                yield _damaged(draw, text)
            case 1:
                yield draw.choice((b"[", b'{"a":')) * draw.choice((10, 1000, 100_000))
            case 2:
                yield json.dumps(_value(draw, 3)).encode(errors="surrogatepass")
            case _:
                yield text


def frames(seed: int) -> Iterator[bytes]:
    """Some frames in a row, most of them wrong in one way or another. For ever."""
    draw = random.Random(seed)
    words = commands(seed)
    while True:
        row = [_frame(draw, next(words)) for _ in range(draw.randrange(1, 6))]
        yield _damaged(draw, b"".join(row)) if draw.random() < 0.5 else b"".join(row)


def _frame(draw: random.Random, payload: bytes) -> bytes:
    opcode = draw.choice(_OPCODES) if draw.random() < 0.9 else draw.randrange(16)
    first = opcode | draw.choice((0x80, 0x80, 0x80, 0)) | draw.choice((0, 0, 0, 0x40, 0x10, 0x70))
    payload = payload[: draw.choice((0, 1, 2, 125, 126, 70_000))]
    if first & 0x40 and draw.random() < 0.7:
        payload = zlib.compress(payload if draw.random() < 0.8 else bytes(8 * 2**20), wbits=-15)
    size = len(payload) if draw.random() < 0.9 else draw.choice((0, 125, 65_536, 2**20 + 1, 2**63 - 1, 2**64 - 1))
    masked = 0x80 if draw.random() < 0.95 else 0
    if size < 126:
        head = bytes((first, masked | size))
    else:
        head = (
            struct.pack("!BBH", first, masked | 126, size)
            if size < 65_536
            else struct.pack("!BBQ", first, masked | 127, size)
        )
    mask = draw.randbytes(4)
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)) if masked else head + payload


def _damaged(draw: random.Random, data: bytes) -> bytes:
    made = bytearray(data)
    for _ in range(draw.randrange(1, 4)):
        at = draw.randrange(len(made) + 1)
        made[at : at + draw.randrange(4)] = draw.randbytes(draw.randrange(4))
    return bytes(made[: draw.randrange(len(made) + 1)] if draw.random() < 0.3 else made)


def _value(draw: random.Random, depth: int) -> object:
    plain: tuple[object, ...] = (
        *(None, True, 0, -1, 2**63, -(2**70), 1e308, 10**300, "", "all", "campaigns", "campaign:7", "chat:0"),
        *("campaign:999999999999999999", "campaign:9999999999999999999", "campaign:٧", "sender:-1", "notifications"),
        *("\0", "\ud800", "\U0010ffff", "x" * 101, "a:b:c", ":", "system", "x:1"),
    )
    if depth and draw.random() < 0.5:
        inner = [_value(draw, depth - 1) for _ in range(draw.randrange(4))] * (
            80 if depth == 1 and draw.random() < 0.3 else 1
        )
        return inner if draw.random() < 0.7 else {str(at): one for at, one in enumerate(inner)}
    return draw.choice(plain)


def _word(draw: random.Random, length: int) -> str:
    return "".join(draw.choices(_ALPHABET, k=length))


def _hex(draw: random.Random, length: int) -> str:
    return draw.randbytes(length // 2).hex()

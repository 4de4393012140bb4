"""Nonsense at the WebSocket of a real API process: 10,000 handshakes that are wrong, then commands and frames.

`python -m bench.fuzz_ws` (`make fuzz-ws`). Each handshake has to be refused and counted under why; nothing may be in
the log that is a mistake of ours; no connection may stay, and memory has to be flat.
"""

import argparse
import asyncio
import base64
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench import child, noise
from bench.meter import machine
from cli.local import free_port
from core import apikeys, keys, schema
from core.database import DatabaseClock, connect
from core.settings import Settings

_PLENTY = {
    "WAQTOR_STRANGERS_PER_S": "1000000",
    "WAQTOR_REQUESTS_PER_S": "1000000",
    "WAQTOR_LIVE_MESSAGES_PER_S": "1000000",
    "WAQTOR_LIVE_MESSAGES_AT_ONCE": "1000000",
}
"""Raised, so that each is looked at: as shipped, who guesses is refused unseen after 100 tries."""
_AT_ONCE = 8
_WARM = 1000
_MOST_MORE_MB = 2
_ANSWER_S = 30
_OUTCOMES = ("closed with 1008", "HTTP 400", "HTTP 403")


@dataclass(frozen=True)
class Used:
    rss_mb: float
    files: int
    sockets: int
    """At the API's port."""
    connections: int


@dataclass
class Target:
    port: int
    key: str
    log: Path
    process: psutil.Process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def used(self) -> Used:
        """When the last of them are gone; or after a while, with those who are still there."""
        metrics: dict[str, Any] = {}
        for _ in range(100):
            metrics = await self.metrics()
            if not metrics["websocket"]["clients"] and not self.sockets():
                break
            await asyncio.sleep(0.1)
        rss_mb = self.process.memory_info().rss / 2**20
        return Used(rss_mb, self.process.num_fds(), self.sockets(), metrics["websocket"]["clients"])

    def sockets(self) -> int:
        found = self.process.net_connections("tcp")
        return sum(1 for one in found if one.raddr and one.laddr.port == self.port)

    async def metrics(self) -> dict[str, Any]:
        async with httpx.AsyncClient(timeout=_ANSWER_S, trust_env=False) as client:
            answer = await client.get(f"{self.url}/api/ws-metrics", headers={"Authorization": f"Bearer {self.key}"})
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
            return found

    async def refused(self) -> Counter[str]:
        return Counter((await self.metrics())["security"]["refused"])

    def mistakes(self) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if "Traceback" in line or '"level":"error"' in line]


async def _join(target: Target, query: str, headers: dict[str, str]) -> tuple[Any, asyncio.StreamWriter, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    wanted = {
        "Host": f"127.0.0.1:{target.port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
        **headers,
    }
    lines = [f"GET /ws?{query} HTTP/1.1", *(f"{name}: {value}" for name, value in wanted.items())]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
    async with asyncio.timeout(_ANSWER_S):
        return reader, writer, await reader.readuntil(b"\r\n\r\n")


async def _knock(target: Target, one: noise.Handshake) -> str:
    """What became of it."""
    writer = None
    try:
        reader, writer, head = await _join(target, one.query, dict(one.headers))
        status = int(head.split()[1])
        if status != 101:
            return f"HTTP {status}"
        async with asyncio.timeout(_ANSWER_S):
            first, size = await reader.readexactly(2)
            payload = await reader.readexactly(size)
        return f"closed with {int.from_bytes(payload[:2])}" if first == 0x88 else "let in"
    except (ConnectionError, asyncio.IncompleteReadError, TimeoutError) as broken:
        return type(broken).__name__
    finally:
        if writer is not None:
            writer.close()


async def knock(target: Target, count: int, seed: int) -> tuple[Counter[str], Counter[str]]:
    """What was sent, by kind, and what became of it."""
    made = islice(noise.handshakes(seed, target.key, lambda: int(time.time() * 1000)), count)
    kinds: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()

    async def one_after_the_other() -> None:
        for one in made:
            kinds[one.kind] += 1
            outcomes[await _knock(target, one)] += 1

    await asyncio.gather(*(one_after_the_other() for _ in range(_AT_ONCE)))
    return kinds, outcomes


async def speak(target: Target, count: int, seed: int) -> None:
    """Frames and commands of somebody who was let in, a few in each connection."""
    for row in islice(noise.frames(seed), count):
        _, writer, _ = await _join(target, "", {"X-API-Key": target.key})
        with suppress(ConnectionError):
            writer.write(row)
            await writer.drain()
        writer.close()


async def prepare(settings: Settings) -> str:
    keys.init(settings.key_file)
    database = connect(settings)
    await schema.upgrade(database)
    async with database.transaction() as tx:
        made = await apikeys.create(
            tx, keys.load(settings.key_file), name="fuzz", scopes=["admin"], at=await DatabaseClock().now(tx)
        )
    await database.close()
    return made.full


@contextmanager
def api(settings: Settings) -> Iterator[Target]:
    key, port, log = asyncio.run(prepare(settings)), free_port(), settings.data_dir / "api.log"
    mine = {
        "WAQTOR_DATA_DIR": str(settings.data_dir),
        "WAQTOR_DATABASE_URL": settings.database_url,
        "WAQTOR_API_PORT": str(port),
        "WAQTOR_PREFECT_PORT": "1",  # nobody listens: a nudge fails, and must do no harm
    }
    with log.open("wb") as out:
        popen = subprocess.Popen(
            [sys.executable, "-m", "api"], env={**os.environ, **_PLENTY, **mine}, stdout=out, stderr=out
        )
    try:
        until = time.monotonic() + _ANSWER_S
        while not _answers(port):
            if time.monotonic() > until:
                raise TimeoutError(log.read_text())
            time.sleep(0.1)
        yield Target(port, key, log, psutil.Process(popen.pid))
    finally:
        popen.terminate()
        popen.wait(30)


def _answers(port: int) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).status_code == 200
    return False


async def fuzz(target: Target, handshakes: int, rows: int, seed: int) -> tuple[list[str], bool]:
    """The report, and whether all is well."""
    await knock(target, _WARM, seed - 1)
    uses, counted_before = [await target.used()], await target.refused()
    kinds: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    began = time.monotonic()
    for quarter in range(4):
        sent, became = await knock(target, handshakes // 4, seed + quarter)
        kinds, outcomes = kinds + sent, outcomes + became
        uses.append(await target.used())
    seconds, counted = time.monotonic() - began, await target.refused() - counted_before
    await speak(target, rows, seed)
    uses.append(await target.used())
    mistakes = target.mistakes()
    whens = [
        f"after {_WARM:,} to warm up",
        *(f"after a quarter, {n} of 4" for n in range(1, 5)),
        f"after {rows:,} rows",
    ]
    others = [one for one in outcomes if one not in _OUTCOMES]
    checks = (
        ("each was refused", not others),
        ("each was counted", counted.total() == outcomes.total()),
        ("no connection stayed", not any(one.connections or one.sockets for one in uses)),
        (f"the last quarter took less than {_MOST_MORE_MB} MB", uses[4].rss_mb - uses[3].rss_mb < _MOST_MORE_MB),
        ("the log has no mistake of ours", not mistakes),
    )
    report = [
        f"{handshakes:,} handshakes, {_AT_ONCE} at once, in {seconds:.0f} s; {rows:,} rows of frames; seed {seed}.",
        "",
        *child.table(("handshakes", "sent"), [(kind, f"{n:,}") for kind, n in sorted(kinds.items())]),
        "",
        *child.table(("became of them", ""), [(what, f"{n:,}") for what, n in sorted(outcomes.items())]),
        "",
        *child.table(("counted as refused", ""), [(why, f"{n:,}") for why, n in sorted(counted.items())]),
        "",
        *child.table(
            ("the process", "memory, MB", "open files", "sockets", "connections"),
            [
                (when, f"{one.rss_mb:.1f}", one.files, one.sockets, one.connections)
                for when, one in zip(whens, uses, strict=True)
            ],
        ),
        "",
        *child.table(("", ""), [(what, "yes" if is_so else "NO") for what, is_so in checks]),
        *(["", *mistakes[:20]] if mistakes else []),
    ]
    return report, all(is_so for _, is_so in checks)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.fuzz_ws", description=__doc__)
    parser.add_argument("--handshakes", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=2_000, help="of frames, each in a connection of its own")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", choices=child.DATABASES, default="both")
    parser.add_argument("--out", type=Path, default=Path("bench/results/fuzz_ws.md"))
    asked = parser.parse_args()
    lines, is_well = [f"# Nonsense at the WebSocket\n\n{machine()}"], True
    for database in child.DATABASES[asked.database]:
        with child.installation("fuzz", database) as settings, api(settings) as target:
            report, is_so = asyncio.run(fuzz(target, asked.handshakes, asked.rows, asked.seed))
        lines += [f"\n## {database}\n", *report]
        is_well &= is_so
    child.keep(asked.out, "\n".join(lines) + "\n")
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())

"""Clients that stay while two API processes restart in turn behind a proxy. `python -m bench.soak_ws --help`.

Whatever the servers do, each client is told everything it may know: once, and in order.
"""

import argparse
import asyncio
import json
import os
import random
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import psutil

from api import topics
from bench import haproxy, redis_server, soak_ws_report
from bench.haproxy import Haproxy
from bench.postgres import Postgres
from bench.redis_server import RedisServer
from bench.soak_ws_clients import CAMPAIGNS
from cli.local import free_port
from core import apikeys, bus, events, keys, schema
from core.database import Database, DatabaseClock, connect
from core.settings import Settings

_ROOT = Path(__file__).parent.parent
_NAMES = ("a", "b")
_START_S = 90
_ONE_BULKY_IN = 5
_SETTLE_S = 3.0  # the proxy has noticed by then


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(arguments)
    for name, found in (("redis-server", redis_server.is_there()), ("haproxy", haproxy.program())):
        if not found:
            print(f"{name} is missing. Debian and Ubuntu: apt-get install {name}", file=sys.stderr)
            return 2
    facts = soak(asked)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n")
    report, is_good = soak_ws_report.written(facts)
    asked.out.with_suffix(".md").write_text(report)
    print(report)
    return 0 if is_good else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--per-second", type=float, default=10, help="events")
    parser.add_argument(
        "--restart-each", type=float, default=60, help="seconds; both processes, one after the other; 0: never"
    )
    parser.add_argument(
        "--bulky", type=int, default=100_000, help="bytes of one event in five; 400000: the slow overflow"
    )
    parser.add_argument("--processes", type=int, default=2, help="that the clients are in")
    parser.add_argument("--out", type=Path, default=Path("bench/results/soak_ws"))
    return parser


def soak(asked: argparse.Namespace) -> dict[str, Any]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wq-soak-")))
        postgres = stack.enter_context(Postgres(Path(f"{folder}-pg")))
        redis = stack.enter_context(RedisServer(folder / "redis"))
        settings = Settings(
            data_dir=folder,
            database_url=postgres.create("waqtor"),
            redis_url=redis.url,
            trusted_proxies="127.0.0.1",
            # All clients come from one address with one key, which no installation's do.
            live_per_address=10 * asked.clients + 100,
            live_per_principal=10 * asked.clients + 100,
            live_messages_per_s=100_000,
            live_messages_at_once=100_000,
            requests_per_s=10_000,
            strangers_per_s=10_000,
        )
        key = asyncio.run(_prepared(settings))
        servers = [stack.enter_context(Instance(settings, name, key)) for name in _NAMES]
        proxy = stack.enter_context(Haproxy(folder, {one.name: one.port for one in servers}))
        memory = stack.enter_context(Memory(servers, {"haproxy": proxy.pid, "redis": redis.pid}))
        return asyncio.run(_run(asked, settings, key, proxy, servers, memory))


async def _prepared(settings: Settings) -> str:
    keys.init(settings.key_file)
    database = connect(settings)
    await schema.upgrade(database)
    async with database.transaction() as tx:
        made = await apikeys.create(
            tx, keys.load(settings.key_file), name="soak", scopes=["read", "monitor"], at=await DatabaseClock().now(tx)
        )
    await database.close()
    return made.full


class Instance:
    """One API process, which is started again and again at the same port. Use as a context manager."""

    def __init__(self, settings: Settings, name: str, key: str) -> None:
        self.name, self.port = name, free_port()
        self.restarts = 0
        self.counted: Counter[str] = Counter()
        self._key = key
        self.process: subprocess.Popen[bytes] | None = None
        self._log = settings.data_dir / f"api-{name}.log"
        given = settings.model_dump(mode="json", exclude_defaults=True)
        self._environment = {
            **os.environ,
            **{f"WAQTOR_{one.upper()}": str(value) for one, value in given.items()},
            "PYTHONPATH": f"{_ROOT}{os.pathsep}{_ROOT / 'sdk/python'}",
            "WAQTOR_API_PORT": str(self.port),
            "WAQTOR_PREFECT_PORT": "1",  # nobody is there, and nothing is sent
        }

    def __enter__(self) -> "Instance":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "api"], env=self._environment, stdout=log, stderr=log, cwd=self._log.parent
            )
        until = time.monotonic() + _START_S
        while not self._is_ready():
            assert self.process.poll() is None, self._log.read_text()[-4000:]
            assert time.monotonic() < until, self._log.read_text()[-4000:]
            time.sleep(0.1)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)

    def restart(self) -> None:
        self.count()
        self.stop()
        self.start()
        self.restarts += 1

    def count(self) -> None:
        """What this life of it did, as it tells Prometheus."""
        headers = {"X-API-Key": self._key}
        answer = httpx.get(f"http://127.0.0.1:{self.port}/metrics", headers=headers, timeout=20, trust_env=False)
        for line in answer.raise_for_status().text.splitlines():
            name, _, value = line.rpartition(" ")
            if name.startswith("waqtor_live_") and "_total" in name:
                self.counted[name.removeprefix("waqtor_live_").replace("_total", "")] += round(float(value))

    def _is_ready(self) -> bool:
        with suppress(httpx.TransportError):
            url = f"http://127.0.0.1:{self.port}/readyz"
            return httpx.get(url, timeout=5, trust_env=False).status_code == 200
        return False


class Memory:
    """Resident memory each second, of each life of an API process and of what stays. Use as a context manager."""

    def __init__(self, servers: Sequence[Instance], others: dict[str, int]) -> None:
        self._servers, self._others = servers, others
        self.seen: dict[str, list[tuple[float, int, float]]] = {}
        self._began, self._stop = time.monotonic(), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(1.0):
            at = time.monotonic() - self._began
            pids = [(f"api {one.name}", one.process.pid) for one in self._servers if one.process is not None]
            for name, pid in (*pids, *self._others.items()):
                with suppress(psutil.Error):
                    seen = self.seen.setdefault(name, [])
                    seen.append((round(at, 1), pid, round(psutil.Process(pid).memory_info().rss / 2**20, 1)))


async def _run(
    asked: argparse.Namespace,
    settings: Settings,
    key: str,
    proxy: Haproxy,
    servers: Sequence[Instance],
    memory: Memory,
) -> dict[str, Any]:
    database = connect(settings)
    async with database.reading() as tx:
        since = (await bus.reach(tx)).head
    groups = await _clients(asked, proxy.url, key, since)
    began, at = time.monotonic(), datetime.now(UTC)
    over = asyncio.Event()
    publishing = asyncio.create_task(_publish(database, asked.per_second, over, bulky=asked.bulky))
    restarting = asyncio.create_task(_restart(servers, asked.restart_each or asked.seconds * 4, over))
    await asyncio.sleep(asked.seconds)
    over.set()
    published = await publishing
    await restarting
    for one in servers:
        await asyncio.to_thread(one.count)
    await bus.number_all(database)
    log = settings.data_dir / "log.json"
    log.write_text(json.dumps(await _log(database)))
    await database.close()
    for group in groups:
        _say(group, {"log": str(log)})
    answers = await asyncio.gather(*(_line(group) for group in groups))
    await asyncio.gather(*(group.wait() for group in groups))
    return {
        "at": at.isoformat(timespec="seconds"),
        "clients": asked.clients,
        "seconds": round(time.monotonic() - began, 1),
        "asked_seconds": asked.seconds,
        "per_second": asked.per_second,
        "bulky_bytes": asked.bulky,
        "published": published,
        "counted": dict(sum((one.counted for one in servers), Counter())),
        "restarts": {one.name: one.restarts for one in servers},
        "readers": [one for answer in answers for one in json.loads(answer)],
        "memory_mb": memory.seen,
        "raised": "live_per_address, live_per_principal, live_messages_per_s, live_messages_at_once, requests_per_s, "
        "strangers_per_s: all clients share an address and a key",
    }


async def _clients(asked: argparse.Namespace, url: str, key: str, since: int) -> list[asyncio.subprocess.Process]:
    groups = []
    share = -(-asked.clients // asked.processes)
    for first in range(0, asked.clients, share):
        group = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.soak_ws_clients"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=_ROOT,
            env={**os.environ, "PYTHONPATH": f"{_ROOT}{os.pathsep}{_ROOT / 'sdk/python'}"},
            limit=64 * 2**20,
        )
        number = min(share, asked.clients - first)
        _say(group, {"url": url, "key": key, "since": since, "first": first, "count": number, "apart_s": 0.01})
        groups.append(group)
    for group in groups:
        await _line(group)
    return groups


def _say(group: asyncio.subprocess.Process, what: dict[str, Any]) -> None:
    assert group.stdin is not None
    group.stdin.write(json.dumps(what).encode() + b"\n")


async def _line(group: asyncio.subprocess.Process) -> bytes:
    assert group.stdout is not None
    line = await group.stdout.readline()
    assert line, "a process of clients has died"
    return line


async def _publish(database: Database, per_second: float, over: asyncio.Event, *, bulky: int) -> int:
    """Small ones about campaigns, and every fifth a bulky one that only the slow ones follow."""
    began = time.monotonic()
    for number in count():
        if over.is_set():
            return number
        async with database.transaction() as tx:
            now = await DatabaseClock().now(tx)
            if number % _ONE_BULKY_IN == 0:
                text = secrets.token_hex(bulky // 2)
                await events.publish(tx, events.TemplateMoved(template_id=1, what="noted", language=text), at=now)
            else:
                campaign = random.randint(1, CAMPAIGNS)
                moved = events.CampaignMoved(campaign_id=campaign, what="noted", reason=str(number))
                await events.publish(tx, moved, at=now)
        await asyncio.sleep(max(0.0, began + (number + 1) / per_second - time.monotonic()))
    raise AssertionError


async def _restart(servers: Sequence[Instance], each_s: float, over: asyncio.Event) -> None:
    while True:
        began = time.monotonic()
        for one in servers:
            with suppress(TimeoutError):
                async with asyncio.timeout(_SETTLE_S if one is not servers[0] else each_s / 3):
                    await over.wait()
            if over.is_set():
                return
            await asyncio.to_thread(one.restart)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, began + each_s - time.monotonic())):
                await over.wait()


async def _log(database: Database) -> list[tuple[int, list[str]]]:
    """All of it: the number of each event, and the topics that show it."""
    found: list[tuple[int, list[str]]] = []
    while True:
        async with database.reading() as tx:
            batch = await bus.since(tx, found[-1][0] if found else 0)
        if not batch:
            return found
        found += [(one.seq, list(topics.of(one))) for one in batch]


if __name__ == "__main__":
    sys.exit(main())

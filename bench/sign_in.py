"""What a sign-in takes, and what it costs each request to be asked who it is. `python -m bench.sign_in --help`."""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import Request

from api.app import create_app
from api.auth import admit, require
from bench import child
from bench.meter import machine
from cli.local import free_port
from cli.processes import Stack, children
from core import apikeys, audit, keys, schema, signins, users
from core.audit import Happened
from core.bootstrap import Platform
from core.database import connect
from core.passwords import Passwords
from core.settings import Settings
from core.signins import Here

_PASSWORD = "olive kettle marble 7"
_ACCOUNTS = 8
_SIGN_IN = "/api/v3/auth/sign-in"


@dataclass(frozen=True)
class Timed:
    what: str
    seconds: Sequence[float]
    cpu_s: float | None = None
    """Of all of them, where they are in this process."""

    def row(self, database: str) -> tuple[str, ...]:
        times = sorted(self.seconds)
        shown = statistics.median(times), times[int(len(times) * 0.95)], times[-1]
        cpu = "" if self.cpu_s is None else f"{self.cpu_s * 1000 / len(times):.3f}"
        return database, self.what, f"{len(times):,}", *(f"{one * 1000:.2f}" for one in shown), cpu


async def prepare(settings: Settings) -> str:
    """Accounts to sign in to, and a key."""
    keys.init(settings.key_file)
    database = connect(settings)
    await schema.upgrade(database)
    await database.close()
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        platform: Platform = app.state.platform
        kept = await Passwords().hash(_PASSWORD)
        async with platform.database.transaction() as tx:
            now = await platform.clock.now(tx)
            for number in range(_ACCOUNTS):
                token = await users.invite(tx, role="user", email=f"u{number}@example.com", at=now)
                await users.use_link(tx, platform.key, token, password_hash=kept, email=None, name="", at=now)
            return (await apikeys.create(tx, platform.key, name="bench", scopes=["read"], at=now)).full


async def sign_ins(settings: Settings, count: int, at_once: int) -> Timed:
    """Over a socket, to an API process; each of those at once to an account of its own."""
    times: list[float] = []
    async with httpx.AsyncClient(base_url=settings.api_url, timeout=60, trust_env=False) as client:

        async def one_after_the_other(number: int) -> None:
            body = {"email": f"u{number}@example.com", "password": _PASSWORD}
            for _ in range(count // at_once):
                began = time.monotonic()
                (await client.post(_SIGN_IN, json=body)).raise_for_status()
                times.append(time.monotonic() - began)

        await asyncio.gather(*(one_after_the_other(number) for number in range(at_once)))
    return Timed(f"sign-in, {at_once} at once", times)


async def checks(settings: Settings, key: str, count: int) -> list[Timed]:
    """Inside the process: from the request's arrival until it is known who asks and that they may."""
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        platform: Platform = app.state.platform
        secrets = {}
        async with platform.database.transaction() as tx:
            now = await platform.clock.now(tx)
            user = await users.get(tx, 1)
            for kind in ("tokens", "browser"):
                begun = await signins.begin(tx, user, kind=kind, here=Here("127.0.0.1"), at=now)  # type: ignore[arg-type]
                access = signins.access_token(platform.key, begun, at=now)
                secrets[kind] = begun.secret if kind == "browser" else access
        ways = {
            "who asks, by API key": [(b"authorization", f"Bearer {key}".encode())],
            "who asks, by access token": [(b"authorization", f"Bearer {secrets['tokens']}".encode())],
            "who asks, by cookie": [(b"cookie", f"waqtor_sign_in={secrets['browser']}".encode())],
        }
        found = [await _timed(what, count, _asked(app, headers)) for what, headers in ways.items()]
        principal = await admit(_request(app, ways["who asks, by API key"]))

        async def may() -> None:
            require(principal, "contacts.read")

        async def noted() -> None:
            async with platform.database.transaction() as tx:
                what = Happened(platform.actor, "measured")
                audit.record(tx, platform.key, what, at=await platform.clock.now(tx))

        found.append(await _timed("whether they may", count, may))
        return [*found, await _timed("an entry in the audit log", count // 10, noted)]


def _asked(app: Any, headers: list[tuple[bytes, bytes]]) -> Callable[[], Awaitable[object]]:
    return lambda: admit(_request(app, headers))


def _request(app: Any, headers: list[tuple[bytes, bytes]]) -> Request:
    scope = {"type": "http", "method": "GET", "app": app, "client": ("127.0.0.1", 1), "headers": headers, "state": {}}
    return Request(scope)


async def _timed(what: str, count: int, work: Callable[[], Awaitable[object]]) -> Timed:
    times = []
    cpu_before = time.process_time()
    for _ in range(count):
        began = time.perf_counter()
        await work()
        times.append(time.perf_counter() - began)
    return Timed(what, times, time.process_time() - cpu_before)


def measure(database: str, count: int) -> list[tuple[str, ...]]:
    with child.installation("sign-in", database) as bare:
        changes = {"api_port": free_port(), "requests_per_s": 1e6, "strangers_per_s": 1e6}
        settings = bare.model_copy(update=changes)
        key = asyncio.run(prepare(settings))
        found = asyncio.run(checks(settings, key, count * 10))
        for name in changes:
            settings.model_fields_set.add(name)
        with Stack(settings, [one for one in children(settings) if one.name == "api"]) as stack:
            stack.wait_ready()
            for at_once in (1, _ACCOUNTS):
                found.append(asyncio.run(sign_ins(settings, count, at_once)))
        return [one.row(database) for one in found]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.sign_in", description=__doc__)
    parser.add_argument("--count", type=int, default=400, help="sign-ins; ten times as many checks")
    parser.add_argument("--database", choices=list(child.DATABASES), default="both")
    parser.add_argument("--out", type=Path, default=Path("bench/results/sign_in.md"))
    asked = parser.parse_args(arguments)
    about = f"{machine()}. Milliseconds."
    rows = [row for database in child.DATABASES[asked.database] for row in measure(database, asked.count)]
    lines = child.table(("database", "what", "times", "median", "p95", "longest", "processor"), rows)
    child.keep(asked.out, "\n".join(["# Signing in, and being asked who it is", "", about, "", *lines, ""]))
    return 0


if __name__ == "__main__":
    sys.exit(main())

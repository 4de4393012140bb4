"""How fast webhooks leave, and how soon after their commit, also when 99 of 100 endpoints are dead or hang.

`python -m bench.webhooks --help`.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import uvloop
from sqlalchemy import update

from bench import child
from bench.meter import machine
from bench.soak_ws import Instance
from bench.webhook_receivers import Receivers
from core import apikeys, events, keys, schema, webhook_signing, webhooks
from core.database import Database, DatabaseClock, connect
from core.models import Webhook
from core.settings import Settings

_TYPE = "segment.saved"
_CONCURRENCY = 64
_EVENTS_AT_ONCE = 100
_BAD = ("dead", "hang", "drip")
_PATIENCE_S = 180.0
_GOAL_SHARE, _GOAL_P99_S = 0.5, 2.0

Facts = dict[str, Any]


async def _endpoints(settings: Settings, database: Database, urls: Sequence[str]) -> None:
    key = keys.load(settings.key_file)
    async with database.transaction() as tx:
        now = await DatabaseClock().now(tx)
        for url in urls:
            values = {"url": url, "events": [_TYPE], "concurrency": _CONCURRENCY}
            await webhooks.create(tx, key, settings.webhook_rules, values, at=now)


async def _publish(database: Database, first: int, count: int) -> float:
    """In one transaction; when it was committed."""
    async with database.transaction() as tx:
        now = await DatabaseClock().now(tx)
        for number in range(first, first + count):
            await events.publish(tx, events.SegmentMoved(segment_id=number, what="saved"), at=now)
    return time.time()


async def _arrived(receivers: Receivers, path: str, count: int) -> dict[int, float]:
    """When each of the events first came there; waits for all of them."""
    until = time.monotonic() + _PATIENCE_S
    while True:
        first: dict[int, float] = {}
        for one in await asyncio.to_thread(receivers.arrivals):
            if one["path"] == path:
                first.setdefault(int(one["body"].partition('"segment_id":')[2].partition("}")[0]), one["at"])
        if len(first) >= count or time.monotonic() > until:
            return first
        await asyncio.sleep(0.5)


async def _bare(url: str, count: int) -> tuple[float, float]:
    """Of a loop that posts the same and does nothing else: deliveries a second, and processor milliseconds of each."""
    body = b'{"type":"segment.saved","timestamp":"2026-01-01T00:00:00.000000Z","data":{"segment_id":1000000}}'
    secret = webhook_signing.new_secret().private.encode()
    headers = webhook_signing.headers("evt_" + "0" * 32, _TYPE, int(time.time()), body, [secret], v2=False)
    left = iter(range(count))

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def lane() -> None:
            for _ in left:
                async with session.post(url, data=body, headers=headers) as answer:
                    await answer.read()

        began, busy = time.monotonic(), time.process_time()
        await asyncio.gather(*(lane() for _ in range(_CONCURRENCY)))
        return count / (time.monotonic() - began), (time.process_time() - busy) * 1000 / count


@contextmanager
def _installation(database: str) -> Iterator[tuple[Settings, str]]:
    with child.installation("webhooks", database) as plain:
        settings = plain.model_copy(update={"webhook_networks": "127.0.0.0/8", "webhook_http": True})
        keys.init(settings.key_file)
        yield settings, asyncio.run(_first_key(settings))


async def _first_key(settings: Settings) -> str:
    database = connect(settings)
    await schema.upgrade(database)
    async with database.transaction() as tx:
        made = await apikeys.create(
            tx, keys.load(settings.key_file), name="bench", scopes=["read"], at=await DatabaseClock().now(tx)
        )
    await database.close()
    return made.full


def speed(asked: argparse.Namespace, name: str, receivers: Receivers, place: int) -> Facts:
    """What had been committed while the endpoint rested, against the bare loop."""
    url, path = receivers.url("good", place), f"/good/{place}"

    async def prepare(settings: Settings) -> None:
        database = connect(settings)
        await _endpoints(settings, database, [url])
        for first in range(0, asked.deliveries, _EVENTS_AT_ONCE):
            await _publish(database, first, _EVENTS_AT_ONCE)
        await database.close()
        await _rest(settings, timedelta(hours=1))

    with _installation(name) as (settings, key):
        asyncio.run(prepare(settings))
        bare, bare_ms = uvloop.run(_bare(receivers.url("good", 1_000_000 + place), asked.deliveries))
        with Instance(settings, "api", key) as instance:
            to_start = _processor_s(instance)
            asyncio.run(_rest(settings, None))
            came = asyncio.run(_arrived(receivers, path, asked.deliveries))
            busy = _processor_s(instance) - to_start
    moments = sorted(came.values())
    rate = (len(moments) - 1) / (moments[-1] - moments[0]) if len(moments) > 1 else 0.0
    each_ms = busy * 1000 / max(1, len(moments))
    return {"came": len(moments), "ours": rate, "bare": bare, "share": rate / bare, "ms": each_ms, "bare_ms": bare_ms}


async def _rest(settings: Settings, for_: timedelta | None) -> None:
    """The endpoints get nothing for so long, or all that waits, now."""
    database = connect(settings)
    async with database.transaction() as tx:
        until = None if for_ is None else await DatabaseClock().now(tx) + for_
        await tx.execute(update(Webhook).values(paused_until=until))
    await database.close()


def _processor_s(instance: Instance) -> float:
    assert instance.process is not None
    return sum(psutil.Process(instance.process.pid).cpu_times()[:2])


def lag(asked: argparse.Namespace, name: str, receivers: Receivers, place: int, *, bad: int) -> Facts:
    """From commit to arrival at a good endpoint beside so many bad ones."""
    others = [receivers.url(_BAD[one % len(_BAD)], 1000 * place + one) for one in range(bad)]
    rate = asked.rate if not bad else asked.rate / 4
    count = int(asked.seconds * rate)

    async def run(settings: Settings) -> tuple[dict[int, float], dict[int, float]]:
        database = connect(settings)
        await _endpoints(settings, database, [*others, receivers.url("good", place)])
        committed: dict[int, float] = {}
        began = time.monotonic()
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            committed[number] = await _publish(database, number, 1)
        came = await _arrived(receivers, f"/good/{place}", count)
        await database.close()
        return committed, came

    with _installation(name) as (settings, key), Instance(settings, "api", key):
        committed, came = asyncio.run(run(settings))
    # The commit is known to be over only when its answer is here: an arrival may be seen a moment before it.
    late = [max(0.0, came[number] - committed[number]) for number in committed if number in came]
    slow = sorted(((came[one] - committed[one], one) for one in committed if one in came), reverse=True)
    latest = [f"{one}: {took * 1000:.0f} ms" for took, one in slow[:3]]
    return {"events": count, "came": len(late), "rate": rate, **_quantiles(late), "latest": latest}


def _quantiles(late: Sequence[float]) -> dict[str, float]:
    if len(late) < 2:
        return {"p50": float("nan"), "p99": float("nan"), "most": float("nan")}
    cuts = statistics.quantiles(late, n=100)
    return {"p50": cuts[49], "p99": cuts[98], "most": max(late)}


def measure(asked: argparse.Namespace) -> list[Facts]:
    found: list[Facts] = []
    with Receivers() as receivers:
        place = 0
        for name in child.DATABASES[asked.database]:
            rounds = []
            for number in range(asked.rounds):
                rounds.append(speed(asked, name, receivers, place := place + 1))
                print(f"{name}, round {number + 1}: {rounds[-1]}", flush=True)
            alone = lag(asked, name, receivers, place := place + 1, bad=0)
            print(f"{name}, one endpoint: {alone}", flush=True)
            beside = lag(asked, name, receivers, place := place + 1, bad=asked.bad)
            print(f"{name}, beside {asked.bad} bad ones: {beside}", flush=True)
            found.append({"database": name, "rounds": rounds, "alone": alone, "beside": beside})
    return found


def _bad_rows(bad: Facts) -> list[tuple[object, ...]]:
    return [
        (*name.split(), f"{one['s']:.1f}", f"{one['kb']:,.0f}", f"{one['kept_kb']:,.0f}") for name, one in bad.items()
    ]


def written(asked: argparse.Namespace, facts: str, found: Sequence[Facts], bad: Facts) -> tuple[str, bool]:
    speeds, lags, missing = [], [], 0
    is_good = True
    for one in found:
        share = statistics.median(each["share"] for each in one["rounds"])
        ours, bare = (statistics.median(each[which] for each in one["rounds"]) for which in ("ours", "bare"))
        ours_ms, bare_ms = (statistics.median(each[which] for each in one["rounds"]) for which in ("ms", "bare_ms"))
        spent = f"{ours_ms:.2f}", f"{bare_ms:.2f}"
        speeds.append((one["database"], f"{ours:,.0f}", f"{bare:,.0f}", f"{share:.2f}", _GOAL_SHARE, *spent))
        missing += sum(asked.deliveries - each["came"] for each in one["rounds"])
        is_good &= share >= _GOAL_SHARE
        for name, each in (("one endpoint", one["alone"]), (f"beside {asked.bad} bad ones", one["beside"])):
            cells = (f"{each[which] * 1000:,.0f}" for which in ("p50", "p99", "most"))
            lags.append(
                (
                    one["database"],
                    name,
                    f"{each['rate']:g}",
                    *cells,
                    each["events"] - each["came"],
                    ", ".join(each["latest"]),
                )
            )
            missing += each["events"] - each["came"]
        is_good &= one["beside"]["p99"] < _GOAL_P99_S
    lines = [
        "# Webhooks: how fast, and how soon",
        "",
        f"{facts}. API process, receivers, database and what publishes share the machine.",
        "",
        f"{asked.deliveries:,} events that wait for one endpoint, {_CONCURRENCY} at "
        f"once; the bare loop posts one and the same letter with the same client. Medians of {asked.rounds}. Processor "
        "time is that of the API process, from the moment that it may go, and of the bare loop.",
        "",
        *child.table(
            ("database", "deliveries/s", "bare loop/s", "share", "goal", "processor ms each", "bare loop's"), speeds
        ),
        "",
        f"From the commit in another process to the arrival, for {asked.seconds:g} s; of the bad ones a third each is "
        f"not there, does not answer, answers a byte a second. Goal beside them: p99 under {_GOAL_P99_S:g} s.",
        "",
        *child.table(
            ("database", "who", "events/s", "p50 ms", "p99 ms", "most ms", "missing", "latest by number"), lags
        ),
        "",
        "What bad receivers cost the process that posts to them, each row in a new process, and good ones beside them: "
        "until the last was given up or had its answer, and how much memory it had more than before. 16 KiB of an "
        "answer are kept for the log.",
        "",
        *child.table(("receiver", "at once", "seconds", "more KB", "of them kept"), _bad_rows(bad)),
        "",
    ]
    return "\n".join(lines), is_good and not missing


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.webhooks", description=__doc__)
    parser.add_argument("--deliveries", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=20, help="events a second; a quarter of it beside bad ones")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--bad", type=int, default=99, help="endpoints that are dead or hang")
    parser.add_argument("--database", choices=sorted(child.DATABASES), default="both")
    parser.add_argument("--out", type=Path, default=Path("bench/results/webhooks.md"))
    asked = parser.parse_args(arguments)
    facts = machine()
    bad = child.run("bench.webhooks_bad")
    report, is_good = written(asked, facts, measure(asked), bad)
    child.keep(asked.out, report)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())

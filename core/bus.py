"""Reading the event log: in order, every committed event, whoever wrote it and in whatever order they committed."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any

from sqlalchemy import delete, select, text, update

from core import sqlite
from core.database import Database, Tx, is_postgres
from core.models import Event, EventLog


@dataclass(frozen=True, slots=True)
class News:
    """What one may wait for: on `channel` PostgreSQL calls when there is more of it. SQLite calls nobody; there the
    query `newest` finds another value then."""

    channel: str
    newest: str


EVENTS = News("waqtor_events", "SELECT head FROM event_log")
"""Were written, or numbered."""

_RELAY_LOCK = 7_726_002
_PRUNE_BATCH = 5_000
_LOOK_S = 0.02
"""How late an event of another process may be seen on SQLite, which calls nobody."""


@dataclass(frozen=True, slots=True)
class Logged:
    """One event as readers see it."""

    seq: int
    type: str
    topic: str
    data: dict[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class Reach:
    """The log holds `pruned + 1` to `head`. A reader behind `pruned` has to reload by other means."""

    pruned: int
    head: int


async def reach(tx: Tx) -> Reach:
    log = (await tx.execute(select(EventLog.pruned, EventLog.head))).one()
    return Reach(pruned=log.pruned, head=log.head)


async def number(tx: Tx) -> int:
    """Number what has been committed since; returns how many. One process at a time, the others pass by.

    PostgreSQL only: there serial numbers become visible out of commit order. An event that commits later
    than its neighbours simply gets its number later; a reader that saw `seq` never finds a smaller one new.
    """
    if not is_postgres(tx):
        return 0
    if not (await tx.execute(text(f"SELECT pg_try_advisory_xact_lock({_RELAY_LOCK})"))).scalar_one():
        return 0
    result = await tx.execute(
        text("""
            WITH log AS (SELECT head FROM event_log WHERE id = 1),
            waiting AS (SELECT id, row_number() OVER (ORDER BY id) AS place FROM events WHERE seq IS NULL),
            numbered AS (
                UPDATE events SET seq = log.head + waiting.place FROM waiting, log
                WHERE events.id = waiting.id RETURNING 1
            )
            UPDATE event_log SET head = head + (SELECT count(*) FROM numbered)
            WHERE id = 1 AND EXISTS (SELECT 1 FROM waiting)
            RETURNING (SELECT count(*) FROM numbered), pg_notify(:channel, '')
        """),
        {"channel": EVENTS.channel},
    )
    return int(result.scalar() or 0)


async def number_all(database: Database) -> None:
    """What is committed by now gets its number, where that is left to readers."""
    if database.is_postgres:
        async with database.transaction() as tx:
            await number(tx)


async def since(tx: Tx, seq: int, *, limit: int = 500) -> Sequence[Logged]:
    rows = await tx.execute(
        select(Event.seq, Event.type, Event.topic, Event.data, Event.at)
        .where(Event.seq > seq)
        .order_by(Event.seq)
        .limit(limit)
    )
    return [Logged(*row) for row in rows]


async def next_batch(database: Database, seq: int, *, limit: int = 500) -> Sequence[Logged]:
    """What is committed by now and comes after `seq`."""
    await number_all(database)
    async with database.reading() as tx:
        return await since(tx, seq, limit=limit)


async def follow(database: Database, seq: int, *, poll_s: float = 0.05) -> AsyncIterator[Logged]:
    """Every event after `seq`, for ever. The caller keeps its own cursor: the `seq` it has dealt with."""
    while True:
        batch = await next_batch(database, seq)
        for logged in batch:
            yield logged
            seq = logged.seq
        if not batch:
            await asyncio.sleep(poll_s)


@asynccontextmanager
async def calls(
    database: Database, *, at_least_each_s: float, of: News = EVENTS
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """A function that waits until there may be more of them, whichever process wrote them. What comes between two waits
    ends the second at once. Raises `ConnectionError` when the connection that listens has gone."""
    if not database.is_postgres:
        changes = sqlite.Changes(database.engine.url.database or "", of.newest)

        async def look() -> None:
            until = time.monotonic() + at_least_each_s
            await asyncio.sleep(_LOOK_S)  # first: a busy file would be read without a pause
            while not changes.are_there() and time.monotonic() < until:  # noqa: ASYNC110  nobody calls
                await asyncio.sleep(_LOOK_S)

        try:
            yield look
        finally:
            changes.close()
        return
    called = asyncio.Event()
    async with database.engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection

        def call(*_: object) -> None:
            called.set()

        async def wait() -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(at_least_each_s):
                    await called.wait()
            called.clear()
            if driver.is_closed():
                raise ConnectionError("the connection that listens has gone")

        await driver.add_listener(of.channel, call)
        try:
            yield wait
        finally:
            if not driver.is_closed():
                await driver.remove_listener(of.channel, call)


async def prune(database: Database, *, before: datetime) -> int:
    """Forget events older than `before`, oldest first, in short transactions. Outcomes live in their tables."""
    pruned = 0
    while True:
        async with database.transaction() as tx:
            first = (await reach(tx)).pruned
            rows = await tx.execute(
                select(Event.seq, Event.at).where(Event.seq > first).order_by(Event.seq).limit(_PRUNE_BATCH)
            )
            # Up to the first that is young: `at` is when a transaction began, so it need not follow `seq`.
            old = [row.seq for row in takewhile(lambda row: row.at < before, rows)]
            if not old:
                return pruned
            await tx.execute(delete(Event).where(Event.seq <= old[-1]))
            await tx.execute(update(EventLog).where(EventLog.pruned < old[-1]).values(pruned=old[-1]))
            pruned += len(old)

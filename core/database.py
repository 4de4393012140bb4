"""The one place that opens connections and commits. SQLite by default, PostgreSQL by its address."""

import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiosqlite
import orjson
from sqlalchemy import TextClause, event, make_url, text
from sqlalchemy.engine import Connection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from core import sqlite
from core.settings import Settings

Tx = AsyncSession
"""An open transaction. What takes a `tx` never commits it."""

_READ_ONLY = "waqtor_read_only"
_BRIEF = "waqtor_brief"
_LAST = "waqtor_last"


def before_commit(tx: Tx, work: Callable[[], Awaitable[None]]) -> None:
    """Done as the last thing of this transaction: for a lock that everybody shares, so that it is taken after all
    others and held for a moment only."""
    tx.info.setdefault(_LAST, []).append(work)


def _prepare_sqlite(busy_timeout_s: float) -> Any:
    def prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # we write BEGIN ourselves, below
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout = {int(busy_timeout_s * 1000)}",
            "journal_mode = WAL",
            "synchronous = FULL",  # a committed intent must survive the power going
            "foreign_keys = ON",
            "temp_store = MEMORY",
            "cache_size = -32000",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return prepare


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that turns to writing fails at once with SQLITE_BUSY when another has written
    # since; taking the lock at BEGIN makes it wait instead.
    options = connection.get_execution_options()
    driver = connection.connection.driver_connection
    driver.is_brief = options.get(_BRIEF, False)  # type: ignore[union-attr]
    connection.exec_driver_sql("BEGIN" if options.get(_READ_ONLY, False) else sqlite.BEGIN)


def _roll_back_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry, __: BaseException | None) -> None:
    # A cancelled statement's cursor lives on in the traceback, and while it does sqlite3 closes the connection
    # only half: the write lock would stay and stop everybody. Queued before the close, in the driver's thread.
    driver: aiosqlite.Connection = connection.driver_connection
    if driver._connection is not None:
        driver._tx.put_nowait((None, driver._connection.rollback))


class Database:
    """`transaction()` commits when its block ends and rolls back when it raises; `reading()` never commits.

    `brief` is one whose statements take some milliseconds together, whatever the database holds: on SQLite they run in
    the loop's own thread, since the way to another and back costs more (core/sqlite.py)."""

    def __init__(self, engine: AsyncEngine, writers: sqlite.Writers | None = None) -> None:
        self.engine = engine
        self._writers = writers
        brief, reading = {_BRIEF: True}, {_READ_ONLY: True}
        self._writing = {one: _sessions(engine, brief if one else {}) for one in (False, True)}
        self._reading = {one: _sessions(engine, reading | (brief if one else {})) for one in (False, True)}

    @property
    def is_postgres(self) -> bool:
        return self.engine.dialect.name == "postgresql"

    @asynccontextmanager
    async def transaction(self, *, brief: bool = False) -> AsyncIterator[Tx]:
        turn = self._writers.turn() if self._writers else nullcontext()
        async with turn, self._writing[brief]() as tx, tx.begin():
            await tx.connection()  # on SQLite the write lock: who reads the clock after it does not read it early
            yield tx
            for work in tx.info.pop(_LAST, ()):
                await work()

    @asynccontextmanager
    async def reading(self, *, brief: bool = False) -> AsyncIterator[Tx]:
        """A snapshot for looking only; takes no write lock."""
        async with self._reading[brief]() as tx:
            yield tx

    async def close(self) -> None:
        await self.engine.dispose()


def _sessions(engine: AsyncEngine, options: dict[str, bool]) -> async_sessionmaker[AsyncSession]:
    bound = engine.execution_options(**options) if options else engine
    return async_sessionmaker(bound, expire_on_commit=False, autoflush=_READ_ONLY not in options)


def connect(settings: Settings) -> Database:
    """Open (and for SQLite create the folder of) the configured database. Runs no migration."""
    url = make_url(settings.database)
    options: dict[str, Any] = {
        "json_serializer": lambda value: orjson.dumps(value).decode(),
        "json_deserializer": orjson.loads,
        "pool_size": settings.pool_size,
        "max_overflow": settings.pool_size,
        "hide_parameters": True,  # a logged error must not show whom it was about
    }
    if url.get_backend_name() == "sqlite":
        if url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        file = sqlite.creator(url.database or ":memory:", patience_s=settings.sqlite_busy_timeout_s)
        engine = create_async_engine(url, async_creator=file, **options)
        event.listen(engine.sync_engine, "connect", _prepare_sqlite(settings.sqlite_busy_timeout_s))
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        event.listen(engine.sync_engine, "invalidate", _roll_back_sqlite)
        return Database(engine, sqlite.Writers(settings.sqlite_busy_timeout_s))
    options["connect_args"] = {
        "server_settings": {
            "synchronous_commit": "on",
            "application_name": "waqtor",
            "timezone": "UTC",
            # Of a rotating disk the default holds: there a batch that touches 64 rows of a campaign reads it whole.
            "random_page_cost": "1.1",
            # Our statements look rows up by key. The plan of a prepared one is kept, and one made while a table was
            # still small would go on reading it whole: a young installation sent a quarter slower for that.
            "enable_seqscan": "off",
            # With that a plan that has to read a table whole counts as dear beyond all measure, and a server with LLVM
            # would compile it: 0.4 s for a statement that takes a millisecond.
            "jit": "off",
        }
    }
    engine = create_async_engine(url, **options)
    event.listen(engine.sync_engine, "checkout", _ping_after_idle(engine))
    event.listen(engine.sync_engine, "checkin", _note_use)
    return Database(engine)


_IDLE_S = 1.0
_USED_AT = "waqtor_used_at"


def _note_use(_: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
    record.info[_USED_AT] = time.monotonic()


def _ping_after_idle(engine: AsyncEngine) -> Any:
    """A connection that a restarted server dropped is noticed before work is put on it. Not of one used this very
    second, as `pool_pre_ping` would: that was a tenth of what the API's webhooks cost."""

    def checkout(connection: DBAPIConnection, record: ConnectionPoolEntry, _: PoolProxiedConnection) -> None:
        if time.monotonic() - record.info.get(_USED_AT, -math.inf) > _IDLE_S:
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error as error:
                raise DisconnectionError from error

    return checkout


_PASSING_SQLITE = {5, 6, 7, 8, 9, 10, 13, 14, 15}  # busy, locked, no memory, read-only, interrupted, I/O, full, …
_PASSING_POSTGRES = {"08", "40", "53", "55", "57", "58"}  # connection, deadlock, resources, lock, shutdown, system


def is_passing(error: BaseException) -> bool:
    """The database was away, busy, or broke a deadlock. That says nothing about what it was asked for: the same
    may go through later. Anything else fails again however often it is tried."""
    cause = error
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        cause = error.orig or error
    if (state := getattr(cause, "sqlstate", None)) is not None:  # also asyncpg's own, raised while connecting
        return str(state)[:2] in _PASSING_POSTGRES
    if (code := getattr(cause, "sqlite_errorcode", None)) is not None:
        return code & 0xFF in _PASSING_SQLITE
    if isinstance(error, InterfaceError):  # asyncpg: a closed connection, or a value that fits no column
        return not isinstance(cause.__cause__, ValueError)
    return isinstance(error, OSError | PoolTimeout)


class DatabaseClock:
    """`core.ports.Clock`: PostgreSQL's own clock; on SQLite that of the machine, which is the same one."""

    async def now(self, tx: Tx) -> datetime:
        if tx.get_bind().dialect.name == "postgresql":
            moment: datetime = (await tx.execute(text("SELECT clock_timestamp()"))).scalar_one()
            return moment
        return datetime.now(UTC)


def is_postgres(tx: Tx) -> bool:
    return tx.get_bind().dialect.name == "postgresql"


def either(tx: Tx, *, sqlite: str, postgres: str) -> TextClause:
    """The statement of this transaction's dialect, for the few places where one SQL cannot serve both."""
    return text(postgres if is_postgres(tx) else sqlite)

"""SQLite behind asyncio, with one way to the driver's thread and back for each statement, or none.

aiosqlite goes there four times for each: cursor, execute, fetch, close. At a dozen statements a turn those ways
were a third of what sending a message costs (docs/measurements.md), and even the one way costs more than most
statements do. So those of a brief transaction run where they are awaited; only what waits, for the lock or for the
disk, has to go.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiosqlite

BEGIN = "BEGIN IMMEDIATE"
_LOOK_S = 0.001


class Changes:
    """Whether what the query `of` finds, one value out of an index, has changed since the last look, by whichever
    process. It is asked only where anybody has committed to the file; whether they have is a look at memory that all
    connections share. That takes some microseconds, so it needs no thread."""

    def __init__(self, path: str, of: str) -> None:
        self._driver = sqlite3.connect(path, timeout=0, isolation_level=None)
        self._of = of
        self._version: int | None = None
        self._value: object = None

    def are_there(self) -> bool:
        try:
            (version,) = self._driver.execute("PRAGMA data_version").fetchone()
            if version == self._version:
                return False
            (value,) = self._driver.execute(self._of).fetchone()
        except sqlite3.OperationalError:  # held by somebody for a moment, for whom there will be a reason
            return True
        was, self._value, self._version = self._value, value, version
        return bool(was != value)

    def close(self) -> None:
        self._driver.close()


class Writers:
    """Those of one process wait for each other here, so that not each of them looks again and again whether the file is
    free. Who has waited `patience_s` here goes to look for itself, and is refused by the driver."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        has_lock = False
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience_s):
                has_lock = await self._lock.acquire()
        try:
            yield
        finally:
            if has_lock:
                self._lock.release()


class _Cursor:
    """What SQLAlchemy asks of a driver's cursor. All rows come with the execution; the real cursor is closed
    before the thread goes on, so that none is left open by who was cancelled while waiting."""

    def __init__(self, connection: "_Connection") -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: Any = None
        self.lastrowid: int | None = None
        self.rowcount = -1

    async def execute(self, sql: str, parameters: Iterable[Any] = ()) -> None:
        if sql == BEGIN:
            await self._connection.begin()
        else:
            await self._connection.work(lambda driver: self._take(driver.execute(sql, tuple(parameters))))

    async def executemany(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
        await self._connection.work(lambda driver: self._take(driver.executemany(sql, rows)))

    async def fetchall(self) -> list[Any]:
        return self._rows

    async def close(self) -> None: ...

    def _take(self, cursor: sqlite3.Cursor) -> None:
        try:
            self.description, self.lastrowid = cursor.description, cursor.lastrowid
            self._rows = cursor.fetchall() if cursor.description else []
            self.rowcount = cursor.rowcount
        finally:
            cursor.close()


def _is_begun(driver: sqlite3.Connection) -> bool:
    """False: somebody else writes."""
    try:
        driver.execute(BEGIN)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def _begin(driver: sqlite3.Connection, patience_s: float) -> None:
    """SQLite itself looks again each 100 ms, and hardly ever hits the moment between two turns of a campaign: a
    webhook then waits for seconds. Who looks each millisecond gets its turn (docs/measurements.md)."""
    until = time.monotonic() + patience_s
    while not _is_begun(driver):
        if time.monotonic() > until:
            driver.execute(BEGIN)  # the driver's own refusal
            return
        time.sleep(_LOOK_S)


class _Connection(aiosqlite.Connection):
    patience_s: float
    is_brief = False
    """Of the transaction that has it: its statements run in the loop's own thread."""

    async def cursor(self) -> _Cursor:  # type: ignore[override]  # SQLAlchemy awaits it, and does no more
        return _Cursor(self)

    async def begin(self) -> None:
        # Not SQLite's own waiting, also not that of the loop's thread.
        self._conn.execute("PRAGMA busy_timeout = 0")
        try:
            if not _is_begun(self._conn):
                await self._in_thread(lambda driver: _begin(driver, self.patience_s))
        finally:
            self._conn.execute(f"PRAGMA busy_timeout = {int(self.patience_s * 1000)}")

    async def work(self, work: Callable[[sqlite3.Connection], None]) -> None:
        if self.is_brief:
            work(self._conn)
        else:
            await self._in_thread(work)

    async def _in_thread(self, work: Callable[[sqlite3.Connection], None]) -> None:
        await self._execute(lambda: work(self._conn))  # type: ignore[no-untyped-call]


def creator(file: Path | str, *, patience_s: float) -> Callable[[], Awaitable[aiosqlite.Connection]]:
    """For `create_async_engine(async_creator=…)`. `patience_s`: how long a writer waits for another."""

    async def connect() -> aiosqlite.Connection:
        connection = _Connection(lambda: sqlite3.connect(file, check_same_thread=False), 64)
        connection.patience_s = patience_s
        connection._thread.daemon = True  # as SQLAlchemy does: a forgotten connection must not keep a process
        return await connection

    return connect

"""SQLite behind asyncio, with one way to the driver's thread and back for each statement.

aiosqlite goes there four times for each: cursor, execute, fetch, close. At a dozen statements a turn those ways
were a third of what sending a message costs (docs/measurements.md).
"""

import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import aiosqlite

BEGIN = "BEGIN IMMEDIATE"
_LOOK_S = 0.001


class Changes:
    """Whether anybody, in whichever process, has committed to the file since the last look. That is a look at memory
    that all connections share: some microseconds, so it needs no thread."""

    def __init__(self, path: str) -> None:
        self._driver = sqlite3.connect(path, timeout=0, isolation_level=None)
        self._version: int | None = None

    def are_there(self) -> bool:
        try:
            (version,) = self._driver.execute("PRAGMA data_version").fetchone()
        except sqlite3.OperationalError:  # held by somebody for a moment, for whom there will be a reason
            return True
        was, self._version = self._version, version
        return bool(was != version)

    def close(self) -> None:
        self._driver.close()


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
            await self._connection.in_thread(lambda driver: _begin(driver, self._connection.patience_s))
        else:
            await self._connection.in_thread(lambda driver: self._take(driver.execute(sql, tuple(parameters))))

    async def executemany(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
        await self._connection.in_thread(lambda driver: self._take(driver.executemany(sql, rows)))

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


def _begin(driver: sqlite3.Connection, patience_s: float) -> None:
    """SQLite itself looks again each 100 ms, and hardly ever hits the moment between two turns of a campaign: a
    webhook then waits for seconds. Who looks each millisecond gets its turn (docs/measurements.md)."""
    until = time.monotonic() + patience_s
    driver.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                driver.execute(BEGIN)
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
            time.sleep(_LOOK_S)
    finally:
        driver.execute(f"PRAGMA busy_timeout = {int(patience_s * 1000)}")


class _Connection(aiosqlite.Connection):
    patience_s: float

    async def cursor(self) -> _Cursor:  # type: ignore[override]  # SQLAlchemy awaits it, and does no more
        return _Cursor(self)

    async def in_thread(self, work: Callable[[sqlite3.Connection], None]) -> None:
        await self._execute(lambda: work(self._conn))  # type: ignore[no-untyped-call]


def creator(file: Path | str, *, patience_s: float) -> Callable[[], Awaitable[aiosqlite.Connection]]:
    """For `create_async_engine(async_creator=…)`. `patience_s`: how long a writer waits for another."""

    async def connect() -> aiosqlite.Connection:
        connection = _Connection(lambda: sqlite3.connect(file, check_same_thread=False), 64)
        connection.patience_s = patience_s
        connection._thread.daemon = True  # as SQLAlchemy does: a forgotten connection must not keep a process
        return await connection

    return connect

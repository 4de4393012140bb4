"""SQLite behind asyncio, with one way to the driver's thread and back for each statement.

aiosqlite goes there four times for each: cursor, execute, fetch, close. At a dozen statements a turn those ways
were a third of what sending a message costs (docs/measurements.md).
"""

import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import aiosqlite


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


class _Connection(aiosqlite.Connection):
    async def cursor(self) -> _Cursor:  # type: ignore[override]  # SQLAlchemy awaits it, and does no more
        return _Cursor(self)

    async def in_thread(self, work: Callable[[sqlite3.Connection], None]) -> None:
        await self._execute(lambda: work(self._conn))  # type: ignore[no-untyped-call]


def creator(file: Path | str) -> Callable[[], Awaitable[aiosqlite.Connection]]:
    """For `create_async_engine(async_creator=…)`."""

    async def connect() -> aiosqlite.Connection:
        connection = _Connection(lambda: sqlite3.connect(file, check_same_thread=False), 64)
        connection._thread.daemon = True  # as SQLAlchemy does: a forgotten connection must not keep a process
        return await connection

    return connect

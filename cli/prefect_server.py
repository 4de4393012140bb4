"""`python -m prefect`, without the stand-still of its embedded database after a client was killed.

A statement of the server that is cancelled or fails leaves its SQLite cursor open in a traceback. Until Python
collects it, the connection cannot be closed and keeps the write lock; all others wait for it, 60 s and longer,
and no run starts (seen with Prefect 3.8.8, SQLAlchemy 2.0.58, aiosqlite 0.22). Here each statement closes its
cursor in the driver's thread before anybody can be cancelled.
"""

from collections import deque
from runpy import run_module
from typing import Any

from sqlalchemy.dialects.sqlite.aiosqlite import AsyncAdapt_aiosqlite_cursor

_as_it_comes = AsyncAdapt_aiosqlite_cursor.execute


def _execute(self: AsyncAdapt_aiosqlite_cursor, operation: Any, parameters: Any = None) -> Any:
    if self.server_side:
        return _as_it_comes(self, operation, parameters)
    connection: Any = self._connection

    def run() -> tuple[Any, list[Any], int | None, int]:
        driver = connection._conn
        cursor = driver.execute(operation) if parameters is None else driver.execute(operation, parameters)
        try:
            rows = cursor.fetchall() if cursor.description else []
            return cursor.description, rows, cursor.lastrowid, cursor.rowcount
        finally:
            cursor.close()

    try:
        description, rows, lastrowid, rowcount = self.await_(connection._execute(run))
    except Exception as error:  # noqa: BLE001  the adapter decides what it is, and raises
        self._adapt_connection._handle_exception(error)
    self.description, self._rows = description, deque(rows)
    self.lastrowid, self.rowcount = (-1, -1) if description else (lastrowid or 0, rowcount)
    return None


if __name__ == "__main__":
    AsyncAdapt_aiosqlite_cursor.execute = _execute  # type: ignore[method-assign]
    run_module("prefect", run_name="__main__", alter_sys=True)

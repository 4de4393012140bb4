"""The oracle: what was asked, what took effect and what was told, in SQLite.

Rows are changed in memory and written in batches by one thread, at least every `FLUSH_S`; who reads flushes.
A row is written again when it changes, under its own key, so a batch holds each row once.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FLUSH_S = 0.05
_log = logging.getLogger("simulator.ledger")
STATUSES = ("sent", "delivered", "read", "failed")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    seq INTEGER PRIMARY KEY, at REAL, phone_number_id TEXT, "to" TEXT, callback TEXT, wamid TEXT, type TEXT,
    template TEXT, text TEXT, key TEXT, version INTEGER, accepted INTEGER, effect INTEGER, error INTEGER,
    fault TEXT, answer_written INTEGER);
CREATE INDEX IF NOT EXISTS requests_callback ON requests (callback);
CREATE INDEX IF NOT EXISTS requests_to ON requests ("to");
CREATE TABLE IF NOT EXISTS statuses (
    id INTEGER PRIMARY KEY, at REAL, error INTEGER, attempts INTEGER, answered_200 INTEGER, outcome TEXT);
CREATE TABLE IF NOT EXISTS inbounds (
    id INTEGER PRIMARY KEY, at REAL, phone_number_id TEXT, contact TEXT, wamid TEXT, kind TEXT, text TEXT,
    cause INTEGER, content TEXT, attempts INTEGER, answered_200 INTEGER, outcome TEXT);
CREATE INDEX IF NOT EXISTS inbounds_contact ON inbounds (contact);
CREATE TABLE IF NOT EXISTS posts (
    id INTEGER PRIMARY KEY, at REAL, phone_number_id TEXT, url TEXT, kind TEXT, items INTEGER,
    attempt INTEGER, http_status INTEGER, outcome TEXT, seconds REAL);
CREATE TABLE IF NOT EXISTS media (
    id INTEGER PRIMARY KEY, at REAL, phone_number_id TEXT, mime_type TEXT, filename TEXT, sha256 TEXT,
    file_size INTEGER, content BLOB);
CREATE TABLE IF NOT EXISTS settings (kind TEXT, key TEXT, value TEXT, PRIMARY KEY (kind, key));
"""
_WIDTHS = {"requests": 16, "statuses": 6, "inbounds": 12, "posts": 10}
_WRITES = {
    table: f"INSERT OR REPLACE INTO {table} VALUES ({','.join('?' * width)})" for table, width in _WIDTHS.items()
}


@dataclass(slots=True)
class Request:
    """One messages request. `effect`: the message is or will be at the recipient."""

    seq: int
    at: float
    phone_number_id: str
    to: str = ""
    callback: str = ""
    wamid: str = ""
    type: str = ""
    template: str = ""
    text: str = ""
    key: str = ""
    version: int = 0
    accepted: bool = False
    effect: bool = False
    error: int | None = None
    fault: str = ""
    answer_written: bool = False

    def row(self) -> tuple[Any, ...]:
        return (
            self.seq, self.at, self.phone_number_id, self.to, self.callback, self.wamid, self.type,
            self.template, self.text, self.key, self.version, self.accepted, self.effect, self.error,
            self.fault, self.answer_written,
        )  # fmt: skip


@dataclass(slots=True)
class Status:
    """One status of one message; its id is made of the request's and the status's rank."""

    request: Request
    status: str
    at: float
    error: int | None = None
    attempts: int = 0
    answered: bool = False
    outcome: str = "pending"

    @property
    def id(self) -> int:
        return self.request.seq * 8 + STATUSES.index(self.status)

    def row(self) -> tuple[Any, ...]:
        return self.id, self.at, self.error, self.attempts, self.answered, self.outcome


@dataclass(slots=True)
class Inbound:
    """Something a contact sent; `cause` is the request it answers."""

    id: int
    at: float
    phone_number_id: str
    contact: str
    wamid: str
    kind: str
    text: str
    cause: int | None
    content: str
    attempts: int = 0
    answered: bool = False
    outcome: str = "pending"

    def row(self) -> tuple[Any, ...]:
        return (
            self.id, self.at, self.phone_number_id, self.contact, self.wamid, self.kind, self.text,
            self.cause, self.content, self.attempts, self.answered, self.outcome,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Post:
    """One attempt to hand a batch to a webhook."""

    id: int
    at: float
    phone_number_id: str
    url: str
    kind: str
    items: int
    attempt: int
    http_status: int | None
    outcome: str
    seconds: float

    def row(self) -> tuple[Any, ...]:
        return (
            self.id, self.at, self.phone_number_id, self.url, self.kind, self.items, self.attempt,
            self.http_status, self.outcome, self.seconds,
        )  # fmt: skip


Row = Request | Status | Inbound | Post
_TABLE_OF: dict[type, str] = {Request: "requests", Status: "statuses", Inbound: "inbounds", Post: "posts"}


class Ledger:
    """Write with `write`, read with `query`; sequence numbers go on where the file ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._dirty: dict[int, Row] = {}
        self._writer = ThreadPoolExecutor(1, "ledger-writer")
        self._reader = ThreadPoolExecutor(1, "ledger-reader")
        self._timer: asyncio.TimerHandle | None = None
        self._write_to = _connect(path)
        self._write_to.executescript(_SCHEMA)
        self._read_from = _connect(path)
        self.seq = self._last("requests", "seq")
        self.inbound_id = self._last("inbounds", "id")
        self.post_id = self._last("posts", "id")

    def write(self, row: Row) -> None:
        """Keep this row, as it is when the next batch is written."""
        self._dirty[id(row)] = row
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._hand_over)

    async def flush(self) -> None:
        """Return when everything written so far is in the file."""
        self._hand_over()
        await asyncio.get_running_loop().run_in_executor(self._writer, int)

    async def query(self, sql: str, arguments: Sequence[Any] | Mapping[str, Any] = ()) -> list[sqlite3.Row]:
        """Rows that include everything written before this call."""
        await self.flush()
        return await asyncio.get_running_loop().run_in_executor(self._reader, self._read, sql, arguments)

    async def execute(self, sql: str, arguments: Sequence[Any] = ()) -> int:
        """Write by hand, in order with the batches; answers the last row id."""
        self._hand_over()
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._execute, sql, arguments)

    def settings(self, kind: str) -> dict[str, str]:
        """What was kept under this kind; for the start, before anything runs."""
        rows = self._read("SELECT key, value FROM settings WHERE kind = ?", (kind,))
        return {row["key"]: row["value"] for row in rows}

    async def keep(self, kind: str, key: str, value: str) -> None:
        """Keep a setting over a restart."""
        await self.execute("INSERT OR REPLACE INTO settings VALUES (?, ?, ?)", (kind, key, value))

    async def clear(self) -> None:
        """Forget all rows but media and settings; sequence numbers go on."""
        self._dirty.clear()
        for table in _WIDTHS:
            await self.execute(f"DELETE FROM {table}")

    def close(self) -> None:
        """Write what is left and let go of the file."""
        self._hand_over()
        self._writer.shutdown()
        self._reader.shutdown()
        self._write_to.close()
        self._read_from.close()

    def _hand_over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._dirty:
            return
        batches: dict[str, list[tuple[Any, ...]]] = {}
        for row in self._dirty.values():
            batches.setdefault(_TABLE_OF[type(row)], []).append(row.row())
        self._dirty = {}
        self._writer.submit(self._write_batches, batches).add_done_callback(_report)

    def _write_batches(self, batches: dict[str, list[tuple[Any, ...]]]) -> None:
        with self._write_to:
            for table, rows in batches.items():
                self._write_to.executemany(_WRITES[table], rows)

    def _execute(self, sql: str, arguments: Sequence[Any]) -> int:
        with self._write_to:
            return self._write_to.execute(sql, arguments).lastrowid or 0

    def _read(self, sql: str, arguments: Sequence[Any] | Mapping[str, Any]) -> list[sqlite3.Row]:
        return self._read_from.execute(sql, arguments).fetchall()

    def _last(self, table: str, column: str) -> int:
        value = self._read(f"SELECT max({column}) AS last FROM {table}", ())[0]["last"]
        return int(value or 0)


def _report(written: Future[None]) -> None:
    error = written.exception()
    if error is not None:
        # An oracle with a hole in it must say so.
        _log.error("ledger.batch_lost", exc_info=error)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, timeout=30)
    connection.row_factory = sqlite3.Row
    # A killed process loses nothing that reached the operating system; only a power cut would, in a test bed.
    connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;")
    return connection

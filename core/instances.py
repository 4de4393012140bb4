"""Which API processes may work on one database: one by itself, or several that share what they know by Redis.

The lock belongs to a connection or an open file, so it goes with the process that has it, however that ends.
"""

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from core.database import Database
from core.errors import WaqtorError

_LOCK = 7_726_020
_PATIENCE_S = 2.0  # a killed process's connection is noticed a moment later
_LOOK_S = 0.1
_EVERY_S = 1.0
logger = logging.getLogger(__name__)


class AnotherInstance(WaqtorError):
    """A second API process on this database, and no Redis by which they would know of each other."""

    code = "another_instance"

    def __init__(self) -> None:
        super().__init__(
            "Another API process works on this database, and one of the two has no Redis to share limits by.",
            hint="Stop the other one first, or give WAQTOR_REDIS_URL (the same) to all of them: docs/live-events.md.",
        )


class Place:
    """Released when the block or the process ends. `is_held` is False while the database is away, and where another
    took the place meanwhile."""

    is_held = True
    connection: AsyncConnection | None = None


@asynccontextmanager
async def place(database: Database, *, shared: bool) -> AsyncIterator[Place]:
    """As long as the block runs, this is one of several (`shared`), or the only one. Raises `AnotherInstance`."""
    keep = _on_postgres if database.is_postgres else _beside_the_file
    async with keep(database, shared=shared) as held:
        yield held


@asynccontextmanager
async def _on_postgres(database: Database, *, shared: bool) -> AsyncIterator[Place]:
    held = Place()
    held.connection = await _connected(database)
    keeping: asyncio.Task[None] | None = None
    try:
        until = time.monotonic() + _PATIENCE_S
        while not await _lock(held.connection, shared=shared):
            if time.monotonic() > until:
                raise AnotherInstance
            await asyncio.sleep(_LOOK_S)
        keeping = asyncio.create_task(_keep(database, held, shared=shared))
        yield held
    finally:
        if keeping is not None:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        await _drop(held)


async def _connected(database: Database) -> AsyncConnection:
    """Not from the pool, where the lock would live on; given up by the server within half a minute when our machine is
    gone."""
    engine = create_async_engine(database.engine.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    connection = await engine.connect()
    try:
        for name, value in (("idle", 10), ("interval", 5), ("count", 3)):
            await connection.execute(text(f"SET tcp_keepalives_{name} = {value}"))
    except BaseException:  # also a cancellation: it comes from no pool that would take it back
        await connection.close()
        raise
    return connection


async def _lock(connection: AsyncConnection, *, shared: bool) -> bool:
    kind = "_shared" if shared else ""
    return bool((await connection.execute(text(f"SELECT pg_try_advisory_lock{kind}({_LOCK})"))).scalar_one())


async def _keep(database: Database, held: Place, *, shared: bool) -> None:
    """The lock went with the connection when the database restarted: taken again, unless another was faster."""
    while True:
        await asyncio.sleep(_EVERY_S)
        try:
            if held.connection is None:
                held.connection = await _connected(database)
                _note(held, is_held=await _lock(held.connection, shared=shared))
                if not held.is_held:
                    logger.error("another_instance: it took our place while the database was away")
            elif held.is_held:
                await held.connection.execute(text("SELECT 1"))
            else:
                _note(held, is_held=await _lock(held.connection, shared=shared))
        except Exception as error:  # noqa: BLE001  the database may be restarting; nothing may end the watch
            _note(held, is_held=False, why=type(error).__name__)
            await _drop(held)


def _note(held: Place, *, is_held: bool, why: str = "") -> None:
    if held.is_held and not is_held:
        logger.error("instance_lock_lost why=%s", why)
    elif is_held and not held.is_held:
        logger.warning("instance_lock_taken_again")
    held.is_held = is_held


async def _drop(held: Place) -> None:
    connection, held.connection = held.connection, None
    if connection is not None:
        with suppress(Exception):  # it may be gone already
            await connection.close()


@asynccontextmanager
async def _beside_the_file(database: Database, *, shared: bool) -> AsyncIterator[Place]:
    file = Path(f"{database.engine.url.database}.api-lock")
    with file.open("ab") as opened:  # noqa: ASYNC230  once, at the start
        until = time.monotonic() + _PATIENCE_S
        while not lock_file(opened, shared=shared):
            if time.monotonic() > until:
                raise AnotherInstance
            await asyncio.sleep(_LOOK_S)
        yield Place()


def lock_file(opened: IO[bytes], *, shared: bool) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            if not shared:  # Windows knows no shared one
                msvcrt.locking(opened.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(opened, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True

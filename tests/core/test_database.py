"""What the two databases promise: durable commits, writers that wait, readers that do not hold them up."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

import scenes
from core.bootstrap import Platform
from core.database import Database, connect, is_passing
from core.settings import Settings

Raising = Callable[[Database], Awaitable[None]]


async def _ask(database: Database, *questions: str) -> list[object]:
    async with database.reading() as tx:
        return [(await tx.execute(text(one))).scalar_one() for one in questions]


async def test_every_connection_of_the_pool_has_the_promised_durability(platform: Platform) -> None:
    questions, answers = (
        (("SHOW synchronous_commit", "SHOW TimeZone", "SHOW jit"), ["on", "UTC", "off"])
        if platform.database.is_postgres
        else (
            ("PRAGMA journal_mode", "PRAGMA synchronous", "PRAGMA busy_timeout", "PRAGMA foreign_keys"),
            ["wal", 2, 30_000, 1],
        )
    )
    # At the same time, so that each has a connection of its own.
    for found in await asyncio.gather(*(_ask(platform.database, *questions) for _ in range(6))):
        assert found == answers


async def test_what_raises_leaves_nothing_behind(platform: Platform) -> None:
    async def half() -> None:
        async with platform.database.transaction() as tx:
            await tx.execute(text("UPDATE switches SET reason = 'half'"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await half()
    assert await _ask(platform.database, "SELECT reason FROM switches WHERE name = 'sending'") == [""]


async def test_reading_commits_nothing(platform: Platform) -> None:
    async with platform.database.reading() as tx:
        await tx.execute(text("UPDATE switches SET reason = 'read'"))
    assert await _ask(platform.database, "SELECT reason FROM switches WHERE name = 'sending'") == [""]


async def test_many_writers_wait_for_each_other_and_none_is_refused(platform: Platform) -> None:
    """Each reads before it writes: a transaction that began by reading could not turn to writing later."""

    async def write() -> None:
        for _ in range(5):
            async with platform.database.transaction() as tx:
                head = (
                    await tx.execute(
                        text("SELECT head FROM event_log" + (" FOR UPDATE" if platform.database.is_postgres else ""))
                    )
                ).scalar_one()
                await asyncio.sleep(0.002)
                await tx.execute(text("UPDATE event_log SET head = :next"), {"next": head + 1})

    await asyncio.gather(*(write() for _ in range(8)))
    assert await _ask(platform.database, "SELECT head FROM event_log") == [40]


async def test_a_reader_neither_waits_for_a_writer_nor_holds_one_up(platform: Platform) -> None:
    async with platform.database.reading() as reader:
        await reader.execute(text("SELECT * FROM switches"))
        async with platform.database.transaction() as tx:
            await tx.execute(text("UPDATE switches SET reason = 'new'"))
            began = time.monotonic()
            assert await _ask(platform.database, "SELECT reason FROM switches WHERE name = 'sending'") == [""]
        assert time.monotonic() - began < 2
    assert await _ask(platform.database, "SELECT reason FROM switches WHERE name = 'sending'") == ["new"]


@pytest.mark.only_on("sqlite")
async def test_a_long_writer_makes_others_wait_at_their_beginning(settings: Settings) -> None:
    """On SQLite the lock is taken by BEGIN IMMEDIATE: waiting too long fails there, before anything was read."""
    database = connect(settings.model_copy(update={"sqlite_busy_timeout_s": 0.1}))
    try:
        async with database.transaction() as tx:
            await tx.execute(text("SELECT 1"))
            with pytest.raises(DBAPIError, match="locked") as refused:
                async with database.transaction() as other:
                    await other.execute(text("SELECT 1"))
            assert is_passing(refused.value)
    finally:
        await database.close()


@pytest.mark.parametrize("brief", [False, True])
async def test_a_brief_transaction_commits_and_rolls_back_as_any(platform: Platform, brief: bool) -> None:
    async def change(reason: str, *, breaks: bool = False) -> None:
        async with platform.database.transaction(brief=brief) as tx:
            await tx.execute(text("UPDATE switches SET reason = :reason"), {"reason": reason})
            if breaks:
                raise RuntimeError

    await change("kept")
    with pytest.raises(RuntimeError):
        await change("lost", breaks=True)
    assert await _ask(platform.database, "SELECT reason FROM switches WHERE name = 'sending'") == ["kept"]


@pytest.mark.only_on("sqlite")
async def test_only_brief_statements_run_in_the_loops_own_thread(settings: Settings) -> None:
    """Of one connection, in turns: what one transaction is says nothing of the next."""
    database = connect(settings.model_copy(update={"pool_size": 1}))

    async def is_here(*, brief: bool, writes: bool) -> bool:
        async with (database.transaction if writes else database.reading)(brief=brief) as tx:
            await tx.connection()
            raw = await (await tx.connection()).get_raw_connection()
            raw.driver_connection._conn.create_function("thread", 0, threading.get_ident)  # type: ignore[union-attr]
            return bool((await tx.execute(text("SELECT thread()"))).scalar_one() == threading.get_ident())

    try:
        for _ in range(2):
            assert await is_here(brief=True, writes=True)
            assert not await is_here(brief=False, writes=True)
            assert await is_here(brief=True, writes=False)
            assert not await is_here(brief=False, writes=False)
    finally:
        await database.close()


@pytest.mark.only_on("sqlite")
async def test_writers_of_one_process_get_their_turn_in_the_order_they_came(platform: Platform) -> None:
    came: list[int] = []

    async def write(number: int) -> None:
        async with platform.database.transaction():
            came.append(number)
            await asyncio.sleep(0.01)

    await asyncio.gather(*(write(number) for number in range(12)))
    assert came == list(range(12))


@pytest.mark.only_on("sqlite")
async def test_a_writer_of_another_process_lets_the_loop_go_on(settings: Settings) -> None:
    """Who waits for the file waits in the driver's thread, also where its statements do not run there."""
    ours, theirs = connect(settings), connect(settings)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    async def hold(entered: asyncio.Event) -> None:
        async with theirs.transaction():
            entered.set()
            await asyncio.sleep(0.3)

    ticking, entered = asyncio.create_task(tick()), asyncio.Event()
    holding = asyncio.create_task(hold(entered))
    try:
        await entered.wait()
        before = ticks
        async with ours.transaction(brief=True):
            assert ticks - before >= 5
    finally:
        ticking.cancel()
        await asyncio.gather(ticking, holding, return_exceptions=True)
        await ours.close()
        await theirs.close()


async def _lost(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


async def _unreachable(database: Database) -> None:
    away = connect(Settings(database_url="postgresql://nobody@127.0.0.1:1/nothing"))
    try:
        async with away.transaction() as tx:
            await tx.execute(text("SELECT 1"))
    finally:
        await away.close()


async def _deadlock(database: Database) -> None:
    async def both(first: int, second: int) -> None:
        async with database.transaction() as tx:
            await tx.execute(text(f"SELECT pg_advisory_xact_lock({first})"))
            await asyncio.sleep(0.1)
            await tx.execute(text(f"SELECT pg_advisory_xact_lock({second})"))

    results = await asyncio.gather(both(1, 2), both(2, 1), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _wrong_value(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE event_log SET head = CAST(:x AS bigint) + (SELECT NULL)"), {"x": 1})


async def _twice(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("INSERT INTO event_log (id, head, pruned) VALUES (1, 0, 0)"))


async def _too_large(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE event_log SET head = CAST(:x AS bigint)"), {"x": 2**70})


@pytest.mark.only_on("postgres")  # a file cannot go away, and SQLite has one writer at a time
@pytest.mark.parametrize("raising", [_lost, _unreachable, _deadlock])
async def test_a_database_that_was_away_or_busy_passes(platform: Platform, raising: Raising) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011  # which one is the driver's matter
        await raising(platform.database)
    assert is_passing(caught.value), repr(caught.value)


@pytest.mark.parametrize("raising", [_wrong_value, _twice, _too_large])
async def test_what_the_database_will_not_have_does_not_pass(platform: Platform, raising: Raising) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011  # which one is the driver's matter
        await raising(platform.database)
    assert not is_passing(caught.value), repr(caught.value)


async def test_a_full_pool_passes(settings: Settings) -> None:
    database = connect(settings.model_copy(update={"pool_size": 1}))
    database.engine.pool._timeout = 0.05  # type: ignore[attr-defined]  # 30 s otherwise
    try:
        async with database.reading() as one, database.reading() as two:
            await one.execute(text("SELECT 1"))
            await two.execute(text("SELECT 1"))
            with pytest.raises(Exception, match="QueuePool") as refused:
                await _ask(database, "SELECT 1")
            assert is_passing(refused.value)
    finally:
        await database.close()


async def test_an_error_shows_nobodys_data(platform: Platform) -> None:
    await scenes.people(platform, 1)
    with pytest.raises(DBAPIError) as refused:
        async with platform.database.transaction() as tx:
            await tx.execute(text("INSERT INTO event_log (id, head, pruned) VALUES (:id, :x, 0)"), {"id": 1, "x": 4711})
    assert "4711" not in str(refused.value)


async def test_a_batch_finds_its_rows_by_their_keys_however_many_there_are(platform: Platform) -> None:
    if platform.database.is_postgres:  # SQLite has no such cost
        assert await _ask(platform.database, "SHOW random_page_cost") == ["1.1"]


@pytest.mark.only_on("sqlite")  # PostgreSQL has no one lock for all who write
async def test_who_waited_for_the_lock_reads_the_clock_after_it(platform: Platform) -> None:
    """Else a STOP that waited for its turn would bear a time before messages that left meanwhile."""
    entered = asyncio.Event()

    async def hold() -> datetime:
        async with platform.database.transaction() as tx:
            entered.set()
            await asyncio.sleep(0.3)
            return await platform.clock.now(tx)

    holding = asyncio.create_task(hold())
    await entered.wait()
    async with platform.database.transaction() as tx:
        assert await platform.clock.now(tx) > await holding

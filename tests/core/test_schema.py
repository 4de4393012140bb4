"""Migrations: up from nothing, down to nothing, and never apart from the models."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

import scenes
from core import consents, schema
from core.bootstrap import Platform
from core.database import Database, connect
from core.errors import SchemaBehind
from core.settings import Settings

_UPGRADE = """
import asyncio, sys
from core import schema
from core.database import connect
from core.settings import Settings
from pathlib import Path

async def main():
    database = connect(Settings(data_dir=Path(sys.argv[1]), database_url=sys.argv[2]))
    await schema.upgrade(database)
    await schema.require_current(database)

asyncio.run(main())
"""


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    database = connect(settings)
    yield database
    await database.close()


@pytest.fixture
async def empty(database: Database) -> Database:
    await schema.downgrade(database, "base")
    return database


async def _tables(database: Database) -> set[str]:
    listed = (
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        if database.is_postgres
        else "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    )
    async with database.reading() as tx:
        return set((await tx.execute(text(listed))).scalars())


async def test_up_from_nothing_down_to_nothing_and_up_again(empty: Database) -> None:
    assert await _tables(empty) == {"alembic_version"}
    assert await schema.current(empty) is None
    for _ in range(2):
        await schema.upgrade(empty)
        assert await schema.current(empty) == schema.newest()
        assert await schema.drift(empty) == []
        await schema.downgrade(empty, "base")
        assert await _tables(empty) == {"alembic_version"}


async def test_down_leaves_no_function_or_trigger(empty: Database) -> None:
    left = (
        "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        if empty.is_postgres
        else "SELECT count(*) FROM sqlite_master WHERE type IN ('trigger', 'index') AND name NOT LIKE 'sqlite_%'"
    )
    async with empty.reading() as tx:
        assert (await tx.execute(text(left))).scalar_one() == 0


async def test_models_and_migrations_agree(database: Database) -> None:
    assert await schema.drift(database) == []


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ("ALTER TABLE contacts ADD COLUMN by_hand INTEGER", "by_hand"),
        ("ALTER TABLE messages DROP COLUMN read_at", "read_at"),
        ("CREATE TABLE by_hand (id INTEGER)", "by_hand"),
        ("DROP INDEX ix_recipients_campaign_id_state_id", "ix_recipients_campaign_id_state_id"),
    ],
)
async def test_drift_is_seen(database: Database, change: str, seen: str) -> None:
    async with database.transaction() as tx:
        await tx.execute(text(change))
    found = await schema.drift(database)
    assert len(found) == 1
    assert seen in found[0]


@pytest.mark.only_on("postgres")  # SQLite cannot change a column's type
async def test_a_changed_type_is_seen(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("ALTER TABLE senders ALTER COLUMN daily_cap TYPE text"))
    assert "daily_cap" in str(await schema.drift(database))


async def test_two_processes_that_upgrade_at_once_both_succeed(empty: Database, settings: Settings) -> None:
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _UPGRADE,
            str(settings.data_dir),
            settings.database_url,
            cwd=Path(__file__).parents[2],
            stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(2)
    ]
    for process in processes:
        _, error = await process.communicate()
        assert process.returncode == 0, error.decode()
    assert await schema.drift(empty) == []


async def test_an_old_or_empty_database_is_refused_with_what_to_do(empty: Database) -> None:
    with pytest.raises(SchemaBehind) as refused:
        await schema.require_current(empty)
    assert "waqtor db upgrade" in str(refused.value.hint)


async def test_a_database_of_a_newer_program_is_refused(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaBehind, match="9999"):
        await schema.require_current(database)


@pytest.mark.parametrize("statement", ["UPDATE consents SET action = 'granted'", "DELETE FROM consents"])
async def test_the_ledger_of_consents_takes_nothing_back(platform: Platform, statement: str) -> None:
    await scenes.people(platform, 1)
    async with platform.database.transaction() as tx:
        await consents.opt_out(tx, 1, reason="asked", source="test", at=await platform.clock.now(tx))
    with pytest.raises(DBAPIError, match="append-only"):
        async with platform.database.transaction() as tx:
            await tx.execute(text(statement))
    async with platform.database.reading() as tx:
        assert (await tx.execute(text("SELECT action FROM consents"))).scalars().all() == ["withdrawn"]

"""Brings the database to the schema of `core.models`, and says when it is not there."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from core.database import Database
from core.errors import SchemaBehind
from core.models import Base

_ROOT = Path(__file__).parent.parent
_UPGRADE_LOCK = 7_726_001  # any constant: two processes starting at once must not both migrate


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_ROOT / "alembic"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def newest() -> str:
    """The revision this code was written for."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None, "alembic/versions is empty"  # noqa: S101  # a broken checkout, not a run-time state
    return head


async def current(database: Database) -> str | None:
    """The revision the database is at; None for an empty one."""
    async with database.engine.connect() as connection:
        return await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())


async def upgrade(database: Database, revision: str = "head") -> None:
    """Safe to call by several processes at once and again."""

    def run(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})"))
        command.upgrade(_config(connection), revision)

    async with database.engine.begin() as connection:
        await connection.run_sync(run)


async def downgrade(database: Database, revision: str) -> None:
    async with database.engine.begin() as connection:
        await connection.run_sync(lambda sync: command.downgrade(_config(sync), revision))


async def require_current(database: Database) -> None:
    """Refuse to work on a schema this code was not written for."""
    found = await current(database)
    if found != newest():
        raise SchemaBehind(
            f"The database is at revision {found or 'none'}, this program needs {newest()}.",
            hint="Run: waqtor db upgrade",
        )


async def drift(database: Database) -> list[str]:
    """Where the database differs from the models; empty when they agree."""

    from alembic.autogenerate import compare_metadata  # half a second, and no process that serves asks for it

    def compare(connection: Connection) -> list[str]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return [str(difference) for difference in compare_metadata(context, Base.metadata)]

    async with database.engine.connect() as connection:
        return await connection.run_sync(compare)

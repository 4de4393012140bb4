"""Runs migrations on the connection that `core.schema` hands over; by hand, on the configured database."""

import asyncio
from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection

from core.database import connect
from core.models import Base, UtcDateTime
from core.settings import Settings


def render_item(kind: str, item: Any, _: Any) -> str | Literal[False]:
    """Revisions import nothing of ours: a model may change, a revision may not."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        compare_type=True,
        render_item=render_item,
    )
    with context.begin_transaction():
        context.run_migrations()


async def run_configured() -> None:
    database = connect(Settings())
    async with database.engine.begin() as connection:
        await connection.run_sync(run)
    await database.close()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    asyncio.run(run_configured())

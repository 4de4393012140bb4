"""Databases on one PostgreSQL server: each migrated, empty and under a name that no other test had.

Making one costs the server 0.2 s of work and more, emptying one 5 ms. So a test gets one that another has used,
emptied; whoever still knows it by its old name (a process that should have ended) does not find it. One whose shape a
test has changed, or that cannot be emptied for whatever reason, is dropped instead."""

import uuid
from dataclasses import dataclass

import asyncpg

from core import schema
from core.database import connect
from core.settings import Settings

_USES = 50  # then it is dropped, so that what was deleted from it does not pile up

# Whatever changes the shape of a database writes a row of these, and each row says who wrote it.
_SHAPE = " UNION ALL ".join(
    f"SELECT '{catalog}', count(*), sum(xmin::text::bigint), max(xmin::text::bigint) FROM pg_{catalog}"
    for catalog in ("class", "type", "proc", "attribute", "attrdef", "constraint", "index", "trigger")
)
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
_OTHERS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database()
AND pid <> pg_backend_pid()"""
_RESTART = """
SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false) FROM pg_sequences
WHERE last_value IS NOT NULL"""


@dataclass
class _Used:
    name: str
    times: int


def named(url: str, name: str) -> str:
    """The address of another database on the same server."""
    head, _, query = url.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{name}" + (f"?{query}" if query else "")


class Databases:
    """Those on the server at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url.replace("+asyncpg", "")
        self._template = f"waqtor_template_{uuid.uuid4().hex[:12]}"
        self._shape: list[asyncpg.Record] = []
        self._rows: dict[str, str] = {}
        self._idle: list[_Used] = []
        self._taken: dict[str, _Used] = {}

    async def prepare(self) -> None:
        """Make the one that all are copies of."""
        await self._ask(f"CREATE DATABASE {self._template}")
        url = named(self._url, self._template)
        database = connect(Settings(database_url=url))
        await schema.upgrade(database)
        await database.close()
        connection = await asyncpg.connect(url)
        for (table,) in await connection.fetch(_TABLES):
            rows = await connection.fetchval(f'SELECT jsonb_agg(t) FROM "{table}" AS t')
            self._rows[table] = rows or "[]"
        self._shape = await connection.fetch(_SHAPE)
        assert not await connection.fetch(_RESTART), "migrations use a sequence: what it was at must be remembered"
        await connection.close()

    async def take(self, *, new: bool = False) -> str:
        """The address of one. `new`: nobody has used it, so its pages and statistics are those of a new one as well."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        if self._idle and not new:
            used = self._idle.pop()
            await self._ask(f"ALTER DATABASE {used.name} RENAME TO {name}")
            used.name, used.times = name, used.times + 1
        else:
            used = _Used(name, 1)
            await self._ask(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        url = named(self._url, name)
        self._taken[url] = used
        return url

    async def give_back(self, url: str) -> None:
        used = self._taken.pop(url)
        if used.times < _USES and await self._is_as_new(url):
            self._idle.append(used)
        else:
            await self._ask(f"DROP DATABASE {used.name} WITH (FORCE)")

    async def end(self) -> None:
        for name in (self._template, *(used.name for used in self._idle)):
            await self._ask(f"DROP DATABASE {name} WITH (FORCE)")

    async def _is_as_new(self, url: str) -> bool:
        """Empties it. False: it must not be used again."""
        try:
            connection = await asyncpg.connect(url)
        except (OSError, asyncpg.PostgresError):
            return False
        try:
            ended = await connection.fetch(_OTHERS)
            if not all(one[0] for one in ended) or await connection.fetch(_SHAPE) != self._shape:
                return False
            async with connection.transaction():
                # Neither the order of foreign keys nor what forbids to delete shall hold for this.
                await connection.execute("SET LOCAL session_replication_role = replica")
                await connection.execute("; ".join(f'DELETE FROM "{table}"' for table in self._rows))
                for table, rows in self._rows.items():
                    if rows != "[]":
                        filled = f'INSERT INTO "{table}" SELECT * FROM jsonb_populate_recordset(NULL::"{table}", $1)'
                        await connection.execute(filled, rows)
                await connection.fetch(_RESTART)
        except (OSError, asyncpg.PostgresError):  # a server given by WAQTOR_TEST_PG_URL may not let us
            return False
        finally:
            await connection.close()
        return True

    async def _ask(self, statement: str) -> None:
        connection = await asyncpg.connect(self._url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

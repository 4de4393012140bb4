"""Many rows in one statement: they travel as one JSON parameter, which both databases can read as a table."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import Result, TextClause, text

from core.database import Tx, is_postgres


@lru_cache(maxsize=1_024)  # receipts of one second are many
def stamp(moment: datetime) -> str:
    """UTC as SQLite keeps it; PostgreSQL reads it in the session's zone, which is UTC too."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def ids(values: Iterable[int]) -> str:
    return orjson.dumps(list(values)).decode()


def in_ids(tx: Tx, parameter: str = "ids") -> str:
    """`IN (…)` over a parameter made by `ids()`. An array on PostgreSQL: that it looks up in an index, while a
    subquery may make it read the table."""
    if is_postgres(tx):
        return f"= ANY (ARRAY(SELECT CAST(jsonb_array_elements_text(CAST(:{parameter} AS jsonb)) AS bigint)))"
    return f"IN (SELECT value FROM json_each(:{parameter}))"


def names(values: Iterable[str]) -> str:
    return orjson.dumps(list(values)).decode()


def in_names(tx: Tx) -> str:
    """`IN (…)` over the parameter `names`, made by `names()`."""
    if is_postgres(tx):
        return "= ANY (ARRAY(SELECT jsonb_array_elements_text(CAST(:names AS jsonb))))"
    return "IN (SELECT value FROM json_each(:names))"


def few(tx: Tx, column: str, condition: str) -> str:
    """`AND column IN (…)` beside a join that says the same: it keeps PostgreSQL from reading the table. SQLite finds
    its way, and would with this go through the rows once for each of the table."""
    return f"AND {column} {condition}" if is_postgres(tx) else ""


def table(tx: Tx, **columns: str) -> str:
    """`(…) AS r` with these columns (name = PostgreSQL type) over the parameter `rows`."""
    if is_postgres(tx):
        typed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        return f"jsonb_to_recordset(CAST(:rows AS jsonb)) AS r({typed})"
    picked = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in columns)
    return f"(SELECT {picked} FROM json_each(:rows)) AS r"


def dumped(value: object) -> str | None:
    """For a parameter of `json()`."""
    return None if value is None else orjson.dumps(value).decode()


def json(tx: Tx, parameter: str) -> str:
    """The parameter, made by `dumped()`, as a value of a JSON column."""
    return f"CAST(:{parameter} AS jsonb)" if is_postgres(tx) else f":{parameter}"


def now(tx: Tx) -> str:
    """The parameter `now`, as a time."""
    return "CAST(:now AS timestamptz)" if is_postgres(tx) else ":now"


async def take_ids(tx: Tx, table: str, count: int) -> list[int]:
    """The next ids, for rows about to be inserted. On SQLite whoever writes is alone."""
    if is_postgres(tx):
        taken = await tx.execute(
            text("SELECT nextval(pg_get_serial_sequence(:table, 'id')) FROM generate_series(1, CAST(:count AS int))"),
            {"table": table, "count": count},
        )
        return sorted(taken.scalars())
    last = (await tx.execute(text(f"SELECT coalesce(max(id), 0) FROM {table}"))).scalar_one()
    return list(range(last + 1, last + 1 + count))


async def run(tx: Tx, sql: str, rows: Iterable[Mapping[str, Any]] | None = None, **values: Any) -> Result[Any]:
    """Execute with `rows` as the table of the same name. Datetimes among the values are made comparable."""
    if rows is not None:
        values["rows"] = orjson.dumps(list(rows)).decode()
    if not is_postgres(tx):
        values = {name: stamp(value) if isinstance(value, datetime) else value for name, value in values.items()}
    return await tx.execute(_statement(sql), values)


@lru_cache(maxsize=1_024)
def _statement(sql: str) -> TextClause:
    """SQLAlchemy knows it again, and need not read it anew: that was as much as the database had to do."""
    return text(sql)

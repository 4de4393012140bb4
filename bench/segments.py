"""Counting a segment among many contacts. `python -m bench.segments --help`."""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench import child
from bench.meter import machine
from core import schema, segments
from core.database import Database, connect
from core.filters_text import parse
from core.settings import Settings

_TIMES = 5
FILTERS = (
    'tag = "vip"',
    'city = "جدة" and age >= 30',
    'country = "SA" and tag = "vip" and not city = "Riyadh"',
)
_NUMBERS = {
    "postgresql": "SELECT n FROM generate_series(1, {count}) AS n",
    "sqlite": "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < {count}) SELECT n FROM t",
}
_ROWS = (
    "INSERT INTO attributes (name, kind) VALUES ('age', 'number'), ('city', 'text')",
    "INSERT INTO contacts (id, name, attributes, created_at, updated_at) SELECT n, 'Person ' || n,"
    " CAST({object} AS {json}), '2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00' FROM ({numbers}) AS p",
    "INSERT INTO identities (contact_id, kind, value, value_hash, created_at) SELECT n, 'phone',"
    " CASE n % 4 WHEN 0 THEN '+9715' ELSE '+9665' END || (10000000 + n), 'hash' || n, '2026-01-01 00:00:00+00'"
    " FROM ({numbers}) AS p",
    "INSERT INTO contact_tags (contact_id, tag) SELECT n, CASE n % 21 WHEN 0 THEN 'vip' ELSE 'customer' END"
    " FROM ({numbers}) AS p",
    "ANALYZE",
)
_OBJECT = (
    """'{"city": "' || CASE n % 3 WHEN 0 THEN 'جدة' WHEN 1 THEN 'Riyadh' ELSE 'Dubai' END"""
    """ || '", "age": "' || (18 + n % 60) || '"}'"""
)


async def fill(database: Database, count: int) -> None:
    """In one statement per table: what is measured is the asking."""
    kind = "postgresql" if database.is_postgres else "sqlite"
    parts = {
        "numbers": _NUMBERS[kind].format(count=count),
        "object": _OBJECT,
        "json": "jsonb" if database.is_postgres else "text",
    }
    for statement in _ROWS:
        filled = statement
        for name, value in parts.items():
            filled = filled.replace("{" + name + "}", value)
        async with database.transaction() as tx:
            await (await tx.connection()).exec_driver_sql(filled)


async def ask(database: Database) -> list[tuple[str, int, list[float]]]:
    """Each filter, who it chooses, and the seconds of each asking."""
    found = []
    for filter_text in FILTERS:
        seconds: list[float] = []
        number = 0
        for _ in range(_TIMES):
            began = time.monotonic()
            async with database.reading() as tx:
                number = await segments.count(tx, parse(filter_text), at=datetime.now(UTC))
            seconds.append(time.monotonic() - began)
        found.append((filter_text, number, sorted(seconds)))
    return found


async def measure(settings: Settings, count: int) -> list[tuple[str, int, list[float]]]:
    database = connect(settings)
    try:
        await schema.upgrade(database)
        await fill(database, count)
        return await ask(database)
    finally:
        await database.close()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.segments", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--database", choices=list(child.DATABASES), default="both")
    parser.add_argument("--out", type=Path, default=Path("bench/results/segments.md"))
    asked = parser.parse_args(arguments)
    lines = [
        f"# Counting a segment among {asked.count:,} contacts",
        "",
        f"{machine()}. Seconds of {_TIMES} askings, min / median / max; the first of them finds nothing cached.",
        "",
        "| database | filter | people | seconds |",
        "|---|---|---|---|",
    ]
    for database in child.DATABASES[asked.database]:
        with child.installation("segments", database) as settings:
            for filter_text, number, seconds in asyncio.run(measure(settings, asked.count)):
                spread = " / ".join(f"{one:.2f}" for one in (seconds[0], seconds[len(seconds) // 2], seconds[-1]))
                lines.append(f"| {database} | `{filter_text}` | {number:,} | {spread} |")
                print(lines[-1], flush=True)
    asked.out.write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

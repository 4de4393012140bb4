"""Taking a large file of contacts: how fast, and in how much memory. `python -m bench.imports --help`."""

import argparse
import asyncio
import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openpyxl import Workbook

from bench import child
from bench.meter import machine
from connectors import choose
from core import import_runs, imports, kept_files, keys, schema
from core.bootstrap import build
from core.database import connect
from core.imports import Agreed, Asked
from core.settings import Settings

_HEADING = ["phone", "name", "tags", "city"]
_WRONG_EVERY = 100


def _row(number: int) -> list[str]:
    phone = "12" if number % _WRONG_EVERY == 0 else f"+9665{number:08d}"
    return [phone, f"سارة {number}", "customers;vip", "الرياض"]


def content(count: int, format: str) -> bytes:
    """`count` rows, one in a hundred with a number that is none."""
    if format == "xlsx":
        book = Workbook(write_only=True)
        sheet = book.create_sheet()
        for number in range(count + 1):
            sheet.append(_row(number) if number else _HEADING)
        out = io.BytesIO()
        book.save(out)
        return out.getvalue()
    rows = (_row(number) for number in range(1, count + 1))
    if format == "json":
        return "\n".join(json.dumps(dict(zip(_HEADING, row, strict=True))) for row in rows).encode()
    return "\n".join(",".join(row) for row in (_HEADING, *rows)).encode()


async def take(settings: Settings, format: str, stored: str) -> dict[str, Any]:
    """As the API process does it after the upload, its memory watched."""
    keys.init(settings.key_file)
    database = connect(settings)
    await schema.upgrade(database)
    await database.close()
    platform = await build(settings, connectors=choose.CloudConnectors(settings), jobs=choose.jobs(settings))
    async with platform.database.transaction() as tx:
        at = await platform.clock.now(tx)
        asked = Asked(f"people.{format}", format, "SA", {}, consent=Agreed("form", "yes", given_at=at))
        made = await imports.create(tx, asked, stored=stored, lease_s=30, at=at)
    with child.watched() as used:
        await import_runs.run(platform, made.id)
    async with platform.database.reading() as tx:
        job = await imports.get(tx, made.id)
    await platform.close()
    assert job.state == imports.FINISHED
    return used.facts() | {"rate": job.rows / used.seconds, "created": job.created, "rejected": job.rejected}


def measure(count: int, database: str, format: str) -> dict[str, Any]:
    with child.installation("imports", database) as settings:
        body = content(count, format)
        stored = kept_files.keep(settings, io.BytesIO(body))
        load = os.getloadavg()[0]
        found = child.run("bench.imports", str(settings.data_dir), settings.database_url, format, stored)
    return found | {"what": "ours", "load": load, "database": database, "format": format, "size_mb": len(body) / 2**20}


def peer(count: int, way: str) -> dict[str, Any]:
    """The same CSV into a PostgreSQL as fresh as ours had."""
    with child.installation("imports", "postgresql") as settings:
        body, path = content(count, "csv"), settings.data_dir / "people.csv"
        path.write_bytes(body)
        load = os.getloadavg()[0]
        found = child.run("bench.imports_peers", settings.database_url, str(path), way)
    about = {"what": way, "load": load, "database": "postgresql", "format": "csv", "size_mb": len(body) / 2**20}
    return found | about | {"rate": count / found["seconds"], "rejected": count - found["created"]}


def written(count: int, facts: str, found: Sequence[dict[str, Any]]) -> str:
    lines = [
        f"# Importing {count:,} contacts",
        "",
        f"{facts}. One process, the code of the API process after an upload ({import_runs.CHUNK} rows a transaction, "
        f"each synced); all people new, with two tags, an attribute and evidence of consent; one number in "
        f"{_WRONG_EVERY} is none. Where the load average (as each began) is above the number of cores, the machine was "
        "busy with other work, and the CPU seconds are the surer figure. *by row* and *by copy* are simpler programs "
        "(bench/imports_peers.py): one upsert for each row, 10,000 rows a transaction, as listmonk's importer does it "
        "(the Go program itself was not run); COPY into a temporary table and upserts from there. They check only a "
        "number's form, and keep neither consent nor a report nor where they were. CPU seconds are the program's, "
        "without PostgreSQL's.",
        "",
    ]
    heading = "what, format, MB, database, load, rows/s, seconds, CPU s, taken; not, MB before; most, MB by quarter"
    lines += child.table(
        heading.split(", "),
        [
            [
                one["what"],
                one["format"],
                f"{one['size_mb']:.1f}",
                one["database"],
                f"{one['load']:.1f}",
                f"{one['rate']:,.0f}",
                f"{one['seconds']:.1f}",
                f"{one['cpu_s']:.1f}",
                f"{one['created']:,}; {one['rejected']:,}",
                f"{one['rss_before_mb']:.0f}; {one['rss_most_mb']:.0f}",
                one["rss_quarters_mb"],
            ]
            for one in found
        ],
    )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.imports", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--database", choices=list(child.DATABASES), default="both")
    parser.add_argument("--format", choices=("all", "csv", "xlsx", "json"), default="csv")
    parser.add_argument("--peers", action="store_true", help="simpler programs too (bench/imports_peers.py)")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("bench/results/imports.md"))
    parser.add_argument("--only", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.only:
        folder, url, format, stored = asked.only
        print(json.dumps(asyncio.run(take(Settings(data_dir=Path(folder), database_url=url), format, stored))))
        return 0
    facts = machine()
    formats = ("csv", "xlsx", "json") if asked.format == "all" else (asked.format,)
    found = []
    for _ in range(asked.rounds):  # by turns, so that a busy moment of the machine hits all
        for database in child.DATABASES[asked.database]:
            found += [measure(asked.rows, database, format) for format in formats]
        found += [peer(asked.rows, way) for way in ("by row", "by copy") if asked.peers]
    child.keep(asked.out, written(asked.rows, facts, found))
    return 0


if __name__ == "__main__":
    sys.exit(main())

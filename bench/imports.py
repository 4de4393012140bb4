"""Taking a large file of contacts: how fast, and in how much memory. `python -m bench.imports --help`."""

import argparse
import asyncio
import io
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
from openpyxl import Workbook

from bench.meter import machine
from bench.postgres import Postgres
from connectors import choose
from core import import_runs, imports, kept_files, keys, schema
from core.bootstrap import build
from core.database import connect
from core.imports import Asked
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
        made = await imports.create(tx, Asked(f"people.{format}", format, "SA", {}), stored=stored, lease_s=30, at=at)
    process, seen, done = psutil.Process(), [], threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            seen.append(process.memory_info().rss)

    before, watching = process.memory_info().rss, threading.Thread(target=watch)
    watching.start()
    began, cpu = time.monotonic(), sum(process.cpu_times()[:2])
    await import_runs.run(platform, made.id)
    seconds = time.monotonic() - began
    done.set()
    watching.join()
    async with platform.database.reading() as tx:
        job = await imports.get(tx, made.id)
    await platform.close()
    assert job.state == imports.FINISHED
    return {
        "seconds": seconds,
        "rate": job.rows / seconds,
        "cpu_s": sum(process.cpu_times()[:2]) - cpu,
        "created": job.created,
        "rejected": job.rejected,
        "rss_before_mb": before / 2**20,
        "rss_most_mb": max(seen) / 2**20,
    }


def measure(count: int, database: str, format: str) -> dict[str, Any]:
    """In a process of its own, so that the making of the file is not counted."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wq-imports-")))
        url = ""
        if database == "postgresql":
            url = stack.enter_context(Postgres(Path(f"{folder}-pg"))).create("waqtor")
        body = content(count, format)
        stored = kept_files.keep(Settings(data_dir=folder), io.BytesIO(body))
        command = [sys.executable, "-m", "bench.imports", "--only", str(folder), url, format, stored]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=3600)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found | {"database": database, "format": format, "size_mb": len(body) / 2**20}


def written(count: int, facts: str, found: Sequence[dict[str, Any]]) -> str:
    lines = [
        f"# Importing {count:,} contacts",
        "",
        f"{facts}. One process, the code of the API process after an upload ({import_runs.CHUNK} rows a transaction, "
        f"each synced); all people new, with two tags and an attribute; one number in {_WRONG_EVERY} is none. "
        "Where the load average is above the number of cores, the machine was busy with other work, and the CPU "
        "seconds are the surer figure.",
        "",
        "| format | MB | database | rows/s | seconds | CPU s | new, not taken | memory before, most (MB) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one['format']} | {one['size_mb']:.1f} | {one['database']} | {one['rate']:,.0f} | {one['seconds']:.1f} "
        f"| {one['cpu_s']:.1f} | {one['created']:,}, {one['rejected']:,} "
        f"| {one['rss_before_mb']:.0f}, {one['rss_most_mb']:.0f} |"
        for one in found
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.imports", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--database", choices=("both", "sqlite", "postgresql"), default="both")
    parser.add_argument("--format", choices=("all", "csv", "xlsx", "json"), default="csv")
    parser.add_argument("--out", type=Path, default=Path("bench/results/imports.md"))
    parser.add_argument("--only", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.only:
        folder, url, format, stored = asked.only
        print(json.dumps(asyncio.run(take(Settings(data_dir=Path(folder), database_url=url), format, stored))))
        return 0
    facts = machine()
    databases = ("sqlite", "postgresql") if asked.database == "both" else (asked.database,)
    formats = ("csv", "xlsx", "json") if asked.format == "all" else (asked.format,)
    found = [measure(asked.rows, database, format) for format in formats for database in databases]
    report = written(asked.rows, facts, found)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(report)
    print(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`waqtor doctor`: what this installation needs, whether it is there, and how to get it where it is not."""

import asyncio
import difflib
import os
import shutil
import sqlite3
import stat
import sys
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from rich.console import Console
from rich.table import Table
from sqlalchemy import URL, make_url

from cli.processes_probes import PortTaken, answers, need_port, reachable
from core import database, inbox, keys, schema
from core.database import Database, DatabaseClock
from core.errors import Invalid, WaqtorError
from core.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
NEEDED_DISK_BYTES = 1024**3
LARGEST_SKEW_S = 1.0
# Read by the tests and the checks, not by Settings.
# Not settings of the platform: of the SDK, and of our own tests.
OTHER_VARIABLES = {"WAQTOR_API_KEY", "WAQTOR_URL", "WAQTOR_REQUIRE_ALL", "WAQTOR_TEST_PG_URL"}
# Versions outside these start, answer and do harm; the rest fails loudly by itself.
SILENT = {
    "sqlalchemy": "with 2.1 Prefect's scheduler creates no runs while its server goes on answering",
    "fastapi": "from 0.151 on the Prefect server may fail at import",
    "prefect": "another version was not measured, and 3.9 cannot be installed with pip",
    "websockets": "Prefect does not work with 17",
}


@dataclass(frozen=True)
class Check:
    """One finding. `remedy` says how to get what is missing; empty where all is well."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def doctor(settings: Settings) -> list[Check]:
    """Look at everything; changes nothing and starts nothing."""
    return [
        python(),
        *packages(),
        environment(),
        data_dir(settings),
        disk(settings),
        master_key(settings),
        sqlite(),
        *asyncio.run(_database(settings)),
        port("prefect", settings.prefect_host, settings.prefect_port, health="/api/health"),
        port("api", settings.api_host, settings.api_port, health="/healthz"),
        prefect(settings),
    ]


def run(settings: Settings, *, console: Console | None = None) -> int:
    """Print every finding; 0 where nothing is missing."""
    table = Table("", "what", "found", "how to get it", show_lines=False)
    checks = doctor(settings)
    for check in checks:
        table.add_row("[green]ok[/]" if check.ok else "[red]no[/]", check.name, check.detail, check.remedy)
    (console or Console()).print(table)
    return 0 if all(check.ok for check in checks) else 1


def require_known_environment(variables: Mapping[str, str] = os.environ) -> None:
    """Refuse a `WAQTOR_…` variable nobody reads: a misspelt limit would silently be the default."""
    if unknown := unknown_environment(variables):
        name, meant = next(iter(unknown.items()))
        raise Invalid(
            f"{name} is set, but there is no such setting.",
            field=name,
            hint=f"Did you mean {meant}?" if meant else "All settings: config.example.toml",
        )


def unknown_environment(variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Every `WAQTOR_…` variable that is not a setting, with the setting most like it (or an empty string)."""
    known = {f"WAQTOR_{name.upper()}" for name in Settings.model_fields} | OTHER_VARIABLES
    return {
        name: next(iter(difflib.get_close_matches(name.upper(), known, 1)), "")
        for name in sorted(variables)
        if name.upper().startswith("WAQTOR_") and name.upper() not in known
    }


def python(version: tuple[int, int] = sys.version_info[:2]) -> Check:
    return Check(
        "Python",
        version >= (3, 11),
        ".".join(map(str, version)),
        "" if version >= (3, 11) else "Install Python 3.11 or newer, then: make setup PYTHON=/path/to/python",
    )


def packages(installed: Callable[[str], str] = metadata.version) -> list[Check]:
    """One line for all that fit, and one for each that does not."""
    wrong, fitting = [], 0
    for requirement in _requirements():
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            version = installed(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.append(Check(requirement.name, False, "not installed", "make setup"))
            continue
        if requirement.specifier.contains(version, prereleases=True):
            fitting += 1
            continue
        harm = SILENT.get(requirement.name.lower(), "")
        detail = f"{version}, needed is {requirement.specifier}" + (f": {harm}" if harm else "")
        wrong.append(Check(requirement.name, False, detail, "make setup (it installs what requirements.lock pins)"))
    return [Check("packages", not wrong, f"{fitting} of {fitting + len(wrong)} as pinned"), *wrong]


def environment(variables: Mapping[str, str] = os.environ) -> Check:
    unknown = unknown_environment(variables)
    return Check(
        "environment",
        not unknown,
        f"no setting is called {', '.join(unknown)}" if unknown else "every WAQTOR_ variable is a setting",
        "; ".join(f"{name}: did you mean {meant}?" if meant else f"unset {name}" for name, meant in unknown.items()),
    )


def data_dir(settings: Settings) -> Check:
    folder = settings.data_dir.resolve()
    there = _nearest(folder)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as failure:
        return Check(
            "data directory",
            False,
            f"{there}: {failure.strerror}",
            "Give this user the right to write, or set data_dir.",
        )
    return Check("data directory", True, f"{folder}, {'writable' if there == folder else 'will be made'}")


def disk(settings: Settings, *, needed_bytes: int = NEEDED_DISK_BYTES) -> Check:
    there = _nearest(settings.data_dir.resolve())
    free = shutil.disk_usage(there).free
    enough = free >= needed_bytes
    return Check(
        "disk space",
        enough,
        f"{free / 1024**3:.1f} GiB free at {there}",
        "" if enough else f"Free {needed_bytes / 1024**3:.0f} GiB there, or set data_dir: a full disk stops sending.",
    )


def master_key(settings: Settings) -> Check:
    path = settings.key_file
    try:
        keys.load(path)
    except (WaqtorError, OSError) as failure:
        hint = failure.hint if isinstance(failure, WaqtorError) else None
        return Check("master key", False, str(failure), hint or "Give this user the right to read it.")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return Check("master key", False, f"{path} has mode {mode:04o}: others may read it", f"chmod 600 {path}")
    return Check("master key", True, str(path))


def sqlite(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> Check:
    enough = version >= (3, 38)
    return Check(
        "SQLite",
        enough,
        ".".join(map(str, version)),
        ""
        if enough
        else "Use a Python built with SQLite 3.38 or newer (Debian 12's is), or PostgreSQL (database_url).",
    )


def port(of: str, host: str, number: int, *, health: str) -> Check:
    """Free, or held by what belongs there."""
    name = f"port {number}"
    try:
        need_port(host, number, setting=f"{of}_port", of=of)
    except PortTaken as taken:
        if answers(reachable(host), number, health):
            return Check(name, True, f"{of} serves there")
        return Check(name, False, taken.message, taken.hint or "")
    return Check(name, True, f"free for {of}")


def prefect(settings: Settings) -> Check:
    host, number = reachable(settings.prefect_host), settings.prefect_port
    if answers(host, number, "/api/health"):
        return Check("Prefect", True, f"answers at {settings.prefect_api_url}")
    try:
        need_port(settings.prefect_host, number, setting="prefect_port", of="prefect")
    except PortTaken as other:
        return Check("Prefect", False, f"{settings.prefect_api_url} does not answer as Prefect", other.hint or "")
    return Check("Prefect", True, "not running; `waqtor up` starts it")


async def _database(settings: Settings) -> list[Check]:
    url = make_url(settings.database)
    shown = url.render_as_string(hide_password=True)
    if _is_missing_file(url):  # connecting would make an empty one
        return [Check("database", False, f"{shown}: not made yet", "waqtor db upgrade")]
    connected = database.connect(settings)
    try:
        async with asyncio.timeout(10):
            found, skew_s = await schema.current(connected), await _skew_s(connected)
            aside = await _set_aside(connected) if found == schema.newest() else {}
    except Exception as failure:  # noqa: BLE001 - whatever keeps us from the database is the finding
        why = str(failure).splitlines()[0] if str(failure) else type(failure).__name__
        return [Check("database", False, f"{shown}: {why}", "Start it, or correct database_url.")]
    finally:
        await connected.close()
    newest = schema.newest()
    return [
        Check(
            "database",
            found == newest,
            f"{shown}, schema {found or 'none'}" + ("" if found == newest else f", needed is {newest}"),
            "" if found == newest else "waqtor db upgrade",
        ),
        Check(
            "webhooks of WhatsApp",
            not aside,
            "could not be applied: " + ", ".join(f"{number:,} ({why})" for why, number in aside.items())
            if aside
            else "none was set aside",
            "They are kept. With a version that can apply them: waqtor inbox again" if aside else "",
        ),
        Check(
            "clock",
            abs(skew_s) <= LARGEST_SKEW_S,
            f"{skew_s:+.2f} s from the database's",
            ""
            if abs(skew_s) <= LARGEST_SKEW_S
            else "Let both machines keep time over NTP (chrony, systemd-timesyncd).",
        ),
    ]


async def _set_aside(connected: Database) -> Mapping[str, int]:
    async with connected.reading() as tx:
        return await inbox.set_aside(tx)


async def _skew_s(connected: Database) -> float:
    async with connected.reading() as tx:
        before = datetime.now(UTC)
        theirs = await DatabaseClock().now(tx)
        return (before + (datetime.now(UTC) - before) / 2 - theirs).total_seconds()


def _is_missing_file(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and not Path(url.database or "").exists()


def _requirements() -> list[Requirement]:
    project = ROOT / "pyproject.toml"
    if project.exists():
        named: list[str] = tomllib.loads(project.read_text())["project"]["dependencies"]
    else:
        named = metadata.requires("waqtor-platform") or []
    return [Requirement(name) for name in named]


def _nearest(folder: Path) -> Path:
    """The folder itself, or the first above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())

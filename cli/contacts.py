"""`waqtor contacts …`."""

import argparse
import sys
from datetime import date
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cli.connected import connected, console
from core.errors import Invalid
from waqtor import Client, Consent
from waqtor.contacts import Import

_SHOWN = 20


def add_import(importing: argparse.ArgumentParser) -> None:
    importing.add_argument("file", type=Path)
    importing.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="COLUMN=PLACE",
        help="where a column goes: phone, name, language, tags, opted_out, attributes.<name>, or nothing",
    )
    importing.add_argument("--country", help="of numbers without a +, such as SA")
    importing.add_argument("--tag", action="append", default=[], help="for everybody in the file; may be said again")
    importing.add_argument("--dry-run", action="store_true", help="show what the file would come to; write nothing")
    consent = importing.add_argument_group(
        "consent", "that the people in the file agreed to marketing; asked for where not given"
    )
    consent.add_argument("--consent-source", metavar="WHERE", help="such as: order form")
    consent.add_argument("--consent-wording", metavar="TEXT", help="to what they agreed, word by word")
    consent.add_argument("--consent-date", metavar="YYYY-MM-DD", type=date.fromisoformat)
    consent.add_argument("--no-consent", action="store_true", help="there is no evidence that they did; do not ask")


def contacts_import(asked: argparse.Namespace) -> int:
    if not asked.file.is_file():
        raise Invalid(f"There is no file {asked.file}.")
    mapping = dict(_pair(said) for said in asked.map)
    if asked.dry_run:
        return _preview(asked, mapping)
    consent = _consent(asked)
    with connected() as client:
        done = _with_bar(client, asked, mapping, consent)
    console.print(f"{done.rows:,} rows: {done.created:,} new, {done.updated:,} known, {done.rejected:,} not taken.")
    for row in (done.report or [])[:_SHOWN]:
        console.print(f"  row {row.row}: {row.field}: {row.message}", markup=False)
    if done.rejected > _SHOWN:
        console.print(f"  … all of them: GET /api/v3/imports/{done.id}/rejected.csv")
    return 1 if done.rejected else 0


def _with_bar(client: Client, asked: argparse.Namespace, mapping: dict[str, str], consent: Consent | None) -> Import:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        rows = bar.add_task(f"Importing {asked.file.name} …", total=None)
        return client.contacts.import_file(
            asked.file,
            mapping=mapping,
            country=asked.country,
            consent=consent,
            tags=asked.tag,
            on_progress=lambda now: bar.update(rows, completed=now.rows, total=now.total),
            every_s=0.5,
        )


def _preview(asked: argparse.Namespace, mapping: dict[str, str]) -> int:
    with connected() as client:
        found = client.contacts.preview_import(asked.file, mapping=mapping, country=asked.country, tags=asked.tag)
    table = Table("column", "goes to")
    for column, place in found.columns.items():
        table.add_row(column, place or "nothing")
    console.print(table)
    for person in found.sample[:_SHOWN]:
        console.print(f"  {person.phone}  {person.name}  {', '.join(person.tags)}", markup=False, highlight=False)
    for row in found.report[:_SHOWN]:
        console.print(f"  row {row.row}: {row.field}: {row.message}", markup=False)
    console.print(f"Of the first {found.rows:,} rows {found.rejected:,} would not be taken. Nothing was written.")
    return 1 if found.rejected else 0


def _pair(said: str) -> tuple[str, str]:
    column, equals, place = said.rpartition("=")
    if not equals:
        raise Invalid(f"{said!r} names no place.", hint="--map 'Full name=name'")
    return column, place


def _consent(asked: argparse.Namespace) -> Consent | None:
    source, wording, given_at = asked.consent_source, asked.consent_wording, asked.consent_date
    if not (source or wording or given_at or asked.no_consent) and sys.stdin.isatty():
        source = console.input("Where did these people agree to marketing? (Enter: there is no evidence) ").strip()
        if source:
            wording = console.input("To which words? ").strip()
            given_at = _date(console.input("On which day? (YYYY-MM-DD) ").strip())
    if not (source or wording or given_at):
        return None
    if not (source and wording and given_at):
        raise Invalid(
            "Consent is proved by three things: where, to which words, and when.",
            hint="--consent-source, --consent-wording and --consent-date; or --no-consent",
        )
    return Consent(source=source, wording=wording, given_at=given_at)


def _date(said: str) -> date:
    try:
        return date.fromisoformat(said)
    except ValueError:
        raise Invalid(f"{said!r} is no day.", hint="2026-01-31") from None

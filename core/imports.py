"""Files of contacts: kept until every row is taken or told about, whatever process dies meanwhile."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, TypedDict

import orjson
import phonenumbers
from sqlalchemy import select
from sqlalchemy.orm import defer

from core import bulk, consents, import_files
from core.contacts import NewContact
from core.database import Tx, is_postgres
from core.errors import Invalid, NotFound
from core.import_columns import Columns, Rejected, check_mapping
from core.listing import Order, some
from core.models import Import

RUNNING, FINISHED, FAILED = "running", "finished", "failed"
FILE = "file"
"""The field of the line in a report that says why a file failed."""
MAX_REPORTED = 100_000
_PREVIEWED = 1_000
_MOST_TAGS = 20
WITHOUT_REPORT = defer(Import.report, raiseload=True)
"""A report may be long; who wants it asks for it."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """That the people in a file agreed: where and when, and to which words."""

    source: str
    wording: str
    given_at: datetime
    purpose: str = consents.MARKETING


@dataclass(frozen=True, slots=True)
class Asked:
    """How a file is to be read. `country` is that of numbers without a +; `tags` are given to everybody in it."""

    filename: str
    format: str
    country: str
    mapping: Mapping[str, str]
    consent: Agreed | None = None
    tags: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """What would become of the first `rows` rows. `places`: where each column goes."""

    places: Mapping[str, str]
    rows: int
    taken: Sequence[NewContact]
    rejected: Sequence[Rejected]


def check(asked: Asked, path: Path) -> None:
    """Raises `Invalid` for what can be known before a row is taken: the file is none, or has no numbers in it."""
    if asked.country not in phonenumbers.SUPPORTED_REGIONS:
        raise Invalid(f"There is no country {asked.country!r}.", field="country", hint="Two letters, as SA or EG.")
    check_mapping(asked.mapping)
    if len(asked.tags) > _MOST_TAGS:
        raise Invalid(f"A file gives its people at most {_MOST_TAGS} tags.", field="tags")
    if any(map(import_files.UNKEEPABLE.search, asked.tags)):
        raise Invalid("Contains a null character or half a character.", field="tags")
    with import_files.opened(path, asked.format) as table:
        Columns(table.heading, asked.mapping, country=asked.country, kinds={})


def preview(asked: Asked, path: Path, kinds: Mapping[str, str]) -> Preview:
    """Nothing is written. `kinds` are those of attributes."""
    check(asked, path)
    with import_files.opened(path, asked.format) as table:
        columns = Columns(table.heading, asked.mapping, country=asked.country, kinds=kinds, tags=asked.tags)
        rows = [columns.read(row) for row in islice(table.rows, _PREVIEWED)]
    return Preview(
        places=columns.places,
        rows=len(rows),
        taken=[row for row in rows if isinstance(row, NewContact)],
        rejected=[row for row in rows if isinstance(row, Rejected)],
    )


async def create(tx: Tx, asked: Asked, *, stored: str, lease_s: float, at: datetime) -> Import:
    """The row of a kept file that `check` found right. Whoever made it has `lease_s` to begin; then others may."""
    if asked.consent is not None:
        consents.purpose(asked.consent.purpose)
        if asked.consent.given_at > at:
            raise Invalid("This moment has not come yet.", field="consent.given_at")
    job = Import(
        filename=asked.filename[:255],
        state=RUNNING,
        format=asked.format,
        mapping=dict(asked.mapping),
        country=asked.country,
        tags=list(asked.tags),
        consent=asked.consent and {**asdict(asked.consent), "given_at": asked.consent.given_at.isoformat()},
        stored=stored,
        report=[],
        run_until=at + timedelta(seconds=lease_s),
        created_at=at,
    )
    tx.add(job)
    await tx.flush()
    return job


class Terms(TypedDict):
    """`Agreed`, as arguments of `consents.grant`."""

    source: str
    wording: str
    given_at: datetime
    purpose: str


def terms(consent: Mapping[str, str]) -> Terms:
    return Terms(
        source=consent["source"],
        wording=consent["wording"],
        given_at=datetime.fromisoformat(consent["given_at"]),
        purpose=consent["purpose"],
    )


async def get(tx: Tx, import_id: int) -> Import:
    """Without the report."""
    job = await tx.get(Import, import_id, options=[WITHOUT_REPORT], populate_existing=True)
    if job is None:
        raise NotFound(f"There is no import {import_id}.", field="import_id")
    return job


async def listed(tx: Tx, *, after: int, limit: int, order: Order = "oldest") -> Sequence[Import]:
    """Without the reports."""
    query = some(select(Import), Import.id, after=after, limit=limit, order=order)
    return (await tx.execute(query.options(WITHOUT_REPORT))).scalars().all()


async def report(tx: Tx, import_id: int) -> Sequence[Mapping[str, Any]]:
    """The rows that were not taken, the first `MAX_REPORTED` of them; the last line of a file that failed says why."""
    await get(tx, import_id)
    lines = (await tx.execute(select(Import.report).where(Import.id == import_id))).scalar_one()
    return list(lines)


async def append(tx: Tx, import_id: int, lines: Sequence[Rejected]) -> None:
    """To the report, without reading it: it may be long."""
    if not lines:
        return
    if is_postgres(tx):
        grown = "report || CAST(:lines AS jsonb)"
    else:  # the array is kept as it was written, so one text goes behind the other; json_insert takes line by line
        behind = "substr(report, 1, length(report) - 1) || ',' || substr(:lines, 2)"
        grown = f"CASE report WHEN '[]' THEN :lines ELSE {behind} END"
    written = orjson.dumps([asdict(line) for line in lines]).decode()
    await bulk.run(tx, f"UPDATE imports SET report = {grown} WHERE id = :id", id=import_id, lines=written)

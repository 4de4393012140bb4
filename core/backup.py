"""One file with everything the database holds, readable by either database; and the way back.

A gzipped file of JSON lines: first what it is, then row after row, each `[table, {column: value}]`, in an order in
which no row refers to a later one; then the files that go with messages. The master key is not in it: a copy of that
is kept elsewhere.
"""

import base64
import gzip
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Column, Integer, LargeBinary, Table, func, insert, literal, select, text, tuple_, update

from core import backup_files, campaigns, delivery_rows, notices, notifications, planning, schema, senders
from core.database import Database, DatabaseClock, Tx, is_postgres
from core.errors import Conflict, Invalid, MasterKeyWrong
from core.events import CampaignMoved, publish
from core.keys import MasterKey
from core.models import Base, Campaign, Installation, Message, Recipient, Sender, SignIn, UserLink, UtcDateTime, Webhook
from core.settings import Settings

_KIND = "waqtor-backup"
_CHUNK = 500
_MADE_BY_MIGRATION = ("switches", "event_log")
RESTORED = "restored"


@dataclass(frozen=True, slots=True)
class Written:
    """`missing` files have a row, but are not on this machine's disk."""

    rows: int
    revision: str
    files: int
    missing: int


@dataclass(frozen=True, slots=True)
class Restored:
    """`senders` were paused; `unknown` people may have been written to since the backup; the contents of `missing`
    files were not in it."""

    rows: int
    senders: int
    unknown: int
    files: int
    missing: int


async def write(
    database: Database, settings: Settings, file: Path, *, at: datetime, with_media: bool = True
) -> Written:
    """A snapshot of one moment, while everything goes on. The file appears whole or not at all, for its owner only."""
    rows = files = 0
    revision = await schema.current(database) or ""
    part = file.with_name(file.name + ".part")
    part.touch(mode=0o600)
    try:
        with gzip.open(part, "wb", compresslevel=6) as out:
            head = {"kind": _KIND, "revision": revision, "at": at.isoformat()}
            out.write(orjson.dumps(head) + b"\n")
            async with database.reading() as tx:
                if is_postgres(tx):
                    await tx.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
                for table in Base.metadata.sorted_tables:
                    async for row in _rows(tx, table):
                        out.write(orjson.dumps([table.name, row]) + b"\n")
                        rows += 1
                wanted = await backup_files.named(tx) if with_media else []
            for sha256 in wanted:
                before = files
                for piece in backup_files.pieces(settings, sha256):
                    out.write(orjson.dumps([backup_files.NAME, piece]) + b"\n")
                    files = before + 1
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)
    return Written(rows=rows, revision=revision, files=files, missing=len(wanted) - files)


async def _rows(tx: Tx, table: Table) -> AsyncIterator[dict[str, Any]]:
    key = list(table.primary_key.columns)
    query = select(table).order_by(*key).limit(_CHUNK)
    after: list[Any] | None = None
    while True:
        page = query
        if after is not None:
            last = (literal(value, column.type) for column, value in zip(key, after, strict=True))
            page = query.where(tuple_(*key) > tuple_(*last))
        rows = (await tx.execute(page)).mappings().all()
        for row in rows:
            yield {column.name: _plain(row[column.name]) for column in table.columns}
        if len(rows) < _CHUNK:
            return
        after = [rows[-1][column.name] for column in key]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


# ---- the way back -------------------------------------------------------------------------------------------


async def read(database: Database, settings: Settings, key: MasterKey, file: Path) -> Restored:
    """Fill an empty, migrated database, all of it or nothing, and make it safe: since the backup others may have
    been written to. Raises `Invalid` for a file that is none of ours or broken, `Conflict` where the database is not
    empty, `MasterKeyWrong` where the key is not the backup's."""
    try:
        with gzip.open(file, "rb") as lines:
            _check(orjson.loads(lines.readline()), await schema.current(database))
            async with database.transaction() as tx:
                await _require_empty(tx)
                rows, restored = await _fill(tx, settings, lines)
                await _require_key(tx, key)
                missing = await backup_files.miss(tx, settings, restored)
                paused, doubtful = await _make_safe(tx)
                return Restored(rows=rows, senders=paused, unknown=doubtful, files=len(restored), missing=missing)
    except (OSError, EOFError, orjson.JSONDecodeError, KeyError, TypeError, ValueError) as broken:
        raise Invalid(f"{file.name} is no whole backup of WaQtor ({type(broken).__name__}).", field="file") from None


def _check(head: dict[str, Any], revision: str | None) -> None:
    if head.get("kind") != _KIND:
        raise Invalid("This is no backup of WaQtor.", field="file")
    if head["revision"] != revision:
        raise Conflict(
            f"The backup is of schema {head['revision']}, the database is at {revision or 'none'}.",
            hint="Restore with the version that wrote the backup, then run: waqtor db upgrade",
        )


async def _require_empty(tx: Tx) -> None:
    for table in Base.metadata.sorted_tables:
        if table.name not in _MADE_BY_MIGRATION and (await tx.execute(select(table).limit(1))).first():
            raise Conflict(
                "The database is not empty.", hint="Restore into a new one: another data_dir, or a new database_url."
            )


async def _require_key(tx: Tx, key: MasterKey) -> None:
    found = (await tx.execute(select(Installation.key_fingerprint))).scalar()
    if found is not None and found != key.fingerprint:
        raise MasterKeyWrong(
            "This master key is not the one the backup was written with.",
            hint="Put the key file of that installation in place (WAQTOR_MASTER_KEY_FILE).",
        )


async def _fill(tx: Tx, settings: Settings, lines: gzip.GzipFile) -> tuple[int, set[str]]:
    """How many rows, and the hashes of the files."""
    tables = Base.metadata.tables
    for made in _MADE_BY_MIGRATION:  # the backup has them too
        await tx.execute(tables[made].delete())
    number = 0
    restored: set[str] = set()
    for name, rows in groupby(map(orjson.loads, lines), key=lambda line: str(line[0])):
        if name == backup_files.NAME:
            restored = backup_files.restore(settings, (piece for _, piece in rows))
            continue
        table = tables[name]
        for chunk in _chunks(row for _, row in rows):
            values = [{column.name: _typed(column, row[column.name]) for column in table.columns} for row in chunk]
            await tx.execute(insert(table), values)
            number += len(chunk)
    if is_postgres(tx):
        await _set_counters(tx)
    return number, restored


def _chunks(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    chunk: list[dict[str, Any]] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _typed(column: Column[Any], value: Any) -> Any:
    if value is None:
        return None
    if isinstance(column.type, UtcDateTime):
        return datetime.fromisoformat(value).astimezone(UTC)
    return base64.b64decode(value) if isinstance(column.type, LargeBinary) else value


async def _set_counters(tx: Tx) -> None:
    for table in Base.metadata.sorted_tables:
        (key, *more) = table.primary_key.columns
        if more or not isinstance(key.type, Integer) or not key.autoincrement:
            continue
        sequence = f"pg_get_serial_sequence('{table.name}', '{key.name}')"
        highest = select(func.coalesce(func.max(key), 0)).scalar_subquery()
        top = (await tx.execute(select(highest))).scalar_one()
        if top:
            await tx.execute(text(f"SELECT setval({sequence}, {top}) WHERE {sequence} IS NOT NULL"))


# ---- what a restore must not do -----------------------------------------------------------------------------


async def _make_safe(tx: Tx) -> tuple[int, int]:
    """Senders and started campaigns are paused, and whom these had not written to is `unknown` until a person
    decides; in the transaction of the restore, so that there is no moment in which anything could leave."""
    now = await DatabaseClock().now(tx)
    await _sign_out(tx, now)
    paused = (await tx.execute(select(Sender).where(Sender.state == senders.ACTIVE))).scalars().all()
    for sender in paused:
        await senders.move(tx, sender, senders.PAUSED, reason=RESTORED, quietly=True, at=now)
    await tx.execute(update(Installation).values(jobs_mark=None))  # the orchestrator remembers what came after
    for campaign in (await tx.execute(select(Campaign).where(Campaign.state == campaigns.SCHEDULED))).scalars().all():
        await campaigns.pause(tx, campaign.id, reason=RESTORED, quietly=True, at=now)
    started = select(Campaign).where(Campaign.state.in_((*campaigns.UNDER_WAY, campaigns.PAUSED)))
    doubtful = 0
    for campaign in (await tx.execute(started)).scalars().all():
        if campaign.state in campaigns.UNDER_WAY:
            await campaigns.pause(tx, campaign.id, reason=RESTORED, quietly=True, at=now)
        campaign.run_token = campaign.run_until = None
        campaign.wave = campaign.held_until = None  # nobody waits for the canary any more
        while await planning.plan_chunk(tx, campaign.id, at=now):
            pass
        doubtful += await _doubt(tx, campaign.id, now=now)
    resting = {"is_enabled": False, "disabled_reason": delivery_rows.RESTORED, "disabled_at": now}
    await tx.execute(update(Webhook).where(Webhook.is_enabled).values(**resting))
    single = update(Message).where(Message.state == "queued", Message.recipient_id.is_(None))
    waited = await tx.execute(
        single.values(state="unknown", reason=RESTORED, settled_at=now).execution_options(synchronize_session=False)
    )
    doubtful += int(waited.rowcount)  # type: ignore[attr-defined]
    told = notices.backup_restored(senders=len(paused), unknown=doubtful, at=now)
    await notifications.tell(tx, told, at=now)
    return len(paused), doubtful


async def _sign_out(tx: Tx, now: datetime) -> None:
    """Who was signed out since the backup must not be in again, and a link that was used is not good again."""
    await tx.execute(update(SignIn).where(SignIn.ended_at.is_(None)).values(ended_at=now, ended_why=RESTORED))
    await tx.execute(update(UserLink).where(UserLink.used_at.is_(None)).values(used_at=now))


async def _doubt(tx: Tx, campaign_id: int, *, now: datetime) -> int:
    """Those without an outcome. An intent is left to the sweep, which asks WhatsApp first."""
    theirs = select(Recipient.id).where(
        Recipient.campaign_id == campaign_id, Recipient.state.in_(("queued", "claimed"))
    )
    settled = {"state": "unknown", "reason": RESTORED}
    waiting = update(Message).where(Message.recipient_id.in_(theirs), Message.state == "queued")
    await tx.execute(waiting.values(settled_at=now, **settled).execution_options(synchronize_session=False))
    open_ones = update(Recipient).where(Recipient.id.in_(theirs))
    free = {"claim_token": None, "claimed_until": None, "not_before": None}
    done = await tx.execute(open_ones.values(**settled, **free).execution_options(synchronize_session=False))
    number = int(done.rowcount)  # type: ignore[attr-defined]
    await publish(tx, CampaignMoved(campaign_id=campaign_id, what=RESTORED, reason=f"{number} unknown"), at=now)
    return number

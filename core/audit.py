"""Who did what: insert-only, each entry holding the hash of the one before, written in the transaction of the change.

The hashes are keyed, so who can write to the database but has not the master key can forge nothing; the head is kept
apart and sealed, so that a log that was cut is told from one that was altered; and an anchor outside of the database
tells when both were put back.
"""

import ipaddress
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import orjson
from sqlalchemy import select

from core import bulk
from core.database import Tx, before_commit
from core.errors import Invalid
from core.keys import MasterKey
from core.models import AuditEntry, AuditHead
from core.settings import Settings

_CHUNK = 1_000
TERMINAL = "terminal"
"""The actor of what is done on the machine itself, by who may read its files."""
NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Happened:
    """`actor` and `subject` are references such as `user:3`; `details` hold ids and words of ours, nothing personal."""

    actor: str
    action: str
    subject: str = ""
    address: str = ""
    request_id: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


def record(tx: Tx, key: MasterKey, what: Happened, *, at: datetime) -> None:
    """Written as the last thing before this transaction commits, or not at all. The head is the one lock that all
    share, and taken last it is held shortest and in no other order."""

    async def write() -> None:
        await _append(tx, key, what, at)

    before_commit(tx, write)


async def _append(tx: Tx, key: MasterKey, what: Happened, at: datetime) -> None:
    await bulk.run(
        tx,
        "INSERT INTO audit_head (id, seq, hash, seal) VALUES (1, 0, '', :seal) ON CONFLICT (id) DO NOTHING",
        seal=_seal(key, 0, ""),
    )
    newest = {"populate_existing": True}  # this transaction may have looked before it had the lock
    wanted = select(AuditHead).where(AuditHead.id == 1).with_for_update().execution_options(**newest)
    head = (await tx.execute(wanted)).scalar_one()
    row = AuditEntry(
        seq=head.seq + 1,
        at=at,
        actor=what.actor[:40],
        action=what.action[:60],
        subject=what.subject[:80],
        address=network(what.address),
        request_id=what.request_id[:32],
        details=dict(what.details),
        previous=head.hash,
        hash="",
    )
    row.hash = _hash(key, row)
    tx.add(row)
    head.seq, head.hash, head.seal = row.seq, row.hash, _seal(key, row.seq, row.hash)
    await tx.flush()


def network(address: str) -> str:
    """The address without what tells one machine from its neighbours: enough to see that somebody came from afar."""
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        return ""
    return str(ipaddress.ip_network(f"{address}/{24 if version == 4 else 48}", strict=False))


# ---- reading ------------------------------------------------------------------------------------------------


async def listed(
    tx: Tx, *, before: int | None, limit: int, actor: str | None = None, subject: str | None = None
) -> Sequence[AuditEntry]:
    """Newest first."""
    wanted = select(AuditEntry).order_by(AuditEntry.seq.desc()).limit(limit)
    if before is not None:
        wanted = wanted.where(AuditEntry.seq < before)
    if actor is not None:
        wanted = wanted.where(AuditEntry.actor == actor)
    if subject is not None:
        wanted = wanted.where(AuditEntry.subject == subject)
    return (await tx.execute(wanted)).scalars().all()


@dataclass(frozen=True, slots=True)
class Anchor:
    """An entry that was there: kept in a file, out of reach of who has only the database. A head and entries that both
    were put back to an earlier moment fit each other; the anchor tells."""

    seq: int
    hash: str


def anchored(settings: Settings) -> Anchor | None:
    """What the file says; None where there is none yet."""
    try:
        said = orjson.loads(_anchor_file(settings).read_bytes())
        return Anchor(int(said["seq"]), str(said["hash"]))
    except FileNotFoundError:
        return None
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        hint = "If nobody did that on purpose, ask what else they did. Without the file the log is judged by itself."
        raise Invalid(f"The anchor of the audit log, {_anchor_file(settings)}, cannot be read.", hint=hint) from None


async def drop_anchor(tx: Tx, settings: Settings) -> None:
    """Keep the last entry, unless the log has become shorter: then what is kept is the evidence."""
    head = (await tx.execute(select(AuditHead.seq, AuditHead.hash))).first()
    before = anchored(settings)
    if head is None or (before is not None and before.seq >= head.seq):
        return
    file = _anchor_file(settings)
    draft = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    draft.write_bytes(orjson.dumps({"seq": head.seq, "hash": head.hash}))
    draft.replace(file)


def lift_anchor(settings: Settings) -> None:
    """After a restore: the log is as it was when the backup was made."""
    _anchor_file(settings).unlink(missing_ok=True)


def _anchor_file(settings: Settings) -> Path:
    return settings.data_dir / "audit.anchor"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`at` is the entry from which on the log cannot be trusted; None for `whole`."""

    state: Literal["whole", "altered", "truncated"]
    entries: int
    at: int | None = None
    why: str = ""


async def verify(tx: Tx, key: MasterKey, anchor: Anchor | None = None) -> Verdict:
    """Whether the log is as it was written; appending may go on meanwhile."""
    verdict = await _verify(tx, key)
    if anchor is None or verdict.state != "whole":
        return verdict
    if anchor.seq > verdict.entries:
        gone = f"entries {verdict.entries + 1} to {anchor.seq} are gone, and the head was put back"
        return Verdict("truncated", verdict.entries, verdict.entries + 1, gone)
    at_anchor = (await tx.execute(select(AuditEntry.hash).where(AuditEntry.seq == anchor.seq))).scalar()
    if at_anchor != anchor.hash:
        return Verdict("altered", anchor.seq - 1, anchor.seq, "it is not the entry that is anchored")
    return verdict


async def _verify(tx: Tx, key: MasterKey) -> Verdict:
    head = (await tx.execute(select(AuditHead.seq, AuditHead.hash, AuditHead.seal))).first()
    last, number, at_head = "", 0, ""
    async for row in _all(tx):  # those after the head came while we read
        if row.seq != number + 1:
            return Verdict("altered", number, number + 1, "entries are missing in between")
        if row.previous != last:
            return Verdict("altered", number, row.seq, "it does not follow the entry before")
        if row.hash != _hash(key, row):
            return Verdict("altered", number, row.seq, "it is not what was written")
        last, number = row.hash, row.seq
        at_head = last if head is not None and row.seq == head.seq else at_head
    if head is None:
        return Verdict("altered", number, 1, "the head is gone") if number else Verdict("whole", 0)
    if head.seal != _seal(key, head.seq, head.hash):
        return Verdict("altered", number, number, "the head is not what was written")
    if head.seq > number:
        return Verdict("truncated", number, number + 1, f"entries {number + 1} to {head.seq} are gone")
    if head.hash != at_head:
        return Verdict("altered", number, head.seq, "the head does not fit its entry")
    return Verdict("whole", number)


async def _all(tx: Tx) -> AsyncIterator[AuditEntry]:
    after = -(2**63)  # forged entries may have any number
    while True:
        chunk = select(AuditEntry).where(AuditEntry.seq > after).order_by(AuditEntry.seq).limit(_CHUNK)
        rows = (await tx.execute(chunk)).scalars().all()
        for row in rows:
            yield row
        if len(rows) < _CHUNK:
            return
        after = rows[-1].seq
        tx.expunge_all()


def _hash(key: MasterKey, row: AuditEntry) -> str:
    said = {
        "seq": row.seq,
        "at": row.at.isoformat(timespec="microseconds"),
        "actor": row.actor,
        "action": row.action,
        "subject": row.subject,
        "address": row.address,
        "request_id": row.request_id,
        "details": row.details,
        "previous": row.previous,
    }
    return key.hash("audit", orjson.dumps(said, option=orjson.OPT_SORT_KEYS).decode())


def _seal(key: MasterKey, seq: int, last: str) -> str:
    return key.hash("audit-head", f"{seq}:{last}")

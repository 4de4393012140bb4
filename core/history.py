"""All of one person in the order of time, newest first: what was written, why and why not, and what they agreed to."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, SQLColumnExpression, and_, func, or_, select

from core import merges
from core.database import Tx
from core.errors import Invalid
from core.models import Campaign, Consent, Identity, Merge, Message, Recipient

_SHOWN = {
    "message": ("direction", "sender_id", "state", "reason", "receipt", "delivered_at", "read_at", "content"),
    "campaign": ("campaign_id", "occurrence", "state", "reason", "evidence", "receipt", "replied_at"),
    "consent": ("purpose", "action", "source", "wording", "given_at"),
    "merged": ("kept_id", "gone_id"),
    "parted": ("kept_id", "gone_id"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """`id` is that of the row of its kind; `details` differ by kind."""

    at: datetime
    kind: str
    id: int
    details: dict[str, Any]

    @property
    def cursor(self) -> str:
        return urlsafe_b64encode(f"{self.at.isoformat()}|{self.kind}|{self.id}".encode()).decode().rstrip("=")


async def of(tx: Tx, contact_id: int, *, before: str | None, limit: int) -> Sequence[Entry]:
    """At most `limit` entries that come before the one with the cursor `before`."""
    place = _read(before) if before else None
    who = sorted(await merges.all_of(tx, contact_id))
    found: list[Entry] = []
    for kind, query, moment, row_id in _sources(who):
        if place is not None:
            query = query.where(_before(place, kind, moment, row_id))
        rows = await tx.execute(query.order_by(moment.desc(), row_id.desc()).limit(limit))
        found += [_entry(kind, row) for row in rows]
    return sorted(found, key=lambda one: (one.at, one.kind, one.id), reverse=True)[:limit]


def _sources(who: Sequence[int]) -> list[tuple[str, Select[Any], SQLColumnExpression[Any], SQLColumnExpression[Any]]]:
    # A recipient's moment is when it was written to; before that, when its campaign began.
    chosen = func.coalesce(
        Recipient.sent_at, Message.at, Campaign.launched_at, Campaign.created_at, type_=Message.at.type
    )
    hashes = select(Identity.value_hash).where(Identity.contact_id.in_(who))
    merged = or_(Merge.kept_id.in_(who), Merge.gone_id.in_(who))
    return [
        (
            "message",
            select(Message, Message.at.label("moment")).where(Message.contact_id.in_(who)),
            Message.at,
            Message.id,
        ),
        (
            "campaign",
            select(Recipient, chosen.label("moment"), Campaign.name)
            .join(Campaign, Campaign.id == Recipient.campaign_id)
            .outerjoin(Message, Message.recipient_id == Recipient.id)
            .where(Recipient.contact_id.in_(who)),
            chosen,
            Recipient.id,
        ),
        (
            "consent",
            select(Consent, Consent.recorded_at.label("moment")).where(Consent.identity_hash.in_(hashes)),
            Consent.recorded_at,
            Consent.id,
        ),
        ("merged", select(Merge, Merge.merged_at.label("moment")).where(merged), Merge.merged_at, Merge.id),
        (
            "parted",
            select(Merge, Merge.undone_at.label("moment")).where(merged, Merge.undone_at.is_not(None)),
            Merge.undone_at,
            Merge.id,
        ),
    ]


def _entry(kind: str, row: Any) -> Entry:
    one = row[0]
    details = {name: getattr(one, name) for name in _SHOWN[kind]}
    if kind == "campaign":
        details["name"] = row.name
    return Entry(at=row.moment, kind=kind, id=one.id, details=details)


def _before(
    place: tuple[datetime, str, int], kind: str, moment: SQLColumnExpression[Any], row_id: SQLColumnExpression[Any]
) -> ColumnElement[bool]:
    at, kind_there, id_there = place
    if kind < kind_there:
        return moment <= at
    if kind > kind_there:
        return moment < at
    return or_(moment < at, and_(moment == at, row_id < id_there))


def _read(cursor: str) -> tuple[datetime, str, int]:
    try:
        at, kind, row_id = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split("|")
        moment, number = datetime.fromisoformat(at), int(row_id)
        if kind in _SHOWN and moment.tzinfo is not None and 0 <= number < 2**63:
            return moment, kind, number
    except ValueError:
        pass
    raise Invalid("This cursor is not one of ours.", field="cursor", hint="Give back next_cursor as it came.")

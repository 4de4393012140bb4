"""What people at work are told, kept until it is old; each user and each key has its own view of what is read."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, func, select

from core import bulk
from core.database import Database, Tx, is_postgres
from core.errors import NotFound
from core.events import NotificationRaised, NotificationsSeen, NotificationWithdrawn, publish
from core.models import Notification, NotificationRead
from core.notices import Notice
from core.principals import Principal
from core.roles import area_of

_PRUNE_BATCH = 1_000
_TOLD_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Seen:
    """A notification as one user or key has it."""

    notification: Notification
    read_at: datetime | None


@dataclass(frozen=True, slots=True)
class Count:
    unread: int
    total: int


async def tell(tx: Tx, notice: Notice, *, at: datetime) -> int | None:
    """In the transaction of what happened; None where the same cause was told before."""
    inserted = await bulk.run(
        tx,
        f"""
        INSERT INTO notifications (kind, severity, wording, params, about, permission, cause, created_at)
        VALUES (:kind, :severity, :wording, {bulk.json(tx, "params")}, :about, :permission, :cause, {bulk.now(tx)})
        ON CONFLICT (cause) DO NOTHING RETURNING id
        """,
        kind=notice.kind,
        severity=notice.severity,
        wording=notice.wording or notice.kind,
        params=bulk.dumped(dict(notice.params)),
        about=notice.about,
        permission=notice.permission,
        cause=notice.cause,
        now=at,
    )
    notification_id: int | None = inserted.scalar()
    if notification_id is not None:
        await publish(tx, NotificationRaised(notification_id, notice.permission), at=at)
    return notification_id


async def made(tx: Tx, notice: Notice, *, at: datetime) -> Notification:
    """The row of a notice with a cause that was never told."""
    return await tx.get_one(Notification, await tell(tx, notice, at=at))


# ---- looking ------------------------------------------------------------------------------------------------


def _theirs(who: Principal, *wanted: Any) -> Select[Any]:
    """What they may see at this moment, closed pages apart, and have not taken away."""
    may = sorted(one for one in who.may if area_of(one) not in who.closed)
    mine = (NotificationRead.notification_id == Notification.id) & (NotificationRead.principal == who.ref)
    visible = Notification.permission.in_(may), NotificationRead.dismissed_at.is_(None)
    return select(*wanted).select_from(Notification).outerjoin(NotificationRead, mine).where(*visible)


async def listed(
    tx: Tx,
    who: Principal,
    *,
    before: int | None = None,
    limit: int,
    offset: int = 0,
    unread: bool = False,
    severity: str | None = None,
    kind: str | None = None,
) -> Sequence[Seen]:
    """Newest first."""
    query = _theirs(who, Notification, NotificationRead.read_at)
    if before is not None:
        query = query.where(Notification.id < before)
    if unread:
        query = query.where(NotificationRead.read_at.is_(None))
    if severity is not None:
        query = query.where(Notification.severity == severity)
    if kind is not None:
        query = query.where(Notification.kind == kind)
    rows = await tx.execute(query.order_by(Notification.id.desc()).limit(limit).offset(offset))
    return [Seen(*row) for row in rows]


async def get(tx: Tx, who: Principal, notification_id: int) -> Seen:
    """Raises `NotFound` also for one that they may not see."""
    query = _theirs(who, Notification, NotificationRead.read_at).where(Notification.id == notification_id)
    found = (await tx.execute(query)).first()
    if found is None:
        raise NotFound(f"There is no notification {notification_id}.", field="notification_id")
    return Seen(*found)


async def by_ids(tx: Tx, ids: Collection[int]) -> Mapping[int, Notification]:
    """Of whomever. Those that are still there."""
    rows = await tx.execute(select(Notification).where(Notification.id.in_(ids)))
    return {row.id: row for row in rows.scalars()}


async def count(tx: Tx, who: Principal) -> Count:
    unread = func.count().filter(NotificationRead.read_at.is_(None))
    return Count(*(await tx.execute(_theirs(who, unread, func.count()))).one())


# ---- what they do with them ---------------------------------------------------------------------------------


async def mark(tx: Tx, who: Principal, notification_id: int, *, is_read: bool, at: datetime) -> Seen:
    """As read, or as unread again; only for who says so."""
    await get(tx, who, notification_id)
    if is_read:
        await _read(tx, who, [notification_id], at=at)
    else:
        changed = await bulk.run(
            tx,
            "UPDATE notification_reads SET read_at = NULL "
            "WHERE notification_id = :id AND principal = :who AND read_at IS NOT NULL RETURNING notification_id",
            id=notification_id,
            who=who.ref,
        )
        await _told(tx, who, "unread", changed.scalars().all(), at=at)
    return await get(tx, who, notification_id)


async def mark_all(tx: Tx, who: Principal, *, up_to: int | None = None, at: datetime) -> int:
    """All that they see, up to the one with this id; returns how many were unread. One that comes meanwhile stays
    unread."""
    query = _theirs(who, Notification.id).where(NotificationRead.read_at.is_(None))
    if up_to is not None:
        query = query.where(Notification.id <= up_to)
    return await _read(tx, who, (await tx.execute(query)).scalars().all(), at=at)


async def _read(tx: Tx, who: Principal, ids: Sequence[int], *, at: datetime) -> int:
    changed = await bulk.run(
        tx,
        f"""
        INSERT INTO notification_reads (notification_id, principal, read_at)
        SELECT r.id, :who, {bulk.now(tx)} FROM {bulk.table(tx, id="bigint")} WHERE true
        ON CONFLICT (notification_id, principal) DO UPDATE SET read_at = excluded.read_at
        WHERE notification_reads.read_at IS NULL
        RETURNING notification_id
        """,
        [{"id": one} for one in await _held(tx, ids)],
        who=who.ref,
        now=at,
    )
    read = sorted(changed.scalars())
    await _told(tx, who, "read", read, at=at)
    return len(read)


async def dismiss(tx: Tx, who: Principal, notification_id: int, *, at: datetime) -> Seen:
    """Out of their own view, for good; the others still have it. Returns it as it was."""
    seen = await get(tx, who, notification_id)
    await bulk.run(
        tx,
        f"""
        INSERT INTO notification_reads (notification_id, principal, read_at, dismissed_at)
        SELECT r.id, :who, {bulk.now(tx)}, {bulk.now(tx)} FROM {bulk.table(tx, id="bigint")} WHERE true
        ON CONFLICT (notification_id, principal) DO UPDATE SET dismissed_at = excluded.dismissed_at
        """,
        [{"id": one} for one in await _held(tx, [notification_id])],
        who=who.ref,
        now=at,
    )
    await _told(tx, who, "dismissed", [notification_id], at=at)
    return seen


async def withdraw(tx: Tx, who: Principal, notification_id: int, *, at: datetime) -> Seen:
    """Gone for everybody. Returns it as it was."""
    seen = await get(tx, who, notification_id)
    await tx.execute(delete(Notification).where(Notification.id == notification_id))
    await publish(tx, NotificationWithdrawn([notification_id], seen.notification.permission), at=at)
    return seen


async def _held(tx: Tx, ids: Sequence[int]) -> Sequence[int]:
    """Those that are still there, and stay until the commit: what refers to them can be written."""
    if not is_postgres(tx):  # whoever writes is alone
        return ids
    there = f"SELECT id FROM notifications WHERE id {bulk.in_ids(tx)} ORDER BY id FOR KEY SHARE"
    return (await bulk.run(tx, there, ids=bulk.ids(ids))).scalars().all()


async def _told(tx: Tx, who: Principal, what: str, ids: Sequence[int], *, at: datetime) -> None:
    for start in range(0, len(ids), _TOLD_AT_ONCE):
        some = list(ids[start : start + _TOLD_AT_ONCE])
        await publish(tx, NotificationsSeen(what=what, principal=who.ref, notification_ids=some), at=at)


async def prune(database: Database, *, before: datetime) -> int:
    """Forget those that are older, with who has read them, in short transactions; returns how many."""
    pruned = 0
    while True:
        async with database.transaction() as tx:
            old = select(Notification.id).where(Notification.created_at < before).order_by(Notification.created_at)
            ids = (await tx.execute(old.limit(_PRUNE_BATCH))).scalars().all()
            if not ids:
                return pruned
            await tx.execute(delete(Notification).where(Notification.id.in_(ids)))
            pruned += len(ids)

"""Delivering again what was delivered or given up: one, or all that fit, at a pace, and on from where it stopped."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select

from core import bulk
from core.bootstrap import Platform
from core.database import Tx, is_postgres
from core.deliveries import DELIVERED, FAILED, WAITING
from core.errors import Conflict, Invalid, NotFound
from core.models import Delivery, WebhookReplay

REPLAY = "webhook-replay/webhook-replay"
"""The job that gives them out."""
RUNNING, FINISHED, CANCELLED = "running", "finished", "cancelled"
PER_S = 50.0
_MOST_PER_S = 1_000.0
_STEP_S = 5.0
_BATCH = 500
_OPEN = (DELIVERED, FAILED)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which deliveries of an endpoint; None: no filter. `since` and `until` are about their events."""

    webhook_id: int
    states: Collection[str] = (FAILED,)
    types: Collection[str] | None = None
    since: datetime | None = None
    until: datetime | None = None
    sender_id: int | None = None
    campaign_id: int | None = None


async def one(tx: Tx, delivery_id: int, *, at: datetime) -> Delivery:
    """By hand, with the same id and a whole new row of attempts. Raises `Conflict` for one that is on its way."""
    row = await tx.get(Delivery, delivery_id, with_for_update=True)
    if row is None:
        raise NotFound(f"There is no delivery {delivery_id}.", field="delivery_id")
    if row.state not in _OPEN:
        raise Conflict(f"Delivery {delivery_id} is {row.state}.", field="state", hint="It will be attempted by itself.")
    row.state, row.reason, row.settled_at, row.tries, row.next_at, row.waits_since = WAITING, None, None, 0, at, at
    await tx.flush()
    return row


async def count(tx: Tx, wanted: Wanted) -> int:
    """How many would be delivered again: the dry run."""
    return (await tx.execute(select(func.count()).select_from(Delivery).where(*_fits(wanted)))).scalar_one()


async def ask(tx: Tx, wanted: Wanted, *, per_s: float = PER_S, at: datetime) -> WebhookReplay:
    """Of those there are now, at most so many a second. The flow `webhook_replay` does it."""
    if not 0 < per_s <= _MOST_PER_S:
        raise Invalid(f"A replay makes up to {_MOST_PER_S:g} deliveries a second.", field="per_s")
    last = (await tx.execute(select(func.max(Delivery.id)).where(*_fits(wanted)))).scalar()
    replay = WebhookReplay(
        webhook_id=wanted.webhook_id,
        wanted=_kept(wanted),
        per_s=per_s,
        state=RUNNING if last else FINISHED,
        total=await count(tx, wanted),
        done=0,
        cursor=0,
        last_id=last or 0,
        next_at=at,
        created_at=at,
        finished_at=None if last else at,
    )
    tx.add(replay)
    await tx.flush()
    return replay


async def get(tx: Tx, replay_id: int, *, lock: bool = False) -> WebhookReplay:
    found = await tx.get(WebhookReplay, replay_id, with_for_update=True if lock else None)
    if found is None:
        raise NotFound(f"There is no replay {replay_id}.", field="replay_id")
    return found


async def listed(tx: Tx, *, webhook_id: int | None = None, before: int | None = None, limit: int) -> Sequence[Any]:
    """Newest first."""
    query = select(WebhookReplay).order_by(WebhookReplay.id.desc()).limit(limit)
    if webhook_id is not None:
        query = query.where(WebhookReplay.webhook_id == webhook_id)
    if before is not None:
        query = query.where(WebhookReplay.id < before)
    return (await tx.execute(query)).scalars().all()


async def cancel(tx: Tx, replay_id: int, *, at: datetime) -> WebhookReplay:
    """What it has given out already is delivered."""
    replay = await get(tx, replay_id, lock=True)
    if replay.state == RUNNING:
        replay.state, replay.finished_at = CANCELLED, at
    return replay


async def step(platform: Platform, replay_id: int) -> float | None:
    """The next few, in one transaction with how far it has come: after a death another goes on there, and none is given
    out twice. Returns the seconds till the next step; None: it is over, or another process is at it."""
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        mine = select(WebhookReplay).where(WebhookReplay.id == replay_id, WebhookReplay.state == RUNNING)
        replay = (await tx.execute(mine.with_for_update(skip_locked=True))).scalar()
        if replay is None:
            return None
        if replay.next_at > now:
            return (replay.next_at - now).total_seconds()
        wanted = _wanted(replay)
        some = min(_BATCH, max(1, int(replay.per_s * _STEP_S)))
        theirs = select(Delivery.id).where(*_fits(wanted), Delivery.id > replay.cursor, Delivery.id <= replay.last_id)
        ids = (await tx.execute(theirs.order_by(Delivery.id).limit(some))).scalars().all()
        if not ids:
            replay.state, replay.finished_at = FINISHED, now
            return None
        await _give_out(tx, ids, replay.per_s, now=now)
        replay.cursor, replay.done = ids[-1], replay.done + len(ids)
        replay.next_at = now + timedelta(seconds=len(ids) / replay.per_s)
        return len(ids) / replay.per_s


async def _give_out(tx: Tx, ids: Sequence[int], per_s: float, *, now: datetime) -> None:
    """One after the other, at the pace asked for."""
    rows = [
        {"id": one, "next_at": (now + timedelta(seconds=place / per_s)).isoformat()} for place, one in enumerate(ids)
    ]
    if not is_postgres(tx):
        rows = [{**row, "next_at": bulk.stamp(datetime.fromisoformat(str(row["next_at"])))} for row in rows]
    await bulk.run(
        tx,
        f"""
        UPDATE deliveries SET state = 'waiting', reason = NULL, settled_at = NULL, tries = 0, next_at = r.next_at,
            waits_since = {bulk.now(tx)}
        FROM {bulk.table(tx, id="bigint", next_at="timestamptz")}
        WHERE deliveries.id = r.id AND deliveries.state IN ('delivered', 'failed')
        """,
        rows,
        now=now,
    )


async def forgotten(tx: Tx, *, at: datetime) -> Sequence[int]:
    """Those whose next step nobody has made for a minute."""
    late = WebhookReplay.state == RUNNING, WebhookReplay.next_at < at - timedelta(seconds=60)
    return (await tx.execute(select(WebhookReplay.id).where(*late).order_by(WebhookReplay.id))).scalars().all()


def _fits(wanted: Wanted) -> list[ColumnElement[bool]]:
    if unknown := sorted(set(wanted.states) - set(_OPEN)):
        raise Invalid(f"Deliveries that are {unknown[0]} are not delivered again.", field="states")
    fits: list[ColumnElement[bool]] = [Delivery.webhook_id == wanted.webhook_id, Delivery.is_test.is_(False)]
    fits.append(Delivery.state.in_(sorted(wanted.states)))
    if wanted.types is not None:
        fits.append(Delivery.type.in_(sorted(wanted.types)))
    if wanted.since is not None:
        fits.append(Delivery.created_at >= wanted.since)
    if wanted.until is not None:
        fits.append(Delivery.created_at < wanted.until)
    if wanted.sender_id is not None:
        fits.append(Delivery.sender_id == wanted.sender_id)
    if wanted.campaign_id is not None:
        fits.append(Delivery.campaign_id == wanted.campaign_id)
    return fits


def _kept(wanted: Wanted) -> dict[str, Any]:
    kept = asdict(wanted)
    for name, value in kept.items():
        if isinstance(value, datetime):
            kept[name] = value.isoformat()
        elif isinstance(value, set | frozenset | tuple):
            kept[name] = sorted(value)
    return kept


def _wanted(replay: WebhookReplay) -> Wanted:
    kept = dict(replay.wanted)
    for name in ("since", "until"):
        kept[name] = datetime.fromisoformat(kept[name]) if kept[name] else None
    return Wanted(**kept)

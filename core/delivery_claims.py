"""Takes deliveries that are due, each endpoint by itself, and commits to the attempt before a byte of it leaves."""

import logging
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import Row, case, func, select, text, update

from core import bulk, delivery_order, webhook_bodies, webhook_secrets, webhook_signing
from core.bootstrap import Platform
from core.database import Tx, is_postgres
from core.deliveries import FAILED, INTERRUPTED, IS_WAITING, LEASE_S, SENDING, UNWRITABLE, WAITING
from core.errors import Conflict, MasterKeyWrong
from core.models import Delivery, DeliveryAttempt, Webhook
from core.ports import Letter
from core.webhook_bodies import Wanted

_IS_SENDING = text("deliveries.state = 'sending'")
"""As the index says it, word by word."""
_COLUMNS = (
    Delivery.id,
    Delivery.webhook_id,
    Delivery.event_id,
    Delivery.type,
    Delivery.data,
    Delivery.created_at,
    Delivery.body,
    Delivery.attempts,
    Delivery.order_key,
)
_AHEAD = 4  # rows looked at for each that may leave: some wait for the one before them
_BURST_S = 1.0
_UNSIGNED_REST_S = 60.0
_MOST_DEATHS = 10
_SUSPECT_WAITS_S = 3600.0
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Due:
    """An endpoint with something to do at `at`, at most so many at once; `is_proven`: its last answer was a success."""

    webhook_id: int
    at: datetime
    most: int
    is_proven: bool


@dataclass(frozen=True, slots=True)
class Room:
    """For `some` more of an endpoint. `mine` are those that whoever asks has under way; `times`: so often its limit is
    committed to, by one who keeps what is over it from the network and is alone with the endpoint."""

    some: int
    mine: int = 0
    times: int = 1


@dataclass(frozen=True, slots=True)
class Parcel:
    """An attempt that is committed and not made yet. `number` tells it from all others of its delivery."""

    delivery_id: int
    webhook_id: int
    number: int
    letter: Letter


_WAITS = select(func.min(Delivery.next_at)).where(IS_WAITING, Delivery.webhook_id == Webhook.id)
_LAPSES = select(func.min(Delivery.lease_until)).where(_IS_SENDING, Delivery.webhook_id == Webhook.id)
_LOOK = select(
    *(Webhook.id, Webhook.is_enabled, Webhook.paused_until, Webhook.failures, Webhook.last_success_at),
    *(Webhook.concurrency, Webhook.rate, Webhook.next_slot),
    _WAITS.scalar_subquery().label("waits"),
    _LAPSES.scalar_subquery().label("lapses"),
)


async def look(tx: Tx) -> Sequence[Due]:
    """When each endpoint has something to do next. A step of an index for each; takes no lock."""
    found = []
    for row in await tx.execute(_LOOK):
        waits = row.waits if row.is_enabled else None
        if waits is not None and row.paused_until is not None:
            waits = max(waits, row.paused_until)
        if waits is not None and row.rate:
            waits = max(waits, datetime.fromtimestamp(row.next_slot, UTC))
        if times := [one for one in (waits, row.lapses) if one is not None]:
            is_proven = not row.failures and row.last_success_at is not None
            found.append(Due(row.id, min(times), 1 if row.failures else row.concurrency, is_proven))
    return found


async def claim(
    tx: Tx,
    platform: Platform,
    room: Mapping[int, Room],
    *,
    held: Mapping[int, Webhook] = MappingProxyType({}),
    now: datetime,
    due_by: datetime | None = None,
    holder: int | None = None,
) -> list[Parcel]:
    """Of each endpoint in `room` at most so many, of those that were due at `due_by`. An endpoint that another process
    looks at is passed by, those `held` are locked already; one that fails gets one attempt at a time."""
    endpoints = [held[one] for one in room if one in held]
    if others := [one for one in room if one not in held]:
        locked = select(Webhook).where(text(f"webhooks.id {bulk.in_ids(tx)}")).order_by(Webhook.id)
        locked = locked.with_for_update(key_share=True, skip_locked=True).execution_options(populate_existing=True)
        endpoints += (await tx.execute(locked, {"ids": bulk.ids(others)})).scalars()
    busy = await _busy(tx, [one.id for one in endpoints], now=now)
    free = {one.id: _free(one, room[one.id], busy.get(one.id, 0), now=now) for one in endpoints}
    due = await _due(tx, [one for one in endpoints if free[one.id]], free, due_by=due_by or now, now=now)
    chosen: list[tuple[Row[Any], Webhook]] = []
    for webhook in endpoints:
        rows = due.get(webhook.id, [])
        if webhook.rate and rows:
            webhook.next_slot = _slots_from(webhook, now) + len(rows) / webhook.rate
        chosen += [(row, webhook) for row in rows]
    return await commit_to(tx, platform, chosen, now=now, holder=holder)


async def _take_back(tx: Tx, webhook_id: int, *, now: datetime) -> int:
    """From a process that died over them; returns how many. That is nobody's fault and no try, unless it happens again
    and again: then what it carries may be what kills, and it waits before it may do so once more."""
    died = select(func.count()).where(DeliveryAttempt.delivery_id == Delivery.id, DeliveryAttempt.error == INTERRUPTED)
    is_suspect = died.scalar_subquery() >= _MOST_DEATHS
    lapsed = update(Delivery).where(_IS_SENDING, Delivery.webhook_id == webhook_id, Delivery.lease_until <= now)
    lapsed = lapsed.values(
        state=WAITING,
        lease_until=None,
        next_at=case((is_suspect, now + timedelta(seconds=_SUSPECT_WAITS_S)), else_=now),
        tries=case((is_suspect, Delivery.tries), else_=Delivery.tries - 1),
    ).returning(Delivery.id)
    ids = (await tx.execute(lapsed.execution_options(synchronize_session=False))).scalars().all()
    if ids:
        unanswered = DeliveryAttempt.status.is_(None), DeliveryAttempt.error.is_(None)
        ended = update(DeliveryAttempt).where(DeliveryAttempt.delivery_id.in_(ids), *unanswered)
        await tx.execute(ended.values(error=INTERRUPTED).execution_options(synchronize_session=False))
    return len(ids)


async def _busy(tx: Tx, webhook_ids: Sequence[int], *, now: datetime) -> Mapping[int, int]:
    """How many of each are under way, without those that lapsed."""
    counted = select(Delivery.webhook_id, func.count(), func.min(Delivery.lease_until))
    counted = counted.where(_IS_SENDING, text(f"deliveries.webhook_id {bulk.in_ids(tx)}"))
    rows = (await tx.execute(counted.group_by(Delivery.webhook_id), {"ids": bulk.ids(webhook_ids)})).all()
    busy = {}
    for webhook_id, under_way, lapses in rows:
        lapsed = await _take_back(tx, webhook_id, now=now) if lapses is not None and lapses <= now else 0
        busy[webhook_id] = under_way - lapsed
    return busy


def _free(webhook: Webhook, room: Room, under_way: int, *, now: datetime) -> int:
    if not webhook.is_enabled or (webhook.paused_until is not None and webhook.paused_until > now):
        return 0
    most = 1 if webhook.failures else webhook.concurrency
    if under_way <= room.mine and not webhook.failures and not webhook.rate:
        most *= room.times
    free = min(room.some, most - under_way)
    if webhook.rate:
        waited_s = now.timestamp() - _slots_from(webhook, now)
        free = min(free, math.floor(waited_s * webhook.rate) + 1 if waited_s >= 0 else 0)
    return max(free, 0)


def _slots_from(webhook: Webhook, now: datetime) -> float:
    """A token bucket that holds a second's worth."""
    burst_s = _BURST_S if webhook.rate and webhook.rate >= 1 else 0.0
    return max(webhook.next_slot, now.timestamp() - burst_s)


async def _due(
    tx: Tx, endpoints: Sequence[Webhook], free: Mapping[int, int], *, due_by: datetime, now: datetime
) -> Mapping[int, list[Row[Any]]]:
    """By endpoint. One statement for all that take the same number, which a hundred that fail do: they take one."""
    alike: defaultdict[tuple[int, bool], list[int]] = defaultdict(list)
    for one in endpoints:
        alike[free[one.id], one.is_ordered].append(one.id)
    found: defaultdict[int, list[Row[Any]]] = defaultdict(list)
    for (some, is_ordered), webhook_ids in alike.items():
        for row in await _first_due(tx, webhook_ids, some * (_AHEAD if is_ordered else 1), due_by=due_by):
            found[row.webhook_id].append(row)
    for one in endpoints:
        if one.is_ordered and found[one.id]:
            found[one.id] = (await delivery_order.in_order(tx, one, found[one.id], now=now))[: free[one.id]]
    return found


async def _first_due(tx: Tx, webhook_ids: Sequence[int], some: int, *, due_by: datetime) -> Sequence[Row[Any]]:
    """So many of each."""
    first = "FROM deliveries d WHERE d.state = 'waiting' AND d.webhook_id = w.id AND d.next_at <= {} "
    first += "ORDER BY d.next_at, d.id LIMIT :some"
    names = ", ".join(f"d.{column.key}" for column in _COLUMNS)
    if is_postgres(tx):
        asked = "(SELECT CAST(jsonb_array_elements_text(CAST(:ids AS jsonb)) AS bigint) AS id) w"
        first = first.format("CAST(:due_by AS timestamptz)")
        query = f"SELECT {names} FROM {asked} CROSS JOIN LATERAL (SELECT d.* {first} FOR UPDATE SKIP LOCKED) d"
    else:
        first = first.replace("d.", "f.").replace("deliveries d", "deliveries f").format(":due_by")
        asked = "(SELECT value AS id FROM json_each(:ids)) w"
        query = f"SELECT {names} FROM {asked} CROSS JOIN deliveries d WHERE d.id IN (SELECT f.id {first})"
    values = {"ids": bulk.ids(webhook_ids), "some": some, "due_by": due_by if is_postgres(tx) else bulk.stamp(due_by)}
    return (await tx.execute(text(query).columns(*_COLUMNS), values)).all()


# ---- the commitment -----------------------------------------------------------------------------------------


async def commit_to_one(tx: Tx, platform: Platform, delivery_id: int, webhook: Webhook, *, now: datetime) -> Parcel:
    """The same, of one that nobody else can have."""
    row = (await tx.execute(select(*_COLUMNS).where(Delivery.id == delivery_id))).one()
    parcels = await commit_to(tx, platform, [(row, webhook)], now=now)
    if not parcels:
        raise Conflict("Nothing can be signed for this endpoint.", hint="Give it a new secret: rotate, no overlap.")
    return parcels[0]


async def commit_to(
    tx: Tx,
    platform: Platform,
    chosen: Sequence[tuple[Row[Any], Webhook]],
    *,
    now: datetime,
    holder: int | None = None,
) -> list[Parcel]:
    """These deliveries, whose rows are locked, are attempted as soon as this is committed. What is sent is written out
    the first time, and is the same for ever."""
    if not chosen:
        return []
    written = await _written(tx, [(row, webhook) for row, webhook in chosen if row.body is None])
    opened: dict[int, _Opened | None] = {}
    parcels, attempts, unwritable = [], [], []
    for row, webhook in chosen:
        body = row.body or written.get(row.id)
        if body is None:
            unwritable.append(row)
            continue
        if webhook.id not in opened:
            opened[webhook.id] = _opened(platform, webhook, now=now)
        if (known := opened[webhook.id]) is None:
            continue
        secrets, own = known
        signed = webhook_signing.headers(
            row.event_id, row.type, int(now.timestamp()), body, secrets, v2=webhook.signs_v2
        )
        number = row.attempts + 1
        parcels.append(Parcel(row.id, webhook.id, number, Letter(webhook.url, {**own, **signed}, body)))
        attempts.append({"delivery_id": row.id, "webhook_id": webhook.id, "number": number, "url": webhook.url})
        attempts[-1]["request_headers"] = signed
    if unwritable:
        given_up = update(Delivery).where(Delivery.id.in_([row.id for row in unwritable]))
        given_up = given_up.values(state=FAILED, reason=UNWRITABLE, settled_at=now)
        await tx.execute(given_up.execution_options(synchronize_session=False))
        chats = {(row.webhook_id, row.order_key) for row in unwritable if row.order_key}
        await delivery_order.wake_next(tx, chats, now=now)
    await tx.flush()
    await _take(tx, [(one.delivery_id, written.get(one.delivery_id)) for one in parcels], now=now, holder=holder)
    await _note(tx, attempts, now=now)
    return parcels


_Opened = tuple[list[bytes], dict[str, str]]


def _opened(platform: Platform, webhook: Webhook, *, now: datetime) -> _Opened | None:
    """What signs for it, and its own headers. None where they cannot be opened, or do not sign: what is to be told
    there waits, until another secret or the right master key is there; nobody else waits for that."""
    try:
        secrets = webhook_secrets.in_force(platform.key, webhook, at=now)
        webhook_signing.check_all(secrets)
        return secrets, webhook_secrets.own_headers(platform.key, webhook)
    except (MasterKeyWrong, ValueError, KeyError, TypeError) as error:
        webhook.paused_until = now + timedelta(seconds=_UNSIGNED_REST_S)
        logger.error("webhook_unsigned webhook=%s why=%s", webhook.id, type(error).__name__)
        return None


async def _take(tx: Tx, some: Sequence[tuple[int, bytes | None]], *, now: datetime, holder: int | None) -> None:
    """Under lease, with the body where it was written out just now."""
    kept = "convert_to(r.body, 'UTF8')" if is_postgres(tx) else "CAST(r.body AS BLOB)"
    until = "CAST(:until AS timestamptz)" if is_postgres(tx) else ":until"
    by = "CAST(:holder AS bigint)" if is_postgres(tx) else ":holder"
    if some:
        await bulk.run(
            tx,
            f"""
            UPDATE deliveries SET state = '{SENDING}', lease_until = {until}, held_by = {by},
                attempts = attempts + 1, tries = tries + 1, body = coalesce(deliveries.body, {kept})
            FROM {bulk.table(tx, id="bigint", body="text")} WHERE deliveries.id = r.id
            """,
            [{"id": one, "body": body.decode() if body else None} for one, body in some],
            until=now + timedelta(seconds=LEASE_S),
            holder=holder,
        )


async def _note(tx: Tx, attempts: Sequence[Mapping[str, Any]], *, now: datetime) -> None:
    columns = {"delivery_id": "bigint", "webhook_id": "bigint", "number": "int", "url": "text"}
    columns["request_headers"] = "jsonb"
    names = ", ".join(columns)
    if attempts:
        await bulk.run(
            tx,
            f"INSERT INTO delivery_attempts ({names}, started_at) SELECT {names}, {bulk.now(tx)} "
            f"FROM {bulk.table(tx, **columns)} WHERE true",
            attempts,
            now=now,
        )


async def _written(tx: Tx, some: Sequence[tuple[Row[Any], Webhook]]) -> Mapping[int, bytes]:
    """By delivery. One that cannot be written does not keep the others."""
    wanted = [Wanted(row.type, row.data, row.created_at, webhook.form, webhook.fields) for row, webhook in some]  # type: ignore[arg-type]
    try:
        return dict(zip((row.id for row, _ in some), await webhook_bodies.bodies(tx, wanted), strict=True))
    except (ValueError, KeyError, TypeError) as error:  # which may say what the message says
        logger.error("webhook_bodies_unwritten count=%s why=%s", len(some), type(error).__name__)
    found = {}
    for (row, _), one in zip(some, wanted, strict=True):
        try:
            (found[row.id],) = await webhook_bodies.bodies(tx, [one])
        except (ValueError, KeyError, TypeError) as error:
            logger.error("webhook_body_unwritten delivery=%s why=%s", row.id, type(error).__name__)
    return found

"""What endpoints were told, to look at: the deliveries with all their attempts, and figures of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select

from core.database import Tx
from core.deliveries import IS_WAITING
from core.errors import NotFound
from core.models import Delivery, DeliveryAttempt, Webhook

STATES = ("waiting", "sending", "delivered", "failed")


@dataclass(frozen=True, slots=True)
class Sought:
    """What is not named is not asked for. Between `since` and `until` they were made."""

    webhook_id: int | None = None
    state: str | None = None
    type: str | None = None
    event_id: str | None = None
    sender_id: int | None = None
    campaign_id: int | None = None
    contact_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        named = {name: getattr(self, name) for name in _EQUAL if getattr(self, name) is not None}
        found = [getattr(Delivery, name) == value for name, value in named.items()]
        if self.since is not None:
            found.append(Delivery.created_at >= self.since)
        if self.until is not None:
            found.append(Delivery.created_at < self.until)
        return found


_EQUAL = ("webhook_id", "state", "type", "event_id", "sender_id", "campaign_id", "contact_id")


async def listed(tx: Tx, sought: Sought, *, before: int | None = None, limit: int) -> Sequence[Delivery]:
    """Newest first, without bodies."""
    query = select(Delivery).where(*sought.conditions)
    if before is not None:
        made = (await tx.execute(select(Delivery.created_at).where(Delivery.id == before))).scalar()
        if made is None:  # forgotten meanwhile, and so is all that is older
            return []
        query = query.where(
            Delivery.created_at <= made,
            or_(Delivery.created_at < made, and_(Delivery.created_at == made, Delivery.id < before)),
        )
    return (
        (await tx.execute(query.order_by(Delivery.created_at.desc(), Delivery.id.desc()).limit(limit))).scalars().all()
    )


async def get(tx: Tx, delivery_id: int, *, lock: bool = False) -> Delivery:
    found = await tx.get(Delivery, delivery_id, populate_existing=True, with_for_update=True if lock else None)
    if found is None:
        raise NotFound(f"There is no delivery {delivery_id}.", field="delivery_id", hint="They are kept for 90 days.")
    return found


async def attempts(tx: Tx, delivery_ids: Sequence[int]) -> Mapping[int, Sequence[DeliveryAttempt]]:
    """Of each of them, the oldest first."""
    found: dict[int, list[DeliveryAttempt]] = {one: [] for one in delivery_ids}
    query = select(DeliveryAttempt).where(DeliveryAttempt.delivery_id.in_(delivery_ids))
    for row in (await tx.execute(query.order_by(DeliveryAttempt.delivery_id, DeliveryAttempt.id))).scalars():
        found[row.delivery_id].append(row)
    return found


# ---- figures ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Statistics:
    """`deliveries` by state and `answers` by status or error are of the time asked about; what waits is all there is.
    `oldest_waiting_at` is `due_since`. Times are those of attempts that were answered, in ms."""

    since: datetime
    deliveries: Mapping[str, int]
    waiting: int
    oldest_waiting_at: datetime | None
    attempts: int
    succeeded: int
    answers: Mapping[str, int]
    average_ms: int | None
    p50_ms: int | None
    p99_ms: int | None


async def due_since(tx: Tx, webhook_id: int | None = None, *, now: datetime) -> datetime | None:
    """Since when what should have been attempted by now waits for it; None: nothing does. What waits for its next time,
    or for an endpoint that is disabled or rests, is not late. A step of an index for each endpoint."""
    first = select(func.min(Delivery.next_at)).where(IS_WAITING, Delivery.webhook_id == Webhook.id).scalar_subquery()
    takes = [Webhook.is_enabled, or_(Webhook.paused_until.is_(None), Webhook.paused_until <= now)]
    if webhook_id is not None:
        takes.append(Webhook.id == webhook_id)
    found = (await tx.execute(select(first).where(*takes))).scalars()
    return min((one for one in found if one is not None and one <= now), default=None)


async def statistics(tx: Tx, webhook_id: int | None = None, *, since: datetime, now: datetime) -> Statistics:
    """Of all endpoints where none is named: one after the other, as the indexes have them."""
    those = select(Webhook.id) if webhook_id is None else [webhook_id]
    mine = [Delivery.webhook_id.in_(those)]
    by_state = await tx.execute(
        select(Delivery.state, func.count()).where(*mine, Delivery.created_at >= since).group_by(Delivery.state)
    )
    waits = select(func.count()).select_from(Delivery).where(*mine, IS_WAITING)
    waiting = (await tx.execute(waits)).scalar_one()
    tried = [DeliveryAttempt.webhook_id.in_(those), DeliveryAttempt.started_at >= since]
    answers: dict[str, int] = {}
    succeeded = 0
    ended = or_(DeliveryAttempt.status.is_not(None), DeliveryAttempt.error.is_not(None))
    rows = await tx.execute(
        select(DeliveryAttempt.status, DeliveryAttempt.error, func.count())
        .where(*tried, ended)
        .group_by(DeliveryAttempt.status, DeliveryAttempt.error)
    )
    for status, error, number in rows:
        name = error or str(status)
        answers[name] = answers.get(name, 0) + number
        succeeded += number if _is_success(status, error) else 0
    answered = [*tried, DeliveryAttempt.status.is_not(None)]
    average = (await tx.execute(select(func.avg(DeliveryAttempt.took_ms)).where(*answered))).scalar()
    number = sum(count for name, count in answers.items() if name.isdecimal())
    return Statistics(
        since=since,
        deliveries=dict.fromkeys(STATES, 0) | dict(by_state.tuples().all()),
        waiting=waiting,
        oldest_waiting_at=await due_since(tx, webhook_id, now=now),
        attempts=sum(answers.values()),
        succeeded=succeeded,
        answers=dict(sorted(answers.items())),
        average_ms=None if average is None else round(average),
        p50_ms=await _at(tx, answered, number, 0.5),
        p99_ms=await _at(tx, answered, number, 0.99),
    )


def _is_success(status: int | None, error: str | None) -> bool:
    return error is None and status is not None and 200 <= status < 300


async def _at(tx: Tx, answered: Sequence[ColumnElement[bool]], number: int, share: float) -> int | None:
    """How long this share of them took at most."""
    if not number:
        return None
    query = select(DeliveryAttempt.took_ms).where(*answered).order_by(DeliveryAttempt.took_ms)
    took: Any = (await tx.execute(query.offset(min(number - 1, int(number * share))).limit(1))).scalar()
    return None if took is None else int(took)

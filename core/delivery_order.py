"""Keeps the order within a chat where an endpoint asks for it: what comes later is parked till the first is settled."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, func, select, text, update

from core.database import Tx
from core.deliveries import LEASE_S, WAITING
from core.models import Delivery, Webhook

_IS_OPEN = text("deliveries.order_key IS NOT NULL AND deliveries.state IN ('waiting', 'sending')")
"""As the index says it, word by word."""


async def wake_next(tx: Tx, chats: Collection[tuple[int, str]], *, now: datetime) -> None:
    """Whoever waits in these, each an endpoint and a key, now that one there is delivered or given up."""
    for webhook_id, key in sorted(chats):
        following = (
            select(Delivery.id)
            .where(_IS_OPEN, Delivery.webhook_id == webhook_id, Delivery.order_key == key)
            .order_by(Delivery.id)
            .limit(1)
        )
        following_id = (await tx.execute(following)).scalar()
        # Only what was parked for it: one that failed before keeps its own time.
        woken = update(Delivery).where(Delivery.id == following_id, Delivery.state == WAITING, Delivery.tries == 0)
        await tx.execute(woken.values(next_at=now).execution_options(synchronize_session=False))


async def in_order(tx: Tx, webhook: Webhook, rows: list[Row[Any]], *, now: datetime) -> list[Row[Any]]:
    """Without those that wait for the one before them in their chat."""
    in_order = {row.id: row.order_key for row in rows if row.order_key is not None}
    if not in_order:
        return rows
    first = await _first_of(tx, webhook.id, set(in_order.values()))
    behind = {one for one, key in in_order.items() if first[key] != one}
    for key in sorted({in_order[one] for one in behind}):
        await _park(tx, webhook.id, key, first[key], now=now)
    return [row for row in rows if row.id not in behind]


async def _park(tx: Tx, webhook_id: int, key: str, first: int, *, now: datetime) -> None:
    """All that wait for this one: until it is tried next. When it is settled that wakes them."""
    before_them = (await tx.execute(select(Delivery.next_at).where(Delivery.id == first))).scalar_one()
    until = max(before_them, now + timedelta(seconds=LEASE_S))
    theirs = update(Delivery).where(_IS_OPEN, Delivery.webhook_id == webhook_id, Delivery.order_key == key)
    theirs = theirs.where(Delivery.id > first, Delivery.state == WAITING, Delivery.next_at < until)
    await tx.execute(theirs.values(next_at=until).execution_options(synchronize_session=False))


async def _first_of(tx: Tx, webhook_id: int, keys: set[str]) -> Mapping[str, int]:
    """The oldest that is open, by key."""
    rows = await tx.execute(
        select(Delivery.order_key, func.min(Delivery.id))
        .where(
            _IS_OPEN,
            Delivery.webhook_id == webhook_id,
            Delivery.order_key.in_(keys),
        )
        .group_by(Delivery.order_key)
    )
    return {row[0]: row[1] for row in rows}

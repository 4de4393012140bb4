"""Forgets deliveries, as the settings say: bodies first, then all that is known of them."""

from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, text, update

from core import bulk, delivery_order
from core.bootstrap import Platform
from core.database import Database, Tx
from core.deliveries import DELIVERED, EXPIRED, FAILED, IS_WAITING, WAITING
from core.models import Delivery, Webhook

_BATCH = 1_000
_SINCE = "coalesce(waits_since, created_at)"
"""From when on its time counts: a replay begins it anew."""


async def prune(platform: Platform, *, now: datetime) -> int:
    """In short transactions: bodies, then all that is known of a delivery; what waited too long is given up; and what
    removed endpoints were told. Returns how many deliveries were forgotten."""
    settings, database = platform.settings, platform.database
    bodies_before = now - timedelta(days=settings.webhook_body_days)
    while await _expire(database, before=bodies_before, now=now):
        pass
    while await _in_batch(
        database,
        "UPDATE deliveries SET body = NULL WHERE id",
        "SELECT id FROM deliveries WHERE body IS NOT NULL AND created_at < :before "
        "AND state NOT IN ('waiting', 'sending') LIMIT :some",  # all attempts of one replay have one body
        before=bodies_before,
        also="UPDATE delivery_attempts SET response_body = NULL, response_headers = NULL, detail = NULL "
        "WHERE delivery_id",
    ):
        pass
    forgotten, old = 0, now - timedelta(days=settings.webhook_log_days)
    forget = "DELETE FROM deliveries WHERE id"
    aged = f"SELECT id FROM deliveries WHERE created_at < :before AND {_SINCE} < :before AND state <> 'sending' "
    aged += "ORDER BY created_at LIMIT :some"
    while done := await _in_batch(database, forget, aged, before=old):
        forgotten += done
    for webhook_id in await _removed(database):
        theirs = f"SELECT id FROM deliveries WHERE webhook_id = {webhook_id} AND created_at < :before LIMIT :some"
        while done := await _in_batch(database, forget, theirs, before=now + timedelta(days=1)):
            forgotten += done
    return forgotten


async def purge(tx: Tx, *, until: datetime, webhook_id: int | None = None, most: int = 5_000) -> int:
    """What was made before, and is delivered or given up, with its attempts: that of one endpoint, or all. Returns how
    many that were; with `most` there may be more."""
    old = select(Delivery.id).where(Delivery.created_at < until, Delivery.state.in_((DELIVERED, FAILED)))
    if webhook_id is not None:
        old = old.where(Delivery.webhook_id == webhook_id)
    found = (await tx.execute(old.order_by(Delivery.created_at).limit(most))).scalars().all()
    gone = delete(Delivery).where(text(f"deliveries.id {bulk.in_ids(tx)}"), Delivery.state.in_((DELIVERED, FAILED)))
    await tx.execute(gone.execution_options(synchronize_session=False), {"ids": bulk.ids(found)})
    return len(found)


async def _expire(database: Database, *, before: datetime, now: datetime) -> int:
    """Endpoints first, then deliveries: the same order everywhere."""
    async with database.transaction() as tx:
        since = func.coalesce(Delivery.waits_since, Delivery.created_at)
        old = select(Delivery.id, Delivery.webhook_id).where(IS_WAITING, Delivery.webhook_id > 0, since < before)
        found = (await tx.execute(old.limit(_BATCH))).all()
        endpoints = select(Webhook.id).where(text(f"webhooks.id {bulk.in_ids(tx)}")).order_by(Webhook.id)
        webhook_ids = bulk.ids({row.webhook_id for row in found})
        await tx.execute(endpoints.with_for_update(key_share=True), {"ids": webhook_ids})
        given_up = update(Delivery).where(text(f"deliveries.id {bulk.in_ids(tx)}"), Delivery.state == WAITING)
        given_up = given_up.values(state=FAILED, reason=EXPIRED, settled_at=now)
        given_up = given_up.returning(Delivery.webhook_id, Delivery.order_key)
        given_up = given_up.execution_options(synchronize_session=False)
        rows = (await tx.execute(given_up, {"ids": bulk.ids(row.id for row in found)})).all()
        chats = {(row.webhook_id, row.order_key) for row in rows if row.order_key}
        await delivery_order.wake_next(tx, chats, now=now)
        return len(found)


async def _in_batch(database: Database, change: str, which: str, *, before: datetime, also: str = "") -> int:
    async with database.transaction() as tx:
        which = which.replace(":before", "CAST(:before AS timestamptz)") if database.is_postgres else which
        found = (await bulk.run(tx, which, before=before, some=_BATCH)).scalars().all()
        if found:
            ids = bulk.ids(found)
            await bulk.run(tx, f"{change} {bulk.in_ids(tx)}", ids=ids)
            if also:
                await bulk.run(tx, f"{also} {bulk.in_ids(tx)}", ids=ids)
        return len(found)


async def _removed(database: Database) -> list[int]:
    """Endpoints that are gone and have deliveries still; a step of the index for each endpoint."""
    removed, last = [], 0
    async with database.reading() as tx:
        there = set((await tx.execute(select(Webhook.id))).scalars())
        while (
            last := (await tx.execute(select(func.min(Delivery.webhook_id)).where(Delivery.webhook_id > last))).scalar()
            or 0
        ):
            if last not in there:
                removed.append(last)
    return removed

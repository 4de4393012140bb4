"""What endpoints are told: each row is one event for one endpoint, until it is delivered or given up.

`waiting → sending` (committed before a byte leaves) `→ delivered`, or `waiting` again, or `failed`. A `sending` whose
lease lapsed was taken by a process that died: nobody knows whether it arrived, so it is sent again, with the same id.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from core import bulk, delivery_rows
from core.bootstrap import Platform
from core.database import Database, Tx
from core.models import Delivery, Webhook
from core.webhook_events import trial

CHANNEL = "waqtor_deliveries"
"""Where PostgreSQL calls when there is something to deliver."""
WAITING, SENDING, DELIVERED, FAILED = "waiting", "sending", "delivered", "failed"
EXHAUSTED, GONE, TEST_FAILED, EXPIRED, UNWRITABLE = "exhausted", "gone", "test_failed", "expired", "unwritable"
"""Why one failed."""
INTERRUPTED = "interrupted"
"""Why there is no answer: the process that waited for it ended."""
NOT_BEGUN = "not_begun"
"""What comes of one that was committed to, and of which nothing left: as if it had not been taken."""
LEASE_S = 30.0
"""What a killed process had counts as under way for so long: an endpoint that fails gets nothing meanwhile."""
_PRUNE_BATCH = 1_000


async def add_test(tx: Tx, webhook: Webhook, *, at: datetime) -> int:
    """The delivery's id."""
    fact = trial(webhook.id, webhook.form, at=at)
    await delivery_rows.insert(tx, [delivery_rows.row(webhook.id, fact, is_test=True)], at=at)
    by_event = select(Delivery.id).where(Delivery.webhook_id == webhook.id, Delivery.event_id == fact.id)
    return (await tx.execute(by_event)).scalar_one()


# ---- forgetting ---------------------------------------------------------------------------------------------


async def prune(platform: Platform, *, now: datetime) -> int:
    """In short transactions: bodies, then all that is known of a delivery; what waited too long is given up; and what
    removed endpoints were told. Returns how many deliveries were forgotten."""
    settings, database = platform.settings, platform.database
    bodies_before = now - timedelta(days=settings.webhook_body_days)
    while await _in_batch(
        database,
        f"UPDATE deliveries SET state = '{FAILED}', reason = '{EXPIRED}', settled_at = :now WHERE id",
        f"SELECT id FROM deliveries WHERE state = '{WAITING}' AND created_at < :before AND webhook_id > 0 LIMIT :some",
        before=bodies_before,
        now=now,
    ):
        pass
    while await _in_batch(
        database,
        "UPDATE deliveries SET body = NULL WHERE id",
        "SELECT id FROM deliveries WHERE body IS NOT NULL AND created_at < :before AND state <> 'sending' LIMIT :some",
        before=bodies_before,
        also="UPDATE delivery_attempts SET response_body = NULL, response_headers = NULL, detail = NULL "
        "WHERE delivery_id",
    ):
        pass
    forgotten, old = 0, now - timedelta(days=settings.webhook_log_days)
    delete = "DELETE FROM deliveries WHERE id"
    aged = "SELECT id FROM deliveries WHERE created_at < :before AND state <> 'sending' ORDER BY created_at LIMIT :some"
    while done := await _in_batch(database, delete, aged, before=old):
        forgotten += done
    for webhook_id in await _removed(database):
        theirs = f"SELECT id FROM deliveries WHERE webhook_id = {webhook_id} AND created_at < :before LIMIT :some"
        while done := await _in_batch(database, delete, theirs, before=now + timedelta(days=1)):
            forgotten += done
    return forgotten


async def _in_batch(
    database: Database, change: str, which: str, *, before: datetime, now: datetime | None = None, also: str = ""
) -> int:
    async with database.transaction() as tx:
        which = which.replace(":before", "CAST(:before AS timestamptz)") if database.is_postgres else which
        found = (await bulk.run(tx, which, before=before, some=_PRUNE_BATCH)).scalars().all()
        if found:
            values: dict[str, Any] = {} if now is None else {"now": now}
            ids = bulk.ids(found)
            await bulk.run(tx, f"{change.replace(':now', bulk.now(tx))} {bulk.in_ids(tx)}", ids=ids, **values)
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

"""Writes down what came of attempts, and what follows from it for the delivery and for its endpoint."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text

from core import bulk, delivery_order, notices, notifications, webhook_health, webhooks
from core.bootstrap import Platform
from core.database import Tx, is_passing, is_postgres
from core.deliveries import (
    ABORTED,
    DELIVERED,
    EXHAUSTED,
    FAILED,
    GONE,
    INTERRUPTED,
    NOT_BEGUN,
    SENDING,
    TEST_FAILED,
    WAITING,
)
from core.delivery_rows import FAILING
from core.events import WebhookMoved, publish
from core.models import Webhook

_KEPT_BODY = 16 * 1024
_KEPT_VALUE = 1_000
_KEPT_DETAIL = 300
_ABOUT_TELLING = ("webhook.", "notification.")
"""That one of these was given up is not told: two endpoints that fail would tell each other for ever."""
_BAD_ANSWER = "bad_answer"
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the attempt with this number: a whole answer, or `error`."""

    delivery_id: int
    webhook_id: int
    number: int
    status: int | None = None
    error: str | None = None
    detail: str = ""
    took_s: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def is_success(self) -> bool:
        return self.error is None and self.status is not None and 200 <= self.status < 300


@dataclass(slots=True)
class _Row:
    """Of a delivery, what an outcome may change."""

    id: int
    webhook_id: int
    type: str
    order_key: str | None
    is_test: bool
    state: str
    reason: str | None
    attempts: int
    tries: int
    next_at: datetime | None = None
    settled_at: datetime | None = None


async def settle(tx: Tx, outcomes: Sequence[Outcome], *, now: datetime) -> Mapping[int, Webhook]:
    """Endpoints first, all of them, then deliveries: the same order everywhere. An answer to an attempt that somebody
    gave up meanwhile counts, unless another was begun. Returns the endpoints, locked."""
    if not outcomes:
        return {}
    locked = select(Webhook).where(text(f"webhooks.id {bulk.in_ids(tx)}")).order_by(Webhook.id)
    locked = locked.with_for_update(key_share=True).execution_options(populate_existing=True)
    found = await tx.execute(locked, {"ids": bulk.ids({one.webhook_id for one in outcomes})})
    endpoints = {row.id: row for row in found.scalars()}
    rows = await _rows(tx, {one.delivery_id for one in outcomes})
    changed: list[_Row] = []
    not_begun: list[int] = []
    told: list[tuple[Webhook, str, int]] = []
    for one in outcomes:
        row, webhook = rows.get(one.delivery_id), endpoints.get(one.webhook_id)
        if row is not None and row.attempts == one.number and row.state in (SENDING, WAITING):
            if one.error != NOT_BEGUN:
                _decide(row, webhook, one, told, now=now)
            elif row.state == SENDING:  # else it was taken for lost meanwhile
                row.state, row.attempts, row.tries = WAITING, row.attempts - 1, row.tries - 1
                not_begun.append(row.id)
            changed.append(row)
    await _log(tx, [one for one in outcomes if one.error != NOT_BEGUN])
    await _unlog(tx, not_begun)
    await tx.flush()
    await _write(tx, changed)
    done = [row for row in changed if row.state in (DELIVERED, FAILED)]
    await delivery_order.wake_next(tx, {(row.webhook_id, row.order_key) for row in done if row.order_key}, now=now)
    # Whoever stops an endpoint needs alone a lock that whoever publishes shares: two that had it and wanted it alone
    # would wait for each other for ever.
    for webhook, what, way in sorted(told, key=lambda one: not _ends(one[1], one[2])):
        await _tell(tx, webhook, what, way, now=now)
    return endpoints


async def settle_each(platform: Platform, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
    """Each in a transaction of its own, for when together they fail: an answer that cannot be written down is a bad
    one, and keeps no other. Returns those that another try may settle, since the database was away."""
    left: list[Outcome] = []
    for one in outcomes:
        bad = Outcome(one.delivery_id, one.webhook_id, one.number, error=_BAD_ANSWER)
        for said in (one, bad):
            try:
                async with platform.database.transaction() as tx:
                    await settle(tx, [said], now=await platform.clock.now(tx))
                break
            except Exception as error:  # whatever a receiver's answer does here
                if is_passing(error):
                    left.append(one)
                    break
                logger.exception("outcome_unsettled delivery=%s", one.delivery_id)  # and if twice, its lease lapses
    return left


async def _rows(tx: Tx, ids: Collection[int]) -> Mapping[int, _Row]:
    columns = "id, webhook_id, type, order_key, is_test, state, reason, attempts, tries"
    lock = "FOR UPDATE" if is_postgres(tx) else ""
    query = f"SELECT {columns} FROM deliveries WHERE id {bulk.in_ids(tx)} ORDER BY id {lock}"
    return {row.id: _Row(*row) for row in await bulk.run(tx, query, ids=bulk.ids(ids))}


async def _write(tx: Tx, changed: Sequence[_Row]) -> None:
    columns = {"state": "text", "reason": "text", "attempts": "int", "tries": "int", "settled_at": "timestamptz"}
    values = ", ".join(f"{name} = r.{name}" for name in columns)
    rows = [
        {
            "id": row.id,
            "state": row.state,
            "reason": row.reason,
            "attempts": row.attempts,
            "tries": row.tries,
            "settled_at": row.settled_at and bulk.stamp(row.settled_at),
            "next_at": row.next_at and bulk.stamp(row.next_at),
        }
        for row in changed
    ]
    if rows:
        await bulk.run(
            tx,
            f"""
            UPDATE deliveries SET {values}, lease_until = NULL, next_at = coalesce(r.next_at, deliveries.next_at)
            FROM {bulk.table(tx, id="bigint", next_at="timestamptz", **columns)} WHERE deliveries.id = r.id
            """,
            rows,
        )


def _decide(
    row: _Row, webhook: Webhook | None, one: Outcome, told: list[tuple[Webhook, str, int]], *, now: datetime
) -> None:
    if one.error == INTERRUPTED:  # by our own end: nobody's fault
        row.state, row.next_at, row.tries = WAITING, now, row.tries - 1
        return
    answer = webhook_health.answer(one.status, one.error, one.headers, now=now)
    if webhook is not None and answer.ends_endpoint and not row.is_test:
        told.append((webhook, GONE, 0))
    if answer.is_success:
        row.state, row.reason, row.settled_at = DELIVERED, None, now
        if webhook is not None and webhook_health.succeeded(webhook, now=now):
            told.append((webhook, "recovered", 0))
        return
    row.reason = one.error or f"status_{one.status}"
    if webhook is None:
        row.state, row.reason, row.settled_at = FAILED, GONE, now
        return
    if row.is_test:
        row.state, row.reason, row.settled_at = FAILED, TEST_FAILED, now
        return
    way = webhook_health.failed(webhook, answer, now=now)
    if answer.ends_endpoint or answer.control == webhook_health.ABORT:
        row.state, row.reason, row.settled_at = FAILED, GONE if answer.ends_endpoint else ABORTED, now
        return
    wait_s = webhook_health.wait_s(webhook, row.tries, answer)
    if wait_s is None:
        row.state, row.reason, row.settled_at = FAILED, EXHAUSTED, now
        if not row.type.startswith(_ABOUT_TELLING) and (webhook, EXHAUSTED, 0) not in told:
            told.append((webhook, EXHAUSTED, 0))
    else:
        row.state, row.next_at = WAITING, now + timedelta(seconds=wait_s)
    if way is not None:
        told.append((webhook, "failing", way))


def _ends(what: str, way: int) -> bool:
    return what == GONE or way >= 100


async def _tell(tx: Tx, webhook: Webhook, what: str, way: int, *, now: datetime) -> None:
    """The notice, the event, and the end of an endpoint that is given up."""
    if _ends(what, way):
        if webhook.is_enabled:
            await webhooks.stop(tx, webhook, webhooks.GONE if what == GONE else FAILING, at=now)
            await notifications.tell(tx, notices.webhook_disabled(webhook), at=now)
        return
    if what == EXHAUSTED and await notifications.tell(tx, notices.webhook_exhausted(webhook, at=now), at=now) is None:
        return  # within the hour it was told already
    await publish(tx, WebhookMoved(webhook_id=webhook.id, what=what, reason=f"{way} %" if way else ""), at=now)
    if what == "failing":
        await notifications.tell(tx, notices.webhook_failing(webhook, way), at=now)


async def _unlog(tx: Tx, delivery_ids: Sequence[int]) -> None:
    """Attempts that were committed to and never begun. The next has their number."""
    if delivery_ids:
        unanswered = f"DELETE FROM delivery_attempts WHERE delivery_id {bulk.in_ids(tx)}"
        unanswered += " AND status IS NULL AND error IS NULL"
        await bulk.run(tx, unanswered, ids=bulk.ids(delivery_ids))


async def _log(tx: Tx, outcomes: Sequence[Outcome]) -> None:
    if not outcomes:
        return
    columns = {"delivery_id": "bigint", "number": "int", "took_ms": "int", "status": "int", "error": "text"}
    columns |= {"detail": "text", "response_headers": "jsonb", "response_body": "text"}
    changed = ", ".join(f"{name} = r.{name}" for name in columns if name not in ("delivery_id", "number"))
    await bulk.run(
        tx,
        f"""
        UPDATE delivery_attempts SET {changed} FROM {bulk.table(tx, **columns)}
        WHERE delivery_attempts.delivery_id = r.delivery_id AND delivery_attempts.number = r.number
        """,
        [_logged(one) for one in outcomes],
    )


def _logged(one: Outcome) -> dict[str, Any]:
    return {
        "delivery_id": one.delivery_id,
        "number": one.number,
        "took_ms": round(one.took_s * 1000),
        "status": one.status,
        "error": one.error,
        "detail": _text(one.detail, _KEPT_DETAIL) or None,
        "response_headers": {_text(name, 100): _text(value, _KEPT_VALUE) for name, value in one.headers.items()},
        "response_body": _text(one.body[:_KEPT_BODY].decode(errors="replace"), _KEPT_BODY),
    }


def _text(said: str, longest: int) -> str:
    """PostgreSQL keeps no NUL, and JSON no half of a surrogate pair."""
    return said.encode(errors="replace").decode().replace("\0", "�")[:longest]

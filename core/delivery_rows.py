"""Writes down, in the transaction of an event, which endpoints are told of it. Nothing is done where there is none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, or_, select

from core import bulk
from core.database import Tx
from core.models import Webhook
from core.webhook_events import Fact, facts_of, passes, possible, wants

FAILING, RESTORED = "failing", "restored"
"""Why an endpoint is disabled that is told, when somebody enables it, what happens meanwhile."""
_SETS_KEPT = 16


@dataclass(frozen=True, slots=True)
class _Endpoint:
    id: int
    events: Sequence[str]
    sender_ids: Sequence[int] | None
    campaign_ids: Sequence[int] | None
    is_ordered: bool

    def takes(self, fact: Fact) -> bool:
        """It hears nothing about itself: an endpoint that fails would be told so, and fail at that."""
        if not wants(self.events, fact.type) or not passes(fact, self.sender_ids, self.campaign_ids):
            return False
        return not (fact.type.startswith("webhook.") and fact.data.get("webhook_id") == self.id)


_known: dict[str, Sequence[_Endpoint]] = {}
"""By the name of the set (`event_log.webhooks`). A set that changes gets a new name, so what is here is never old."""


async def write(tx: Tx, told: str | None, type: str, data: Mapping[str, Any], *, at: datetime) -> None:
    """`told` names the set of endpoints as this transaction sees it, and nobody changes it before this commits."""
    if told is None:
        return
    endpoints = await _endpoints(tx, told)
    types = {one for one in possible(type, data) if any(wants(endpoint.events, one) for endpoint in endpoints)}
    if types:
        facts = await facts_of(tx, type, data, types=types, at=at)
        await insert(tx, [_row(one, fact) for one in endpoints for fact in facts if one.takes(fact)], at=at)


async def insert(tx: Tx, rows: Sequence[Mapping[str, Any]], *, at: datetime) -> None:
    """All in one statement. A stage of a message that is told twice has the same id, and is delivered once."""
    if not rows:
        return
    columns = {
        "webhook_id": "bigint",
        "event_id": "text",
        "type": "text",
        "data": "jsonb",
        "sender_id": "bigint",
        "campaign_id": "bigint",
        "contact_id": "bigint",
        "order_key": "text",
        "is_test": "boolean",
    }
    names = ", ".join(columns)
    now = bulk.now(tx)
    await bulk.run(
        tx,
        f"""
        INSERT INTO deliveries ({names}, state, attempts, tries, next_at, created_at)
        SELECT {names}, 'waiting', 0, 0, {now}, {now} FROM {bulk.table(tx, **columns)} WHERE true
        ON CONFLICT (webhook_id, event_id) DO NOTHING
        """,
        rows,
        now=at,
    )


def are_told() -> ColumnElement[bool]:
    return or_(Webhook.is_enabled, Webhook.disabled_reason.in_((FAILING, RESTORED)))


def row(webhook_id: int, fact: Fact, *, in_order: bool = False, is_test: bool = False) -> dict[str, Any]:
    return {
        "webhook_id": webhook_id,
        "event_id": fact.id,
        "type": fact.type,
        "data": dict(fact.data),
        "sender_id": fact.sender_id,
        "campaign_id": fact.campaign_id,
        "contact_id": fact.contact_id,
        "order_key": (fact.chat or None) if in_order else None,
        "is_test": is_test,
    }


def _row(endpoint: _Endpoint, fact: Fact) -> dict[str, Any]:
    return row(endpoint.id, fact, in_order=endpoint.is_ordered)


async def _endpoints(tx: Tx, told: str) -> Sequence[_Endpoint]:
    found = _known.get(told)
    if found is None:
        columns = Webhook.id, Webhook.events, Webhook.sender_ids, Webhook.campaign_ids, Webhook.is_ordered
        rows = await tx.execute(select(*columns).where(are_told()).order_by(Webhook.id))
        found = [_Endpoint(*one) for one in rows]
        while len(_known) >= _SETS_KEPT:
            del _known[next(iter(_known))]
        _known[told] = found
    return found

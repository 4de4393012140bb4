"""How much waits, for who watches the installation. Each figure is one look at an index, and a short one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.sql import Select

from core import bulk, campaigns, delivery_log, inbox
from core.database import Tx, is_postgres
from core.models import Campaign, Sender

MOST = 10_000
"""So far a queue is counted: whether longer ones are twice as long does not matter, and counting them would."""

_OUTBOX = "SELECT id FROM messages {by} WHERE state = 'queued' AND recipient_id IS NULL ORDER BY sender_id, not_before"
_UNSETTLED = "SELECT state FROM messages WHERE state IN ('intent', 'in_doubt') ORDER BY state"
_INBOX = "SELECT id FROM inbox WHERE applied_at IS NULL ORDER BY id"


@dataclass(frozen=True, slots=True)
class Figures:
    """`outbox`: single messages that wait to leave. `unsettled`: those whose request is under way, or in doubt.
    `inbox`: webhooks that wait to be applied, the oldest for `inbox_lag_s`. Each `MOST` at most. `deliveries_lag_s`:
    how long what is due at an endpoint that takes it has waited."""

    outbox: int
    unsettled: int
    inbox: int
    inbox_lag_s: float
    deliveries_lag_s: float
    campaigns: Mapping[str, int]
    senders: Mapping[str, int]


async def look(tx: Tx, *, at: datetime) -> Figures:
    oldest = await inbox.oldest_waiting(tx)
    due_since = await delivery_log.due_since(tx, now=at)
    under_way = select(Campaign.state, func.count()).where(Campaign.state.in_(campaigns.UNDER_WAY))
    return Figures(
        # SQLite would go through all single messages there ever were, by the index of recipients.
        outbox=await _counted(tx, _OUTBOX.format(by="" if is_postgres(tx) else "INDEXED BY ix_messages_outbox")),
        unsettled=await _counted(tx, _UNSETTLED),
        inbox=await _counted(tx, _INBOX),
        inbox_lag_s=(at - oldest).total_seconds() if oldest else 0.0,
        deliveries_lag_s=(at - due_since).total_seconds() if due_since else 0.0,
        campaigns=await _by_state(tx, under_way.group_by(Campaign.state)),
        senders=await _by_state(tx, select(Sender.state, func.count()).group_by(Sender.state)),
    )


async def _counted(tx: Tx, query: str) -> int:
    found = await bulk.run(tx, f"SELECT count(*) FROM ({query} LIMIT :most) AS waiting", most=MOST)
    return int(found.scalar_one())


async def _by_state(tx: Tx, query: "Select[tuple[str, int]]") -> Mapping[str, int]:
    return dict((await tx.execute(query)).tuples().all())

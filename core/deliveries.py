"""What endpoints are told: each row is one event for one endpoint, until it is delivered or given up.

`waiting → sending` (committed before a byte leaves) `→ delivered`, or `waiting` again, or `failed`. A `sending` whose
lease lapsed was taken by a process that died: nobody knows whether it arrived, so it is sent again, with the same id.
"""

from datetime import datetime

from sqlalchemy import select, text

from core import delivery_rows
from core.bus import News
from core.database import Tx
from core.models import Delivery, Webhook
from core.webhook_events import trial

NEWS = News("waqtor_deliveries", "SELECT max(id) FROM deliveries")
"""There is something to deliver. What is due again without being new is known by when it is due."""
WAITING, SENDING, DELIVERED, FAILED = "waiting", "sending", "delivered", "failed"
IS_WAITING = text("deliveries.state = 'waiting'")
"""As the index says it, word by word."""
EXHAUSTED, GONE, TEST_FAILED, EXPIRED, UNWRITABLE = "exhausted", "gone", "test_failed", "expired", "unwritable"
ABORTED = "aborted"
"""Why one failed."""
INTERRUPTED = "interrupted"
"""Why there is no answer: the process that waited for it ended."""
NOT_BEGUN = "not_begun"
"""What comes of one that was committed to, and of which nothing left: as if it had not been taken."""
LEASE_S = 30.0
"""What a killed process had counts as under way for so long: an endpoint that fails gets nothing meanwhile."""


async def add_test(tx: Tx, webhook: Webhook, *, at: datetime) -> int:
    """The delivery's id."""
    fact = trial(webhook.id, webhook.form, at=at)
    await delivery_rows.insert(tx, [delivery_rows.row(webhook.id, fact, is_test=True)], at=at)
    by_event = select(Delivery.id).where(Delivery.webhook_id == webhook.id, Delivery.event_id == fact.id)
    return (await tx.execute(by_event)).scalar_one()

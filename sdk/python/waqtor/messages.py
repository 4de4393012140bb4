"""What was written, in both directions."""

from datetime import datetime
from typing import Any

from waqtor.asking import C, Model, Pages, Resource, paged, pages


class Message(Model):
    """`content` by its `type`. `receipt` is none, sent, delivered, read or failed."""

    id: int
    direction: str
    sender_id: int
    contact_id: int | None
    content: dict[str, Any]
    state: str
    reason: str | None
    receipt: str
    attempts: int
    late: bool
    client_id: str | None
    provider_id: str | None
    at: datetime
    settled_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None


class Messages(Resource[C]):
    @paged
    def list(self, contact_id: int, *, limit: int = 100) -> Pages[Message]:
        """The chat with one person, newest first."""
        return pages("/messages", Message, contact_id=contact_id, limit=limit)

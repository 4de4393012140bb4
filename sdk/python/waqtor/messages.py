"""What was written, in both directions; and one message or many to write."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from waqtor import errors
from waqtor.asking import Ask, C, Model, Pages, Resource, Sleep, Steps, call, get, given, paged, pages, steps, write

_SETTLED = ("sent", "failed", "unknown")


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
    purpose: str | None
    not_before: datetime | None
    expires_at: datetime | None
    reply_to: str | None
    test_of: int | None
    at: datetime
    settled_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None


class Refusal(Model):
    """Why one of many was not taken."""

    code: str
    message: str
    field: str | None
    hint: str | None


class Taken(Model):
    """What became of the message at place `index` of the request: one of `message` and `error`."""

    index: int
    message: Message | None
    error: Refusal | None


class Bulk(Model):
    accepted: int
    refused: int
    results: list[Taken]


class Messages(Resource[C]):
    @call
    def send(
        self,
        sender_id: int,
        content: str | Mapping[str, Any],
        *,
        to: str | None = None,
        contact_id: int | None = None,
        purpose: str | None = None,
        reply_to: int | None = None,
        not_before: datetime | None = None,
        expires_at: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> Ask[Message]:
        """Queue one message, to a number or a contact; `content` is text, or a mapping with its `type`. It leaves
        within the sender's pace: `wait` tells what became of it."""
        body = given(
            sender_id=sender_id,
            content={"type": "text", "body": content} if isinstance(content, str) else dict(content),
            to=to,
            contact_id=contact_id,
            purpose=purpose,
            reply_to=reply_to,
            not_before=not_before and not_before.isoformat(),
            expires_at=expires_at and expires_at.isoformat(),
        )
        return write("POST", "/messages", Message, json=body, key=idempotency_key)

    @call
    def send_many(self, messages: Sequence[Mapping[str, Any]], *, idempotency_key: str | None = None) -> Ask[Bulk]:
        """Up to 1,000 in one transaction, each as for `POST /api/v3/messages`; each is taken or refused by itself."""
        body = {"messages": [dict(one) for one in messages]}
        return write("POST", "/messages/bulk", Bulk, json=body, key=idempotency_key)

    @call
    def get(self, message_id: int) -> Ask[Message]:
        return get(f"/messages/{message_id}", Message)

    @steps
    def wait(self, message_id: int, *, every_s: float = 0.2, timeout_s: float = 60.0) -> Steps[Message]:
        """Until it is sent, failed or unknown; a sender that is paused may take longer than `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while True:
            message: Message = yield get(f"/messages/{message_id}", Message)
            if message.state in _SETTLED:
                return message
            if time.monotonic() >= deadline:
                raise errors.Error(f"Message {message_id} is still {message.state}.", code="timeout")
            yield Sleep(every_s)

    @paged
    def list(self, contact_id: int, *, limit: int = 100) -> Pages[Message]:
        """The chat with one person, newest first."""
        return pages("/messages", Message, contact_id=contact_id, limit=limit)

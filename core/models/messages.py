"""Messages out and in, and the webhooks they come by."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, LargeBinary, SmallInteger, String, text
from sqlalchemy.orm import Mapped

from core.models.base import Base, BigId, Json, UtcDateTime, personal, plain


class Message(Base):
    """One message in or out. Outgoing rows are the outbox: the intent is committed here before any I/O.

    A single message has no recipient, and what a campaign has for its own: `purpose`, `not_before` (always set),
    `expires_at`, in `reply_to` WhatsApp's id of the message it answers, and in `media_id` the file of ours that goes
    with it, without which it does not leave. `test_of` is a campaign it shows."""

    __tablename__ = "messages"
    __table_args__ = (
        Index("ix_messages_contact_id_id", "contact_id", "id"),
        Index(
            "ix_messages_unsettled",
            "state",
            "lease_until",
            postgresql_where=text("state IN ('intent', 'in_doubt')"),
            sqlite_where=text("state IN ('intent', 'in_doubt')"),
        ),
        Index(
            "ix_messages_outbox",
            "sender_id",
            "not_before",
            "id",
            postgresql_where=text("state = 'queued' AND recipient_id IS NULL"),
            sqlite_where=text("state = 'queued' AND recipient_id IS NULL"),
        ),
        Index(
            "ix_messages_expiring",
            "expires_at",
            postgresql_where=text("state = 'queued' AND recipient_id IS NULL AND expires_at IS NOT NULL"),
            sqlite_where=text("state = 'queued' AND recipient_id IS NULL AND expires_at IS NOT NULL"),
        ),
        Index(
            "ix_messages_with_media",
            "contact_id",
            "sender_id",
            "id",
            postgresql_where=text("state = 'queued' AND recipient_id IS NULL AND media_id IS NOT NULL"),
            sqlite_where=text("state = 'queued' AND recipient_id IS NULL AND media_id IS NOT NULL"),
        ),
    )
    id: Mapped[int] = plain(BigId, primary_key=True)
    client_id: Mapped[str | None] = plain(String(32), unique=True)
    provider_id: Mapped[str | None] = personal(String(200), category="identity", purpose="match receipts", unique=True)
    direction: Mapped[str] = plain(String(3))
    sender_id: Mapped[int] = plain(ForeignKey("senders.id"))
    contact_id: Mapped[int | None] = personal(BigInteger, category="activity", purpose="show the chat")
    recipient_id: Mapped[int | None] = plain(BigInteger, unique=True)
    address: Mapped[str] = personal(String(100), category="identity", purpose="deliver messages")
    content: Mapped[dict[str, Any]] = personal(Json, category="content", purpose="show the chat")
    state: Mapped[str] = plain(String(12))
    reason: Mapped[str | None] = plain(String(80))
    receipt: Mapped[int] = plain(SmallInteger, default=0)
    attempts: Mapped[int] = plain(SmallInteger, default=0)
    late: Mapped[bool] = plain(Boolean, default=False)
    lease_token: Mapped[str | None] = plain(String(32))
    lease_until: Mapped[datetime | None] = plain(UtcDateTime)
    purpose: Mapped[str | None] = plain(String(40))
    not_before: Mapped[datetime | None] = plain(UtcDateTime)
    expires_at: Mapped[datetime | None] = plain(UtcDateTime)
    reply_to: Mapped[str | None] = personal(String(200), category="identity", purpose="show what is answered")
    test_of: Mapped[int | None] = plain(BigInteger)
    media_id: Mapped[int | None] = plain(BigInteger)
    at: Mapped[datetime] = personal(UtcDateTime, category="activity", purpose="show the chat")
    settled_at: Mapped[datetime | None] = plain(UtcDateTime)
    delivered_at: Mapped[datetime | None] = personal(UtcDateTime, category="activity", purpose="show receipts")
    read_at: Mapped[datetime | None] = personal(UtcDateTime, category="activity", purpose="show receipts")


class InboxItem(Base):
    """A webhook of WhatsApp as it came: stored before it is answered, applied after. With an `error` it could not be
    applied, and waits for somebody to mend that."""

    __tablename__ = "inbox"
    __table_args__ = (
        Index(
            "ix_inbox_waiting",
            "id",
            postgresql_where=text("applied_at IS NULL"),
            sqlite_where=text("applied_at IS NULL"),
        ),
        Index(
            "ix_inbox_set_aside",
            "id",
            postgresql_where=text("error IS NOT NULL"),
            sqlite_where=text("error IS NOT NULL"),
        ),
    )
    id: Mapped[int] = plain(BigId, primary_key=True)
    body: Mapped[bytes] = personal(LargeBinary, category="content", purpose="lose no receipt or reply")
    received_at: Mapped[datetime] = plain(UtcDateTime)
    applied_at: Mapped[datetime | None] = plain(UtcDateTime)
    error: Mapped[str | None] = plain(String(200))

"""Senders: WhatsApp accounts that write, what they used, and their chats."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Float, ForeignKey, Index, Integer, LargeBinary, String, Text
from sqlalchemy.orm import Mapped

from core.models.base import Base, BigId, Json, UtcDateTime, personal, plain


class Sender(Base):
    """A WhatsApp account that writes. `next_slot` (epoch seconds on the database clock) is its pace."""

    __tablename__ = "senders"
    id: Mapped[int] = plain(BigId, primary_key=True)
    name: Mapped[str] = plain(String(100), unique=True)
    kind: Mapped[str] = plain(String(20))
    phone_number_id: Mapped[str] = plain(String(40), unique=True)
    waba_id: Mapped[str] = plain(String(40))
    secrets: Mapped[bytes] = plain(LargeBinary)
    state: Mapped[str] = plain(String(20))
    state_reason: Mapped[str] = plain(Text, default="")
    rate: Mapped[float] = plain(Float)
    daily_cap: Mapped[int | None] = plain(Integer)
    conversation_cap: Mapped[int | None] = plain(Integer)
    next_slot: Mapped[float] = plain(Float, default=0.0)
    jitter: Mapped[float] = plain(Float, default=0.0, server_default="0")
    warm_up: Mapped[dict[str, Any] | None] = plain(Json)
    tier: Mapped[str | None] = plain(String(40))
    quality: Mapped[str | None] = plain(String(20))
    checked_at: Mapped[datetime | None] = plain(UtcDateTime)
    created_at: Mapped[datetime] = plain(UtcDateTime)


class SenderHour(Base):
    """What a sender used in one hour; the last 24 of them are the moving day of WhatsApp's tiers."""

    __tablename__ = "sender_hours"
    sender_id: Mapped[int] = plain(ForeignKey("senders.id", ondelete="CASCADE"), primary_key=True)
    hour: Mapped[int] = plain(Integer, primary_key=True)
    messages: Mapped[int] = plain(Integer)
    conversations: Mapped[int] = plain(Integer)


class SenderReceipts(Base):
    """When a receipt of the sender last came in. Messages after `since_id` are those it has not been heard of since."""

    __tablename__ = "sender_receipts"
    sender_id: Mapped[int] = plain(ForeignKey("senders.id", ondelete="CASCADE"), primary_key=True)
    last_at: Mapped[datetime | None] = plain(UtcDateTime)
    since_id: Mapped[int] = plain(BigInteger)


class Chat(Base):
    """What stands between one sender and one person: who wrote last, till when free text may go, and up to which
    message somebody here has read."""

    __tablename__ = "chats"
    __table_args__ = (Index("ix_chats_last_at", "last_at", "sender_id", "contact_id"),)
    sender_id: Mapped[int] = plain(ForeignKey("senders.id", ondelete="CASCADE"), primary_key=True)
    contact_id: Mapped[int] = plain(ForeignKey("contacts.id", ondelete="CASCADE"), primary_key=True)
    last_out_at: Mapped[datetime | None] = personal(UtcDateTime, category="activity", purpose="count conversations")
    last_in_at: Mapped[datetime | None] = personal(UtcDateTime, category="activity", purpose="know the service window")
    last_at: Mapped[datetime | None] = personal(UtcDateTime, category="activity", purpose="show the latest chats first")
    read_id: Mapped[int] = plain(BigInteger, default=0, server_default="0")

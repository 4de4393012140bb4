"""Addresses that are told what happens, what each was told, and every attempt to."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Float, ForeignKey, Index, Integer, LargeBinary, SmallInteger, String, Text
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped

from core.models.base import Base, BigId, Json, UtcDateTime, personal, plain


class Webhook(Base):
    """An endpoint. `sender_ids` and `campaign_ids` are no filter when null. `secrets` and `headers` are sealed with the
    master key. From `failing_since` on is what is remembered of how it does; `paused_until` is the breaker's, and
    `next_slot` (epoch seconds on the database clock) its pace."""

    __tablename__ = "webhooks"
    # A number is never given again: deliveries of a removed one may still be there for an hour.
    __table_args__ = ({"sqlite_autoincrement": True},)
    id: Mapped[int] = plain(BigId, primary_key=True)
    url: Mapped[str] = plain(String(2048))
    description: Mapped[str] = plain(Text, default="")
    events: Mapped[list[str]] = plain(Json)
    sender_ids: Mapped[list[int] | None] = plain(Json)
    campaign_ids: Mapped[list[int] | None] = plain(Json)
    fields: Mapped[list[str]] = plain(Json)
    form: Mapped[str] = plain(String(2), default="v3")
    is_enabled: Mapped[bool] = plain(Boolean, default=True)
    disabled_reason: Mapped[str | None] = plain(String(40))
    disabled_at: Mapped[datetime | None] = plain(UtcDateTime)
    secrets: Mapped[bytes] = plain(LargeBinary)
    signs_v1a: Mapped[bool] = plain(Boolean, default=False)
    signs_v2: Mapped[bool] = plain(Boolean, default=False)
    headers: Mapped[bytes | None] = plain(LargeBinary)
    header_names: Mapped[list[str]] = plain(Json)
    schedule: Mapped[list[float] | None] = plain(Json)
    rate: Mapped[float | None] = plain(Float)
    concurrency: Mapped[int] = plain(SmallInteger)
    is_ordered: Mapped[bool] = plain(Boolean, default=False)
    next_slot: Mapped[float] = plain(Float, default=0.0)
    paused_until: Mapped[datetime | None] = plain(UtcDateTime)
    trips: Mapped[int] = plain(Integer, default=0)
    failures: Mapped[int] = plain(Integer, default=0)
    failing_since: Mapped[datetime | None] = plain(UtcDateTime)
    last_failed_at: Mapped[datetime | None] = plain(UtcDateTime)
    last_strike_at: Mapped[datetime | None] = plain(UtcDateTime)
    strikes: Mapped[int] = plain(Integer, default=0)
    warned: Mapped[int] = plain(SmallInteger, default=0)
    last_success_at: Mapped[datetime | None] = plain(UtcDateTime)
    created_at: Mapped[datetime] = plain(UtcDateTime)
    changed_at: Mapped[datetime] = plain(UtcDateTime)


_WAITING = sql("state = 'waiting'")
_SENDING = sql("state = 'sending'")
_IN_ORDER = sql("order_key IS NOT NULL AND state IN ('waiting', 'sending')")
_HAS_BODY = sql("body IS NOT NULL")


class Delivery(Base):
    """One event for one endpoint, written in the event's transaction. `event_id` is what the receiver knows it by, in
    all attempts; `body` is what is posted, written out with the first. `held_by`: which courier has it under way, or
    had it last (`core.holders`). `waits_since`: when a replay gave it out last. No foreign key: whoever removes an
    endpoint with a million of these does not wait for them, and an event takes no lock on endpoints."""

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("uq_deliveries_webhook_id_event_id", "webhook_id", "event_id", unique=True),
        Index("ix_deliveries_waiting", "webhook_id", "next_at", "id", postgresql_where=_WAITING, sqlite_where=_WAITING),
        Index("ix_deliveries_sending", "webhook_id", "lease_until", postgresql_where=_SENDING, sqlite_where=_SENDING),
        Index(
            "ix_deliveries_in_order",
            "webhook_id",
            "order_key",
            "id",
            postgresql_where=_IN_ORDER,
            sqlite_where=_IN_ORDER,
        ),
        Index("ix_deliveries_bodies", "created_at", postgresql_where=_HAS_BODY, sqlite_where=_HAS_BODY),
        Index("ix_deliveries_webhook_id_created_at", "webhook_id", "created_at"),
        Index("ix_deliveries_created_at", "created_at"),
    )
    id: Mapped[int] = plain(BigId, primary_key=True)
    webhook_id: Mapped[int] = plain(BigInteger)
    event_id: Mapped[str] = plain(String(40))
    type: Mapped[str] = plain(String(60))
    data: Mapped[dict[str, Any]] = plain(Json)
    sender_id: Mapped[int | None] = plain(BigInteger)
    campaign_id: Mapped[int | None] = plain(BigInteger)
    contact_id: Mapped[int | None] = personal(BigInteger, category="activity", purpose="erase what was told of them")
    order_key: Mapped[str | None] = personal(String(60), category="activity", purpose="keep the order within a chat")
    body: Mapped[bytes | None] = personal(LargeBinary, category="content", purpose="tell endpoints what happened")
    is_test: Mapped[bool] = plain(Boolean, default=False)
    state: Mapped[str] = plain(String(10))
    reason: Mapped[str | None] = plain(String(80))
    attempts: Mapped[int] = plain(SmallInteger, default=0)
    tries: Mapped[int] = plain(SmallInteger, default=0)
    next_at: Mapped[datetime] = plain(UtcDateTime)
    lease_until: Mapped[datetime | None] = plain(UtcDateTime)
    held_by: Mapped[int | None] = plain(BigInteger)
    created_at: Mapped[datetime] = plain(UtcDateTime)
    waits_since: Mapped[datetime | None] = plain(UtcDateTime)
    settled_at: Mapped[datetime | None] = plain(UtcDateTime)


class DeliveryAttempt(Base):
    """One attempt, committed before a byte of it leaves. Neither `status` nor `error`: it is under way. `error` is why
    no whole answer came."""

    __tablename__ = "delivery_attempts"
    __table_args__ = (
        Index("ix_delivery_attempts_delivery_id", "delivery_id", "number"),
        Index("ix_delivery_attempts_webhook_id_started_at", "webhook_id", "started_at"),
    )
    id: Mapped[int] = plain(BigId, primary_key=True)
    delivery_id: Mapped[int] = plain(ForeignKey("deliveries.id", ondelete="CASCADE"))
    webhook_id: Mapped[int] = plain(BigInteger)
    number: Mapped[int] = plain(SmallInteger)
    url: Mapped[str] = plain(String(2048))
    started_at: Mapped[datetime] = plain(UtcDateTime)
    took_ms: Mapped[int | None] = plain(Integer)
    status: Mapped[int | None] = plain(SmallInteger)
    error: Mapped[str | None] = plain(String(40))
    detail: Mapped[str | None] = personal(String(300), category="content", purpose="show developers what went wrong")
    request_headers: Mapped[dict[str, str] | None] = plain(Json)
    response_headers: Mapped[dict[str, str] | None] = personal(
        Json, category="content", purpose="show developers what their endpoint said"
    )
    response_body: Mapped[str | None] = personal(
        Text, category="content", purpose="show developers what their endpoint said"
    )


class WebhookReplay(Base):
    """Deliveries to be made again: those of `wanted` up to `last_id`; `cursor` is the last that was seen to."""

    __tablename__ = "webhook_replays"
    id: Mapped[int] = plain(BigId, primary_key=True)
    webhook_id: Mapped[int] = plain(BigInteger)
    wanted: Mapped[dict[str, Any]] = plain(Json)
    per_s: Mapped[float] = plain(Float)
    state: Mapped[str] = plain(String(10))
    total: Mapped[int] = plain(BigInteger)
    done: Mapped[int] = plain(BigInteger, default=0)
    cursor: Mapped[int] = plain(BigInteger, default=0)
    last_id: Mapped[int] = plain(BigInteger)
    next_at: Mapped[datetime] = plain(UtcDateTime)
    created_at: Mapped[datetime] = plain(UtcDateTime)
    finished_at: Mapped[datetime | None] = plain(UtcDateTime)

"""The frame: the installation, its switches, the event log, and who may come in."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Index, Integer, LargeBinary, SmallInteger, String, Text, text
from sqlalchemy.orm import Mapped

from core.models.base import Base, BigId, Json, UtcDateTime, personal, plain


class Installation(Base):
    """One row. `uid` keeps message ids of two installations apart; the fingerprint tells a wrong master key;
    `jobs_mark` is what was last left with the orchestrator, to know it again (core/appointments.py)."""

    __tablename__ = "installation"
    id: Mapped[int] = plain(Integer, primary_key=True, autoincrement=False)
    uid: Mapped[str] = plain(String(32))
    key_fingerprint: Mapped[str] = plain(String(16))
    jobs_mark: Mapped[str | None] = plain(String(120))
    created_at: Mapped[datetime] = plain(UtcDateTime)


class Switch(Base):
    """Emergency switches; `sending` off is the kill switch."""

    __tablename__ = "switches"
    name: Mapped[str] = plain(String(40), primary_key=True)
    is_on: Mapped[bool] = plain(Boolean)
    reason: Mapped[str] = plain(Text, default="")
    changed_at: Mapped[datetime] = plain(UtcDateTime)


class Event(Base):
    """The ordered log. `seq` is gapless and in readers' order; null on PostgreSQL until the relay numbers it."""

    __tablename__ = "events"
    __table_args__ = (
        Index(
            "ix_events_unnumbered",
            "id",
            postgresql_where=text("seq IS NULL"),
            sqlite_where=text("seq IS NULL"),
        ),
    )
    id: Mapped[int] = plain(BigId, primary_key=True)
    seq: Mapped[int | None] = plain(BigInteger, unique=True)
    type: Mapped[str] = plain(String(60))
    topic: Mapped[str] = plain(String(80))
    data: Mapped[dict[str, Any]] = plain(Json)
    at: Mapped[datetime] = plain(UtcDateTime, index=True)


class EventLog(Base):
    """One row: the last number given, and the last one pruned (a reader behind it has to reload). `webhooks` names the
    set of endpoints that are told, as it is at this moment, and is null while there are none."""

    __tablename__ = "event_log"
    id: Mapped[int] = plain(Integer, primary_key=True, autoincrement=False)
    head: Mapped[int] = plain(BigInteger)
    pruned: Mapped[int] = plain(BigInteger)
    webhooks: Mapped[str | None] = plain(String(16))


_OF_A_SERVICE = text("kind = 'service' AND revoked_at IS NULL")


class ApiKey(Base):
    """`kind`: program, or service for a part of the installation itself; of those in force one has a name. `signing`:
    what its owner signs with, encrypted; null for a key that is older than this, and signs nothing."""

    __tablename__ = "api_keys"
    __table_args__ = (
        Index("uq_api_keys_service", "name", unique=True, postgresql_where=_OF_A_SERVICE, sqlite_where=_OF_A_SERVICE),
    )
    id: Mapped[int] = plain(BigId, primary_key=True)
    name: Mapped[str] = plain(String(100))
    prefix: Mapped[str] = plain(String(16), unique=True)
    key_hash: Mapped[str] = plain(String(64))
    signing: Mapped[bytes | None] = plain(LargeBinary)
    kind: Mapped[str] = plain(String(8), default="program", server_default="program")
    scopes: Mapped[list[str]] = plain(Json)
    addresses: Mapped[list[str] | None] = plain(Json)
    created_at: Mapped[datetime] = plain(UtcDateTime)
    expires_at: Mapped[datetime | None] = plain(UtcDateTime)
    revoked_at: Mapped[datetime | None] = plain(UtcDateTime)
    last_used_at: Mapped[datetime | None] = plain(UtcDateTime)


class IdempotencyKey(Base):
    """The answer once given; written in the transaction of the change it answers for."""

    __tablename__ = "idempotency_keys"
    principal: Mapped[str] = plain(String(80), primary_key=True)
    route: Mapped[str] = plain(String(160), primary_key=True)
    key: Mapped[str] = plain(String(255), primary_key=True)
    body_hash: Mapped[str] = plain(String(64))
    status: Mapped[int] = plain(SmallInteger)
    answer: Mapped[str] = personal(Text, category="activity", purpose="repeat an answer to the same request")
    created_at: Mapped[datetime] = plain(UtcDateTime, index=True)

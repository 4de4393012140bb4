"""People: how they are reached, what is known of them, and what they agreed to or refused."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped

from core.models.base import Base, BigId, Json, UtcDateTime, personal, plain


class Contact(Base):
    """A person. Its row is the lock under which consent is checked and changed."""

    __tablename__ = "contacts"
    id: Mapped[int] = plain(BigId, primary_key=True)
    name: Mapped[str] = personal(String(200), category="profile", purpose="address the person by name")
    language: Mapped[str | None] = personal(String(20), category="profile", purpose="choose the message's language")
    attributes: Mapped[dict[str, Any]] = personal(Json, category="profile", purpose="fill in message variables")
    timezone: Mapped[str | None] = personal(String(64), category="profile", purpose="keep quiet hours")
    created_at: Mapped[datetime] = plain(UtcDateTime)
    updated_at: Mapped[datetime] = plain(UtcDateTime)


class Identity(Base):
    """One way to reach a person; a person may have several, of each kind."""

    __tablename__ = "identities"
    __table_args__ = (
        UniqueConstraint("kind", "value_hash"),
        CheckConstraint("kind IN ('phone', 'lid', 'bsuid')", name="kind"),
    )
    id: Mapped[int] = plain(BigId, primary_key=True)
    contact_id: Mapped[int] = plain(ForeignKey("contacts.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = plain(String(10))
    value: Mapped[str] = personal(String(80), category="identity", purpose="deliver messages")
    value_hash: Mapped[str] = personal(String(64), category="identity", purpose="honour an opt-out", index=True)
    created_at: Mapped[datetime] = plain(UtcDateTime)


class ContactTag(Base):
    __tablename__ = "contact_tags"
    __table_args__ = (Index("ix_contact_tags_tag_contact_id", "tag", "contact_id"),)
    contact_id: Mapped[int] = plain(ForeignKey("contacts.id", ondelete="CASCADE"), primary_key=True)
    tag: Mapped[str] = personal(String(80), category="profile", purpose="choose an audience", primary_key=True)


class Merge(Base):
    """Two contacts that were found to be one person, and what is needed to part them again."""

    __tablename__ = "merges"
    id: Mapped[int] = plain(BigId, primary_key=True)
    kept_id: Mapped[int] = personal(BigInteger, category="activity", purpose="undo a mistaken merge", index=True)
    gone_id: Mapped[int] = personal(BigInteger, category="activity", purpose="undo a mistaken merge")
    gone: Mapped[dict[str, Any]] = personal(Json, category="profile", purpose="undo a mistaken merge")
    merged_at: Mapped[datetime] = plain(UtcDateTime)
    undone_at: Mapped[datetime | None] = plain(UtcDateTime)


class Attribute(Base):
    """What kind of value contacts have under a name: text, number, date or boolean."""

    __tablename__ = "attributes"
    name: Mapped[str] = plain(String(50), primary_key=True)
    kind: Mapped[str] = plain(String(10))


class Segment(Base):
    """Contacts chosen by a filter; who is in it is asked anew each time."""

    __tablename__ = "segments"
    id: Mapped[int] = plain(BigId, primary_key=True)
    name: Mapped[str] = plain(String(100), unique=True)
    filter: Mapped[str] = plain(Text)
    created_at: Mapped[datetime] = plain(UtcDateTime)
    updated_at: Mapped[datetime] = plain(UtcDateTime)


class Consent(Base):
    """Append-only (a trigger refuses anything else). Knows the person only by keyed hash, so it outlives erasure."""

    __tablename__ = "consents"
    id: Mapped[int] = plain(BigId, primary_key=True)
    identity_hash: Mapped[str] = personal(String(64), category="consent", purpose="prove consent", index=True)
    purpose: Mapped[str] = plain(String(40))
    action: Mapped[str] = plain(String(10))
    source: Mapped[str] = plain(String(200))
    wording: Mapped[str] = personal(Text, category="consent", purpose="prove what was agreed to or refused")
    given_at: Mapped[datetime | None] = personal(UtcDateTime, category="consent", purpose="prove when")
    recorded_at: Mapped[datetime] = plain(UtcDateTime)


class Suppression(Base):
    """Not to be written to. A keyed hash only: it must outlast the person's erasure."""

    __tablename__ = "suppressions"
    identity_hash: Mapped[str] = personal(String(64), category="consent", purpose="honour an opt-out", primary_key=True)
    reason: Mapped[str] = plain(String(40))
    created_at: Mapped[datetime] = plain(UtcDateTime)


class Import(Base):
    """One file of contacts. The rows taken so far are in the same transactions as the contacts they made, so an
    import whose process died goes on after `rows`. `stored` is the name of the kept file until then; `tags` are what
    everybody in it gets."""

    __tablename__ = "imports"
    id: Mapped[int] = plain(BigId, primary_key=True)
    filename: Mapped[str] = plain(String(255))
    state: Mapped[str] = plain(String(20))
    rows: Mapped[int] = plain(Integer, default=0)
    created: Mapped[int] = plain(Integer, default=0)
    updated: Mapped[int] = plain(Integer, default=0)
    rejected: Mapped[int] = plain(Integer, default=0)
    report: Mapped[list[dict[str, Any]]] = personal(
        Json, category="profile", purpose="tell which rows of a file were not taken"
    )
    format: Mapped[str] = plain(String(8), server_default="csv")
    mapping: Mapped[dict[str, str]] = plain(Json, server_default="{}")
    country: Mapped[str | None] = plain(String(2))
    tags: Mapped[list[str]] = plain(Json, server_default="[]")
    consent: Mapped[dict[str, str] | None] = personal(Json, category="consent", purpose="prove consent")
    total: Mapped[int | None] = plain(Integer)
    stored: Mapped[str | None] = plain(String(80))
    run_token: Mapped[str | None] = plain(String(32))
    run_until: Mapped[datetime | None] = plain(UtcDateTime)
    created_at: Mapped[datetime] = plain(UtcDateTime)
    finished_at: Mapped[datetime | None] = plain(UtcDateTime)

"""Every table, on one page. Each column says whether it is personal: export, erasure and retention read it here."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Category = Literal["identity", "profile", "content", "activity", "consent"]


@dataclass(frozen=True)
class Personal:
    """`category` groups columns for export and retention; `purpose` is what the record of processing states."""

    category: Category
    purpose: str


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime on both databases; SQLite would hand back a naive one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone is ambiguous")
        value = value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


# SQLite gives row numbers only to a column declared exactly INTEGER.
BigId = BigInteger().with_variant(Integer, "sqlite")
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def plain(*args: Any, **options: Any) -> Mapped[Any]:
    """A column that says nothing about a person who is written to."""
    return mapped_column(*args, info={"personal": None}, **options)


def personal(*args: Any, category: Category, purpose: str, **options: Any) -> Mapped[Any]:
    """A column that does."""
    return mapped_column(*args, info={"personal": Personal(category, purpose)}, **options)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Installation(Base):
    """One row. `uid` keeps message ids of two installations apart; the fingerprint tells a wrong master key."""

    __tablename__ = "installation"
    id: Mapped[int] = plain(Integer, primary_key=True, autoincrement=False)
    uid: Mapped[str] = plain(String(32))
    key_fingerprint: Mapped[str] = plain(String(16))
    created_at: Mapped[datetime] = plain(UtcDateTime)


class Switch(Base):
    """Emergency switches; `sending` off is the kill switch."""

    __tablename__ = "switches"
    name: Mapped[str] = plain(String(40), primary_key=True)
    is_on: Mapped[bool] = plain(Boolean)
    reason: Mapped[str] = plain(Text, default="")
    changed_at: Mapped[datetime] = plain(UtcDateTime)


# ---- the event log ------------------------------------------------------------------------------------------


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
    """One row: the last number given, and the last one pruned (a reader behind it has to reload)."""

    __tablename__ = "event_log"
    id: Mapped[int] = plain(Integer, primary_key=True, autoincrement=False)
    head: Mapped[int] = plain(BigInteger)
    pruned: Mapped[int] = plain(BigInteger)


# ---- who may come in ----------------------------------------------------------------------------------------


class ApiKey(Base):
    __tablename__ = "api_keys"
    id: Mapped[int] = plain(BigId, primary_key=True)
    name: Mapped[str] = plain(String(100))
    prefix: Mapped[str] = plain(String(16), unique=True)
    key_hash: Mapped[str] = plain(String(64))
    scopes: Mapped[list[str]] = plain(Json)
    created_at: Mapped[datetime] = plain(UtcDateTime)
    expires_at: Mapped[datetime | None] = plain(UtcDateTime)
    revoked_at: Mapped[datetime | None] = plain(UtcDateTime)


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


# ---- people -------------------------------------------------------------------------------------------------


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
    import whose process died goes on after `rows`. `stored` is the name of the kept file until then."""

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
    consent: Mapped[dict[str, str] | None] = personal(Json, category="consent", purpose="prove consent")
    total: Mapped[int | None] = plain(Integer)
    stored: Mapped[str | None] = plain(String(80))
    run_token: Mapped[str | None] = plain(String(32))
    run_until: Mapped[datetime | None] = plain(UtcDateTime)
    created_at: Mapped[datetime] = plain(UtcDateTime)
    finished_at: Mapped[datetime | None] = plain(UtcDateTime)


# ---- senders ------------------------------------------------------------------------------------------------


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


class Chat(Base):
    """What stands between one sender and one person: who wrote last, and till when free text may go."""

    __tablename__ = "chats"
    sender_id: Mapped[int] = plain(ForeignKey("senders.id", ondelete="CASCADE"), primary_key=True)
    contact_id: Mapped[int] = plain(ForeignKey("contacts.id", ondelete="CASCADE"), primary_key=True)
    last_out_at: Mapped[datetime | None] = personal(UtcDateTime, category="activity", purpose="count conversations")
    last_in_at: Mapped[datetime | None] = personal(UtcDateTime, category="activity", purpose="know the service window")


# ---- campaigns ----------------------------------------------------------------------------------------------


class Template(Base):
    """`body` with `{name}` variables. With `cloud_name` it goes as Meta's template, its variables in order.
    `category` is Meta's: marketing, utility or authentication; `status` is what Meta said last."""

    __tablename__ = "templates"
    id: Mapped[int] = plain(BigId, primary_key=True)
    name: Mapped[str] = plain(String(100), unique=True)
    body: Mapped[str] = plain(Text)
    language: Mapped[str] = plain(String(20))
    defaults: Mapped[dict[str, str]] = plain(Json)
    cloud_name: Mapped[str | None] = plain(String(512))
    category: Mapped[str] = plain(String(20), default="marketing", server_default="marketing")
    header: Mapped[dict[str, Any] | None] = plain(Json)
    waba_id: Mapped[str | None] = plain(String(40))
    status: Mapped[str | None] = plain(String(20))
    components: Mapped[list[dict[str, Any]] | None] = plain(Json)
    synced_at: Mapped[datetime | None] = plain(UtcDateTime)
    created_at: Mapped[datetime] = plain(UtcDateTime)


class TemplateVariant(Base):
    """The same template in another language; a person gets the one of their language, else the template itself."""

    __tablename__ = "template_variants"
    __table_args__ = (UniqueConstraint("template_id", "language"),)
    id: Mapped[int] = plain(BigId, primary_key=True)
    template_id: Mapped[int] = plain(ForeignKey("templates.id", ondelete="CASCADE"))
    language: Mapped[str] = plain(String(20))
    body: Mapped[str] = plain(Text)
    defaults: Mapped[dict[str, str]] = plain(Json)
    header: Mapped[dict[str, Any] | None] = plain(Json)
    status: Mapped[str | None] = plain(String(20))
    components: Mapped[list[dict[str, Any]] | None] = plain(Json)
    created_at: Mapped[datetime] = plain(UtcDateTime)


class Campaign(Base):
    """`planned_to` and `audience_to` are contact ids: planning goes from the first to the second in chunks.
    `run_token` and `run_until` are the lease of the one run that sends it."""

    __tablename__ = "campaigns"
    id: Mapped[int] = plain(BigId, primary_key=True)
    name: Mapped[str] = plain(String(200))
    sender_id: Mapped[int] = plain(ForeignKey("senders.id"), index=True)
    template_id: Mapped[int] = plain(ForeignKey("templates.id"))
    audience: Mapped[dict[str, Any]] = plain(Json)
    state: Mapped[str] = plain(String(20), index=True)
    state_reason: Mapped[str] = plain(Text, default="")
    occurrence: Mapped[int] = plain(Integer, default=0)
    launches: Mapped[int] = plain(Integer, default=0)
    planned_to: Mapped[int] = plain(BigInteger, default=0)
    audience_to: Mapped[int | None] = plain(BigInteger)
    run_token: Mapped[str | None] = plain(String(32))
    run_until: Mapped[datetime | None] = plain(UtcDateTime)
    purpose: Mapped[str] = plain(String(40), default="marketing", server_default="marketing")
    quiet_hours: Mapped[dict[str, str] | None] = plain(Json)
    timezone: Mapped[str | None] = plain(String(64))
    forecast: Mapped[dict[str, Any] | None] = plain(Json)
    created_at: Mapped[datetime] = plain(UtcDateTime)
    launched_at: Mapped[datetime | None] = plain(UtcDateTime)
    finished_at: Mapped[datetime | None] = plain(UtcDateTime)


class Recipient(Base):
    """A contact within a campaign, and for ever what became of it. The unique key is the promise that one
    occurrence writes to one person once."""

    __tablename__ = "recipients"
    __table_args__ = (
        UniqueConstraint("campaign_id", "occurrence", "contact_id"),
        Index("ix_recipients_campaign_id_state_id", "campaign_id", "state", "id"),
    )
    id: Mapped[int] = plain(BigId, primary_key=True)
    campaign_id: Mapped[int] = plain(ForeignKey("campaigns.id"))
    occurrence: Mapped[int] = plain(Integer, default=0)
    # No foreign key: the outcome outlives the person's erasure, and says nothing about whom.
    contact_id: Mapped[int] = personal(BigInteger, category="activity", purpose="know who was written to", index=True)
    state: Mapped[str] = plain(String(12))
    reason: Mapped[str | None] = plain(String(80))
    evidence: Mapped[dict[str, Any] | None] = personal(Json, category="activity", purpose="say why not")
    receipt: Mapped[int] = plain(SmallInteger, default=0)
    attempts: Mapped[int] = plain(SmallInteger, default=0)
    claim_token: Mapped[str | None] = plain(String(32))
    claimed_until: Mapped[datetime | None] = plain(UtcDateTime)
    not_before: Mapped[datetime | None] = plain(UtcDateTime)
    sent_at: Mapped[datetime | None] = personal(UtcDateTime, category="activity", purpose="prove the outcome")
    replied_at: Mapped[datetime | None] = personal(UtcDateTime, category="activity", purpose="measure the campaign")


class Message(Base):
    """One message in or out. Outgoing rows are the outbox: the intent is committed here before any I/O."""

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
    at: Mapped[datetime] = personal(UtcDateTime, category="activity", purpose="show the chat")
    settled_at: Mapped[datetime | None] = plain(UtcDateTime)
    delivered_at: Mapped[datetime | None] = personal(UtcDateTime, category="activity", purpose="show receipts")
    read_at: Mapped[datetime | None] = personal(UtcDateTime, category="activity", purpose="show receipts")


class InboxItem(Base):
    """A webhook of WhatsApp as it came: stored before it is answered, applied after."""

    __tablename__ = "inbox"
    __table_args__ = (
        Index(
            "ix_inbox_waiting",
            "id",
            postgresql_where=text("applied_at IS NULL"),
            sqlite_where=text("applied_at IS NULL"),
        ),
    )
    id: Mapped[int] = plain(BigId, primary_key=True)
    body: Mapped[bytes] = personal(LargeBinary, category="content", purpose="lose no receipt or reply")
    received_at: Mapped[datetime] = plain(UtcDateTime)
    applied_at: Mapped[datetime | None] = plain(UtcDateTime)
    error: Mapped[str | None] = plain(String(200))

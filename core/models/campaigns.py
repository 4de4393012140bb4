"""Campaigns: what is written, to whom, and what became of each."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Float,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import Mapped

from core.models.base import Base, BigId, Json, UtcDateTime, personal, plain


class Template(Base):
    """`body` with `{name}` variables. With `cloud_name` it goes as Meta's template, its variables in order.
    `category` is Meta's: marketing, utility or authentication; `status` is what Meta said last. `slots` names other
    variables for what Meta's template wants outside its text (`core.template_slots`)."""

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
    slots: Mapped[dict[str, str] | None] = plain(Json)
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
    slots: Mapped[dict[str, str] | None] = plain(Json)
    created_at: Mapped[datetime] = plain(UtcDateTime)


class Campaign(Base):
    """`planned_to` and `audience_to` are contact ids: planning goes from the first to the second in chunks.
    `run_token` and `run_until` are the lease of the one run that sends it. `winner` is the number of the variant that
    everybody gets from now on. While `wave` is set only recipients of this wave are written to: the canary, which is
    `canary_percent` of all. `canary_verdict` is what came of it, in the latest occurrence."""

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
    holdout_percent: Mapped[float | None] = plain(Float)
    winner: Mapped[int | None] = plain(SmallInteger)
    canary: Mapped[dict[str, Any] | None] = plain(Json)
    wave: Mapped[int | None] = plain(SmallInteger)
    canary_percent: Mapped[float | None] = plain(Float)
    held_until: Mapped[datetime | None] = plain(UtcDateTime)
    canary_verdict: Mapped[dict[str, Any] | None] = plain(Json)
    created_at: Mapped[datetime] = plain(UtcDateTime)
    launched_at: Mapped[datetime | None] = plain(UtcDateTime)
    finished_at: Mapped[datetime | None] = plain(UtcDateTime)


class CampaignVariant(Base):
    """One of several wordings that a campaign tries on parts of its audience, as large as their weights. Without a
    template of its own it has the campaign's; `defaults` go before the template's."""

    __tablename__ = "campaign_variants"
    campaign_id: Mapped[int] = plain(ForeignKey("campaigns.id"), primary_key=True)
    number: Mapped[int] = plain(SmallInteger, primary_key=True)
    name: Mapped[str] = plain(String(40))
    template_id: Mapped[int | None] = plain(ForeignKey("templates.id"))
    defaults: Mapped[dict[str, str]] = plain(Json)
    weight: Mapped[int] = plain(Integer)


class Schedule(Base):
    """When a campaign is due. Who shows it (the orchestrator) follows this row. `starts_at`: the moment of a `once`,
    and what an RRULE counts from."""

    __tablename__ = "schedules"
    campaign_id: Mapped[int] = plain(ForeignKey("campaigns.id"), primary_key=True)
    kind: Mapped[str] = plain(String(10))
    rule: Mapped[str] = plain(Text)
    timezone: Mapped[str] = plain(String(64))
    starts_at: Mapped[datetime] = plain(UtcDateTime)
    include_earlier: Mapped[bool] = plain(Boolean)
    created_at: Mapped[datetime] = plain(UtcDateTime)


class Occurrence(Base):
    """One time that a campaign is sent, launched by hand or by its schedule. At most one of a campaign is `scheduled`.
    `planned_at` is when the rule said, `due_at` when it counts: somebody may have shifted it. `audience` is frozen
    with the start. `job_id` is the run that the orchestrator shows for it, `job_due_at` when that was last agreed to
    start, `job_turn` how many there were."""

    __tablename__ = "occurrences"
    __table_args__ = (
        UniqueConstraint("campaign_id", "number"),
        Index("ix_occurrences_state_due_at", "state", "due_at"),
        Index(
            "ix_occurrences_with_a_job",
            "id",
            postgresql_where=text("job_id IS NOT NULL"),
            sqlite_where=text("job_id IS NOT NULL"),
        ),
    )
    id: Mapped[int] = plain(BigId, primary_key=True)
    campaign_id: Mapped[int] = plain(ForeignKey("campaigns.id"))
    number: Mapped[int] = plain(Integer)
    state: Mapped[str] = plain(String(12))
    reason: Mapped[str] = plain(String(80), default="")
    planned_at: Mapped[datetime] = plain(UtcDateTime)
    due_at: Mapped[datetime] = plain(UtcDateTime)
    include_earlier: Mapped[bool] = plain(Boolean)
    audience: Mapped[dict[str, Any] | None] = plain(Json)
    started_at: Mapped[datetime | None] = plain(UtcDateTime)
    finished_at: Mapped[datetime | None] = plain(UtcDateTime)
    job_id: Mapped[str | None] = plain(String(64))
    job_due_at: Mapped[datetime | None] = plain(UtcDateTime)
    job_turn: Mapped[int] = plain(Integer, default=0)


class Recipient(Base):
    """A contact within a campaign, and for ever what became of it. The unique key is the promise that one
    occurrence writes to one person once. `variant` is the number of the one they get, `wave` is
    that of the canary or none. `may_have_arrived`: unknown once, and resent by a person's word. Of such a
    one no refusal and no skip says that they got nothing."""

    __tablename__ = "recipients"
    __table_args__ = (
        UniqueConstraint("campaign_id", "occurrence", "contact_id"),
        Index("ix_recipients_campaign_id_state_id", "campaign_id", "state", "id"),
        Index(
            "ix_recipients_of_a_wave",
            "campaign_id",
            "occurrence",
            "state",
            "id",
            postgresql_where=text("wave IS NOT NULL"),
            sqlite_where=text("wave IS NOT NULL"),
        ),
    )
    id: Mapped[int] = plain(BigId, primary_key=True)
    campaign_id: Mapped[int] = plain(ForeignKey("campaigns.id"))
    occurrence: Mapped[int] = plain(Integer, default=0)
    # No foreign key: the outcome outlives the person's erasure, and says nothing about whom.
    contact_id: Mapped[int] = personal(BigInteger, category="activity", purpose="know who was written to", index=True)
    state: Mapped[str] = plain(String(12))
    reason: Mapped[str | None] = plain(String(80))
    variant: Mapped[int | None] = plain(SmallInteger)
    wave: Mapped[int | None] = plain(SmallInteger)
    evidence: Mapped[dict[str, Any] | None] = personal(Json, category="activity", purpose="say why not")
    receipt: Mapped[int] = plain(SmallInteger, default=0)
    attempts: Mapped[int] = plain(SmallInteger, default=0)
    may_have_arrived: Mapped[bool] = plain(Boolean, default=False, server_default=false())
    claim_token: Mapped[str | None] = plain(String(32))
    claimed_until: Mapped[datetime | None] = plain(UtcDateTime)
    not_before: Mapped[datetime | None] = plain(UtcDateTime)
    sent_at: Mapped[datetime | None] = personal(UtcDateTime, category="activity", purpose="prove the outcome")
    replied_at: Mapped[datetime | None] = personal(UtcDateTime, category="activity", purpose="measure the campaign")

"""What happened, with its wire name. Written in the transaction of the change; ids only, no text, no number."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import ClassVar

from sqlalchemy import func, insert, text

from core import delivery_rows
from core.database import Tx, is_postgres
from core.models import Base, Event


@dataclass(frozen=True, slots=True)
class _Event:
    TYPE: ClassVar[str]
    SYSTEM: ClassVar[str]

    @property
    def type(self) -> str:
        return self.TYPE

    @property
    def topic(self) -> str:
        return self.SYSTEM


@dataclass(frozen=True, slots=True)
class CampaignMoved(_Event):
    """`campaign.<what>`: created, changed, scheduled, unscheduled, launched, paused, resumed, cancelled, finished,
    retried, resent, variant_chosen (with its name as the reason), holding, went_on."""

    SYSTEM: ClassVar[str] = "campaigns"
    campaign_id: int
    what: str
    reason: str = ""

    @property
    def type(self) -> str:
        return f"campaign.{self.what}"

    @property
    def topic(self) -> str:
        return f"campaign:{self.campaign_id}"


@dataclass(frozen=True, slots=True)
class CanaryMoved(_Event):
    """`canary.<what>`: passed, failed, or overruled by a person; with the numbers by which."""

    SYSTEM: ClassVar[str] = "campaigns"
    campaign_id: int
    what: str
    people: int
    failed: int
    opted_out: int
    blocked: int
    breaches: Sequence[str]

    @property
    def type(self) -> str:
        return f"canary.{self.what}"

    @property
    def topic(self) -> str:
        return f"campaign:{self.campaign_id}"


@dataclass(frozen=True, slots=True)
class OccurrenceMoved(_Event):
    """`occurrence.<what>`: scheduled, moved, running, finished, missed, cancelled."""

    SYSTEM: ClassVar[str] = "campaigns"
    campaign_id: int
    number: int
    what: str
    due_at: str
    reason: str = ""

    @property
    def type(self) -> str:
        return f"occurrence.{self.what}"

    @property
    def topic(self) -> str:
        return f"campaign:{self.campaign_id}"


@dataclass(frozen=True, slots=True)
class RecipientsPlanned(_Event):
    """Bulk: one per chunk of planning."""

    TYPE: ClassVar[str] = "recipients.planned"
    SYSTEM: ClassVar[str] = "campaigns"
    campaign_id: int
    queued: int
    skipped: int

    @property
    def topic(self) -> str:
        return f"campaign:{self.campaign_id}"


@dataclass(frozen=True, slots=True)
class MessagesMoved(_Event):
    """Bulk: messages that came to `state` (sent, failed, in_doubt, unknown, queued again) in one transaction."""

    TYPE: ClassVar[str] = "messages.moved"
    SYSTEM: ClassVar[str] = "messages"
    state: str
    message_ids: Sequence[int]
    chats: Sequence[str] = ()
    """Of single messages, the chats they are in, by their ids of REST. Those of campaigns are too many to be named."""


@dataclass(frozen=True, slots=True)
class RecipientsSkipped(_Event):
    """Bulk: recipients that will not be written to, by one reason."""

    TYPE: ClassVar[str] = "recipients.skipped"
    SYSTEM: ClassVar[str] = "campaigns"
    campaign_id: int
    reason: str
    recipient_ids: Sequence[int]

    @property
    def topic(self) -> str:
        return f"campaign:{self.campaign_id}"


@dataclass(frozen=True, slots=True)
class ReceiptsArrived(_Event):
    """Bulk: what WhatsApp reported, as message ids by receipt."""

    TYPE: ClassVar[str] = "messages.receipts"
    SYSTEM: ClassVar[str] = "messages"
    sent: Sequence[int]
    delivered: Sequence[int]
    read: Sequence[int]
    failed: Sequence[int]


@dataclass(frozen=True, slots=True)
class MessageReceived(_Event):
    TYPE: ClassVar[str] = "message.received"
    SYSTEM: ClassVar[str] = "messages"
    message_id: int
    sender_id: int
    contact_id: int

    @property
    def topic(self) -> str:
        return f"chat:{chat_id(self.sender_id, self.contact_id)}"


@dataclass(frozen=True, slots=True)
class ChatRead(_Event):
    """Somebody here has read it up to this message."""

    TYPE: ClassVar[str] = "chat.read"
    SYSTEM: ClassVar[str] = "messages"
    sender_id: int
    contact_id: int
    message_id: int

    @property
    def topic(self) -> str:
        return f"chat:{chat_id(self.sender_id, self.contact_id)}"


@dataclass(frozen=True, slots=True)
class MediaMoved(_Event):
    """`media.<what>`: waiting (a person sent it, and it is to be fetched), stored, failed, deleted."""

    SYSTEM: ClassVar[str] = "messages"
    media_id: int
    what: str
    reason: str = ""

    @property
    def type(self) -> str:
        return f"media.{self.what}"


@dataclass(frozen=True, slots=True)
class ContactOptedOut(_Event):
    TYPE: ClassVar[str] = "contact.opted_out"
    SYSTEM: ClassVar[str] = "contacts"
    contact_id: int
    source: str


@dataclass(frozen=True, slots=True)
class ContactOptedIn(_Event):
    TYPE: ClassVar[str] = "contact.opted_in"
    SYSTEM: ClassVar[str] = "contacts"
    contact_id: int
    source: str


@dataclass(frozen=True, slots=True)
class ContactSaved(_Event):
    TYPE: ClassVar[str] = "contact.saved"
    SYSTEM: ClassVar[str] = "contacts"
    contact_id: int


@dataclass(frozen=True, slots=True)
class ContactsMerged(_Event):
    """`gone_id` is `kept_id` from now on."""

    TYPE: ClassVar[str] = "contacts.merged"
    SYSTEM: ClassVar[str] = "contacts"
    merge_id: int
    kept_id: int
    gone_id: int


@dataclass(frozen=True, slots=True)
class ContactsParted(_Event):
    """A merge was undone."""

    TYPE: ClassVar[str] = "contacts.parted"
    SYSTEM: ClassVar[str] = "contacts"
    merge_id: int
    kept_id: int
    gone_id: int


@dataclass(frozen=True, slots=True)
class SegmentMoved(_Event):
    """`segment.<what>`: saved, deleted."""

    SYSTEM: ClassVar[str] = "contacts"
    segment_id: int
    what: str

    @property
    def type(self) -> str:
        return f"segment.{self.what}"


@dataclass(frozen=True, slots=True)
class ContactsImported(_Event):
    """Bulk: one per chunk of a file."""

    TYPE: ClassVar[str] = "contacts.imported"
    SYSTEM: ClassVar[str] = "contacts"
    import_id: int
    created: int
    updated: int
    rejected: int


@dataclass(frozen=True, slots=True)
class SenderMoved(_Event):
    TYPE: ClassVar[str] = "sender.moved"
    SYSTEM: ClassVar[str] = "senders"
    sender_id: int
    state: str
    reason: str = ""

    @property
    def topic(self) -> str:
        return f"sender:{self.sender_id}"


@dataclass(frozen=True, slots=True)
class TemplateSaved(_Event):
    TYPE: ClassVar[str] = "template.saved"
    SYSTEM: ClassVar[str] = "templates"
    template_id: int


@dataclass(frozen=True, slots=True)
class TemplateMoved(_Event):
    """`template.<status>` as Meta says it (approved, paused, rejected, …), and `template.removed` when we do.
    `language` is empty where it is about all of them."""

    SYSTEM: ClassVar[str] = "templates"
    template_id: int
    what: str
    language: str = ""

    @property
    def type(self) -> str:
        return f"template.{self.what}"


@dataclass(frozen=True, slots=True)
class SwitchTurned(_Event):
    TYPE: ClassVar[str] = "switch.turned"
    SYSTEM: ClassVar[str] = "system"
    name: str
    is_on: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ApiKeyMoved(_Event):
    TYPE: ClassVar[str] = "api_key.moved"
    SYSTEM: ClassVar[str] = "system"
    api_key_id: int
    what: str


@dataclass(frozen=True, slots=True)
class WebhookMoved(_Event):
    """`webhook.<what>`: created, changed, rotated, enabled, disabled, removed; failing (the reason is how far it is on
    the way to being disabled, in percent), exhausted, secret_expiring (the reason is when), recovered."""

    SYSTEM: ClassVar[str] = "system"
    webhook_id: int
    what: str
    reason: str = ""

    @property
    def type(self) -> str:
        return f"webhook.{self.what}"


@dataclass(frozen=True, slots=True)
class NotificationRaised(_Event):
    TYPE: ClassVar[str] = "notification.new"
    SYSTEM: ClassVar[str] = "notifications"
    notification_id: int
    permission: str
    """Who has it may know of it."""


@dataclass(frozen=True, slots=True)
class NotificationsSeen(_Event):
    """`notification.<what>`: read, unread, dismissed by one user or key (`user:3`); nobody else's business."""

    SYSTEM: ClassVar[str] = "notifications"
    what: str
    principal: str
    notification_ids: Sequence[int]

    @property
    def type(self) -> str:
        return f"notification.{self.what}"


@dataclass(frozen=True, slots=True)
class NotificationWithdrawn(_Event):
    """From everybody."""

    TYPE: ClassVar[str] = "notification.withdrawn"
    SYSTEM: ClassVar[str] = "notifications"
    notification_ids: Sequence[int]
    permission: str


def chat_id(sender_id: int, contact_id: int) -> str:
    """As REST names a chat."""
    return f"{sender_id}-{contact_id}"


_APPEND = insert(Base.metadata.tables[Event.__tablename__])
_APPEND_AND_LOCK = _APPEND.returning(func.waqtor_webhooks())
_NUMBER = text("UPDATE event_log SET head = head + 1 WHERE id = 1 RETURNING head, webhooks")


async def publish(tx: Tx, happened: _Event, *, at: datetime) -> None:
    """Append to the log, and for the endpoints that ask for it; both exist if and only if the transaction commits."""
    data = {one.name: getattr(happened, one.name) for one in fields(happened)}
    row = {"type": happened.type, "topic": happened.topic, "data": data, "at": at}
    told: str | None
    if is_postgres(tx):
        # Also takes the lock that whoever changes the endpoints needs alone, until our commit (core/webhooks.py).
        told = (await tx.execute(_APPEND_AND_LOCK, row)).scalar_one()
    else:
        # The write lock is ours since BEGIN IMMEDIATE, so the next number is nobody else's and a rollback
        # takes it back: gapless. On PostgreSQL the relay numbers after the commit (core/bus.py).
        row["seq"], told = (await tx.execute(_NUMBER)).one()
        await tx.execute(_APPEND, row)
    await delivery_rows.write(tx, told, happened.type, data, at=at)

"""Every table. Each column says whether it is personal: export, erasure and retention read it here."""

from core.models.access import (
    AuditEntry,
    AuditHead,
    RecoveryCode,
    RefreshToken,
    SignIn,
    Throttle,
    User,
    UserLink,
)
from core.models.base import Base, BigId, Category, Json, Personal, UtcDateTime, personal, plain
from core.models.campaigns import (
    Campaign,
    CampaignVariant,
    Occurrence,
    Recipient,
    Schedule,
    Template,
    TemplateVariant,
)
from core.models.frame import ApiKey, Event, EventLog, IdempotencyKey, Installation, Switch
from core.models.media import MediaFile, MediaUpload
from core.models.messages import InboxItem, Message
from core.models.people import Attribute, Consent, Contact, ContactTag, Identity, Import, Merge, Segment, Suppression
from core.models.senders import Chat, Sender, SenderHour, SenderReceipts

__all__ = [
    "ApiKey",
    "Attribute",
    "AuditEntry",
    "AuditHead",
    "Base",
    "BigId",
    "Campaign",
    "CampaignVariant",
    "Category",
    "Chat",
    "Consent",
    "Contact",
    "ContactTag",
    "Event",
    "EventLog",
    "IdempotencyKey",
    "Identity",
    "Import",
    "InboxItem",
    "Installation",
    "Json",
    "MediaFile",
    "MediaUpload",
    "Merge",
    "Message",
    "Occurrence",
    "Personal",
    "Recipient",
    "RecoveryCode",
    "RefreshToken",
    "Schedule",
    "Segment",
    "Sender",
    "SenderHour",
    "SenderReceipts",
    "SignIn",
    "Suppression",
    "Switch",
    "Template",
    "TemplateVariant",
    "Throttle",
    "User",
    "UserLink",
    "UtcDateTime",
    "personal",
    "plain",
]

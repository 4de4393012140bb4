"""Python client of WaQtor, the self-hosted WhatsApp automation platform."""

from waqtor.api_keys import ApiKey, NewApiKey
from waqtor.audit import AuditEntry, AuditVerdict
from waqtor.auth import Me, SignedIn, SignIn
from waqtor.campaigns import Campaign, Progress, Recipient
from waqtor.chats import Chat, ChatMessages
from waqtor.client import AsyncClient, Client
from waqtor.contacts import Consent, Contact, Identity, Import, ImportPreview, ReadContact, RejectedRow
from waqtor.errors import (
    Conflict,
    Error,
    Invalid,
    LogPruned,
    NotAllowed,
    NotFound,
    NotReached,
    NotSignedIn,
    ServerError,
    TooLarge,
    TooMany,
    Unavailable,
)
from waqtor.events import Event, Events
from waqtor.media import Media
from waqtor.messages import Message
from waqtor.protected_pages import PageCode, PageSeen, ProtectedPage
from waqtor.schedules import Occurrence, Schedule
from waqtor.segments import Count, Segment
from waqtor.senders import Sender, SenderHealth
from waqtor.sending import Sending
from waqtor.templates import Preview, Template
from waqtor.users import Link, User

__version__ = "3.0.0.dev0"
__all__ = [
    "ApiKey",
    "AsyncClient",
    "AuditEntry",
    "AuditVerdict",
    "Campaign",
    "Chat",
    "ChatMessages",
    "Client",
    "Conflict",
    "Consent",
    "Contact",
    "Count",
    "Error",
    "Event",
    "Events",
    "Identity",
    "Import",
    "ImportPreview",
    "Invalid",
    "Link",
    "LogPruned",
    "Me",
    "Media",
    "Message",
    "NewApiKey",
    "NotAllowed",
    "NotFound",
    "NotReached",
    "NotSignedIn",
    "Occurrence",
    "PageCode",
    "PageSeen",
    "Preview",
    "Progress",
    "ProtectedPage",
    "ReadContact",
    "Recipient",
    "RejectedRow",
    "Schedule",
    "Segment",
    "Sender",
    "SenderHealth",
    "Sending",
    "ServerError",
    "SignIn",
    "SignedIn",
    "Template",
    "TooLarge",
    "TooMany",
    "Unavailable",
    "User",
]

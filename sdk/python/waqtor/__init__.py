"""Python client of WaQtor, the self-hosted WhatsApp automation platform."""

from waqtor import webhooks
from waqtor.api_keys import ApiKey, NewApiKey
from waqtor.asking import Page
from waqtor.audit import AuditEntry, AuditVerdict
from waqtor.auth import Browser, BrowserSignIn, LinkSeen, Me, SignedIn, SignIn
from waqtor.campaigns import Campaign, Progress, Recipient
from waqtor.chats import Chat, ChatMessages
from waqtor.client import AsyncClient, Client
from waqtor.contacts import Consent, Contact, Identity, Import, ImportPreview, ReadContact, RejectedRow
from waqtor.errors import (
    Conflict,
    Error,
    Gap,
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
from waqtor.following import Backoff, LiveEvent
from waqtor.media import Media
from waqtor.messages import Message
from waqtor.monitor import LiveMonitor, LivePoint, Presence, Ready
from waqtor.notifications import Notification
from waqtor.protected_pages import PageCode, PageSeen, ProtectedPage
from waqtor.schedules import Occurrence, Schedule
from waqtor.segments import Count, Segment
from waqtor.senders import Sender, SenderHealth
from waqtor.sending import Sending
from waqtor.streams import AsyncFollowing, Following
from waqtor.system import Run, System
from waqtor.tags import Tag
from waqtor.templates import Preview, Template
from waqtor.users import Link, User
from waqtor.webhooks import NotVerified, ReceivedEvent

__version__ = "3.0.0.dev0"
__all__ = [
    "ApiKey",
    "AsyncClient",
    "AsyncFollowing",
    "AuditEntry",
    "AuditVerdict",
    "Backoff",
    "Browser",
    "BrowserSignIn",
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
    "Following",
    "Gap",
    "Identity",
    "Import",
    "ImportPreview",
    "Invalid",
    "Link",
    "LinkSeen",
    "LiveEvent",
    "LiveMonitor",
    "LivePoint",
    "LogPruned",
    "Me",
    "Media",
    "Message",
    "NewApiKey",
    "NotAllowed",
    "NotFound",
    "NotReached",
    "NotSignedIn",
    "NotVerified",
    "Notification",
    "Occurrence",
    "Page",
    "PageCode",
    "PageSeen",
    "Presence",
    "Preview",
    "Progress",
    "ProtectedPage",
    "ReadContact",
    "Ready",
    "ReceivedEvent",
    "Recipient",
    "RejectedRow",
    "Run",
    "Schedule",
    "Segment",
    "Sender",
    "SenderHealth",
    "Sending",
    "ServerError",
    "SignIn",
    "SignedIn",
    "System",
    "Tag",
    "Template",
    "TooLarge",
    "TooMany",
    "Unavailable",
    "User",
    "webhooks",
]

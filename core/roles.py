"""Who may do what: the one table. Every route names a permission; `docs/permissions.md` is written from here."""

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

Permission = Literal[
    "contacts.read",
    "contacts.write",
    "contacts.export",
    "numbers.read",
    "recipients.read",
    "messages.read",
    "messages.send",
    "templates.read",
    "templates.write",
    "campaigns.read",
    "campaigns.write",
    "campaigns.send",
    "sending.stop",
    "senders.read",
    "senders.pause",
    "senders.manage",
    "events.read",
    "notifications.read",
    "notifications.write",
    "notifications.manage",
    "webhooks.read",
    "webhooks.manage",
    "keys.manage",
    "users.manage",
    "audit.read",
    "pages.manage",
    "system.read",
    "account.own",
]
Role = Literal["admin", "user", "viewer", "auditor"]
Scope = Literal["read", "write", "send", "monitor", "admin"]

PERMISSIONS: Mapping[Permission, str] = {
    "contacts.read": "look at people, segments and attributes",
    "contacts.write": "add, import, change and merge people, opt them out; segments and attributes",
    "contacts.export": "take lists of people away as a file",
    "numbers.read": "see phone numbers whole; without it they come as `+9665•••••67`",
    "recipients.read": "see what became of each person in a campaign",
    "messages.read": "read chats",
    "messages.send": "write to one person",
    "templates.read": "look at templates",
    "templates.write": "make, change and sync templates",
    "campaigns.read": "look at campaigns and their progress",
    "campaigns.write": "make campaigns",
    "campaigns.send": "launch, pause, resume and cancel campaigns; retry, resend",
    "sending.stop": "turn the kill switch",
    "senders.read": "look at senders",
    "senders.pause": "pause and resume a sender",
    "senders.manage": "add and change senders, give them tokens",
    "events.read": "read the event log",
    "notifications.read": "get notifications of what one may look at, and say that one has read them",
    "notifications.write": "tell the others something as a notification",
    "notifications.manage": "withdraw a notification from everybody",
    "webhooks.read": "look at webhook endpoints, what they were told and what they answered",
    "webhooks.manage": "make and change webhook endpoints, see their secrets once, test and replay",
    "keys.manage": "make and revoke API keys",
    "users.manage": "invite and change people who sign in",
    "audit.read": "read the audit log",
    "pages.manage": "protect pages, and give out one-time codes for them",
    "system.read": "watch how the installation does: who is connected live, figures, alerts",
    "account.own": "one's own account: profile, password, second factor, sign-ins",
}
ALL: frozenset[Permission] = frozenset(PERMISSIONS)

_LOOKING: frozenset[Permission] = frozenset(
    {
        "contacts.read",
        "recipients.read",
        "templates.read",
        "campaigns.read",
        "senders.read",
        "events.read",
        "notifications.read",
        "account.own",
    }
)
_DOING: frozenset[Permission] = frozenset(
    {
        "messages.read",
        "messages.send",
        "numbers.read",
        "contacts.write",
        "contacts.export",
        "templates.write",
        "campaigns.write",
        "campaigns.send",
        "sending.stop",
        "senders.pause",
        "notifications.write",
        "webhooks.read",
        "system.read",
    }
)
ROLES: Mapping[Role, frozenset[Permission]] = {
    "admin": ALL,
    "user": _LOOKING | _DOING,
    "viewer": _LOOKING | {"messages.read"},
    "auditor": _LOOKING | {"audit.read", "webhooks.read", "system.read"},
}
SCOPES: Mapping[Scope, frozenset[Permission]] = {
    "read": _LOOKING - {"account.own"} | {"messages.read", "numbers.read", "contacts.export", "webhooks.read"},
    "write": frozenset({"contacts.write", "templates.write", "campaigns.write", "notifications.write", "numbers.read"}),
    "send": frozenset({"campaigns.send", "sending.stop", "senders.pause", "messages.send", "numbers.read"}),
    "monitor": frozenset({"system.read"}),  # for Prometheus, which is to see no people
    "admin": ALL - {"account.own"},  # a key is nobody's account
}

AUDITED: frozenset[Permission] = frozenset(
    {
        "campaigns.send",
        "sending.stop",
        "senders.pause",
        "senders.manage",
        "notifications.manage",
        "webhooks.manage",
        "keys.manage",
        "users.manage",
        "pages.manage",
        "audit.read",
    }
)
"""What is done with these is written into the audit log, whoever does it."""
ABOUT_PEOPLE: frozenset[Permission] = frozenset(
    {"contacts.read", "contacts.export", "recipients.read", "messages.read"}
)
"""Looking at these is reading personal data: written into the audit log when a person does it."""


_NEVER_CLOSED: frozenset[Permission] = frozenset({"numbers.read", "pages.manage", "account.own"})


def area_of(permission: Permission) -> str:
    """`contacts` of `contacts.read`."""
    return permission.split(".")[0]


AREAS: frozenset[str] = frozenset(map(area_of, ALL - _NEVER_CLOSED))
"""What can be closed until a one-time code was given; what is needed to open it again cannot."""


def of_role(role: str) -> frozenset[Permission]:
    """Nothing, for a role that is none."""
    return next((may for name, may in ROLES.items() if name == role), frozenset())


def of_scopes(scopes: Iterable[str]) -> frozenset[Permission]:
    given = set(scopes)
    return frozenset().union(*(may for name, may in SCOPES.items() if name in given))


ROLE_NAMES: tuple[Role, ...] = get_args(Role)
SCOPE_NAMES: tuple[Scope, ...] = get_args(Scope)

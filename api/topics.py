"""What can be followed: the topics of whole systems and of single objects, and who may follow them."""

import re
from collections.abc import Iterator, Mapping

from core.bus import Logged
from core.errors import Invalid
from core.roles import Permission

SYSTEMS: Mapping[str, Permission] = {
    "campaigns": "campaigns.read",
    "messages": "messages.read",
    "contacts": "contacts.read",
    "senders": "senders.read",
    "templates": "templates.read",
    "notifications": "notifications.read",
    "system": "keys.manage",
}
"""Each with the permission it takes."""
OBJECTS: Mapping[str, str] = {"campaign": "campaigns", "chat": "messages", "sender": "senders"}
"""`campaign:7` is a part of the topic `campaigns`, and takes the same permission. A chat has the id that REST gives it:
`chat:3-17`."""
EVERYTHING = "all"
"""2.3.0's word: every system the client may follow."""

_ID = r"[1-9][0-9]{0,17}"
_OBJECT = re.compile(rf"(campaign|sender):{_ID}|(chat):{_ID}-{_ID}")


def permission(topic: str) -> Permission:
    """What it takes to follow `topic`; raises `Invalid` for one that does not exist."""
    if topic in SYSTEMS:
        return SYSTEMS[topic]
    if found := _OBJECT.fullmatch(topic):
        return SYSTEMS[OBJECTS[found[1] or found[2]]]
    known = [*SYSTEMS, *(f"{kind}:{{id}}" for kind in OBJECTS if kind != "chat"), "chat:{sender}-{contact}"]
    raise Invalid(f"There is no topic {topic[:80]!r}.", field="topics", hint=f"Topics: {', '.join(known)}.")


def of(event: Logged) -> Iterator[str]:
    """The topics under which an event is shown: that of its system, and that of its object, or of several chats."""
    kind, _, number = event.topic.partition(":")
    yield OBJECTS.get(kind, kind)
    if number and kind in OBJECTS:
        yield event.topic
    elif event.type == "messages.moved":
        yield from (f"chat:{chat}" for chat in event.data.get("chats", ()))
    elif event.type == "sender.moved":  # as it was logged until 3.0.0, with the topic of its system alone
        yield f"sender:{event.data['sender_id']}"

"""The body of a webhook, written from the ids that are kept of it: with what of a person its endpoint may have."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import orjson
from sqlalchemy import select

from core.content import Buttons, Content, Media, Reaction, Template, Text, content_adapter
from core.database import Tx
from core.models import Contact, Identity, Message, Sender
from core.webhook_events import CATALOGUE, PersonalField, iso_v2

Form = Literal["v3", "v2"]
FORMS: tuple[Form, ...] = get_args(Form)
MAX_BODY = 256 * 1024
_SHORT = 1_000
_AT = 500  # ids in one query
_OLD_MESSAGES = ("message_received", "message_sent")
_PATHS = {
    "message_id": "/api/v3/messages/{}",
    "campaign_id": "/api/v3/campaigns/{}",
    "contact_id": "/api/v3/contacts/{}",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is kept of a delivery, and how its endpoint wants it."""

    type: str
    data: Mapping[str, Any]
    at: datetime
    form: Form = "v3"
    fields: Collection[PersonalField] = ()


@dataclass(frozen=True, slots=True)
class _People:
    messages: Mapping[int, Message]
    contacts: Mapping[int, Contact]
    phones: Mapping[int, str]
    numbers: Mapping[int, str]


async def bodies(tx: Tx, wanted: Sequence[Wanted]) -> list[bytes]:
    """In their order. Where nothing personal is asked for, nothing is looked up. What was erased since is left out."""
    people = await _looked_up(tx, wanted)
    return [_body(one, _data(one, people)) for one in wanted]


def _body(one: Wanted, data: Mapping[str, Any]) -> bytes:
    body = _written(one, data)
    if len(body) <= MAX_BODY:
        return body
    short = {name: value for name, value in data.items() if not isinstance(value, list) and len(str(value)) < _SHORT}
    path = next((path.format(data[name]) for name, path in _PATHS.items() if data.get(name)), None)
    return _written(one, {**short, "truncated": True, "path": path})


def _written(one: Wanted, data: Mapping[str, Any]) -> bytes:
    """Compact and in UTF-8 as it is: receivers of 2.3.0 wrote it again to check the signature."""
    if one.form == "v2":
        return orjson.dumps({"event": one.type, "timestamp": iso_v2(one.at), "data": data})
    at = one.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return orjson.dumps({"type": one.type, "timestamp": at, "data": data})


def _data(one: Wanted, people: _People) -> Mapping[str, Any]:
    if one.type in _OLD_MESSAGES:
        return _old_message(one, people)
    told = dict(one.data)
    message = people.messages.get(told.get("message_id", 0))
    contact_id = told.get("contact_id") or 0
    for name in _asked(one):
        if name == "text":
            told["text"] = None if message is None else text_of(content_adapter.validate_python(message.content))
        elif name == "phone":
            told["phone"] = people.phones.get(contact_id) if message is None else _phone(message.address)
        elif name == "name":
            told["name"] = people.contacts[contact_id].name or None if contact_id in people.contacts else None
    return told


def _asked(one: Wanted) -> tuple[PersonalField, ...]:
    kind = CATALOGUE.get(one.type)
    return () if kind is None else tuple(name for name in kind.fields if name in one.fields)


def _old_message(one: Wanted, people: _People) -> Mapping[str, Any]:
    message = people.messages.get(one.data["message_id"])
    asked = _asked(one)
    who = None if message is None or "phone" not in asked else _chat_id(message.address)
    content = None if message is None else content_adapter.validate_python(message.content)
    text = None if content is None or "text" not in asked else text_of(content)
    told = {"id": str(one.data["message_id"])}
    at = int((one.at if message is None else message.at).timestamp())
    if one.type == "message_sent":
        return {**told, "to": who, "body": text, "ack": 1, "timestamp": at}
    kind = "unknown" if content is None else content.type
    return {
        **told,
        "from": who,
        "to": people.numbers.get(one.data["sender_id"], ""),
        "body": text,
        "type": "chat" if kind == "text" else kind,
        "timestamp": at,
        "hasMedia": isinstance(content, Media),
        "isForwarded": False,
        "fromMe": False,
    }


def text_of(content: Content) -> str | None:
    """What there is to read in it."""
    match content:
        case Text() | Buttons():
            return content.body
        case Media():
            return content.caption
        case Template():
            return content.text
        case Reaction():
            return content.emoji
        case _:
            return None


def _phone(address: str) -> str | None:
    return address if address.startswith("+") else None


def _chat_id(address: str) -> str:
    return f"{address[1:]}@c.us" if address.startswith("+") else address


# ---- looking up ---------------------------------------------------------------------------------------------


async def _looked_up(tx: Tx, wanted: Sequence[Wanted]) -> _People:
    message_ids, named, called, senders = set[int](), set[int](), set[int](), set[int]()
    for one in wanted:
        asked = _asked(one)
        message_id, contact_id = one.data.get("message_id"), one.data.get("contact_id")
        if one.type in _OLD_MESSAGES:
            message_ids.add(one.data["message_id"])
            senders.add(one.data["sender_id"])
            continue
        if message_id is not None and ("text" in asked or "phone" in asked):
            message_ids.add(message_id)
        if contact_id is not None and "name" in asked:
            named.add(contact_id)
        if contact_id is not None and "phone" in asked and not one.type.startswith("message."):
            called.add(contact_id)
    messages = {row.id: row for row in await _rows(tx, Message, message_ids)}
    contacts = {row.id: row for row in await _rows(tx, Contact, named)}
    numbers = {row.id: row.phone_number_id for row in await _rows(tx, Sender, senders)}
    return _People(messages, contacts, await _phones(tx, called), numbers)


async def _rows(tx: Tx, model: Any, ids: Iterable[int]) -> list[Any]:
    found: list[Any] = []
    for some in _parts(ids):
        found += (await tx.execute(select(model).where(model.id.in_(some)))).scalars()
    return found


async def _phones(tx: Tx, contact_ids: Iterable[int]) -> Mapping[int, str]:
    """The first number of each that has one."""
    phones: dict[int, str] = {}
    for some in _parts(contact_ids):
        theirs = select(Identity.contact_id, Identity.value).where(
            Identity.contact_id.in_(some), Identity.kind == "phone"
        )
        for contact_id, value in await tx.execute(theirs.order_by(Identity.id)):
            phones.setdefault(contact_id, value)
    return phones


def _parts(ids: Iterable[int]) -> Iterable[list[int]]:
    every = sorted(ids)
    return (every[start : start + _AT] for start in range(0, len(every), _AT))

"""What a person sent, out of Meta's shape. Whatever we cannot read is kept by its kind, never refused."""

import base64
from typing import Any, Final, cast

from pydantic import ValidationError

from core.content import Card, Contacts, Content, Location, Media, Other, Reaction, Text
from core.ports import Address, Attached

TEXT_MAX: Final = 4096
CAPTION_MAX: Final = 1024
FILENAME_MAX: Final = 240
MIME_TYPE_MAX: Final = 120
HANDLE_MAX: Final = 200
MEDIA: Final = frozenset(("image", "video", "audio", "document", "sticker"))


def content_of(message: dict[str, Any]) -> Content:
    kind = message.get("type")
    if not isinstance(kind, str):
        return Other(kind="unknown")
    try:
        return _read(kind, message) or Other(kind=kind)
    except ValidationError:
        return Other(kind=kind)


def addresses_of(wa_id: object, user_id: object) -> list[Address]:
    """Either may be missing: a person with a username can hide the number."""
    found = []
    if isinstance(wa_id, str) and wa_id.isascii() and wa_id.isdigit():
        found.append(Address("phone", "+" + wa_id))
    if isinstance(user_id, str) and user_id:
        found.append(Address("bsuid", user_id))
    return found


def _read(kind: str, message: dict[str, Any]) -> Content | None:
    if kind == "contacts":
        return _contacts(message.get("contacts"))
    part = message.get(kind)
    if not isinstance(part, dict):
        return None
    if kind == "text":
        return _text(part.get("body"))
    if kind == "button":
        return _text(part.get("text"))
    if kind == "interactive":
        return _reply(part)
    if kind in MEDIA:
        return _media(kind, part)
    if kind == "location":
        return Location(
            latitude=part.get("latitude", ""),
            longitude=part.get("longitude", ""),
            name=_string(part.get("name")),
            address=_string(part.get("address")),
        )
    if kind == "reaction":
        return Reaction(provider_id=part.get("message_id", ""), emoji=_string(part.get("emoji")) or "")
    return None


def _string(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _text(body: object) -> Text | None:
    text = _string(body)
    return Text(body=text[:TEXT_MAX]) if text else None


def _reply(part: dict[str, Any]) -> Text | None:
    """A tapped button or list row reads as the words on it."""
    kind = part.get("type")
    reply = part.get(kind) if isinstance(kind, str) else None
    return _text(reply.get("title")) if isinstance(reply, dict) else None


def attached(message: dict[str, Any]) -> Attached | None:
    """The file that came with it. Meta writes its hash in base64, here and there in hex."""
    kind = message.get("type")
    part = message.get(kind) if isinstance(kind, str) and kind in MEDIA else None
    handle = _string(part.get("id")) if isinstance(part, dict) else None
    if handle is None or not isinstance(part, dict) or len(handle) > HANDLE_MAX:
        return None
    mime_type = _string(part.get("mime_type")) or "application/octet-stream"
    return Attached(handle, mime_type[:MIME_TYPE_MAX], _digest(part.get("sha256")))


def _digest(written: object) -> str | None:
    if not isinstance(written, str):
        return None
    try:
        found = bytes.fromhex(written) if len(written) == 64 else base64.b64decode(written, validate=True)
    except ValueError:
        return None
    return found.hex() if len(found) == 32 else None


def _media(kind: str, part: dict[str, Any]) -> Media | None:
    if _string(part.get("id")) is None:
        return None
    caption = _string(part.get("caption"))
    return Media(
        type=cast(Any, kind),
        caption=caption[:CAPTION_MAX] if caption else None,
        filename=(_string(part.get("filename")) or "")[:FILENAME_MAX] or None,
    )


def _contacts(parts: object) -> Contacts | None:
    cards = [card for part in parts if (card := _card(part))] if isinstance(parts, list) else []
    return Contacts(cards=tuple(cards)) if cards else None


def _card(part: object) -> Card | None:
    if not isinstance(part, dict):
        return None
    name, phones = part.get("name"), part.get("phones")
    phone = phones[0] if isinstance(phones, list) and phones else None
    if not isinstance(phone, dict):
        return None
    number = _string(phone.get("phone")) or _string(phone.get("wa_id"))
    shown = _string(name.get("formatted_name")) if isinstance(name, dict) else None
    return Card(name=shown or number, phone=number) if number else None

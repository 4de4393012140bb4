"""What Meta posts to us: checked, then read, in any order and with any part missing."""

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from connectors.cloud_content import client_id_of
from connectors.cloud_errors import from_code, from_error
from connectors.cloud_inbound import addresses_of, attached, content_of
from connectors.cloud_templates import CATEGORY_UPDATE, STATUS_UPDATE, change_of
from core.errors import BadSignature, Invalid
from core.ports import (
    Address,
    Inbound,
    ParsedWebhook,
    PermanentContent,
    PreferenceChanged,
    Rank,
    Receipt,
    SendError,
    TemplateChanged,
)

RANKS: Final[dict[str, Rank]] = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "played": "read",
    "failed": "failed",
}
Json = dict[str, Any]


def verify(body: bytes, header: str | None, app_secret: str) -> None:
    """`header` is `X-Hub-Signature-256`. An empty secret proves nothing and passes nothing."""
    expected = "sha256=" + hmac.new(app_secret.encode(), body, hashlib.sha256).hexdigest()
    given = (header or "").encode("utf-8", "surrogateescape")
    if not app_secret or not hmac.compare_digest(given, expected.encode()):
        raise BadSignature("the webhook is not signed with this app's secret")


@dataclass(frozen=True, slots=True)
class Claims:
    """The numbers a webhook speaks for, and the accounts whose templates it says something of."""

    numbers: set[str]
    accounts: set[str]


def claims(body: bytes) -> Claims:
    """Whose the webhook claims to be. The caller must accept it only if the secret of *all* of them signs it:
    read with the same parser as `parse`, so that nobody signs for one number and slips in another."""
    changes = list(_changes(_document(body)))
    return Claims(
        numbers={number for _, _, value in changes if (number := _number_id(value))},
        accounts={account for account, kind, _ in changes if kind in (STATUS_UPDATE, CATEGORY_UPDATE)},
    )


def parse(body: bytes) -> ParsedWebhook:
    """Call it after `verify`. Raises `Invalid` where the body is no JSON object, and nothing else."""
    receipts: list[Receipt] = []
    inbound: list[Inbound] = []
    preferences: list[PreferenceChanged] = []
    templates: list[TemplateChanged] = []
    ignored = 0
    for account, kind, value in _changes(_document(body)):
        before = len(receipts) + len(inbound) + len(preferences) + len(templates), ignored
        number_id = _number_id(value)
        if kind == "messages":
            for status in _items(value, "statuses"):
                receipt = _receipt(status, number_id)
                if receipt is None:
                    ignored += 1
                else:
                    receipts.append(receipt)
            contacts = _items(value, "contacts")
            for message in _items(value, "messages"):
                received = _inbound(message, contacts, number_id) if number_id else None
                if received is None:
                    ignored += 1
                else:
                    inbound.append(received)
        elif kind == "user_preferences":
            contacts = _items(value, "contacts")
            for item in _items(value, "user_preferences"):
                preference = _preference(item, contacts, number_id) if number_id else None
                if preference is None:
                    ignored += 1
                else:
                    preferences.append(preference)
        elif kind in (STATUS_UPDATE, CATEGORY_UPDATE) and (change := change_of(kind, value, account)):
            templates.append(change)
        if before == (len(receipts) + len(inbound) + len(preferences) + len(templates), ignored):
            ignored += 1
    return ParsedWebhook(receipts, inbound, preferences, templates, ignored)


def _document(body: bytes) -> Json:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Invalid("the webhook is not JSON") from None
    if not isinstance(document, dict):
        raise Invalid("the webhook is not a JSON object")
    return document


def _changes(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Account, kind and value of each."""
    for entry in _items(document, "entry"):
        for change in _items(entry, "changes"):
            value, kind = change.get("value"), change.get("field")
            account = entry.get("id")
            yield (
                str(account) if isinstance(account, str | int) else "",
                kind if isinstance(kind, str) else "",
                value if isinstance(value, dict) else {},
            )


def _items(holder: Json, key: str) -> list[Json]:
    items = holder.get(key)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _number_id(value: Json) -> str | None:
    metadata = value.get("metadata")
    number = metadata.get("phone_number_id") if isinstance(metadata, dict) else None
    return number if isinstance(number, str) and number else None


def _at(item: Json) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(item["timestamp"]), UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None


def _receipt(status: Json, number_id: str | None) -> Receipt | None:
    provider_id, name, at = status.get("id"), status.get("status"), _at(status)
    rank = RANKS.get(name) if isinstance(name, str) else None
    if rank is None or at is None or not isinstance(provider_id, str) or not provider_id:
        return None
    error = _failure(status) if rank == "failed" else None
    client_id = client_id_of(status.get("biz_opaque_callback_data"))
    return Receipt(provider_id, client_id, rank, at, error, sender_phone_number_id=number_id)


def _failure(status: Json) -> SendError | None:
    for error in _items(status, "errors"):
        code, detail = from_error(error)
        if code is not None:
            return from_code(code, detail) or PermanentContent("refused", detail, provider_code=code)
    return None


def _inbound(message: Json, contacts: list[Json], number_id: str) -> Inbound | None:
    """None for what no person wrote to us: notices of the system, and groups, which we do not serve."""
    provider_id, at = message.get("id"), _at(message)
    addresses, name = _who(message.get("from"), message.get("from_user_id"), contacts)
    if message.get("type") == "system" or message.get("group_id"):
        return None
    if at is None or not addresses or not isinstance(provider_id, str) or not provider_id:
        return None
    context = message.get("context")
    reply_to = context.get("id") if isinstance(context, dict) else None
    return Inbound(
        provider_id=provider_id,
        sender_phone_number_id=number_id,
        addresses=addresses,
        profile_name=name,
        content=content_of(message),
        reply_to=reply_to if isinstance(reply_to, str) else None,
        at=at,
        attached=attached(message),
    )


def _preference(item: Json, contacts: list[Json], number_id: str) -> PreferenceChanged | None:
    at, value = _at(item), item.get("value")
    addresses, _ = _who(item.get("wa_id"), item.get("user_id"), contacts)
    if at is None or not addresses or value not in ("stop", "resume"):
        return None
    if item.get("category", "marketing_messages") != "marketing_messages":
        return None
    return PreferenceChanged(number_id, addresses, value == "stop", at)


def _who(wa_id: object, user_id: object, contacts: list[Json]) -> tuple[list[Address], str | None]:
    """All addresses known for one person, and the name they show; the contacts list adds the second identity."""
    for contact in contacts:
        same_number = wa_id and contact.get("wa_id") == wa_id
        same_user = user_id and contact.get("user_id") == user_id
        nameless = not wa_id and not user_id and len(contacts) == 1
        if same_number or same_user or nameless:
            profile = contact.get("profile")
            name = profile.get("name") if isinstance(profile, dict) else None
            both = addresses_of(wa_id or contact.get("wa_id"), user_id or contact.get("user_id"))
            return both, name if isinstance(name, str) and name else None
    return addresses_of(wa_id, user_id), None

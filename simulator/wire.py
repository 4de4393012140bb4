"""What the webhooks say, in Meta's words: a status, and what a contact sent."""

from typing import Any

from simulator.accounts import Number
from simulator.contacts import Contact
from simulator.errors import title
from simulator.ledger import Status

# Since this version of the Graph API status webhooks carry no conversation.
WITHOUT_CONVERSATION = 24


def named(contact: Contact) -> dict[str, Any]:
    return {"profile": {"name": contact.name}, "wa_id": contact.number, "user_id": contact.user_id}


def status(row: Status, *, category: str) -> dict[str, Any]:
    """`category` is what the message is billed as."""
    request = row.request
    content: dict[str, Any] = {
        "id": request.wamid,
        "status": row.status,
        "timestamp": str(int(row.at)),
        "recipient_id": request.to,
    }
    if request.callback:
        content["biz_opaque_callback_data"] = request.callback
    if row.status == "failed":
        code = row.error or 0
        name = title(code)
        content["errors"] = [
            {
                "code": code,
                "title": name,
                "message": name,
                "error_data": {"details": f"{name}."},
                "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
            }
        ]
        return content
    if row.status != "read":
        free = category == "service"
        content["pricing"] = {
            "billable": not free,
            "pricing_model": "PMP",
            "type": "free_customer_service" if free else "regular",
            "category": category,
        }
        if request.version < WITHOUT_CONVERSATION:
            content["conversation"] = {
                "id": f"{request.seq:032x}",
                "expiration_timestamp": str(int(request.at + 86400)),
                "origin": {"type": category},
            }
    return content


def inbound(
    number: Number, contact: Contact, kind: str, content: dict[str, Any], wamid: str, now: float, about: str
) -> dict[str, Any]:
    """`about` is the id of the message that is answered; '' for none."""
    profile = named(contact)
    if kind == "preference":
        said = {
            "wa_id": contact.number,
            "detail": f"User requested to {content['body']} marketing messages",
            "category": "marketing_messages",
            "value": content["body"],
            "timestamp": int(now),
        }
        return {"contacts": [profile], "user_preferences": [said]}
    message: dict[str, Any] = {
        "from": contact.number,
        "from_user_id": profile["user_id"],
        "id": wamid,
        "timestamp": str(int(now)),
        "type": kind,
    }
    message |= content if kind in ("button", "interactive") else {kind: content}
    if about:
        message["context"] = {"from": number.phone, "id": about}
    return {"contacts": [profile], "messages": [message]}

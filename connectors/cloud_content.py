"""The body of a send, per kind of content. Plain dicts: this is the hot path."""

from typing import Any, Final

from core.content import Buttons, Contacts, Content, Header, Location, Media, Other, Parameter, Reaction, Template, Text
from core.ports import Address, Outgoing, PermanentContent, PermanentRecipient

CALLBACK_PREFIX: Final = "wq1:"
Body = dict[str, Any]


def body_of(message: Outgoing) -> Body:
    """Raises `PermanentContent` or `PermanentRecipient` where WhatsApp has no such message."""
    kind, part = _part(message.content)
    body: Body = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        **_recipient(message.to),
        "type": kind,
        kind: part,
        "biz_opaque_callback_data": CALLBACK_PREFIX + message.client_id,
    }
    if message.reply_to is not None and kind != "reaction":
        body["context"] = {"message_id": message.reply_to}
    return body


def client_id_of(callback_data: object) -> str | None:
    """Our id out of what a status echoes; None where another program sent the message."""
    if isinstance(callback_data, str) and callback_data.startswith(CALLBACK_PREFIX):
        return callback_data.removeprefix(CALLBACK_PREFIX) or None
    return None


def _recipient(to: Address) -> Body:
    if to.kind == "phone":
        # Without the plus sign Meta puts the business's own country code in front.
        return {"to": to.value if to.value.startswith("+") else "+" + to.value}
    if to.kind == "bsuid":
        return {"recipient": to.value}
    raise PermanentRecipient("address_unsupported", f"the Cloud API cannot write to a {to.kind}")


def _part(content: Content) -> tuple[str, Any]:
    match content:
        case Text():
            return "text", {"body": content.body}
        case Template():
            return "template", _template(content)
        case Media():
            return content.type, _media(content)
        case Buttons():
            replies = [{"type": "reply", "reply": {"id": i, "title": title}} for i, title in content.buttons]
            return "interactive", {
                "type": "button",
                "body": {"text": content.body},
                "action": {"buttons": replies},
            }
        case Location():
            part: Body = {"latitude": content.latitude, "longitude": content.longitude}
            part |= {k: v for k, v in (("name", content.name), ("address", content.address)) if v}
            return "location", part
        case Contacts():
            return "contacts", [
                {
                    "name": {"formatted_name": card.name, "first_name": card.name},
                    "phones": [{"phone": card.phone}],
                }
                for card in content.cards
            ]
        case Reaction():
            return "reaction", {"message_id": content.provider_id, "emoji": content.emoji}
        case Other():
            raise PermanentContent("type_unsupported", f"{content.kind} can be received, not sent")


def _template(content: Template) -> Body:
    part: Body = {"name": content.name, "language": {"code": content.language}}
    components: list[Body] = []
    above = [_text(slot.value, slot.name) for slot in content.slots if slot.place == "header"]
    if content.header is not None:
        above = [_header(content.header, content.handle)]
    if above:
        components.append({"type": "header", "parameters": above})
    if content.parameters:
        values: list[Body] = [{"type": "text", "text": value} for value in content.parameters]
        for value, name in zip(values, content.parameter_names, strict=False):  # no names: they go by their place
            value["parameter_name"] = name
        components.append({"type": "body", "parameters": values})
    components += [_button(slot) for slot in content.slots if slot.place != "header"]
    if components:
        part["components"] = components
    return part


def _text(value: str, name: str | None) -> Body:
    return {"type": "text", "text": value} | ({} if name is None else {"parameter_name": name})


def _button(slot: Parameter) -> Body:
    value: Body = _text(slot.value, None)
    if slot.place == "copy_code":
        value = {"type": "coupon_code", "coupon_code": slot.value}
    return {"type": "button", "sub_type": slot.place, "index": str(slot.index), "parameters": [value]}


def _header(header: Header, handle: str | None) -> Body:
    media: Body = _file(handle, header.link)
    if header.filename:
        media["filename"] = header.filename
    return {"type": header.type, header.type: media}


def _file(handle: str | None, link: str | None) -> Body:
    if (handle is None) == (link is None):
        raise PermanentContent("bad_parameter", "a file is either with WhatsApp or behind a link")
    return {"id": handle} if handle else {"link": link}


def _media(content: Media) -> Body:
    part: Body = _file(content.handle, content.link)
    if content.caption and content.type in ("image", "video", "document"):
        part["caption"] = content.caption
    if content.filename and content.type == "document":
        part["filename"] = content.filename
    return part

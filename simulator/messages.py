"""The body of a messages request: checked as Meta checks it, and told as the text the contact sees."""

from dataclasses import dataclass
from typing import Any

from simulator.accounts import Account
from simulator.errors import GraphError
from simulator.templates import Template

MEDIA = ("image", "audio", "video", "document", "sticker")
TYPES = ("text", *MEDIA, "location", "contacts", "reaction", "interactive", "template")
_INTERACTIVE = (
    "button",
    "list",
    "cta_url",
    "flow",
    "product",
    "product_list",
    "catalog_message",
    "location_request_message",
    "order_details",
    "order_status",
    "call_permission_request",
    "address_message",
    "voice_call",
    "carousel",
)


@dataclass(slots=True)
class Outgoing:
    """A valid message request."""

    to: str
    type: str
    text: str
    callback: str
    template: Template | None
    media_id: str


def read(body: Any, account: Account) -> Outgoing:
    """The request as a message, or the refusal Meta answers it with."""
    if not isinstance(body, dict):
        raise GraphError(100, "The request body must be a JSON object")
    if body.get("messaging_product") != "whatsapp":
        raise GraphError(100, "The parameter messaging_product is required and must be 'whatsapp'.")
    to = recipient(body.get("to"))
    kind = body.get("type", "text")
    if kind not in TYPES:
        raise GraphError(100, f'Param type must be one of {{{", ".join(TYPES).upper()}}} - got "{kind}".')
    recipient_type = body.get("recipient_type", "individual")
    if recipient_type != "individual":
        raise GraphError(100, f"Param recipient_type must be 'individual' - got {recipient_type!r}.")
    callback = body.get("biz_opaque_callback_data", "")
    if not isinstance(callback, str) or len(callback) > 512:
        raise GraphError(100, "Param biz_opaque_callback_data must be a string of at most 512 characters.")
    context = body.get("context")
    if context is not None and not (isinstance(context, dict) and isinstance(context.get("message_id"), str)):
        raise GraphError(100, "Param context must be an object with a message_id.")
    content = body.get(kind)
    if content is None:
        raise GraphError(131008, f"Required parameter is missing: {kind}")
    template, media_id = None, ""
    if kind == "text":
        text = _text(_object(content, kind).get("body"), "text['body']", 4096)
    elif kind == "template":
        template, text = _template(_object(content, kind), account)
    elif kind in MEDIA:
        media_id, text = _media(_object(content, kind), kind)
    elif kind == "location":
        text = _location(_object(content, kind))
    elif kind == "contacts":
        text = _contacts(content)
    elif kind == "reaction":
        text = _reaction(_object(content, kind))
    else:
        text = _interactive(_object(content, kind))
    return Outgoing(to, kind, text, callback, template, media_id)


def recipient(to: Any) -> str:
    """The recipient as digits."""
    if not isinstance(to, str) or not to:
        raise GraphError(100, "The parameter to is required.")
    digits = to if to.isdigit() else "".join(c for c in to.lstrip("+") if c not in " -().")
    if not (digits.isascii() and digits.isdigit() and 5 <= len(digits) <= 20):
        raise GraphError(131009, f"Param to is not a valid WhatsApp number: {to[:40]!r}")
    return digits


def _object(content: Any, kind: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise GraphError(100, f"Param {kind} must be an object.")
    return content


def _text(value: Any, name: str, longest: int) -> str:
    if value is None or value == "":
        raise GraphError(131008, f"Required parameter is missing: {name}")
    if not isinstance(value, str):
        raise GraphError(100, f"Param {name} must be a string.")
    if len(value) > longest:
        raise GraphError(100, f"Param {name} must be at most {longest} characters long.")
    return value


def _template(content: dict[str, Any], account: Account) -> tuple[Template, str]:
    language = content.get("language")
    code = language.get("code") if isinstance(language, dict) else None
    name = _text(content.get("name"), "template['name']", 512)
    template = account.template(name, _text(code, "template['language']['code']", 20))
    components = content.get("components") or []
    if not isinstance(components, list):
        raise GraphError(100, "Param template['components'] must be an array.")
    return template, template.hydrated(components)


def _media(content: dict[str, Any], kind: str) -> tuple[str, str]:
    media_id, link = content.get("id"), content.get("link")
    if (media_id is None) == (link is None):
        raise GraphError(131008 if media_id is None else 100, f"{kind} needs either an id or a link.")
    if link is not None and not (isinstance(link, str) and link.startswith(("http://", "https://"))):
        raise GraphError(131009, f"Param {kind}['link'] is not a valid URL.")
    if media_id is not None and not isinstance(media_id, (str, int)):
        raise GraphError(131009, f"Param {kind}['id'] is not a valid whatsapp business account media attachment ID")
    caption = content.get("caption") or ""
    if caption and (kind in ("audio", "sticker") or not isinstance(caption, str) or len(caption) > 1024):
        raise GraphError(100, f"Param {kind}['caption'] is not allowed or longer than 1024 characters.")
    label = content.get("filename") or kind
    return str(media_id or ""), f"[{label}] {caption}".rstrip()


def _location(content: dict[str, Any]) -> str:
    places = []
    for name, limit in (("latitude", 90), ("longitude", 180)):
        try:
            value = float(content[name])
        except KeyError:
            raise GraphError(131008, f"Required parameter is missing: location['{name}']") from None
        except (TypeError, ValueError):
            raise GraphError(131009, f"Param location['{name}'] must be a number.") from None
        if not -limit <= value <= limit:
            raise GraphError(131009, f"Param location['{name}'] is out of range.")
        places.append(value)
    return f"[location] {content.get('name') or ''} {places[0]}, {places[1]}".replace("  ", " ")


def _contacts(content: Any) -> str:
    if not isinstance(content, list) or not content:
        raise GraphError(100, "Param contacts must be a non-empty array.")
    names = []
    for card in content:
        name = card.get("name") if isinstance(card, dict) else None
        if not isinstance(name, dict) or not name.get("formatted_name"):
            raise GraphError(131008, "Required parameter is missing: contacts['name']['formatted_name']")
        names.append(str(name["formatted_name"]))
    return f"[contacts] {', '.join(names)}"


def _reaction(content: dict[str, Any]) -> str:
    if not isinstance(content.get("message_id"), str):
        raise GraphError(131008, "Required parameter is missing: reaction['message_id']")
    emoji = content.get("emoji", "")
    if not isinstance(emoji, str):
        raise GraphError(131009, "Param reaction['emoji'] must be a string.")
    return emoji


def _interactive(content: dict[str, Any]) -> str:
    kind = content.get("type")
    if kind not in _INTERACTIVE:
        raise GraphError(100, f"Param interactive['type'] must be one of {{{', '.join(_INTERACTIVE)}}}.")
    action = _object(content.get("action", {} if kind == "location_request_message" else None), "interactive['action']")
    body = content.get("body")
    text = _text(body.get("text"), "interactive['body']['text']", 4096) if isinstance(body, dict) else ""
    if not text and kind in ("button", "list", "cta_url", "flow"):
        raise GraphError(131008, "Required parameter is missing: interactive['body']")
    if kind == "button":
        choices = _choices(action.get("buttons"), "reply", 3, 20)
    elif kind == "list":
        sections = action.get("sections")
        if not isinstance(sections, list) or not all(isinstance(s, dict) for s in sections):
            raise GraphError(131009, "Param interactive['action']['sections'] must be an array of objects.")
        rows = [row for section in sections for row in section.get("rows", [])]
        choices = _choices(rows, "", 10, 24)
    else:
        choices = []
    return "\n".join((text or f"[{kind}]", *(f"▸ {choice}" for choice in choices)))


def _choices(items: Any, inner: str, most: int, longest: int) -> list[str]:
    if not isinstance(items, list) or not 1 <= len(items) <= most:
        raise GraphError(131009, f"interactive: between 1 and {most} choices are allowed.")
    titles, ids = [], set()
    for item in items:
        choice = item.get(inner) if inner and isinstance(item, dict) else item
        if not isinstance(choice, dict) or not isinstance(choice.get("id"), str):
            raise GraphError(131008, "Required parameter is missing: a choice's id")
        titles.append(_text(choice.get("title"), "a choice's title", longest))
        ids.add(choice["id"])
    if len(ids) < len(titles):
        raise GraphError(131009, "interactive: duplicated choice id.")
    return titles

"""Message templates: their states, their placeholders, and how a message fills them."""

import re
from dataclasses import dataclass, field
from typing import Any

from simulator.errors import GraphError

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")
_MEDIA = {"IMAGE": "image", "VIDEO": "video", "DOCUMENT": "document", "LOCATION": "location"}
# State -> the code a send is refused with; a template nobody approved "does not exist" for Meta.
REFUSED = {"PAUSED": 132015, "DISABLED": 132016, "REJECTED": 132001, "PENDING": 132001}


@dataclass(slots=True)
class Text:
    """Text cut at its placeholders: `parts` has one element more than `names`."""

    parts: list[str]
    names: list[str]

    @classmethod
    def of(cls, text: str) -> "Text":
        pieces = _PLACEHOLDER.split(text)
        return cls(pieces[0::2], pieces[1::2])

    @property
    def expected(self) -> int:
        return len(set(self.names))

    def filled(self, parameters: list[Any], where: str) -> str:
        """The text with its parameters; 132000 when there are too few or too many."""
        if len(parameters) != self.expected:
            details = f"{where}: number of localizable_params ({len(parameters)}) does not match"
            raise GraphError(132000, f"{details} the expected number of params ({self.expected})")
        if not self.names:
            return self.parts[0]
        values = {}
        for place, parameter in enumerate(parameters, 1):
            if not isinstance(parameter, dict):
                raise GraphError(132012, f"{where}: parameters must be objects")
            name = parameter.get("parameter_name")
            values[str(name or place)] = _worded(parameter, where)
        shown = [self.parts[0]]
        for name, part in zip(self.names, self.parts[1:], strict=True):
            if name not in values:
                raise GraphError(132000, f"{where}: no value for {{{{{name}}}}}")
            shown += (values[name], part)
        return "".join(shown)


def _worded(parameter: dict[str, Any], where: str) -> str:
    kind = parameter.get("type", "text")
    value = parameter.get(kind)
    if kind in ("text", "payload") and isinstance(value, str):
        if not value.strip():
            raise GraphError(131008, f"{where}: parameter of type text is missing text value")
        return value
    if kind in ("currency", "date_time") and isinstance(value, dict):
        return str(value.get("fallback_value", ""))
    raise GraphError(132012, f"{where}: parameter of type {kind} is not valid here")


@dataclass(slots=True)
class Template:
    """One language of one template. `components` is what the Graph API shows; the rest is made from it."""

    id: str
    name: str
    language: str
    category: str
    status: str
    components: list[dict[str, Any]]
    body: Text = field(init=False)
    header: Text = field(init=False)
    media: str = field(init=False, default="")
    buttons: list[tuple[str, Text]] = field(init=False)
    quick_reply: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self.body, self.header, self.buttons = Text([""], []), Text([""], []), []
        for component in self.components:
            kind = str(component.get("type", "")).upper()
            text = Text.of(str(component.get("text") or ""))
            if kind == "BODY":
                self.body = text
            elif kind == "HEADER":
                self.header = text
                self.media = _MEDIA.get(str(component.get("format", "TEXT")).upper(), "")
            elif kind == "BUTTONS":
                self.buttons = [
                    (str(button.get("type", "")).upper(), Text.of(str(button.get("url", ""))))
                    for button in component.get("buttons", [])
                ]
                for button in component.get("buttons", []):
                    if button.get("type") == "QUICK_REPLY" and not self.quick_reply:
                        self.quick_reply = str(button.get("text", ""))

    @property
    def marketing(self) -> bool:
        return self.category == "MARKETING"

    def shown(self) -> dict[str, Any]:
        """The template as a Graph answer."""
        return {
            "name": self.name,
            "components": self.components,
            "language": self.language,
            "status": self.status,
            "category": self.category,
            "parameter_format": "POSITIONAL" if all(n.isdigit() for n in self.body.names) else "NAMED",
            "id": self.id,
        }

    def hydrated(self, components: list[Any]) -> str:
        """The text the contact sees, checked against what the template was approved with."""
        body: list[Any] = []
        header: list[Any] = []
        pressed: set[int] = set()
        for component in components:
            if not isinstance(component, dict) or not isinstance(component.get("parameters", []), list):
                raise GraphError(100, "Invalid parameter: template['components']")
            kind = str(component.get("type", "")).lower()
            if kind == "body":
                body = component.get("parameters", [])
            elif kind == "header":
                header = component.get("parameters", [])
            elif kind == "button":
                pressed.add(self._check_button(component))
            else:
                raise GraphError(100, f"Param template['components'] type '{kind}' is not valid")
        if self.media:
            if len(header) != 1 or not isinstance(header[0], dict) or header[0].get("type") != self.media:
                raise GraphError(132012, f"header: Format mismatch, expected {self.media.upper()}")
            _check_media(header[0].get(self.media), self.media)
            top = f"[{self.media}]\n"
        else:
            top = self.header.filled(header, "header")
            top = f"{top}\n" if top else ""
        for index, (kind, url) in enumerate(self.buttons):
            if index not in pressed and (kind == "COPY_CODE" or url.names):
                raise GraphError(131008, f"buttons: Button at index {index} of type {kind} requires a parameter")
        text = top + self.body.filled(body, "body")
        if len(text) > 4096:
            raise GraphError(132005, "The translated text is too long")
        return text

    def _check_button(self, component: dict[str, Any]) -> int:
        """Its index."""
        try:
            index = int(component.get("index", 0))
            kind, url = self.buttons[index] if index >= 0 else ("", Text([""], []))
        except (IndexError, ValueError, TypeError):
            raise GraphError(132012, f"button: there is no button {component.get('index')!r}") from None
        sub_type, parameters = str(component.get("sub_type", "")).upper(), component.get("parameters", [])
        if sub_type != kind:
            raise GraphError(132012, f"button: button {index} is not of the type {sub_type}")
        if kind == "URL":
            url.filled(parameters, "button")
        elif kind == "COPY_CODE":
            _check_code(parameters)
        return index


def _check_code(parameters: list[Any]) -> None:
    code = parameters[0].get("coupon_code") if len(parameters) == 1 and isinstance(parameters[0], dict) else None
    if not isinstance(code, str) or parameters[0].get("type") != "coupon_code" or not code.strip():
        raise GraphError(132012, "button: a copy code button takes one parameter of type coupon_code")
    if len(code) > 15:
        raise GraphError(132012, "button: coupon_code is longer than 15 characters")


def _check_media(content: Any, kind: str) -> None:
    """The media above a text: uploaded, or behind a link that Meta can fetch. A location has neither."""
    if not isinstance(content, dict):
        raise GraphError(131008, f"header: parameter of type {kind} is missing {kind} value")
    if kind == "location":
        return
    media_id, link = content.get("id"), content.get("link")
    if (media_id is None) == (link is None):
        raise GraphError(131008 if media_id is None else 100, f"header: {kind} needs either an id or a link.")
    if link is not None and not (isinstance(link, str) and link.startswith(("http://", "https://"))):
        raise GraphError(131009, f"header: {kind}['link'] is not a valid URL.")
    if media_id is not None and not isinstance(media_id, (str, int)):
        raise GraphError(131009, f"header: {kind}['id'] is not a valid media attachment ID")


def body_of(text: str) -> list[dict[str, Any]]:
    """The components of a template that is only a text."""
    return [{"type": "BODY", "text": text}]


DEFAULTS: tuple[tuple[str, str, str, str, list[dict[str, Any]]], ...] = (
    (
        "hello_world",
        "en_US",
        "UTILITY",
        "APPROVED",
        [
            {"type": "HEADER", "format": "TEXT", "text": "Hello World"},
            {"type": "BODY", "text": "Welcome and congratulations!! This message demonstrates a template."},
            {"type": "FOOTER", "text": "WhatsApp Business Platform sample message"},
        ],
    ),
    (
        "order_update",
        "en",
        "UTILITY",
        "APPROVED",
        body_of("Hello {{1}}, your order {{2}} is on its way."),
    ),
    (
        "spring_offer",
        "en",
        "MARKETING",
        "APPROVED",
        [
            *body_of("Hello {{1}}, our spring offer has begun: 20% off all plants until Sunday."),
            {"type": "FOOTER", "text": "Reply STOP to hear no more from us"},
            {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "Show me"}]},
        ],
    ),
    (
        "spring_offer",
        "ar",
        "MARKETING",
        "APPROVED",
        [
            *body_of("مرحباً {{1}}، بدأ عرض الربيع: خصم ٢٠٪ على جميع النباتات حتى يوم الأحد."),
            {"type": "FOOTER", "text": "أرسل «إيقاف» لعدم استلام رسائلنا"},
            {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "أرني العرض"}]},
        ],
    ),
    ("tired_offer", "en", "MARKETING", "PAUSED", body_of("Hello {{1}}, one more offer.")),
    ("rude_offer", "en", "MARKETING", "REJECTED", body_of("Hello {{1}}, buy now or else.")),
)

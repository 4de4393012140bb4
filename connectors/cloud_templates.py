"""Templates of an account as Meta shows them: page by page when asked, and in webhooks when something changes."""

from collections.abc import Sequence
from typing import Any, Final

from core.ports import AccountTemplate, TemplateChanged

FIELDS: Final = "name,language,status,category,components"
STATUS_UPDATE: Final = "message_template_status_update"
CATEGORY_UPDATE: Final = "template_category_update"
# What Meta's events come to, where that is not the event's own name. A flagged template can still be sent.
_EVENTS: Final = {"reinstated": "approved", "unarchived": "approved", "flagged": None}
_LONGEST = 20
Json = dict[str, Any]


def read(answer: Json) -> tuple[Sequence[AccountTemplate], str | None]:
    """One page, and where the next one starts; what is not a template is left out."""
    items, paging = answer.get("data"), answer.get("paging")
    found = [one for item in items if (one := _template(item))] if isinstance(items, list) else []
    cursors = paging.get("cursors") if isinstance(paging, dict) and paging.get("next") else None
    after = cursors.get("after") if isinstance(cursors, dict) else None
    return found, after if isinstance(after, str) and after else None


def _template(item: object) -> AccountTemplate | None:
    if not isinstance(item, dict):
        return None
    name, language, status = (_text(item.get(key)) for key in ("name", "language", "status"))
    parts = item.get("components")
    if not name or not language or not status:
        return None
    components = [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    return AccountTemplate(
        name, language, _word(item.get("category")) or "marketing", status.lower()[:_LONGEST], components
    )


def change_of(kind: str, value: Json, waba_id: str) -> TemplateChanged | None:
    """What a webhook says of a template; None where it says nothing that we can use."""
    name, language = _text(value.get("message_template_name")), _text(value.get("message_template_language"))
    if not name or not language or not waba_id:
        return None
    if kind == CATEGORY_UPDATE:
        category = _word(value.get("new_category"))
        return TemplateChanged(waba_id, name, language, category=category) if category else None
    event = _word(value.get("event"))
    status = _EVENTS.get(event, event) if event else None
    return TemplateChanged(waba_id, name, language, status=status) if status else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _word(value: object) -> str | None:
    text = _text(value)
    return text.lower()[:_LONGEST] if text else None

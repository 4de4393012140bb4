"""`python -m api.webhook_catalogue` writes `docs/webhook-events.json` and `docs/webhook-events.md`: the catalogue of
core/webhook_events.py, as JSON schemas and for people."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from core.webhook_events import CATALOGUE, Kind

_DOCS = Path(__file__).parent.parent / "docs"
SCHEMAS = _DOCS / "webhook-events.json"
PAGE = _DOCS / "webhook-events.md"

_HEAD = """\
# Webhook events

Written by `python -m api.webhook_catalogue` from `core/webhook_events.py`; do not edit it here. The schemas of `data`,
to check or generate code by, are in [webhook-events.json](webhook-events.json).
How webhooks work: [webhooks.md](webhooks.md).

By default `data` holds ids and codes, and you ask the REST interface for the rest. What a person wrote, their number
and their name come only to an endpoint whose `fields` name `text`, `phone` or `name`.
"""
_OF_3 = """
## Events of version 3

`message.*` asks for all that begin so, `*` for all of this table. A message passes `queued`, `sent`, `delivered`,
`read`. From `sent` on each stage is told to an endpoint once, also where WhatsApp leaves one out (`read` without
`delivered`) or reports one twice.
"""
_OF_2 = """
## Events of version 2.3.0

They have to be asked for by name: no wildcard includes them. Each says what an event above says, in the old form.
"""


def schemas() -> Mapping[str, Any]:
    """By the name of the event."""
    return {name: {"description": kind.says, **schema(kind)} for name, kind in CATALOGUE.items()}


def schema(kind: Kind) -> dict[str, Any]:
    return kind.payload.model_json_schema(by_alias=True)


def generated() -> tuple[str, str]:
    """The schemas, and the page."""
    return json.dumps(schemas(), ensure_ascii=False, indent=2) + "\n", "\n".join([_HEAD, *_sections(), ""])


def _sections() -> Iterator[str]:
    kinds = CATALOGUE.values()
    yield from (_OF_3, *_table(kind for kind in kinds if "." in kind.name))
    yield from (_OF_2, *_table(kind for kind in kinds if "." not in kind.name))
    yield "\n## What `data` holds\n"
    for payload in dict.fromkeys(kind.payload for kind in kinds):
        told = ", ".join(f"`{kind.name}`" for kind in kinds if kind.payload is payload)
        yield f"{told}: {' '.join((payload.__doc__ or '').split())}\n"
        yield "| name | type | |"
        yield "|---|---|---|"
        for name, one in payload.model_json_schema(by_alias=True)["properties"].items():
            yield f"| `{name}` | {_type(one)} | {one.get('description', '')} |"
        yield ""


def _table(kinds: Iterator[Kind]) -> Iterator[str]:
    yield "| event | when | raised since | fields to ask for |"
    yield "|---|---|---|---|"
    for kind in kinds:
        since = kind.since or "not yet: nothing raises it today"
        yield f"| `{kind.name}` | {kind.says} | {since} | {', '.join(kind.fields)} |"


def _type(one: Mapping[str, Any]) -> str:
    if "anyOf" in one:
        return " or ".join(_type(part) for part in one["anyOf"])
    if one["type"] == "array":
        return f"list of {_type(one['items'])}"
    return "time" if one.get("format") == "date-time" else str(one["type"])


if __name__ == "__main__":
    for path, content in zip((SCHEMAS, PAGE), generated(), strict=True):
        path.write_text(content)

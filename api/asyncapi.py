"""`python -m api.asyncapi` writes `docs/asyncapi.json`: what is said over the WebSocket, out of the models."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api import topics
from api.gateway import PATH as ADDRESS
from api.live_bodies import HEARD, TOLD

PATH = Path(__file__).parents[1] / "docs" / "asyncapi.json"
_REF = "#/components/schemas/{model}"


def generated() -> str:
    _, schemas = models_json_schema([(one, "validation") for one in (*HEARD, *TOLD)], ref_template=_REF)
    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "WaQtor live events",
            "version": "3.0.0.dev0",
            "description": "What happens, as it happens. How to use it: docs/live-events.md.",
        },
        "servers": {"local": {"host": "127.0.0.1:8080", "protocol": "ws"}},
        "channels": {
            "live": {
                "address": ADDRESS,
                "description": f"Topics: {', '.join(topics.SYSTEMS)}, and of one object "
                f"{', '.join(f'{kind}:{{id}}' for kind in topics.OBJECTS)}; a chat's id is that of REST, 3-17.",
                "messages": {one.__name__: _named(one) for one in (*HEARD, *TOLD)},
            }
        },
        "operations": {
            "hear": {"action": "receive", "channel": {"$ref": "#/channels/live"}, "messages": _of_channel(HEARD)},
            "tell": {"action": "send", "channel": {"$ref": "#/channels/live"}, "messages": _of_channel(TOLD)},
        },
        "components": {
            "messages": {one.__name__: _message(one) for one in (*HEARD, *TOLD)},
            "schemas": schemas["$defs"],
        },
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _named(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/messages/{model.__name__}"}


def _of_channel(models: tuple[type[BaseModel], ...]) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/live/messages/{one.__name__}"} for one in models]


def _message(model: type[BaseModel]) -> dict[str, Any]:
    return {
        "contentType": "application/json",
        "summary": model.__doc__,
        "payload": {"$ref": _REF.format(model=model.__name__)},
    }


if __name__ == "__main__":
    PATH.write_text(generated())

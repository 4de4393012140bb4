"""The reference is complete, is what is committed, and needs nobody else's host."""

import json
import re
from typing import Any

from api import asyncapi, openapi

WAYS_IN = {
    *(f"/api/v3/auth/{name}" for name in ("sign-in", "refresh", "accept", "link")),
    *(f"/api/auth/{name}" for name in ("register", "login", "refresh")),
}
SPEC: dict[str, Any] = json.loads(openapi.generated())


def test_what_is_committed_is_what_there_is() -> None:
    assert openapi.PATH.read_text() == openapi.generated(), "run: python -m api.openapi"


def test_what_is_said_over_the_websocket_is_written_down() -> None:
    assert asyncapi.PATH.read_text() == asyncapi.generated(), "run: python -m api.asyncapi"


def test_every_route_says_what_it_does_and_what_may_go_wrong() -> None:
    for path, methods in SPEC["paths"].items():
        for method, operation in methods.items():
            assert operation.get("description"), (method, path)
            assert operation["tags"], (method, path)
            if path.startswith("/api/"):
                assert {"401", "403", "422", "503"} <= set(operation["responses"]), (method, path)
                assert "security" in operation or path in WAYS_IN, (method, path)
    assert {tag["name"] for tag in SPEC["tags"] if tag["description"]} >= {
        tag for methods in SPEC["paths"].values() for operation in methods.values() for tag in operation["tags"]
    }


def test_every_model_is_described_and_has_an_example() -> None:
    for name, schema in SPEC["components"]["schemas"].items():
        if name in ("HTTPValidationError", "ValidationError"):
            continue
        assert schema.get("description"), name


async def test_the_pages_for_people_load_nothing_from_elsewhere(server: Any) -> None:
    async with server.client("") as anybody:
        for path in ("/", "/docs"):
            page = await anybody.get(path)
            assert page.status_code == 200
            assert not re.search(r"(src|href)=\"?(https?:)?//", page.text)
            assert "<script" not in page.text
        assert "/api/v3/campaigns/{campaign_id}/launch" in page.text
        assert (await anybody.get("/openapi.json")).status_code == 200

"""Everything that goes wrong has one shape, whoever noticed it."""

import logging

import httpx
import pytest

from fakes import FakeConnector

SHAPE = {"code", "message", "field", "hint", "request_id"}


def problem(answer: httpx.Response) -> dict[str, str | None]:
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == SHAPE
    assert body["error"]["request_id"] == answer.headers["x-request-id"]
    error: dict[str, str | None] = body["error"]
    return error


async def test_an_address_that_is_not_there(api: httpx.AsyncClient) -> None:
    answer = await api.get("/api/v3/nothing")
    assert (answer.status_code, problem(answer)["code"]) == (404, "not_found")


async def test_a_method_that_is_not_for_this_address(api: httpx.AsyncClient) -> None:
    answer = await api.delete("/api/v3/sending")
    assert (answer.status_code, problem(answer)["code"]) == (405, "method_not_allowed")
    assert (await api.put("/api/v3/templates/7")).headers["Allow"] == "GET, PATCH, DELETE"


async def test_unknown_field_is_refused_and_named(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/v3/contacts", json={"phone": "+966501234567", "nmae": "Nora"})
    error = problem(answer)
    assert (answer.status_code, error["code"], error["field"]) == (422, "invalid", "nmae")
    assert (await api.get("/api/v3/contacts")).json()["data"] == []


async def test_unknown_field_inside_a_field(api: httpx.AsyncClient) -> None:
    body = {"name": "n", "sender_id": 1, "template_id": 1, "audience": {"tags": "x"}}
    assert problem(await api.post("/api/v3/campaigns", json=body))["field"] == "audience.tags"


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"{", "application/json"), (b"[]", "application/json"), (b"", "application/json"), (b"a=1", "text/plain")],
)
async def test_a_body_that_is_no_json_object(api: httpx.AsyncClient, body: bytes, kind: str) -> None:
    answer = await api.post("/api/v3/contacts", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 422
    assert "JSON" in str(problem(answer)["message"])


@pytest.mark.parametrize("name", [r"a\u0000b", r"\ud800"])
async def test_text_that_no_database_keeps(api: httpx.AsyncClient, name: str) -> None:
    body = f'{{"phone": "+966501234567", "name": "{name}"}}'
    answer = await api.post("/api/v3/contacts", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, problem(answer)["field"]) == (422, "name")


@pytest.mark.parametrize(
    "path",
    [
        "contacts?limit=0",
        "contacts?limit=501",
        "contacts?cursor=abc",
        "contacts?tag=%00",
        "contacts/99999999999999999999",
    ],
)
async def test_what_is_asked_for_is_checked_before_the_database_sees_it(api: httpx.AsyncClient, path: str) -> None:
    answer = await api.get(f"/api/v3/{path}")
    assert answer.status_code == 422
    problem(answer)


async def test_a_body_larger_than_allowed(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/v3/contacts", content=b" " * (1024 * 1024 + 1))
    assert (answer.status_code, problem(answer)["code"]) == (413, "too_large")


async def test_a_failure_of_ours_shows_no_trace_and_logs_one(
    api: httpx.AsyncClient, connector: FakeConnector, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks() -> None:
        raise RuntimeError("deep inside")

    monkeypatch.setattr(connector, "health", breaks)
    sender = await api.post(
        "/api/v3/senders",
        json={
            "name": "shop",
            "phone_number_id": "1",
            "waba_id": "1",
            "access_token": "t",
            "app_secret": "s",
            "verify_token": "v",
        },
    )
    with caplog.at_level(logging.ERROR):
        answer = await api.get(f"/api/v3/senders/{sender.json()['id']}/health")
    error = problem(answer)
    assert (answer.status_code, error["code"]) == (500, "internal")
    assert "deep inside" not in answer.text
    assert "deep inside" in caplog.text
    assert str(error["request_id"]) in caplog.text

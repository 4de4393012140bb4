"""A write with an idempotency key happens once, however often and however fast it is asked for."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx

from core import idempotency
from fakes import FakeClock

KEY = {"Idempotency-Key": "one"}
NORA = {"phone": "+966501234567", "name": "Nora"}


async def test_the_same_request_gets_the_same_answer(api: httpx.AsyncClient) -> None:
    first = await api.post("/api/v3/templates", json={"name": "t", "body": "b"}, headers=KEY)
    again = await api.post("/api/v3/templates", json={"name": "t", "body": "b"}, headers=KEY)
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"


async def test_another_body_under_the_same_key_is_refused(api: httpx.AsyncClient) -> None:
    await api.post("/api/v3/contacts", json=NORA, headers=KEY)
    answer = await api.post("/api/v3/contacts", json={**NORA, "name": "Sara"}, headers=KEY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "idempotency_key_reused")


async def test_two_keys_of_the_same_name_do_not_meet(server: Any, api: httpx.AsyncClient) -> None:
    await api.post("/api/v3/contacts", json=NORA, headers=KEY)
    async with server.client(await server.new_key("write")) as other:
        answer = await other.post("/api/v3/contacts", json={**NORA, "name": "Sara"}, headers=KEY)
    assert answer.status_code == 200
    assert "idempotency-replayed" not in answer.headers


async def test_many_at_once_have_one_effect(api: httpx.AsyncClient) -> None:
    body = {"name": "once", "scopes": ["read"]}
    answers = await asyncio.gather(*(api.post("/api/v3/api-keys", json=body, headers=KEY) for _ in range(12)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    listed = (await api.get("/api/v3/api-keys")).json()["data"]
    assert [one["name"] for one in listed].count("once") == 1


async def test_an_error_is_not_kept(api: httpx.AsyncClient) -> None:
    body = {"name": "spring", "sender_id": 1, "template_id": 1, "audience": {"all": True}}
    assert (await api.post("/api/v3/campaigns", json=body, headers=KEY)).status_code == 404
    sender = {"name": "s", "phone_number_id": "1", "waba_id": "1"}
    secrets = {"access_token": "t", "app_secret": "s", "verify_token": "v"}
    await api.post("/api/v3/senders", json=sender | secrets)
    await api.post("/api/v3/templates", json={"name": "t", "body": "b"})
    assert (await api.post("/api/v3/campaigns", json=body, headers=KEY)).status_code == 201


async def test_a_key_that_is_too_long(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/v3/contacts", json=NORA, headers={"Idempotency-Key": "k" * 256})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "Idempotency-Key")


async def test_a_file_under_the_same_key_is_taken_once(api: httpx.AsyncClient) -> None:
    def put(content: str) -> Any:
        return api.post("/api/v3/contacts/import", files={"file": ("a.csv", content)}, headers=KEY)

    answers = await asyncio.gather(*(put("phone\n+966501234567\n") for _ in range(4)))
    assert {answer.status_code for answer in answers} <= {201, 202}  # 202: the first is still at it
    assert {answer.json()["id"] for answer in answers} == {1}
    again = await put("phone\n+966501234567\n")
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert len((await api.get("/api/v3/imports")).json()["data"]) == 1
    other = await put("phone\n+966501234568\n")
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")


async def test_old_answers_are_forgotten(server: Any, api: httpx.AsyncClient, clock: FakeClock) -> None:
    await api.post("/api/v3/contacts", json=NORA, headers=KEY)
    database = server.platform.database
    async with database.reading() as tx:
        now = await clock.now(tx)
    assert await idempotency.purge(database, before=now - timedelta(days=1)) == 0
    assert await idempotency.purge(database, before=now + timedelta(days=1)) == 1
    assert "idempotency-replayed" not in (await api.post("/api/v3/contacts", json=NORA, headers=KEY)).headers

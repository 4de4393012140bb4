"""Senders over HTTP: their secrets go in and never come out."""

from typing import Any

import httpx

SENDER: dict[str, Any] = {
    "name": "shop",
    "phone_number_id": "106540352242922",
    "waba_id": "102290129340398",
    "access_token": "secret-access",
    "app_secret": "secret-app",
    "verify_token": "secret-verify",
}


async def test_secrets_never_come_back(api: httpx.AsyncClient) -> None:
    made = await api.post("/api/v3/senders", json=SENDER)
    answers = [made, await api.get("/api/v3/senders"), await api.get("/api/v3/senders/1")]
    answers.append(await api.post("/api/v3/senders", json=SENDER | {"access_token": ""}))
    answers.append(await api.post("/api/v3/senders", json=SENDER))
    assert [answer.status_code for answer in answers] == [201, 200, 200, 422, 409]
    for answer in answers:
        assert "secret-" not in answer.text


async def test_pause_and_resume(api: httpx.AsyncClient) -> None:
    await api.post("/api/v3/senders", json=SENDER)
    paused = (await api.post("/api/v3/senders/1/pause", json={"reason": "holiday"})).json()
    assert (paused["state"], paused["state_reason"]) == ("paused", "holiday")
    assert (await api.post("/api/v3/senders/1/resume")).json()["state"] == "active"


async def test_health_is_asked_of_whatsapp(api: httpx.AsyncClient) -> None:
    await api.post("/api/v3/senders", json=SENDER)
    assert (await api.get("/api/v3/senders/1/health")).json()["ok"] is True
    assert (await api.get("/api/v3/senders/2/health")).status_code == 404


async def test_health_says_what_is_left(api: httpx.AsyncClient) -> None:
    await api.post("/api/v3/senders", json=SENDER | {"daily_cap": 10, "warm_up": [5, 10]})
    budget = (await api.get("/api/v3/senders/1/health")).json()["budget"]
    assert budget == {"messages_left": 10, "conversations_left": 5, "last_sent_at": None, "last_receipt_at": None}
    assert (await api.get("/api/v3/senders/1")).json()["checked_at"] is not None


async def test_the_pace_can_be_changed(api: httpx.AsyncClient) -> None:
    await api.post("/api/v3/senders", json=SENDER | {"daily_cap": 10})
    changed = (await api.patch("/api/v3/senders/1", json={"daily_cap": None, "jitter": 0.3, "rate": 20})).json()
    assert (changed["daily_cap"], changed["jitter"], changed["rate"]) == (None, 0.3, 20)
    assert (await api.patch("/api/v3/senders/1", json={"jitter": 2})).status_code == 422
    assert (await api.patch("/api/v3/senders/1", json={"warm_up": [5, 1]})).status_code == 422
    assert (await api.patch("/api/v3/senders/2", json={"rate": 1})).status_code == 404

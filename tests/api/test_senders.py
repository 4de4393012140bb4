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

"""The preflight, over REST."""

from typing import Any

import httpx

import scenes


async def test_what_a_campaign_would_do(server: Any, api: httpx.AsyncClient) -> None:
    await scenes.people(server.platform, 3)
    await api.post("/api/v3/contacts/1/opt-out")
    campaign = await scenes.a_campaign(server.platform, await scenes.a_sender(server.platform))
    answer = await api.post(f"/api/v3/campaigns/{campaign.id}/preflight")
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert (said["people"], said["recipients"], said["excluded"]) == (3, 2, {"opted_out": 1})
    assert said["costs"] == {"SA": {"recipients": 2, "each": None, "total": None, "currency": None}}
    assert said["forecast"]["limited_by"] == "rate"
    shown = (await api.get(f"/api/v3/campaigns/{campaign.id}")).json()
    assert shown["forecast"]["recipients"] == 2
    assert (await api.post("/api/v3/campaigns/99/preflight")).status_code == 404

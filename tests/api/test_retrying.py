"""Again, over REST: the number of doubtful people has to be confirmed."""

from typing import Any

import httpx
from sqlalchemy import update

import scenes
from core.models import Recipient


async def test_retry_and_resend(server: Any, api: httpx.AsyncClient) -> None:
    platform = server.platform
    await scenes.people(platform, 3)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    path = f"/api/v3/campaigns/{campaign.id}"
    assert (await api.post(f"{path}/retry")).status_code == 409
    await scenes.launched(platform, campaign.id)
    async with platform.database.transaction() as tx:
        await tx.execute(update(Recipient).values(state="unknown", reason="restored"))
        await tx.execute(update(Recipient).where(Recipient.id == 1).values(state="failed", reason="refused"))
    assert (await api.post(f"{path}/retry", json={"reason": "other"})).json() == {"queued": 0}
    assert (await api.post(f"{path}/retry")).json() == {"queued": 1}
    refused = await api.post(f"{path}/resend-unknown", json={"confirm": 5})
    assert refused.status_code == 409
    assert "confirm 2" in refused.json()["error"]["hint"]
    assert (await api.post(f"{path}/resend-unknown", json={"confirm": 2})).json() == {"queued": 2}
    assert (await api.get(f"{path}/progress")).json()["queued"] == 3
    assert (await api.post(f"{path}/resend-unknown", json={})).status_code == 422

"""Why (not) sent, over REST and the SDK."""

from typing import Any

import httpx
import pytest

import scenes
from accounts import signed_in
from core.roles import Role


@pytest.mark.parametrize(
    ("who", "status", "field"),
    [
        ({"contact_id": 1}, 200, None),
        ({"phone": "050 000 0000"}, 200, None),
        ({"phone": "+966500000001"}, 404, "phone"),
        ({"phone": "x"}, 422, "phone"),
        ({"contact_id": 99}, 404, "contact_id"),
        ({}, 422, "contact_id"),
        ({"contact_id": 1, "phone": "+966500000000"}, 422, "contact_id"),
    ],
)
async def test_a_person_is_named_by_number_or_phone(
    server: Any, api: httpx.AsyncClient, who: dict[str, object], status: int, field: str | None
) -> None:
    await scenes.people(server.platform, 1)
    campaign = await scenes.a_campaign(server.platform, await scenes.a_sender(server.platform))
    answer = await api.post(f"/api/v3/campaigns/{campaign.id}/why", json=who)
    assert answer.status_code == status, answer.text
    if field:
        assert answer.json()["error"]["field"] == field
    else:
        (told,) = answer.json()["answers"]
        assert (told["outcome"], told["because"]) == ("not_in_audience", "The campaign was not launched yet.")


@pytest.mark.parametrize("role", ["viewer", "auditor"])
async def test_who_may_not_see_numbers_cannot_ask_for_one_after_another(server: Any, role: Role) -> None:
    await scenes.people(server.platform, 1)
    campaign = await scenes.a_campaign(server.platform, await scenes.a_sender(server.platform))
    person = await signed_in(server, role)
    async with person.client as client:
        for phone in ("+966500000000", "+966500000001"):
            answer = await client.post(f"/api/v3/campaigns/{campaign.id}/why", json={"phone": phone})
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_allowed")
        assert (await client.post(f"/api/v3/campaigns/{campaign.id}/why", json={"contact_id": 1})).status_code == 200


async def test_no_campaign_no_answer(server: Any, api: httpx.AsyncClient) -> None:
    assert (await api.post("/api/v3/campaigns/9/why", json={"contact_id": 1})).status_code == 404

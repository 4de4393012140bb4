"""Variants and a holdout, over REST."""

from typing import Any

import httpx

import scenes


async def test_a_campaign_with_variants_from_its_making_to_the_choice(
    server: Any, api: httpx.AsyncClient, connector: Any
) -> None:
    await scenes.people(server.platform, 40)
    campaign = await scenes.a_campaign(server.platform, await scenes.a_sender(server.platform))
    path = f"/api/v3/campaigns/{campaign.id}"
    tried = [{"name": "A"}, {"name": "B", "defaults": {"name": "friend"}, "weight": 2}]
    answer = await api.patch(path, json={"variants": tried, "holdout_percent": 25})
    assert answer.status_code == 200, answer.text
    plain = {"template_id": None, "defaults": {}, "weight": 1, "is_winner": False}
    shown = [plain | {"name": "A"}, plain | tried[1]]
    assert (answer.json()["variants"], answer.json()["holdout_percent"]) == (shown, 25)
    assert (await api.get("/api/v3/campaigns")).json()["data"][0]["variants"] == shown
    for wrong, field in (({"name": "A"}, "variants"), ({"name": "C", "wheight": 1}, "variants.0.wheight")):
        refused = await api.patch(path, json={"variants": [wrong]})
        assert (refused.status_code, refused.json()["error"]["field"]) == (422, field)
    said = (await api.post(f"{path}/preflight")).json()
    await scenes.launched(server.platform, campaign.id)
    await scenes.dispatched(server.platform, connector, campaign.id)
    found = (await api.get(f"{path}/variants")).json()
    assert {one["name"]: one["progress"]["sent"] for one in found["results"]} == said["variants"]
    assert found["held_out"] == said["excluded"]["holdout"] > 0
    assert {one["verdict"] for one in found["comparisons"]} == {"too_few"}
    of_b = (await api.get(f"{path}/recipients", params={"variant": "b", "limit": 100})).json()["data"]
    assert (len(of_b), {one["variant"] for one in of_b}) == (said["variants"]["B"], {"B"})
    lines = (await api.get(f"{path}/recipients.csv", params={"reason": "holdout"})).text.splitlines()
    assert len(lines) == 1 + found["held_out"]
    assert (await api.get(f"{path}/recipients", params={"variant": "x"})).status_code == 404
    chosen = await api.post(f"{path}/choose-variant", json={"variant": "B"})
    assert [one["is_winner"] for one in chosen.json()["variants"]] == [False, True]
    tested = await api.post(f"{path}/test", json={"to": "+966500000001", "variant": "nope"})
    assert (tested.status_code, tested.json()["error"]["field"]) == (404, "variant")

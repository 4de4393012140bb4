"""A canary, over REST."""

from typing import Any

import httpx

import scenes
from core.runs import Run


async def test_a_canary_from_its_making_to_the_word_to_go_on(server: Any, api: httpx.AsyncClient) -> None:
    platform = server.platform
    await scenes.people(platform, 60)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    path = f"/api/v3/campaigns/{campaign.id}"
    assert (await api.get(f"{path}/canary")).json()["rates"] is None
    answer = await api.patch(path, json={"canary": {"count": 12, "max_failed_percent": None}})
    assert answer.status_code == 200, answer.text
    said = {"percent": None, "count": 12, "hold_minutes": 60, "max_failed_percent": None}
    said |= {"max_opted_out_percent": 3, "max_blocked_percent": 5, "after_hold": "go_on"}
    assert answer.json()["canary"] == said
    for wrong, field in (({}, "canary"), ({"percent": 99}, "canary.percent"), ({"percent": 1, "x": 1}, "canary.x")):
        refused = await api.patch(path, json={"canary": wrong})
        assert (refused.status_code, refused.json()["error"]["field"]) == (422, field)
    assert (await api.post(f"{path}/preflight")).json()["canary"] == 12
    assert (await api.post(f"{path}/go-on")).status_code == 409
    await api.post(f"{path}/launch")
    run = await Run.opened(platform, campaign.id)
    assert run is not None
    await run.plan()
    assert not await run.has_more(await run.send_batch())
    assert not await run.close()
    held = (await api.get(path)).json()
    assert (held["state"], held["held_until"] is not None) == ("holding", True)
    assert [one["id"] for one in (await api.get("/api/v3/campaigns?state=holding")).json()["data"]] == [campaign.id]
    seen = (await api.get(f"{path}/canary")).json()
    assert (seen["is_first"], seen["verdict"]) == (True, None)
    assert seen["rates"]["people"] == seen["rates"]["at_most"] > 0
    assert (await api.post(f"{path}/go-on", json={"variant": "x"})).json()["error"]["field"] == "variant"
    went = await api.post(f"{path}/go-on")
    assert (went.status_code, went.json()["state"], went.json()["held_until"]) == (200, "running", None)
    seen = (await api.get(f"{path}/canary")).json()
    assert (seen["is_first"], seen["verdict"]["verdict"]) == (False, "overruled")

"""A canary, by the client."""

import pytest

import scenes
from serving import Server
from waqtor import AsyncClient, Conflict


async def test_the_sdk_makes_a_canary_and_looks_at_it(server: Server, waqtor: AsyncClient) -> None:
    sender = await scenes.a_sender(server.platform)
    template = await waqtor.templates.create("t", "Hello {name}")
    made = await waqtor.campaigns.create(
        "spring", sender_id=sender.id, template_id=template.id, canary={"percent": 2.5, "after_hold": "ask"}
    )
    assert made.canary is not None
    assert (made.canary.percent, made.canary.hold_minutes, made.canary.after_hold) == (2.5, 60, "ask")
    found = await waqtor.canaries.get(made.id)
    assert (found.state, found.canary, found.rates and found.rates.people) == ("draft", made.canary, 0)
    with pytest.raises(Conflict, match="waits for no canary"):
        await waqtor.canaries.go_on(made.id)
    await waqtor.campaigns.launch(made.id)
    went = await waqtor.canaries.go_on(made.id)
    assert (went.state, went.held_until) == ("running", None)
    verdict = (await waqtor.canaries.get(made.id)).verdict
    assert verdict is not None
    assert (verdict.verdict, verdict.breaches) == ("overruled", [])

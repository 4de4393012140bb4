"""Variants and a holdout, by the client."""

import scenes
from serving import Server
from waqtor import AsyncClient


async def test_the_sdk_makes_compares_and_chooses(server: Server, waqtor: AsyncClient) -> None:
    sender = await scenes.a_sender(server.platform)
    template = await waqtor.templates.create("t", "Hello {name}")
    tried = [{"name": "A"}, {"name": "B", "template_id": template.id}]
    made = await waqtor.campaigns.create(
        "spring", sender_id=sender.id, template_id=template.id, variants=tried, holdout_percent=12.5
    )
    assert ([one.name for one in made.variants], made.holdout_percent) == (["A", "B"], 12.5)
    assert (await waqtor.variants.choose(made.id, "B")).variants[1].is_winner
    assert not (await waqtor.variants.choose(made.id, None)).variants[1].is_winner
    found = await waqtor.variants.compare(made.id, occurrence="all")
    assert [one.progress.total for one in found.results] == [0, 0]
    made = await waqtor.campaigns.change(made.id, {"variants": [], "holdout_percent": None})
    assert (made.variants, made.holdout_percent) == ([], None)

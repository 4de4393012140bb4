"""How an installation does, by the shipped client."""

from importlib.metadata import version

import scenes
from serving import Server
from waqtor import AsyncClient


async def test_what_an_installation_says_of_itself(waqtor: AsyncClient, server: Server) -> None:
    said = await waqtor.system.get()
    assert (said.version, said.runs, said.queues.inbox) == (version("waqtor-platform"), [], 0)
    assert said.prefect_url.startswith("http://127.0.0.1:")
    assert said.settings["default_country"] == "SA"
    assert not [name for name in said.settings if "url" in name or "key" in name or "auth" in name]

    platform = server.platform
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    (run,) = (await waqtor.system.get()).runs
    assert (run.campaign_id, run.state, run.is_held) == (campaign.id, "running", False)

    ready = await waqtor.monitor.ready()
    assert (ready.ok, ready.database, ready.suspect_senders) == (True, "ok", [])
    assert (await waqtor.monitor.presence()).is_whole

    live = await waqtor.monitor.live(limit=5)
    assert (live.status, live.connections.current, list(live.clients)) == ("ok", 0, [])
    assert (await waqtor.monitor.stats()).connections.total == 0
    assert (await waqtor.monitor.metrics()).websocket["clients"] == 0

"""The tags that people have, over HTTP and through the client."""

import httpx

import scenes
from serving import Server
from waqtor import AsyncClient


async def test_each_tag_is_there_once_as_long_as_somebody_has_it(server: Server, api: httpx.AsyncClient) -> None:
    await scenes.people(server.platform, 3, tags=["vip", "الرياض"])
    await scenes.people(server.platform, 2, tags=["a b", "new"], start=3)
    async with AsyncClient("http://waqtor", server.key, transport=server.transport) as waqtor:
        names = [one.name async for one in waqtor.tags.list(limit=2)]
        assert sorted(names) == sorted(["a b", "new", "vip", "الرياض"])
        assert [one.name async for one in waqtor.tags.list()] == names
        for one in [one async for one in waqtor.contacts.list(tag="new")]:
            await waqtor.contacts.update(one.id, tags=["vip"])
        assert {one.name async for one in waqtor.tags.list()} == {"vip", "الرياض"}
    for wrong in ("cursor=AA", "cursor=x", "limit=0"):
        assert (await api.get(f"/api/v3/tags?{wrong}")).status_code == 422

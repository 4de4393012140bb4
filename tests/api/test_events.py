"""The log over HTTP."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx

from core import bus


async def test_events_are_read_in_order_and_on(api: httpx.AsyncClient) -> None:
    for number in range(3):
        await api.post("/api/v3/contacts", json={"phone": f"+96650123456{number}"})
    seen: list[int] = []
    for _ in range(100):
        page = (await api.get("/api/v3/events", params={"since": seen[-1] if seen else 0, "limit": 2})).json()
        seen += [event["seq"] for event in page["data"]]
        if len(seen) == 5:  # and the key of this test, which its people are told of
            break
        await asyncio.sleep(0.02)
    assert seen == [1, 2, 3, 4, 5]
    assert (page["head"], page["pruned"]) == (5, 0)


async def test_who_is_behind_what_was_pruned_is_told(server: Any, api: httpx.AsyncClient) -> None:
    database, clock = server.platform.database, server.platform.clock
    async with database.transaction() as tx:
        await bus.number(tx)
        now = await clock.now(tx)
    assert await bus.prune(database, before=now + timedelta(minutes=1)) >= 1
    answer = await api.get("/api/v3/events", params={"since": 0})
    assert (answer.status_code, answer.json()["error"]["code"]) == (410, "log_pruned")
    assert "since=2" in answer.json()["error"]["hint"]
    assert (await api.get("/api/v3/events", params={"since": 2})).status_code == 200

"""The log of webhooks and what is done with it over REST, with receivers on real sockets."""

import asyncio
from collections.abc import Callable

import httpx
import orjson
import pytest
from sqlalchemy import select

from api.masking import masked
from core import replays, webhooks
from core.models import AuditEntry
from core.settings import Settings
from fakes import FakeJobs
from receiving import Receiver, fine, receiver, saying
from serving import Server

BROKEN = saying(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\nsorry")
Made = dict[str, object]


@pytest.fixture
def settings(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """Receivers of ours are on this machine; a test marked `strict` is as everywhere else."""
    if "strict" in request.node.name:
        return settings
    return settings.model_copy(update={"webhook_networks": "127.0.0.0/8", "webhook_http": True})


async def _endpoint(api: httpx.AsyncClient, there: Receiver, **more: object) -> Made:
    body = {"url": there.url(), "events": ["contact.saved"], "schedule": [3600], **more}
    answer = await api.post("/api/v3/webhooks", json=body)
    assert answer.status_code == 201, answer.text
    made: Made = answer.json()
    return made


async def _people(api: httpx.AsyncClient, count: int) -> None:
    for number in range(count):
        body = {"phone": f"+96650000000{number}", "name": f"Person {number}"}
        assert (await api.post("/api/v3/contacts", json=body)).status_code == 201


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not is_so():  # noqa: ASYNC110 (a receiver on a socket has no event of ours)
            await asyncio.sleep(0.02)


async def _log(api: httpx.AsyncClient, count: int, **sought: object) -> list[Made]:
    async with asyncio.timeout(15):
        while True:
            found: list[Made] = (await api.get("/api/v3/webhooks/deliveries", params=sought)).json()["data"]  # type: ignore[arg-type]
            if len(found) == count:
                return found
            await asyncio.sleep(0.02)


async def test_what_failed_in_an_outage_is_counted_and_made_again_with_its_old_ids(
    api: httpx.AsyncClient, server: Server, jobs: FakeJobs
) -> None:
    async with receiver(BROKEN) as there:
        await _endpoint(api, there, schedule=[1])
        await _people(api, 3)
        failed = await _log(api, 3, webhook_id=1, state="failed")
        ids = {str(one["event_id"]) for one in failed}
        there.answering = fine
        one = failed[0]["id"]
        assert (await api.post(f"/api/v3/webhooks/deliveries/{one}/replay")).json()["id"] == one
        await _log(api, 1, webhook_id=1, state="delivered")
        seen = len(there.requests)
        for filters, number in (({}, 2), ({"state": None}, 3), ({"state": "delivered", "type": "message.sent"}, 0)):
            counted = await api.post("/api/v3/webhooks/1/replays/count", json=filters)
            assert counted.json() == {"count": number}
        replay = (await api.post("/api/v3/webhooks/1/replays", json={"state": None, "rate": 100})).json()
        assert (replay["total"], replay["done"], replay["state"]) == (3, 0, "running")
        await _until(lambda: any(one[0] == replays.REPLAY for one in jobs.started))
        while (wait_s := await replays.step(server.platform, replay["id"])) is not None:  # noqa: ASYNC110  as the flow does
            await asyncio.sleep(wait_s)
        await _until(lambda: len(there.requests) >= seen + 3)
        assert {one.headers["webhook-id"] for one in there.requests[seen:]} == ids
        done = (await api.get(f"/api/v3/webhooks/replays/{replay['id']}")).json()
        assert (done["state"], done["done"]) == ("finished", 3)
    async with server.platform.database.reading() as tx:
        noted = set((await tx.execute(select(AuditEntry.action))).scalars())
    assert {"create_replay", "replay_delivery"} <= noted


async def test_a_replay_that_is_cancelled_makes_no_more(api: httpx.AsyncClient, server: Server) -> None:
    async with receiver() as there:
        await _endpoint(api, there)
        await _people(api, 2)
        await _log(api, 2, state="delivered")
        replay = (await api.post("/api/v3/webhooks/1/replays", json={"state": None, "rate": 0.1})).json()
        assert (await replays.step(server.platform, replay["id"]) or 0) > 1
        path = f"/api/v3/webhooks/replays/{replay['id']}"
        assert (await api.post(f"{path}/cancel")).json()["state"] == "cancelled"
        assert await replays.step(server.platform, replay["id"]) is None
        assert (await api.get(path)).json()["done"] == 1
        assert [one["id"] for one in (await api.get("/api/v3/webhooks/1/replays")).json()["data"]] == [replay["id"]]
        assert (await api.post("/api/v3/webhooks/replays/99/cancel")).status_code == 404


async def test_strict_the_test_button_reaches_nobody_inside(api: httpx.AsyncClient, server: Server) -> None:
    """Registered while it was allowed, or by a name that leads elsewhere now: what counts is the moment of posting."""
    platform = server.platform
    once = Settings(webhook_networks="127.0.0.0/8", webhook_http=True).webhook_rules
    async with receiver() as there:
        async with platform.database.transaction() as tx:
            values = {"url": there.url(), "events": ["*"]}
            await webhooks.create(tx, platform.key, once, values, at=await platform.clock.now(tx))
            values = {"url": there.url(scheme="https"), "events": ["*"]}
            await webhooks.create(tx, platform.key, once, values, at=await platform.clock.now(tx))
        for webhook_id, error in ((1, "invalid_url"), (2, "forbidden_address")):
            told = (await api.post(f"/api/v3/webhooks/{webhook_id}/test")).json()
            assert (told["ok"], told["status"], told["error"]) == (False, None, error)
        old = await api.post("/api/webhooks/2/test")
        assert (old.status_code, old.json()["success"], "error" in old.json()) == (200, False, True)
        assert there.connections == 0


async def test_as_2_3_0_tested_and_logged_them(api: httpx.AsyncClient) -> None:
    async with receiver() as there:
        made = await api.post(
            "/api/webhooks", json={"url": there.url(), "events": ["client_connected"], "secret": "an-old-secret"}
        )
        assert made.status_code == 201
        well = (await api.post("/api/webhooks/1/test")).json()
        assert (well["success"], well["message"], well["statusCode"]) == (True, "Test webhook sent", 204)
        request = there.requests[0]
        assert request.headers["X-WaQtor-Event"] == "test"
        said = orjson.loads(request.body)
        assert list(said) == ["event", "timestamp", "data"]
        assert (said["event"], said["data"]["message"]) == ("test", "This is a test webhook from WaQtor")
        assert said["timestamp"].endswith("Z")
        there.answering = BROKEN
        broken = (await api.post("/api/webhooks/1/test")).json()
        assert (broken["success"], broken["statusCode"]) == (False, 500)
        newest, oldest = (await api.get("/api/webhooks/1/logs")).json()["data"]
        assert (oldest["event"], oldest["status"], oldest["statusCode"]) == ("test", "success", 204)
        assert (newest["status"], newest["error"]) == ("failed_final", "Request failed with status code 500")
        assert (await api.get("/api/webhooks/logs/all?status=success")).json()["data"] == [oldest]
        stats = (await api.get("/api/webhooks/stats/all")).json()["data"]
        assert (stats["total"], stats["success"], stats["successRate"]) == (2, 1, "50.00")
        assert (await api.post("/api/webhooks/none/test")).status_code == 404
        there.answering = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nkept")
        await api.post("/api/webhooks/1/test")
        newest, failed, _ = (await api.get("/api/webhooks/1/logs")).json()["data"]
        assert (newest["response"], "response" in failed, "error" in newest) == ("kept", False, False)


async def test_bodies_are_for_who_may_read_messages_and_numbers_for_who_may_see_them(server: Server) -> None:
    async with receiver() as there, server.client() as api:
        await _endpoint(api, there, fields=["name", "phone"])
        await _people(api, 1)
        (one,) = await _log(api, 1, state="delivered")
        path = f"/api/v3/webhooks/deliveries/{one['id']}"
        whole = (await api.get(path)).json()
        assert "+966500000000" in whole["body"]
        assert masked(whole["body"]).count("+9665•••••00") == 1
        async with server.client(await server.new_key("read")) as reader:
            assert (await reader.get(path)).json()["body"] == whole["body"]
            assert (await reader.post(f"{path}/replay")).status_code == 403
        missing = await api.get("/api/v3/webhooks/deliveries/999")
        assert (missing.status_code, missing.json()["error"]["field"]) == (404, "delivery_id")
        assert (await api.get("/api/v3/webhooks/deliveries?since=0.5")).status_code == 422
        first = (await api.get("/api/v3/webhooks/deliveries?limit=1")).json()
        rest = (await api.get(f"/api/v3/webhooks/deliveries?limit=1&cursor={first['next_cursor']}")).json()
        assert rest == {"data": [], "next_cursor": None}


async def test_the_log_is_forgotten_on_request(server: Server) -> None:
    async with receiver() as there, server.client() as api:
        await _endpoint(api, there)
        await api.post("/api/v3/webhooks/1/test")
        body = {"until": "2999-01-01T00:00:00Z", "webhook_id": 1}
        async with server.client(await server.new_key("read")) as reader:
            assert (await reader.post("/api/v3/webhooks/deliveries/purge", json=body)).status_code == 403
        answer = await api.post("/api/v3/webhooks/deliveries/purge", json=body)
        assert answer.json() == {"forgotten": 1, "may_have_more": False}
        assert (await api.get("/api/v3/webhooks/deliveries")).json()["data"] == []

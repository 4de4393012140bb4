"""Asking Prefect for a run: patient with a busy server, quick with a broken one, never twice with one key."""

import asyncio
import time

import pytest
import pytest_asyncio
from aiohttp import encode_basic_auth, web
from aiohttp.test_utils import TestServer

from connectors.jobs import PrefectJobs
from core.ports import JobsUnavailable


class FakePrefect:
    """As much of Prefect's API as a start touches. `busy` calls are answered 503 first."""

    def __init__(self) -> None:
        self.busy = 0
        self.failing = 0
        self.auth = ""
        self.calls: list[str] = []
        self.runs: dict[str, dict] = {}
        self.hang_s = 0.0
        self.waiting: set[str] = set()

    async def handle(self, request: web.Request) -> web.Response:
        self.calls.append(request.method)
        await asyncio.sleep(self.hang_s)
        if self.auth and request.headers.get("Authorization") != self.auth:
            return web.Response(status=401)
        if self.busy > 0:
            self.busy -= 1
            return web.json_response({"exception_message": "database is locked"}, status=503)
        if self.failing:
            return web.Response(status=self.failing, text="no")
        if request.path == "/api/deployments/name/send-campaign/send-campaign":
            return web.json_response({"id": "d-1", "name": "send-campaign"})
        if request.path == "/api/flow_runs/count":
            asked = await request.json()
            return web.json_response(len(self.waiting.intersection(asked["flow_runs"]["tags"]["all_"])))
        if request.path == "/api/deployments/d-1/create_flow_run":
            body = await request.json()
            run = self.runs.setdefault(body["idempotency_key"], body)
            return web.json_response({"id": "run", **run}, status=201)
        return web.json_response({"detail": "Deployment not found"}, status=404)


@pytest_asyncio.fixture
async def prefect():
    fake = FakePrefect()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.handle)
    server = TestServer(app)
    await server.start_server()
    fake.url = f"http://127.0.0.1:{server.port}/api"
    yield fake
    await server.close()


@pytest_asyncio.fixture
async def jobs(prefect):
    prefect_jobs = PrefectJobs(prefect.url, patience_s=1)
    yield prefect_jobs
    await prefect_jobs.close()


START = ("send-campaign/send-campaign", {"campaign_id": 7})


async def test_run_is_scheduled_with_its_parameters(jobs, prefect):
    await jobs.start(*START, key="campaign-7-1", about="campaign:7")
    assert prefect.runs == {
        "campaign-7-1": {
            "state": {"type": "SCHEDULED"},
            "parameters": {"campaign_id": 7},
            "idempotency_key": "campaign-7-1",
            "tags": ["campaign:7"],
        }
    }


async def test_no_second_run_while_one_of_the_same_campaign_waits_for_its_start(jobs, prefect):
    prefect.waiting = {"campaign:7"}
    await jobs.start(*START, key="k", about="campaign:7")
    await jobs.start(*START, key="l", about="campaign:8")
    assert set(prefect.runs) == {"l"}


async def test_busy_prefect_is_asked_again_with_the_same_key(jobs, prefect):
    prefect.busy = 3
    await jobs.start(*START, key="k", about="campaign:7")
    assert list(prefect.runs) == ["k"]
    assert len(prefect.calls) == 6


async def test_prefect_that_stays_busy_is_left_to_the_sweep(jobs, prefect):
    prefect.busy = 1000
    started = time.monotonic()
    with pytest.raises(JobsUnavailable):
        await jobs.start(*START, key="k", about="campaign:7")
    assert 0.4 < time.monotonic() - started < 2
    assert len(prefect.calls) < 50


async def test_repeating_gives_one_run(jobs, prefect):
    await jobs.start(*START, key="k", about="campaign:7")
    await jobs.start(*START, key="k", about="campaign:7")
    assert len(prefect.runs) == 1


@pytest.mark.parametrize("status", [400, 404, 409, 422, 500, 302])
async def test_other_refusal_is_not_repeated(jobs, prefect, status):
    prefect.failing = status
    with pytest.raises(JobsUnavailable, match=str(status)):
        await jobs.start(*START, key="k", about="campaign:7")
    assert prefect.calls == ["GET"]


async def test_unknown_deployment(jobs):
    with pytest.raises(JobsUnavailable, match="404"):
        await jobs.start("other/flow", {}, key="k", about="campaign:7")


async def test_silent_prefect(jobs, prefect):
    prefect.hang_s = 5
    with pytest.raises(JobsUnavailable, match="TimeoutError"):
        await jobs.start(*START, key="k", about="campaign:7")


async def test_stopped_prefect():
    jobs = PrefectJobs("http://127.0.0.1:9/api", patience_s=1)
    with pytest.raises(JobsUnavailable, match="reached"):
        await jobs.start(*START, key="k", about="campaign:7")
    await jobs.close()


async def test_password(prefect):
    prefect.auth = encode_basic_auth("admin", "secret")
    open_jobs, closed_jobs = PrefectJobs(prefect.url, auth="admin:secret"), PrefectJobs(prefect.url)
    await open_jobs.start(*START, key="k", about="campaign:7")
    with pytest.raises(JobsUnavailable, match="401"):
        await closed_jobs.start(*START, key="k", about="campaign:7")
    await open_jobs.close()
    await closed_jobs.close()


async def test_usable_again_after_close(jobs, prefect):
    await jobs.start(*START, key="a", about="campaign:7")
    await jobs.close()
    await jobs.start(*START, key="b", about="campaign:7")
    assert set(prefect.runs) == {"a", "b"}

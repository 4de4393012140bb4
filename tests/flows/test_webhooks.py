"""What the API process left is delivered each minute; a replay, by the real flow, killed in the middle, goes on."""

import asyncio
import logging
import subprocess
from collections import Counter
from contextlib import suppress
from datetime import timedelta

import psutil
import pytest
from sqlalchemy import select, update

import scenes
from conftest import with_settings
from core import delivery_rows, replays, webhooks
from core.bootstrap import Platform
from core.discreet import Discreet
from core.models import Delivery, WebhookReplay
from core.settings import Settings
from core.webhook_events import Fact
from fakes import FakeClock, FakeJobs, FakePoster
from flows import runtime
from flows.serve import each
from flows.webhooks import retry
from prefecting import ask, until, worker
from receiving import receiver
from scheduling import opened, wait_until_served

_COUNT = 30


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_replay_killed_in_the_middle_goes_on_where_it_was(prefect: Settings) -> None:
    with worker(prefect) as process:
        wait_until_served(prefect)
        replay_id = asyncio.run(_asked(prefect))
        until(lambda: _done(prefect, replay_id) == 25, "first step")
        run = until(lambda: _process_of(process, _run_id(prefect)), "process of the run")
        run.kill()
        run.wait(20)
    assert asyncio.run(_swept(prefect, replay_id)), "found, and another run asked for"
    assert _done(prefect, replay_id) == _COUNT, "the sweep made the next step by itself"
    assert ask(prefect, "flow_runs/count", flows={"name": {"any_": ["webhook-replay"]}}) == 2
    assert asyncio.run(_swept(prefect, replay_id)), "and the last"
    assert asyncio.run(_replay(prefect, replay_id)).state == "finished"
    assert asyncio.run(_states(prefect)) == {("waiting", 0): _COUNT}, "each was given out once"


async def _asked(settings: Settings) -> int:
    """Of deliveries that were made. The endpoint is off, so none of those given out leaves."""
    platform = await opened(settings)
    webhook = await scenes.a_webhook(platform, events=["contact.opted_out"])
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        facts = [Fact("contact.opted_out", {"contact_id": one, "source": "x"}) for one in range(_COUNT)]
        await delivery_rows.insert(tx, [delivery_rows.row(webhook.id, fact) for fact in facts], at=now)
    await scenes.couriered(platform, FakePoster())
    async with platform.database.transaction() as tx:
        await webhooks.disable(tx, webhook.id, at=now)
        replay = await replays.ask(tx, replays.Wanted(webhook.id, states=["delivered"]), per_s=5, at=now)
    await platform.jobs.start(replays.REPLAY, {"replay_id": replay.id}, key=f"replay {replay.id}", about="replay")
    await platform.close()
    return replay.id


async def _swept(settings: Settings, replay_id: int) -> bool:
    """As if nobody had been at it for two minutes."""
    platform = await opened(settings)
    async with platform.database.transaction() as tx:
        ago = await platform.clock.now(tx) - timedelta(minutes=2)
        await tx.execute(update(WebhookReplay).where(WebhookReplay.id == replay_id).values(next_at=ago))
    swept = await retry(platform)
    await platform.close()
    return swept == {"attempts": 0, "replays": 1}


async def _replay(settings: Settings, replay_id: int) -> WebhookReplay:
    platform = await opened(settings)
    async with platform.database.reading() as tx:
        found = await replays.get(tx, replay_id)
    await platform.close()
    return found


def _done(settings: Settings, replay_id: int) -> int:
    return asyncio.run(_replay(settings, replay_id)).done


async def _states(settings: Settings) -> Counter[tuple[str, int]]:
    platform = await opened(settings)
    async with platform.database.reading() as tx:
        rows = (await tx.execute(select(Delivery.state, Delivery.tries))).all()
    await platform.close()
    return Counter((row.state, row.tries) for row in rows)


def _run_id(settings: Settings) -> str:
    """Sweeps and other campaigns have runs too."""
    (run,) = ask(settings, "flow_runs/filter", flows={"name": {"any_": ["webhook-replay"]}})
    return str(run["id"])


def _process_of(process: subprocess.Popen[bytes], run_id: str) -> psutil.Process | None:
    for child in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.Error):  # others end meanwhile
            if child.environ().get("PREFECT__FLOW_RUN_ID") == run_id:
                return child
    return None


_HERE = {"webhook_networks": "127.0.0.0/8", "webhook_http": True}


async def test_what_is_overdue_is_delivered_and_a_broken_replay_keeps_nothing(
    platform: Platform, clock: FakeClock, jobs: FakeJobs
) -> None:
    here = with_settings(platform, **_HERE)
    async with receiver() as there:
        webhook = await scenes.a_webhook(here, there.url(), events=["contact.opted_out"])
        await scenes.told(here, webhook, 1)
        await scenes.couriered(here, FakePoster())
        async with here.database.transaction() as tx:
            now = await here.clock.now(tx)
            broken = await replays.ask(tx, replays.Wanted(webhook.id, states=["delivered"]), at=now)
            whole = await replays.ask(tx, replays.Wanted(webhook.id, states=["delivered"]), at=now)
            await tx.execute(update(WebhookReplay).where(WebhookReplay.id == broken.id).values(wanted={}))
        clock.advance(seconds=70)
        await scenes.told(here, webhook, 2)
        assert await retry(here) == {"attempts": 0, "replays": 2}, "the API process may still deliver it"
        clock.advance(seconds=31)
        assert (await retry(here))["attempts"] == 2, "and what the replay gave out"
        assert len(there.requests) == 2
    async with here.database.reading() as tx:
        assert (await replays.get(tx, whole.id)).done == 1
        assert set((await tx.execute(select(Delivery.state))).scalars()) == {"delivered"}


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_without_an_api_process_the_flows_process_delivers(prefect: Settings) -> None:
    settings = Settings(**{**prefect.model_dump(exclude_unset=True), **_HERE})
    async with receiver() as there:
        with worker(settings):
            platform = await opened(settings)
            webhook = await scenes.a_webhook(platform, there.url(), events=["contact.opted_out"])
            await scenes.told(platform, webhook, 1)
            async with platform.database.transaction() as tx:
                ago = await platform.clock.now(tx) - timedelta(seconds=31)
                theirs = update(Delivery).where(Delivery.webhook_id == webhook.id)
                await tx.execute(theirs.values(next_at=ago))
            async with asyncio.timeout(60):
                while not there.requests:  # noqa: ASYNC110  it is another process's
                    await asyncio.sleep(0.1)
            await platform.close()


async def test_the_minute_begins_each_minute_however_long_it_takes() -> None:
    begun: list[float] = []
    now = asyncio.get_running_loop().time
    start = now()
    async for _ in each(0.2):
        begun.append(now() - start)
        await asyncio.sleep(0.15 if len(begun) < 4 else 0.5)
        if len(begun) == 6:
            break
    assert all(abs(one - due) < 0.1 for one, due in zip(begun, (0.2, 0.4, 0.6, 0.8, 1.3, 1.8), strict=True))


async def test_no_flow_logs_a_secret(prefect: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefect brings handlers of its own, which also send what is logged to its server."""
    monkeypatch.setenv("WAQTOR_DATA_DIR", str(prefect.data_dir))
    async with runtime.opened():
        for name in (None, "prefect.flow_runs", "prefect.task_runs"):
            assert all(isinstance(one.formatter, Discreet) for one in logging.getLogger(name).handlers)

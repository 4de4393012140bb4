"""A replay by the real flow, killed in the middle, and gone on with by the sweep, which asks for another run too."""

import asyncio
import subprocess
from collections import Counter
from contextlib import suppress
from datetime import timedelta

import psutil
import pytest
from sqlalchemy import select, update

import scenes
from core import delivery_rows, replays, webhooks
from core.models import Delivery, WebhookReplay
from core.settings import Settings
from core.webhook_events import Fact
from fakes import FakePoster
from flows.webhooks import retry
from prefecting import ask, until, worker
from scheduling import opened, wait_until_served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_COUNT = 30


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

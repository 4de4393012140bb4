"""What the API process left undelivered, each minute by the same turns; and deliveries made again, at a pace."""

import asyncio
import logging
from contextlib import suppress
from datetime import datetime

from prefect import flow

from connectors import choose
from core import courier, replays
from core.bootstrap import Platform
from core.ports import JobsUnavailable
from core.replays import REPLAY
from flows import runtime

logger = logging.getLogger(__name__)


@flow(name="webhook-retry", flow_run_name="webhook retry")
async def webhook_retry() -> dict[str, int]:
    """Deliver what is overdue, and see to the replays that nobody is at."""
    async with runtime.opened() as platform:
        return await retry(platform)


async def retry(platform: Platform) -> dict[str, int]:
    """What is overdue first. A replay that breaks keeps neither that nor the next one."""
    poster = choose.poster(platform.settings)
    try:
        attempts = await courier.sweep(platform, poster)
    finally:
        await poster.close()
    async with platform.database.reading() as tx:
        now = await platform.clock.now(tx)
        forgotten = await replays.forgotten(tx, at=now)
    for replay_id in forgotten:
        try:
            await _go_on(platform, replay_id, now=now)
        except Exception:  # the next minute finds it again
            logger.exception("replay_broke replay=%s", replay_id)
    return {"attempts": attempts, "replays": len(forgotten)}


async def _go_on(platform: Platform, replay_id: int, *, now: datetime) -> None:
    await replays.step(platform, replay_id)
    with suppress(JobsUnavailable):
        key = f"webhook-replay:{replay_id}:{now:%Y%m%d%H%M}"
        await platform.jobs.start(REPLAY, {"replay_id": replay_id}, key=key, about=f"webhook replay {replay_id}")


@flow(name="webhook-replay", flow_run_name="webhook replay {replay_id}")
async def webhook_replay(replay_id: int) -> dict[str, int]:
    """Give out the deliveries of this replay to be made again. Killed, it goes on where it was."""
    async with runtime.opened() as platform:
        while (wait_s := await replays.step(platform, replay_id)) is not None:  # noqa: ASYNC110  it is in the database
            await asyncio.sleep(wait_s)
        async with platform.database.reading() as tx:
            replay = await replays.get(tx, replay_id)
            return {"done": replay.done, "total": replay.total}

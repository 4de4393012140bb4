"""All deployments and their schedules in one table; this process waits for runs and starts them."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import httpx
from prefect.deployments.runner import RunnerDeployment
from prefect.runner import Runner
from prefect.schedules import Interval
from prefect.types.entrypoint import EntrypointType

from core import discreet, runs
from core.settings import Settings
from flows import leaving, runtime
from flows.campaigns import send_campaign, sweep_campaigns
from flows.housekeeping import housekeeping, sync_templates
from flows.missed import forget_missed_runs
from flows.webhooks import retry, webhook_replay, webhook_retry

_SHOWN_S = 15.0
"""A run that tells of a sweep has so long. Where its server went meanwhile, Prefect's client tries to reach it for more
than a minute, in which nothing that is due would begin."""
_TOLD_EACH_S = 300.0
_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0  # a server may also answer and refuse, say after its password was changed
_RUNS_AT_ONCE = 20  # each is a process of about 150 MB
logger = logging.getLogger(__name__)


async def deployments() -> list[RunnerDeployment]:
    """By module path: a file path would put flows/ itself on sys.path and make every module exist twice."""
    kind = EntrypointType.MODULE_PATH
    return [
        await send_campaign.ato_deployment("send-campaign", entrypoint_type=kind),
        await sweep_campaigns.ato_deployment("sweep-campaigns", entrypoint_type=kind),  # to sweep now, by hand
        await housekeeping.ato_deployment("housekeeping", schedule=Interval(timedelta(hours=1)), entrypoint_type=kind),
        await webhook_replay.ato_deployment("webhook-replay", entrypoint_type=kind),
        await webhook_retry.ato_deployment("webhook-retry", entrypoint_type=kind),  # by hand; see retry_forever
        await sync_templates.ato_deployment(
            "sync-templates", schedule=Interval(timedelta(hours=1)), entrypoint_type=kind
        ),
    ]


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM."""
    discreet.make_all_discreet()
    work = asyncio.create_task(_all_of_it(settings))
    with leaving.ended_by_sigterm(work, first=leaving.end_runs_and_leave), suppress(asyncio.CancelledError):
        await work


async def _all_of_it(settings: Settings) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(serve_forever(settings))
        group.create_task(sweep_forever(settings))
        group.create_task(retry_forever(settings))


async def serve_forever(settings: Settings) -> None:
    """Prefect's runner gives up, in one of several ways, when its server is away for long. The sweep is to go on
    meanwhile, and the runner is to be back with the server."""
    pause_s = _PAUSE_S
    while True:
        await _until_it_answers(settings)
        began = time.monotonic()
        running = asyncio.create_task(_run(settings))
        try:
            await asyncio.wait({running})
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        logger.warning("prefect_lost", exc_info=None if running.cancelled() else running.exception())
        await asyncio.sleep(pause_s)
        ran_well = time.monotonic() - began > _LONGEST_PAUSE_S
        pause_s = _PAUSE_S if ran_well else min(2 * pause_s, _LONGEST_PAUSE_S)


async def _until_it_answers(settings: Settings) -> None:
    told = -math.inf
    while not await asyncio.to_thread(_answers, settings):
        if (now := time.monotonic()) - told > _TOLD_EACH_S:
            logger.warning("prefect_away address=%s", settings.prefect_api_url)
            told = now
        await asyncio.sleep(0.5)


def _answers(settings: Settings) -> bool:
    try:
        return httpx.get(f"{settings.prefect_api_url}/health", timeout=2).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


class _Runner(Runner):
    """Prefect's own kills its runs when it gives up. Here they go on until the server is back, and then end in order:
    nobody knows any more of those runs, and the sweep starts others."""

    def __init__(self, settings: Settings) -> None:
        # By default it would stop the schedules silently when it ends, until somebody resumes them.
        super().__init__(pause_on_shutdown=False, limit=_RUNS_AT_ONCE)
        self._settings = settings

    def handle_sigterm(self, *_: object, **__: object) -> None:
        """That is for this process (see `leaving`)."""

    async def __aexit__(self, *why: Any) -> None:
        try:
            if not isinstance(why[1], asyncio.CancelledError):
                await _until_it_answers(self._settings)
            await leaving.end_runs()
        finally:
            await super().__aexit__(*why)


async def _run(settings: Settings) -> None:
    if forgotten := await forget_missed_runs():
        logger.info("missed_runs_forgotten count=%s", forgotten)
    runner = _Runner(settings)
    for deployment in await deployments():
        await runner.aadd_deployment(deployment)
    await runner.start()


async def sweep_forever(settings: Settings) -> None:
    """Sweep in this process, from its start on. As runs of their own, sweeps would each cost four seconds of a core
    to start, and on a slow machine pile up until no campaign finds a place (docs/decisions/0009). Without a run to
    show while Prefect is down: what is due begins on time all the same, and is sent once Prefect is back."""
    shown: asyncio.Task[object] | None = None
    try:
        while True:
            try:
                if shown is None and await asyncio.to_thread(_answers, settings):
                    shown = asyncio.create_task(sweep_campaigns())
                if shown is not None:
                    await asyncio.wait({shown}, timeout=_SHOWN_S)
                if shown is not None and shown.done():
                    done, shown = shown, None
                    done.result()
                else:
                    async with runtime.opened() as platform:
                        await runs.sweep(platform)
            except Exception:  # Prefect or the database may be restarting; the next sweep does the same
                logger.exception("sweep_failed")
            await asyncio.sleep(settings.sweep_interval_s)
    finally:
        if shown is not None:
            shown.cancel()


async def retry_forever(settings: Settings) -> None:
    """Each minute, in this process, as the sweep and for the same reason; beside it, since receivers may be slow. A run
    is shown only where it is asked for in Prefect: most of them have nothing to do."""
    async for _ in each(settings.sweep_interval_s):
        try:
            async with runtime.opened() as platform:
                await retry(platform)
        except Exception:  # the database may be restarting; the next does the same
            logger.exception("webhook_retry_failed")


async def each(interval_s: float) -> AsyncIterator[None]:
    """From one interval after the start on, however long what is done in between takes; what is missed is left out."""
    now = asyncio.get_running_loop().time
    due = now()
    while True:
        due = max(due + interval_s, now())
        await asyncio.sleep(due - now())
        yield

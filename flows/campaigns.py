"""Campaigns as Prefect runs: one run per campaign, one task per batch, and the sweep behind them."""

import asyncio
import logging

from prefect import flow, get_run_logger, task
from prefect.artifacts import acreate_progress_artifact, acreate_table_artifact, aupdate_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from core import appointments, campaigns, outcomes, runs, schedules, settling
from core.dispatch import Rest
from core.outcomes import Progress
from core.runs import Run
from flows import runtime

_CLOCKS_APART_S = 30.0
_SHOW_S = 5.0
logger = logging.getLogger(__name__)


@flow(name="send-campaign", flow_run_name="campaign-{campaign_id}", validate_parameters=True)
async def send_campaign(campaign_id: int, occurrence: int | None = None) -> State:
    """Send one campaign: plan its recipients, hand over batch after batch, show how far it is. With `occurrence`:
    begin that one first, if it is due now."""
    async with runtime.opened() as platform:
        await settling.reconcile(platform)
        if occurrence is not None:
            wait_s = await appointments.began(platform, campaign_id, occurrence, job_id=str(flow_run.id))
            if wait_s > _CLOCKS_APART_S:
                return Completed(message="Nothing to do: it is due at another time.")
            await asyncio.sleep(wait_s)
            await schedules.launch_due(platform)
        run = await Run.opened(platform, campaign_id)
        if run is None:
            return Completed(message="Nothing to do: it is not running, or another run sends it.")
        shown = await acreate_progress_artifact(0.0, key=f"campaign-{campaign_id}", description="recipients done")
        planning = asyncio.create_task(plan_recipients(run))
        showing = asyncio.create_task(_keep_showing(shown, run))  # beside it: sending does not wait for Prefect
        try:
            rest = await send_batch(run)
            while await run.has_more(rest):
                rest = await send_batch(run)
            await planning
        finally:
            planning.cancel()
            showing.cancel()
            await asyncio.gather(planning, showing, return_exceptions=True)
            finished = await run.close()
        await runs.show_next_start(platform, campaign_id)
        progress = await _progress(run)
        await _show(shown, progress)
        await _show_result(campaign_id, progress)
    return Completed(message="Finished." if finished else f"Stopped sending: {rest.why}.")


@task(task_run_name="plan recipients", cache_policy=NO_CACHE)
async def plan_recipients(run: Run) -> None:
    await run.plan()


@task(task_run_name="send a batch", cache_policy=NO_CACHE)
async def send_batch(run: Run) -> Rest:
    rest = await run.send_batch()
    get_run_logger().info("%s handed over, stopped by %s", rest.handed_over, rest.why)
    return rest


@flow(name="sweep-campaigns", flow_run_name="sweep")
async def sweep_campaigns() -> list[int]:
    """Find campaigns whose run died or never started, settle what they left, and start them again."""
    async with runtime.opened() as platform:
        return list(await runs.sweep(platform))


async def _progress(run: Run) -> Progress:
    async with run.platform.database.reading() as tx:
        campaign = await campaigns.get(tx, run.campaign_id)
        return await outcomes.progress(tx, run.campaign_id, occurrence=campaign.occurrence)


async def _keep_showing(artifact_id: object, run: Run) -> None:
    while True:
        await asyncio.sleep(_SHOW_S)
        try:
            await _show(artifact_id, await _progress(run))
        except Exception:  # Prefect or the database may be restarting; the next look is soon
            logger.exception("progress_not_shown campaign=%s", run.campaign_id)


async def _show(artifact_id: object, progress: Progress) -> None:
    done = progress.total - progress.queued - progress.sending
    await aupdate_progress_artifact(artifact_id, progress=100.0 * done / max(1, progress.total))  # type: ignore[arg-type]


async def _show_result(campaign_id: int, progress: Progress) -> None:
    rows = [("sent", "", progress.sent), ("delivered", "", progress.delivered), ("read", "", progress.read)]
    rows += [("replied", "", progress.replied), ("queued", "", progress.queued), ("sending", "", progress.sending)]
    rows += [("held out", "", progress.held_out)] if progress.held_out else []
    for outcome in ("failed", "skipped", "unknown"):
        rows += [(outcome, reason, number) for reason, number in getattr(progress, outcome).items()]
    await acreate_table_artifact(
        [{"outcome": outcome, "reason": reason, "recipients": number} for outcome, reason, number in rows],
        key=f"campaign-{campaign_id}-result",
        description="What had become of every recipient when this run ended; receipts that came later are in the API.",
    )

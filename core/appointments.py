"""Each scheduled occurrence as a run that the orchestrator shows, and operators can shift or cancel there.

Our rows say what is due, and nothing that is sent waits for this. It is brought in line with each sweep, both ways.
A run that is not there any more was deleted by somebody, or with the whole memory of the orchestrator; so a mark is
left in that memory, anew with each change, and only where it is the last one left does a missing run mean that
somebody deleted it.
"""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update

from core import campaigns, occurrences, schedules
from core.bootstrap import Platform
from core.database import Tx
from core.models import Installation, Occurrence
from core.ports import Job, JobsUnavailable

SEND = "send-campaign/send-campaign"
"""The deployment that sends a campaign, as `flow/deployment`."""
CANCELLED_THERE = "cancelled_in_prefect"
SHIFTED_THERE = "moved_in_prefect"
_SOON = timedelta(seconds=30)  # a run that is about to start is not asked for, and not looked at
logger = logging.getLogger(__name__)


async def reconcile(platform: Platform) -> None:
    """Bring both sides in line; safe at any time and twice at once. Logs, and does nothing, while it is down."""
    async with platform.database.reading() as tx:
        rows = await tx.execute(
            select(Occurrence)
            .where(or_(Occurrence.state == occurrences.SCHEDULED, Occurrence.job_id.is_not(None)))
            .order_by(Occurrence.id)
        )
        ours = rows.scalars().all()
        mark = (await tx.execute(select(Installation.jobs_mark))).scalar()
    if not ours:
        return
    try:
        is_known = mark is not None and mark == await platform.jobs.mark(SEND)
        jobs = await platform.jobs.find([one.job_id for one in ours if one.job_id is not None])
        changed = [await _one(platform, one, jobs, is_known=is_known) for one in ours]
        if any(changed) or not is_known:
            left = await platform.jobs.leave_mark(SEND)
            async with platform.database.transaction() as tx:
                await tx.execute(update(Installation).values(jobs_mark=left))
    except JobsUnavailable as unavailable:
        logger.warning("schedules_not_reconciled reason=%s", unavailable)


async def _one(platform: Platform, seen: Occurrence, jobs: Mapping[str, Job], *, is_known: bool) -> bool:
    """Whether something was written there."""
    job = jobs.get(seen.job_id) if seen.job_id is not None else None
    if seen.state != occurrences.SCHEDULED:
        if job is not None and job.state == "scheduled":
            await platform.jobs.cancel(job.id, why=f"The occurrence is {seen.state}. {seen.reason}".strip())
        await _note(platform, seen, None)
        return job is not None
    if job is None:
        if seen.job_id is not None and is_known:
            await _take_over(platform, seen, job)
            return False
        return await _ask(platform, seen, turn=seen.job_turn or 1)
    match job.state:
        case "scheduled" if job.due_at != seen.job_due_at and seen.due_at == seen.job_due_at:
            await _take_over(platform, seen, job)
        case "scheduled" if seen.due_at != seen.job_due_at:
            await platform.jobs.move(job.id, due_at=seen.due_at)
            await _note(platform, seen, Job(job.id, job.state, seen.due_at))
            return True
        case "cancelled":
            await _take_over(platform, seen, job)
        case "over":
            return await _ask(platform, seen, turn=seen.job_turn + 1)  # it found that nothing was due
        case _:
            pass
    return False


async def _ask(platform: Platform, seen: Occurrence, *, turn: int) -> bool:
    async with platform.database.reading() as tx:
        if seen.due_at <= await platform.clock.now(tx) + _SOON:
            return False  # the sweep starts it
    key = f"campaign:{seen.campaign_id}:occurrence:{seen.number}"
    job = await platform.jobs.schedule(
        SEND,
        {"campaign_id": seen.campaign_id, "occurrence": seen.number},
        key=key if turn == 1 else f"{key}:{turn}",
        about=key,
        due_at=seen.due_at,
    )
    await _note(platform, seen, Job(job.id, job.state, seen.due_at), turn=turn)
    return True


async def _note(platform: Platform, seen: Occurrence, job: Job | None, *, turn: int | None = None) -> None:
    """Which run stands for it, and the time agreed; unless somebody else has changed that since it was seen."""
    noted = {"job_id": job and job.id, "job_due_at": job and job.due_at, "job_turn": turn or seen.job_turn}
    same = Occurrence.job_id.is_(None) if seen.job_id is None else Occurrence.job_id == seen.job_id
    async with platform.database.transaction() as tx:
        await tx.execute(update(Occurrence).where(Occurrence.id == seen.id, same).values(**noted))


async def _take_over(platform: Platform, seen: Occurrence, job: Job | None) -> None:
    """What an operator did to the run counts for the occurrence, if that is still as it was seen."""
    async with platform.database.transaction() as tx:
        campaign = await campaigns.get(tx, seen.campaign_id, lock=True)
        occurrence = await occurrences.get(tx, seen.campaign_id, seen.number)
        await tx.refresh(occurrence)
        now = await platform.clock.now(tx)
        is_same = (occurrence.job_id, occurrence.due_at) == (seen.job_id, seen.due_at)
        if not is_same or occurrence.state != occurrences.SCHEDULED:
            return
        if job is not None and job.state == "scheduled" and job.due_at is not None:
            if max(job.due_at, occurrence.due_at) <= now:
                return  # due on both sides: nothing is shifted
            await _shift(tx, occurrence, job.due_at, at=now)
            return
        occurrence.job_id = None
        await schedules.cancel_one(tx, campaign, occurrence, reason=CANCELLED_THERE, at=now)


async def _shift(tx: Tx, occurrence: Occurrence, due_at: datetime, *, at: datetime) -> None:
    occurrence.job_due_at = max(due_at, at)  # into the past means now: it is no occurrence that was missed
    await occurrences.put_off(tx, occurrence, occurrence.job_due_at, reason=SHIFTED_THERE, at=at)


async def began(platform: Platform, campaign_id: int, number: int, *, job_id: str) -> float:
    """The run that stands for this occurrence has started. Returns the seconds until it is due: where that is
    more than a moment although both sides had agreed, somebody has started it early, and it is due now."""
    async with platform.database.transaction() as tx:
        await campaigns.get(tx, campaign_id, lock=True)
        occurrence = await occurrences.waiting(tx, campaign_id)
        if occurrence is None or (occurrence.number, occurrence.job_id) != (number, job_id):
            return 0.0
        now = await platform.clock.now(tx)
        early = occurrence.due_at - now
        if early > _SOON and occurrence.due_at == occurrence.job_due_at:
            await _shift(tx, occurrence, now, at=now)
            return 0.0
        return max(0.0, early.total_seconds())

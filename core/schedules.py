"""When a campaign is due, and starting it then. Our rows say so; the orchestrator shows them (core/appointments.py)."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select

from core import audiences, audit, campaigns, occurrences, recurrence, senders
from core.audit import Happened
from core.bootstrap import Platform
from core.database import Tx
from core.errors import Conflict, Invalid, NotFound, WaqtorError
from core.models import Campaign, Occurrence, Schedule
from core.recurrence import Times

_AT_ONCE = 100  # missed ones per transaction, after a long time off
_CHANGEABLE = (campaigns.DRAFT, campaigns.SCHEDULED)


def asked(
    *,
    at: datetime | None = None,
    cron: str | None = None,
    rrule: str | None = None,
    timezone: str,
    now: datetime,
) -> Times:
    """One of the three; raises `Invalid`."""
    if sum(one is not None for one in (at, cron, rrule)) != 1:
        raise Invalid("A schedule is one of at, cron and rrule.", field="at", hint='{"cron": "0 9 * * MON"}')
    if at is not None:
        return recurrence.once(at, timezone, now=now)
    if cron is not None:
        return recurrence.cron(cron, timezone, now=now)
    return recurrence.recurring(rrule or "", timezone, now=now)


async def put(tx: Tx, campaign_id: int, times: Times, *, include_earlier: bool | None, at: datetime) -> Schedule:
    """Schedule the campaign, or change its schedule; one that recurs has to say whether it `include_earlier`s, that
    is, writes again to who had an earlier occurrence. What runs already goes on as it began."""
    if times.recurs and include_earlier is None:
        raise Invalid(
            "Are people who had an earlier occurrence written to again?",
            field="include_earlier",
            hint="true: each time to the whole audience; false: to each person once.",
        )
    campaign = await campaigns.get(tx, campaign_id, lock=True)
    schedule = await tx.get(Schedule, campaign_id)
    if campaign.state not in _CHANGEABLE and (schedule is None or campaign.state in campaigns.OVER):
        raise Conflict(f"Campaign {campaign_id} is {campaign.state}; a draft can be scheduled.", field="state")
    due_at = times.after(at)
    if due_at is None:
        raise Invalid("This is never due.", field=times.kind)
    await audiences.check(tx, campaign.audience)
    if schedule is None:
        schedule = Schedule(campaign_id=campaign_id, created_at=at)
        tx.add(schedule)
    schedule.kind, schedule.rule, schedule.timezone = times.kind, times.rule, times.zone
    schedule.starts_at, schedule.include_earlier = times.start, include_earlier is not False
    await tx.flush()
    occurrence = await occurrences.waiting(tx, campaign_id)
    if occurrence is None:
        await occurrences.add(tx, campaign, due_at=due_at, include_earlier=schedule.include_earlier, at=at)
    else:
        occurrence.planned_at, occurrence.include_earlier = due_at, schedule.include_earlier
        await occurrences.put_off(tx, occurrence, due_at, reason="rescheduled", at=at)
    if campaign.state == campaigns.DRAFT:
        await campaigns.rest(tx, campaign, at=at)
    return schedule


async def remove(tx: Tx, campaign_id: int, *, at: datetime) -> Campaign:
    """Nothing starts by itself any more; what runs goes on. Raises `NotFound` where there is no schedule."""
    campaign = await campaigns.get(tx, campaign_id, lock=True)
    await tx.delete(await get(tx, campaign_id))
    if (occurrence := await occurrences.waiting(tx, campaign_id)) is not None:
        await occurrences.settle(tx, occurrence, occurrences.CANCELLED, reason="unscheduled", at=at)
    await tx.flush()
    await _let_rest(tx, campaign, at=at)
    return campaign


async def get(tx: Tx, campaign_id: int) -> Schedule:
    schedule = await tx.get(Schedule, campaign_id)
    if schedule is None:
        await campaigns.get(tx, campaign_id)
        raise NotFound(f"Campaign {campaign_id} has no schedule.", field="campaign_id")
    return schedule


def times(schedule: Schedule) -> Times:
    kind: recurrence.Kind = schedule.kind  # type: ignore[assignment]  # written by `put`
    return Times(kind, schedule.rule, schedule.timezone, schedule.starts_at)


# ---- starting what is due -----------------------------------------------------------------------------------


async def launch_due(platform: Platform) -> Sequence[int]:
    """Start what is due, and say of what cannot start any more that it was missed; returns the campaigns started.
    Safe at any time and twice at once: each campaign's row is locked, and what is done is in one transaction."""
    started = []
    while True:
        async with platform.database.reading() as tx:
            now = await platform.clock.now(tx)
            due = (
                select(Occurrence.campaign_id)
                .where(Occurrence.state == occurrences.SCHEDULED, Occurrence.due_at <= now)
                .order_by(Occurrence.due_at, Occurrence.id)
            )
            campaign_ids = (await tx.execute(due)).scalars().all()
        more = False
        for campaign_id in campaign_ids:
            async with platform.database.transaction() as tx:
                done, has_started = await _take_turn(tx, platform, campaign_id)
            started += [campaign_id] if has_started else []
            more = more or done == _AT_ONCE
        if not more:
            return started


async def _take_turn(tx: Tx, platform: Platform, campaign_id: int) -> tuple[int, bool]:
    """How many of its occurrences came to something, and whether one began."""
    campaign = await campaigns.get(tx, campaign_id, lock=True)
    now = await platform.clock.now(tx)
    grace = timedelta(seconds=platform.settings.schedule_grace_s)
    for done in range(_AT_ONCE):
        occurrence = await occurrences.waiting(tx, campaign_id)
        if occurrence is None or occurrence.due_at > now:
            return done, False
        is_late = now - occurrence.due_at > grace
        if await occurrences.is_running(tx, campaign_id):
            why = "previous_running"
        elif campaign.state == campaigns.PAUSED:
            why = "campaign_paused"
        elif (obstacle := await _obstacle(tx, campaign)) is not None:
            if not is_late:  # within the hour it may be out of the way again
                return done, False
            why = obstacle
        elif is_late:
            why = "too_late"
        else:
            await campaigns.begin(tx, campaign, occurrence, at=now)
            details = {"occurrence": occurrence.number}
            what = Happened(platform.actor, "launch_campaign", f"campaign:{campaign_id}", details=details)
            audit.record(tx, platform.key, what, at=now)
            await _add_next(tx, campaign, occurrence, at=now)
            return done + 1, True
        await occurrences.settle(tx, occurrence, occurrences.MISSED, reason=why, at=now)
        await _go_on(tx, campaign, occurrence, at=now)
    return _AT_ONCE, False


async def _obstacle(tx: Tx, campaign: Campaign) -> str | None:
    """Why it cannot be launched now, as a code."""
    try:
        await audiences.check(tx, campaign.audience)
        await campaigns.check_fit(tx, campaign)
    except WaqtorError as refused:
        match refused.field:
            case "sender_id":
                return f"sender_{(await senders.get(tx, campaign.sender_id)).state}"
            case "template_id":
                return "template_not_sendable"
            case _:
                return "audience_not_valid"
    return None


async def cancel_one(tx: Tx, campaign: Campaign, occurrence: Occurrence, *, reason: str, at: datetime) -> None:
    """Only this one; the schedule goes on."""
    await occurrences.settle(tx, occurrence, occurrences.CANCELLED, reason=reason, at=at)
    await _go_on(tx, campaign, occurrence, at=at)


async def _go_on(tx: Tx, campaign: Campaign, occurrence: Occurrence, *, at: datetime) -> None:
    """After one that did not begin."""
    await _add_next(tx, campaign, occurrence, at=at)
    await _let_rest(tx, campaign, reason=f"{occurrence.state}:{occurrence.reason}", at=at)


async def _add_next(tx: Tx, campaign: Campaign, occurrence: Occurrence, *, at: datetime) -> None:
    """Counted from when the rule said, so that a shift of one does not shift the next."""
    schedule = await tx.get(Schedule, campaign.id)
    due_at = times(schedule).after(occurrence.planned_at) if schedule is not None else None
    if schedule is not None and due_at is not None:
        await occurrences.add(tx, campaign, due_at=due_at, include_earlier=schedule.include_earlier, at=at)


async def _let_rest(tx: Tx, campaign: Campaign, *, reason: str = "", at: datetime) -> None:
    """Where nothing of it runs and nothing is to come, it is over, or a draft again if it never began."""
    waits = campaign.state == campaigns.SCHEDULED or (
        campaign.state == campaigns.PAUSED and not await occurrences.is_running(tx, campaign.id)
    )
    if waits and await occurrences.waiting(tx, campaign.id) is None:
        await campaigns.rest(tx, campaign, reason=reason, at=at)

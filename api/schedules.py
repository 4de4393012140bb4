"""When a campaign is due, and each time that it was."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from api.auth import needs
from api.bodies import Body, Shown
from api.campaign_bodies import CampaignOut
from api.campaign_bodies import show as show_campaign
from api.deps import Id, Now, PlatformDep, Str, Tx, Work, after_commit
from api.errors import documented
from api.idempotent import DOCUMENTED, Once, Signed
from api.pages import Page, PlaceDep, page
from core import appointments, campaigns, occurrences, schedules
from core.bootstrap import Platform
from core.models import Occurrence, Schedule
from core.recurrence import Times

router = APIRouter(prefix="/api/v3/campaigns/{campaign_id}", tags=["campaigns"], route_class=Once)
looking = APIRouter(prefix="/api/v3/campaigns/{campaign_id}", tags=["campaigns"], route_class=Signed)

_SHOWN = 5
OccurrenceState = Literal["scheduled", "running", "finished", "missed", "cancelled"]


class ScheduleIn(Body):
    """One of `at`, `cron` and `rrule`."""

    at: datetime | None = Field(
        default=None,
        description="Once. Without an offset it is what a clock in the time zone shows.",
        examples=["2026-12-24T09:00:00"],
    )
    cron: Annotated[Str, Field(max_length=200)] | None = Field(
        default=None, description="Minute, hour, day, month, weekday.", examples=["0 9 * * MON"]
    )
    rrule: Annotated[Str, Field(max_length=500)] | None = Field(
        default=None,
        description="RFC 5545, daily to yearly; a line `DTSTART:20261201T090000` may come before it.",
        examples=["FREQ=MONTHLY;BYDAY=1MO;BYHOUR=9;BYMINUTE=0"],
    )
    timezone: Annotated[Str, Field(min_length=1, max_length=64)] = Field(
        description="IANA name. Nine stays nine there, in summer and in winter.", examples=["Asia/Riyadh"]
    )
    include_earlier: bool | None = Field(
        default=None,
        description=(
            "Whether who had an earlier occurrence is written to again. Has to be said where the campaign recurs."
        ),
        examples=[False],
    )


class ComingOut(Shown):
    """When it would be due."""

    next: list[datetime] = Field(description="The next five times, UTC.", examples=[["2026-12-24T06:00:00Z"]])


class ScheduleOut(ComingOut):
    """When the campaign is due."""

    campaign_id: int = Field(examples=[7])
    at: datetime | None
    cron: str | None = Field(examples=["0 9 * * MON"])
    rrule: str | None
    timezone: str = Field(examples=["Asia/Riyadh"])
    include_earlier: bool


class OccurrenceOut(Shown):
    """One time that the campaign is sent."""

    id: int
    number: int = Field(description="Within the campaign, as `occurrence` elsewhere.", examples=[1])
    state: OccurrenceState
    reason: str = Field(description="Why it was missed or cancelled.", examples=["previous_running"])
    planned_at: datetime = Field(description="When the rule says.")
    due_at: datetime = Field(description="When it counts: it may have been shifted, also in Prefect.")
    include_earlier: bool
    audience: dict[str, Any] | None = Field(
        description="As it was frozen when this began; null before.", examples=[{"filter": 'tag = "vip"'}]
    )
    started_at: datetime | None
    finished_at: datetime | None


async def _times(body: ScheduleIn, now: Now) -> Times:
    return schedules.asked(at=body.at, cron=body.cron, rrule=body.rrule, timezone=body.timezone, now=now)


async def _show(tx: Tx, schedule: Schedule, now: datetime) -> ScheduleOut:
    times = schedules.times(schedule)
    due = await occurrences.waiting(tx, schedule.campaign_id)
    coming = [due.due_at, *times.coming(due.planned_at, count=_SHOWN - 1)] if due else times.coming(now, count=_SHOWN)
    return ScheduleOut(
        campaign_id=schedule.campaign_id,
        at=schedule.starts_at if times.kind == "once" else None,
        cron=schedule.rule if times.kind == "cron" else None,
        rrule=schedule.rule if times.kind == "rrule" else None,
        timezone=schedule.timezone,
        include_earlier=schedule.include_earlier,
        next=coming,
    )


@router.put(
    "/schedule",
    dependencies=[Depends(needs("campaigns.send"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def put_schedule(
    campaign_id: Id, body: ScheduleIn, request: Request, platform: PlatformDep, tx: Tx, now: Now
) -> ScheduleOut:
    """Schedule a draft, or change a schedule. It begins by itself when it is due, to those who are in the audience
    then. What runs already goes on as it began."""
    schedule = await schedules.put(
        tx, campaign_id, await _times(body, now), include_earlier=body.include_earlier, at=now
    )
    after_commit(request, _show_in_prefect(platform))
    return await _show(tx, schedule, now)


@router.get("/schedule", dependencies=[Depends(needs("campaigns.read"))], responses=documented(404))
async def get_schedule(campaign_id: Id, tx: Tx, now: Now) -> ScheduleOut:
    """The schedule and the next five times."""
    return await _show(tx, await schedules.get(tx, campaign_id), now)


@router.delete(
    "/schedule", dependencies=[Depends(needs("campaigns.send"))], responses=documented(404), openapi_extra=DOCUMENTED
)
async def delete_schedule(campaign_id: Id, request: Request, platform: PlatformDep, tx: Tx, now: Now) -> CampaignOut:
    """Nothing of it begins by itself any more; what runs goes on."""
    campaign = await schedules.remove(tx, campaign_id, at=now)
    after_commit(request, _show_in_prefect(platform))
    return await show_campaign(tx, campaign)


@looking.post("/schedule/preview", dependencies=[Depends(needs("campaigns.read"))], responses=documented(404))
async def preview_schedule(campaign_id: Id, body: ScheduleIn, tx: Tx, now: Now) -> ComingOut:
    """The next five times of a schedule that is not set yet. Changes nothing."""
    await campaigns.get(tx, campaign_id)
    return ComingOut(next=(await _times(body, now)).coming(now, count=_SHOWN))


@looking.get("/occurrences", dependencies=[Depends(needs("campaigns.read"))], responses=documented(404))
async def list_occurrences(
    campaign_id: Id,
    tx: Tx,
    place: PlaceDep,
    state: Annotated[OccurrenceState | None, Query(description="Only in this state.")] = None,
) -> Page[OccurrenceOut]:
    """Each time the campaign was sent, was missed or is to be sent, oldest first."""
    await campaigns.get(tx, campaign_id)
    rows = await occurrences.listed(tx, campaign_id, after=place.after, limit=place.limit, state=state)
    return page(rows, place, id_of=lambda row: row.id, show=_show_occurrence)


def _show_occurrence(occurrence: Occurrence) -> OccurrenceOut:
    return OccurrenceOut.model_validate(occurrence)


def _show_in_prefect(platform: Platform) -> Work:
    """At once; where that fails the sweep does it."""

    async def reconcile() -> None:
        await appointments.reconcile(platform)

    return reconcile

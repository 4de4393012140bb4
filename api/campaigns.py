"""One message to an audience: made, launched, watched. Who got it: `recipients.py`."""

import logging
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from api import messages
from api.auth import needs
from api.bodies import Body, Shown
from api.deps import Id, Now, PlatformDep, Str, Tx, Work, after_commit
from api.errors import documented
from api.idempotent import DOCUMENTED, Once
from api.pages import Named, Page, PlaceDep, page
from core import appointments, campaigns, drafts, occurrences, outgoing, retrying, runs
from core.bootstrap import Platform
from core.models import Campaign
from core.ports import JobsUnavailable

router = APIRouter(prefix="/api/v3/campaigns", tags=["campaigns"], route_class=Once)
logger = logging.getLogger(__name__)

State = Literal["draft", "scheduled", "running", "paused", "cancelled", "finished"]

_Number = Annotated[int, Field(ge=0, le=2**31 - 1)]
WhichQuery = Annotated[
    Literal["latest", "all"] | _Number,
    Query(description="An occurrence by its number, the `latest` that began, or `all` together.", examples=["latest"]),
]
OneQuery = Annotated[
    Literal["latest"] | _Number,
    Query(description="An occurrence by its number, or the `latest` that began.", examples=["latest"]),
]


class Audience(Body):
    """Everybody (`{"all": true}`), the contacts with a tag, those of a segment, or those of a filter: one of them."""

    all: Literal[True] | None = Field(default=None, examples=[True])
    tag: Annotated[Str, Field(min_length=1, max_length=80)] | None = Field(default=None, examples=["customers"])
    segment: int | None = Field(default=None, ge=1, le=2**63 - 1, examples=[3])
    filter: Annotated[Str, Field(min_length=1, max_length=2_000)] | None = Field(
        default=None, examples=['tag = "vip" and city = "جدة"']
    )


class QuietHours(Body):
    """Nobody is written to between these times of their own day: in the contact's time zone, else while it is quiet
    in any zone of their number, else in the campaign's."""

    start: str = Field(alias="from", pattern=r"^\d\d:\d\d$", examples=["21:00"])
    end: str = Field(alias="to", pattern=r"^\d\d:\d\d$", examples=["09:00"])


class CampaignIn(Body):
    """A campaign to prepare."""

    name: Annotated[Str, Field(min_length=1, max_length=200)] = Field(examples=["Spring"])
    sender_id: int = Field(ge=1, le=2**63 - 1, examples=[1])
    template_id: int = Field(ge=1, le=2**63 - 1, examples=[3])
    audience: Audience = Field(examples=[{"tag": "customers"}])
    purpose: Annotated[Str, Field(min_length=1, max_length=40)] = Field(
        default="marketing",
        description=(
            "What for. People who have not agreed to it are skipped as `unverified`. "
            "`service`, `utility` and `authentication` need no consent."
        ),
        examples=["marketing"],
    )
    quiet_hours: QuietHours | None = Field(default=None, examples=[{"from": "21:00", "to": "09:00"}])
    timezone: Annotated[Str, Field(max_length=64)] | None = Field(
        default=None, description="For those whose own is not known.", examples=["Asia/Riyadh"]
    )


class CampaignChanges(Body):
    """What is to be otherwise; what is not given stays."""

    name: Annotated[Str, Field(min_length=1, max_length=200)] | None = Field(default=None, examples=["Spring sale"])
    sender_id: int | None = Field(default=None, ge=1, le=2**63 - 1, examples=[1])
    template_id: int | None = Field(default=None, ge=1, le=2**63 - 1, examples=[3])
    audience: Audience | None = Field(default=None, examples=[{"tag": "customers"}])
    purpose: Annotated[Str, Field(min_length=1, max_length=40)] | None = Field(default=None, examples=["marketing"])
    quiet_hours: QuietHours | None = Field(default=None, description="null takes them away.")
    timezone: Annotated[Str, Field(max_length=64)] | None = Field(default=None, description="null takes it away.")

    def changes(self) -> dict[str, Any]:
        given = self.model_dump(exclude_unset=True, by_alias=True)
        if self.audience is not None:
            given["audience"] = self.audience.model_dump(exclude_none=True)
        return {
            name: value for name, value in given.items() if value is not None or name in ("quiet_hours", "timezone")
        }


class PauseIn(Body):
    """Why."""

    reason: Annotated[Str, Field(max_length=200)] = Field(default="", examples=["price changed"])


class ProgressOut(Shown):
    """The funnel. `sent` counts everyone for whom WhatsApp has the message; `delivered` and `read` are among them."""

    total: int = Field(examples=[1000])
    queued: int
    sending: int
    sent: int = Field(examples=[950])
    delivered: int = Field(examples=[930])
    read: int = Field(examples=[600])
    replied: int = Field(examples=[40])
    failed: dict[str, int] = Field(description="By reason.", examples=[{"not_on_whatsapp": 20}])
    skipped: dict[str, int] = Field(description="By reason.", examples=[{"opted_out": 30}])
    unknown: dict[str, int] = Field(description="By reason: handed over, outcome not knowable.", examples=[{}])


class CampaignOut(Shown):
    """A campaign."""

    id: int = Field(examples=[7])
    name: str = Field(examples=["Spring"])
    sender_id: int
    template_id: int
    audience: Audience
    purpose: str = Field(examples=["marketing"])
    quiet_hours: dict[str, str] | None = Field(examples=[{"from": "21:00", "to": "09:00"}])
    timezone: str | None = Field(examples=["Asia/Riyadh"])
    state: State
    state_reason: str = Field(description="Why it is paused.", examples=[""])
    forecast: dict[str, str | int | None] | None = Field(
        description="What the preflight said before the launch; `finished_at` says what came of it.",
        examples=[{"recipients": 948, "finishes_at": "2026-11-23T10:00:00+00:00", "limited_by": "rate"}],
    )
    occurrence: int = Field(description="The number of the latest that began; 0 before.", examples=[1])
    launches: int = Field(description="How many times it was set running.", examples=[1])
    created_at: datetime
    launched_at: datetime | None
    finished_at: datetime | None


class CampaignWithProgress(CampaignOut):
    """A campaign and how far it is."""

    progress: ProgressOut


def show(campaign: Campaign) -> CampaignOut:
    return CampaignOut.model_validate(campaign)


@router.post(
    "",
    status_code=201,
    dependencies=[Depends(needs("write"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def create_campaign(body: CampaignIn, tx: Tx, now: Now) -> CampaignOut:
    """Prepare a campaign. Nothing is sent until it is launched."""
    campaign = await campaigns.create(
        tx,
        name=body.name,
        sender_id=body.sender_id,
        template_id=body.template_id,
        audience=body.audience.model_dump(exclude_none=True),
        purpose=body.purpose,
        quiet_hours=None if body.quiet_hours is None else body.quiet_hours.model_dump(by_alias=True),
        timezone=body.timezone,
        at=now,
    )
    return show(campaign)


@router.get("", dependencies=[Depends(needs("read"))], responses=documented())
async def list_campaigns(
    tx: Tx,
    place: PlaceDep,
    state: Annotated[State | None, Query(description="Only in this state.")] = None,
    name: Named = None,
) -> Page[CampaignOut]:
    """Campaigns, oldest first."""
    rows = await campaigns.listed(tx, after=place.after, limit=place.limit, state=state, name=name)
    return page(rows, place, id_of=lambda row: row.id, show=show)


@router.get("/{campaign_id}", dependencies=[Depends(needs("read"))], responses=documented(404))
async def get_campaign(campaign_id: Id, tx: Tx) -> CampaignWithProgress:
    """One campaign with the progress of its latest occurrence."""
    campaign = await campaigns.get(tx, campaign_id)
    progress = await campaigns.progress(tx, campaign_id, occurrence=campaign.occurrence)
    return CampaignWithProgress(**show(campaign).model_dump(), progress=ProgressOut.model_validate(progress))


@router.patch(
    "/{campaign_id}",
    dependencies=[Depends(needs("write"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def change_campaign(campaign_id: Id, body: CampaignChanges, tx: Tx, now: Now) -> CampaignOut:
    """Change a draft. A campaign that was launched stays as it is: its record says what was sent, and to whom."""
    return show(await drafts.change(tx, campaign_id, body.changes(), at=now))


@router.get("/{campaign_id}/progress", dependencies=[Depends(needs("read"))], responses=documented(404))
async def get_progress(campaign_id: Id, tx: Tx, occurrence: WhichQuery = "latest") -> ProgressOut:
    """The funnel, now."""
    number = await occurrences.chosen(tx, await campaigns.get(tx, campaign_id), occurrence)
    return ProgressOut.model_validate(await campaigns.progress(tx, campaign_id, occurrence=number))


@router.post(
    "/{campaign_id}/launch",
    dependencies=[Depends(needs("send"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def launch_campaign(campaign_id: Id, request: Request, platform: PlatformDep, tx: Tx, now: Now) -> CampaignOut:
    """Freeze the audience and begin. Of two launches at once one gets 409."""
    campaign = await campaigns.launch(tx, campaign_id, at=now)
    after_commit(request, _nudge(platform, campaign))
    return show(campaign)


@router.post(
    "/{campaign_id}/pause",
    dependencies=[Depends(needs("send"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def pause_campaign(campaign_id: Id, tx: Tx, now: Now, body: PauseIn | None = None) -> CampaignOut:
    """Stop before the next message; what is under way ends as it ends."""
    return show(await campaigns.pause(tx, campaign_id, reason=(body or PauseIn()).reason, at=now))


@router.post(
    "/{campaign_id}/resume",
    dependencies=[Depends(needs("send"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def resume_campaign(campaign_id: Id, request: Request, platform: PlatformDep, tx: Tx, now: Now) -> CampaignOut:
    """Go on where it was paused."""
    campaign = await campaigns.resume(tx, campaign_id, at=now)
    after_commit(request, _nudge(platform, campaign))
    return show(campaign)


@router.post(
    "/{campaign_id}/cancel",
    dependencies=[Depends(needs("send"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def cancel_campaign(campaign_id: Id, tx: Tx, now: Now) -> CampaignOut:
    """End it for good. Who was not written to yet is skipped; what is under way still gets its true outcome."""
    return show(await campaigns.cancel(tx, campaign_id, at=now))


class RetryIn(Body):
    """Whom to try again."""

    reason: Annotated[Str, Field(max_length=80)] | None = Field(
        default=None, description="Only who failed for this reason.", examples=["service_busy"]
    )


class ResendIn(Body):
    """The number of people of whom it is not known whether they got the message."""

    confirm: int = Field(ge=0, le=2**31 - 1, description="Each of them may get it twice.", examples=[3])


class AgainOut(Shown):
    """How many are in the queue again."""

    queued: int = Field(examples=[12])


@router.post(
    "/{campaign_id}/retry",
    dependencies=[Depends(needs("send"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def retry_campaign(
    campaign_id: Id,
    request: Request,
    platform: PlatformDep,
    tx: Tx,
    now: Now,
    body: RetryIn | None = None,
    occurrence: OneQuery = "latest",
) -> AgainOut:
    """Try again with those whose message is known to have had no effect. Never touches who is `unknown`."""
    number = await occurrences.chosen(tx, await campaigns.get(tx, campaign_id, lock=True), occurrence)
    reason = (body or RetryIn()).reason
    queued = await retrying.retry_failed(tx, campaign_id, reason=reason, occurrence=number, at=now)
    after_commit(request, _nudge(platform, await campaigns.get(tx, campaign_id)))
    return AgainOut(queued=queued)


@router.post(
    "/{campaign_id}/resend-unknown",
    dependencies=[Depends(needs("send"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def resend_unknown(
    campaign_id: Id,
    request: Request,
    platform: PlatformDep,
    tx: Tx,
    now: Now,
    body: ResendIn,
    occurrence: OneQuery = "latest",
) -> AgainOut:
    """Write again to those of whom nobody knows whether they got it. **Each of them may get it twice**, so their
    number has to be confirmed; a wrong one is refused with the right one."""
    number = await occurrences.chosen(tx, await campaigns.get(tx, campaign_id, lock=True), occurrence)
    queued = await retrying.resend_unknown(tx, campaign_id, confirm=body.confirm, occurrence=number, at=now)
    after_commit(request, _nudge(platform, await campaigns.get(tx, campaign_id)))
    return AgainOut(queued=queued)


class TestIn(Body):
    """To whom: one of `to` and `contact_id`."""

    to: Annotated[Str, Field(min_length=1, max_length=40)] | None = Field(default=None, examples=["+966501234567"])
    contact_id: int | None = Field(default=None, ge=1, le=2**63 - 1, examples=[None])
    as_contact_id: int | None = Field(
        default=None,
        ge=1,
        le=2**63 - 1,
        description="Filled in and worded as for this person; not given: as for the one it goes to.",
        examples=[12],
    )


@router.post(
    "/{campaign_id}/test",
    status_code=202,
    dependencies=[Depends(needs("send"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def test_campaign(
    campaign_id: Id, body: TestIn, request: Request, platform: PlatformDep, tx: Tx, now: Now
) -> messages.MessageOut:
    """Send the campaign's message to one person, to see it on a phone. It is a single message with `test_of`: nobody
    becomes a recipient by it, and no consent is needed, but who has said stop gets nothing."""
    message = await outgoing.try_out(
        tx,
        platform,
        campaign_id,
        phone=body.to,
        contact_id=body.contact_id,
        as_contact_id=body.as_contact_id,
        at=now,
    )
    after_commit(request, messages.waking(request))
    return messages.show(message)


def _nudge(platform: Platform, campaign: Campaign) -> Work:
    """Ask for a run now. Where that fails the sweep finds the campaign."""
    campaign_id, launches = campaign.id, campaign.launches

    async def nudge() -> None:
        try:
            await platform.jobs.start(
                appointments.SEND,
                {"campaign_id": campaign_id},
                key=f"campaign:{campaign_id}:{launches}",
                about=runs.about(campaign_id),
            )
        except JobsUnavailable as error:
            logger.warning("nudge_failed campaign=%s why=%s", campaign_id, error)
        except Exception:  # nobody waits for this answer, and the sweep does the same later
            logger.exception("nudge_broke campaign=%s", campaign_id)

    return nudge

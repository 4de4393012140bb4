"""One message to an audience: made, launched, watched. Who got it: `recipients.py`."""

import logging
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from api import messages
from api.auth import needs
from api.bodies import Body, Shown
from api.campaign_bodies import (
    CampaignChanges,
    CampaignIn,
    CampaignOut,
    CampaignWithProgress,
    ProgressOut,
    State,
    show,
    shown,
)
from api.deps import Id, Moment, Now, PlatformDep, Str, Tx, Work, after_commit
from api.errors import documented
from api.idempotent import DOCUMENTED, Once
from api.pages import Named, OrderedDep, Page, page
from core import appointments, campaigns, drafts, occurrences, outgoing, retrying, runs, variants
from core.bootstrap import Platform
from core.kept_funnels import KeptFunnels
from core.models import Campaign
from core.ports import JobsUnavailable

router = APIRouter(prefix="/api/v3/campaigns", tags=["campaigns"], route_class=Once)
logger = logging.getLogger(__name__)

_Number = Annotated[int, Field(ge=0, le=2**31 - 1)]
WhichQuery = Annotated[
    Literal["latest", "all"] | _Number,
    Query(description="An occurrence by its number, the `latest` that began, or `all` together.", examples=["latest"]),
]
OneQuery = Annotated[
    Literal["latest"] | _Number,
    Query(description="An occurrence by its number, or the `latest` that began.", examples=["latest"]),
]


class PauseIn(Body):
    """Why."""

    reason: Annotated[Str, Field(max_length=200)] = Field(default="", examples=["price changed"])


@router.post(
    "",
    status_code=201,
    dependencies=[Depends(needs("campaigns.write"))],
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
        variants=[one.model_dump() for one in body.variants],
        holdout_percent=body.holdout_percent,
        canary=None if body.canary is None else body.canary.model_dump(),
        at=now,
    )
    return await show(tx, campaign)


@router.get("", dependencies=[Depends(needs("campaigns.read"))], responses=documented())
async def list_campaigns(
    tx: Tx,
    place: OrderedDep,
    state: Annotated[State | None, Query(description="Only in this state.")] = None,
    name: Named = None,
    active_since: Annotated[
        Moment | None, Query(description="Only those that were under way at that moment or have been since.")
    ] = None,
) -> Page[CampaignOut]:
    """Campaigns, oldest first unless `order` says otherwise."""
    rows = await campaigns.listed(
        tx,
        after=place.after,
        limit=place.limit,
        order=place.order,
        state=state,
        name=name,
        active_since=active_since,
    )
    its = await variants.of(tx, [row.id for row in rows])
    return page(rows, place, id_of=lambda row: row.id, show=lambda row: shown(row, its.get(row.id, ())))


@router.get("/{campaign_id}", dependencies=[Depends(needs("campaigns.read"))], responses=documented(404))
async def get_campaign(campaign_id: Id, request: Request, tx: Tx) -> CampaignWithProgress:
    """One campaign with the progress of its latest occurrence."""
    campaign = await campaigns.get(tx, campaign_id)
    progress = await _funnels(request).progress(tx, campaign_id, occurrence=campaign.occurrence)
    seen = await show(tx, campaign)
    return CampaignWithProgress(**seen.model_dump(), progress=ProgressOut.model_validate(progress))


@router.patch(
    "/{campaign_id}",
    dependencies=[Depends(needs("campaigns.write"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def change_campaign(campaign_id: Id, body: CampaignChanges, tx: Tx, now: Now) -> CampaignOut:
    """Change a draft. A campaign that was launched stays as it is: its record says what was sent, and to whom."""
    return await show(tx, await drafts.change(tx, campaign_id, body.changes(), at=now))


@router.get("/{campaign_id}/progress", dependencies=[Depends(needs("campaigns.read"))], responses=documented(404))
async def get_progress(campaign_id: Id, request: Request, tx: Tx, occurrence: WhichQuery = "latest") -> ProgressOut:
    """The funnel, now."""
    number = await occurrences.chosen(tx, await campaigns.get(tx, campaign_id), occurrence)
    return ProgressOut.model_validate(await _funnels(request).progress(tx, campaign_id, occurrence=number))


@router.post(
    "/{campaign_id}/launch",
    dependencies=[Depends(needs("campaigns.send"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def launch_campaign(campaign_id: Id, request: Request, platform: PlatformDep, tx: Tx, now: Now) -> CampaignOut:
    """Freeze the audience and begin. Of two launches at once one gets 409."""
    campaign = await campaigns.launch(tx, campaign_id, at=now)
    after_commit(request, nudge(platform, campaign))
    return await show(tx, campaign)


@router.post(
    "/{campaign_id}/pause",
    dependencies=[Depends(needs("campaigns.send"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def pause_campaign(campaign_id: Id, tx: Tx, now: Now, body: PauseIn | None = None) -> CampaignOut:
    """Stop before the next message; what is under way ends as it ends."""
    reason = (body or PauseIn()).reason
    return await show(tx, await campaigns.pause(tx, campaign_id, reason=reason, quietly=True, at=now))


@router.post(
    "/{campaign_id}/resume",
    dependencies=[Depends(needs("campaigns.send"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def resume_campaign(campaign_id: Id, request: Request, platform: PlatformDep, tx: Tx, now: Now) -> CampaignOut:
    """Go on where it was paused."""
    campaign = await campaigns.resume(tx, campaign_id, at=now)
    after_commit(request, nudge(platform, campaign))
    return await show(tx, campaign)


@router.post(
    "/{campaign_id}/cancel",
    dependencies=[Depends(needs("campaigns.send"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def cancel_campaign(campaign_id: Id, tx: Tx, now: Now) -> CampaignOut:
    """End it for good. Who was not written to yet is skipped; what is under way still gets its true outcome."""
    return await show(tx, await campaigns.cancel(tx, campaign_id, at=now))


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
    dependencies=[Depends(needs("campaigns.send"))],
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
    after_commit(request, nudge(platform, await campaigns.get(tx, campaign_id)))
    return AgainOut(queued=queued)


@router.post(
    "/{campaign_id}/resend-unknown",
    dependencies=[Depends(needs("campaigns.send"))],
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
    after_commit(request, nudge(platform, await campaigns.get(tx, campaign_id)))
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
    variant: Annotated[Str, Field(min_length=1, max_length=40)] | None = Field(
        default=None, description="The name of the variant; not given: the first, where there are some.", examples=["B"]
    )


@router.post(
    "/{campaign_id}/test",
    status_code=202,
    dependencies=[Depends(needs("campaigns.send"))],
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
        variant=body.variant,
        at=now,
    )
    after_commit(request, messages.waking(request))
    return messages.show(message)


def _funnels(request: Request) -> KeptFunnels:
    kept: KeptFunnels = request.app.state.funnels
    return kept


def nudge(platform: Platform, campaign: Campaign) -> Work:
    """Ask for a run now. Where that fails the sweep finds the campaign."""
    campaign_id, launches = campaign.id, campaign.launches

    async def ask() -> None:
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

    return ask

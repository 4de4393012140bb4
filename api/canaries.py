"""What came of a campaign's canary, and the word to go on."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from api.auth import needs
from api.bodies import Body, Shown
from api.campaign_bodies import CampaignOut, State, show
from api.campaigns import nudge
from api.deps import Id, Now, PlatformDep, Str, Tx, after_commit
from api.errors import documented
from api.idempotent import DOCUMENTED, Once
from core import campaigns, canaries, judging
from core.canaries import Canary

router = APIRouter(prefix="/api/v3/campaigns/{campaign_id}", tags=["campaigns"], route_class=Once)


class RatesOut(Shown):
    """What came of the canary so far."""

    people: int = Field(description="Written to, or kept from our marketing by WhatsApp.", examples=[200])
    failed: int = Field(description="With those whose outcome is unknown.", examples=[4])
    opted_out: int = Field(description="Stopped us since, and have not come back.", examples=[1])
    blocked: int = Field(description="WhatsApp keeps our marketing from them; some of them are failed.", examples=[2])
    waiting: int = Field(description="Without an outcome yet.", examples=[0])
    at_most: int = Field(description="How many it will be. A limit counts of these.", examples=[200])


class CanaryVerdictOut(Shown):
    """What was said of it."""

    verdict: Literal["passed", "failed", "overruled"] = Field(description="`overruled` by a person.")
    at: datetime
    people: int = Field(examples=[200])
    failed: int = Field(examples=[31])
    opted_out: int = Field(examples=[1])
    blocked: int = Field(examples=[2])
    breaches: list[str] = Field(description="The limits that were passed.", examples=[["failed"]])


class CanaryOut(Shown):
    """The canary of the latest occurrence. Without one `canary` and `rates` are null."""

    state: State
    canary: Canary | None
    is_first: bool = Field(description="Only the canary is written to, for now.")
    held_until: datetime | None
    rates: RatesOut | None
    verdict: CanaryVerdictOut | None


class GoOnIn(Body):
    """With what."""

    variant: Annotated[Str, Field(min_length=1, max_length=40)] | None = Field(
        default=None, description="The variant for everybody who is left; not given: by weight.", examples=["B"]
    )


@router.get("/canary", dependencies=[Depends(needs("campaigns.read"))], responses=documented(404))
async def get_canary(campaign_id: Id, tx: Tx) -> CanaryOut:
    """What came of those who were written to first, and what was made of it."""
    campaign = await campaigns.get(tx, campaign_id)
    canary = canaries.of(campaign)
    rates = None if canary is None else RatesOut.model_validate(await judging.measure(tx, campaign))
    return CanaryOut(
        state=campaign.state,
        canary=canary,
        is_first=campaign.wave is not None,
        held_until=campaign.held_until,
        rates=rates,
        verdict=None if campaign.canary_verdict is None else CanaryVerdictOut.model_validate(campaign.canary_verdict),
    )


@router.post(
    "/go-on",
    dependencies=[Depends(needs("campaigns.send"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def go_on(
    campaign_id: Id, request: Request, platform: PlatformDep, tx: Tx, now: Now, body: GoOnIn | None = None
) -> CampaignOut:
    """Write to everybody now, whatever the canary would have said. One that it has stopped is paused: resume that."""
    campaign = await judging.go_on(tx, campaign_id, variant=(body or GoOnIn()).variant, at=now)
    after_commit(request, nudge(platform, campaign))
    return await show(tx, campaign)

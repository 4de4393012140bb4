"""What a campaign would do, before it does it."""

from dataclasses import asdict
from datetime import datetime
from decimal import Decimal

from fastapi import APIRouter, Depends
from pydantic import Field

from api.auth import needs
from api.bodies import Shown
from api.deps import Id, PlatformDep
from api.errors import documented
from api.idempotent import Signed
from core import preflight

router = APIRouter(prefix="/api/v3/campaigns/{campaign_id}", tags=["campaigns"], route_class=Signed)


class CostOut(Shown):
    """The messages to one country; without prices where the rate file has no line for it."""

    recipients: int = Field(examples=[900])
    each: Decimal | None = Field(examples=["0.0455"])
    total: Decimal | None = Field(examples=["40.95"])
    currency: str | None = Field(examples=["USD"])


class ForecastOut(Shown):
    """When it will be through, under the budgets of its sender."""

    finishes_at: datetime | None = Field(description="Null when a year does not suffice.")
    limited_by: str = Field(description="rate, daily_cap, conversations or quiet_hours.", examples=["rate"])


class PreflightOut(Shown):
    """Found with the code of the real send, in a snapshot of now."""

    people: int = Field(description="In the audience.", examples=[1000])
    recipients: int = Field(description="Who would get the message.", examples=[948])
    excluded: dict[str, int] = Field(
        description="Who would not, by reason.", examples=[{"opted_out": 30, "unverified": 22}]
    )
    missing: dict[str, int] = Field(description="People without a value, by variable.", examples=[{"city": 3}])
    variants: dict[str, int] = Field(description="How many of the recipients get which.", examples=[{"A": 480}])
    canary: int | None = Field(description="About how many of the recipients go first.", examples=[19])
    asleep: int = Field(description="Recipients whose quiet hours it is now; they get it after.", examples=[120])
    us_marketing: int = Field(description="Numbers of the United States: WhatsApp delivers no marketing to them.")
    costs: dict[str, CostOut] = Field(description="By country, from `rates.csv` in the data directory.")
    forecast: ForecastOut
    examples: list[str] = Field(description="Up to three messages as they would arrive.")
    at: datetime


@router.post("/preflight", dependencies=[Depends(needs("recipients.read"))], responses=documented(404))
async def preflight_campaign(campaign_id: Id, platform: PlatformDep) -> PreflightOut:
    """Who would get it, who would not and why, when it would be through and what it would cost. Sends nothing; the
    forecast is kept with a draft, to be compared with what happens."""
    return PreflightOut(**asdict(await preflight.check(platform, campaign_id)))

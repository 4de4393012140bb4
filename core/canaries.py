"""The canary of a campaign: a small part of its audience that is written to first, while the others wait."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from sqlalchemy import func, select

from core import audiences
from core.database import Tx
from core.errors import Invalid
from core.models import Campaign

FIRST = 1
"""The wave of recipients that are the canary. All others have none."""
_WEEK_MINUTES = 7 * 24 * 60


class Canary(BaseModel):
    """A small part of the audience first. Then the campaign holds; then it goes on, or stops where too many of the
    canary failed (whose outcome is unknown counts as failed), stopped us, or are kept from us by WhatsApp. A limit of
    null is not looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    percent: float | None = Field(
        default=None, gt=0, le=50, allow_inf_nan=False, description="Of the audience; or give count.", examples=[2]
    )
    count: int | None = Field(default=None, ge=1, le=1_000_000, description="About so many people.", examples=[None])
    hold_minutes: float = Field(default=60, ge=0, le=_WEEK_MINUTES, allow_inf_nan=False, examples=[60])
    max_failed_percent: float | None = Field(default=10, ge=0, le=100, allow_inf_nan=False, examples=[10])
    max_opted_out_percent: float | None = Field(default=3, ge=0, le=100, allow_inf_nan=False, examples=[3])
    max_blocked_percent: float | None = Field(default=5, ge=0, le=100, allow_inf_nan=False, examples=[5])
    after_hold: Literal["go_on", "ask"] = Field(
        default="go_on",
        description="Where all is well: go on by itself, or pause until a person has looked.",
        examples=["go_on"],
    )

    @model_validator(mode="after")
    def _is_of_one_size(self) -> "Canary":
        if (self.percent is None) == (self.count is None):
            raise ValueError("A canary is a percent or a count of the audience: give one of them.")
        return self


def checked(given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """As it is stored. Raises `Invalid`."""
    if given is None:
        return None
    try:
        return Canary.model_validate(dict(given)).model_dump()
    except ValidationError as error:
        said = error.errors()[0]
        field = ".".join(("canary", *(str(part) for part in said["loc"])))
        raise Invalid(
            said["msg"].removeprefix("Value error, "), field=field, hint='{"percent": 2, "hold_minutes": 60}'
        ) from None


def of(campaign: Campaign) -> Canary | None:
    return None if campaign.canary is None else Canary.model_construct(**campaign.canary)


async def start(tx: Tx, campaign: Campaign) -> None:
    """An occurrence begins: with its canary, if it has one. A count becomes a share of the audience as it is now."""
    canary = of(campaign)
    campaign.wave = None if canary is None else FIRST
    campaign.held_until = campaign.canary_verdict = campaign.canary_percent = None
    if canary is None:
        return
    campaign.canary_percent = canary.percent
    if canary.count is not None:
        everybody = await audiences.members(tx, campaign.audience)
        number = (await tx.execute(select(func.count()).select_from(everybody.subquery()))).scalar_one()
        campaign.canary_percent = min(100.0, 100 * canary.count / max(1, number))

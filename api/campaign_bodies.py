"""A campaign as it is asked for, and as it is shown."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from api.bodies import Body, Shown
from api.deps import Str, Tx
from core import variants
from core.canaries import Canary
from core.models import Campaign, CampaignVariant

State = Literal["draft", "scheduled", "running", "holding", "paused", "cancelled", "finished"]


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


class VariantIn(Body):
    """One wording of several, for a part of the audience as large as its weight among all weights."""

    name: Annotated[Str, Field(min_length=1, max_length=40)] = Field(examples=["B"])
    template_id: int | None = Field(
        default=None, ge=1, le=2**63 - 1, description="Left out: the campaign's.", examples=[4]
    )
    defaults: dict[Annotated[Str, Field(max_length=50)], Annotated[Str, Field(max_length=1_024)]] = Field(
        default={},
        description="For who has no value of their own; they go before the template's.",
        examples=[{"discount": "20 %"}],
    )
    weight: int = Field(default=1, ge=1, le=1_000, examples=[1])


Variants = Annotated[list[VariantIn], Field(max_length=5)]
Percent = Annotated[float, Field(gt=0, le=90, allow_inf_nan=False)]


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
    variants: Variants = Field(
        default=[],
        description="Two to five; none: everybody gets the template. Who gets which is drawn by lot.",
        examples=[[{"name": "A"}, {"name": "B", "template_id": 4}]],
    )
    holdout_percent: Percent | None = Field(
        default=None,
        description="So many get nothing (skipped as `holdout`), so that the others can be compared with them.",
        examples=[10],
    )
    canary: Canary | None = Field(default=None, description="A small part first. None: everybody at once.")


_CAN_BE_TAKEN_AWAY = ("quiet_hours", "timezone", "variants", "holdout_percent", "canary")


class CampaignChanges(Body):
    """What is to be otherwise; what is not given stays."""

    name: Annotated[Str, Field(min_length=1, max_length=200)] | None = Field(default=None, examples=["Spring sale"])
    sender_id: int | None = Field(default=None, ge=1, le=2**63 - 1, examples=[1])
    template_id: int | None = Field(default=None, ge=1, le=2**63 - 1, examples=[3])
    audience: Audience | None = Field(default=None, examples=[{"tag": "customers"}])
    purpose: Annotated[Str, Field(min_length=1, max_length=40)] | None = Field(default=None, examples=["marketing"])
    quiet_hours: QuietHours | None = Field(default=None, description="null takes them away.")
    timezone: Annotated[Str, Field(max_length=64)] | None = Field(default=None, description="null takes it away.")
    variants: Variants | None = Field(default=None, description="Instead of all it has; [] or null takes them away.")
    holdout_percent: Percent | None = Field(default=None, description="null takes it away.")
    canary: Canary | None = Field(default=None, description="null takes it away.")

    def changes(self) -> dict[str, Any]:
        given = self.model_dump(exclude_unset=True, by_alias=True)
        if self.audience is not None:
            given["audience"] = self.audience.model_dump(exclude_none=True)
        return {name: value for name, value in given.items() if value is not None or name in _CAN_BE_TAKEN_AWAY}


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
    held_out: int = Field(
        description="Who gets nothing, to be compared with; not among the skipped here. Their reason is `holdout`.",
        examples=[0],
    )
    blocked: int = Field(
        description="Of the failed and the queued: WhatsApp keeps our marketing from them.", examples=[2]
    )


class VariantOut(Shown):
    """One wording of several."""

    name: str = Field(examples=["B"])
    template_id: int | None = Field(description="Null: the campaign's.", examples=[4])
    defaults: dict[str, str] = Field(examples=[{"discount": "20 %"}])
    weight: int = Field(examples=[1])
    is_winner: bool = Field(description="Everybody gets this one from now on.", examples=[False])


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
    variants: list[VariantOut] = Field(description="None: everybody gets the template.")
    holdout_percent: float | None = Field(examples=[10])
    canary: Canary | None
    held_until: datetime | None = Field(description="While it is holding: when it goes on, if its canary is well.")
    state: State
    state_reason: str = Field(description="Why it is paused or holding.", examples=[""])
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


async def show(tx: Tx, campaign: Campaign) -> CampaignOut:
    return shown(campaign, await variants.of_one(tx, campaign.id))


def shown(campaign: Campaign, its: Sequence[CampaignVariant]) -> CampaignOut:
    row = {name: getattr(campaign, name) for name in CampaignOut.model_fields if name != "variants"}
    said = [{**variants.said(one), "is_winner": campaign.winner == one.number} for one in its]
    return CampaignOut.model_validate({**row, "variants": said})

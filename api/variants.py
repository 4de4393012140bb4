"""How the variants of a campaign did, side by side; and one of them for everybody who is left."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import Field

from api.auth import needs
from api.bodies import Body, Shown
from api.campaign_bodies import CampaignOut, ProgressOut, VariantOut, show
from api.campaigns import WhichQuery
from api.deps import Id, Now, Str, Tx
from api.errors import documented
from api.idempotent import DOCUMENTED, Once
from core import campaigns, comparisons, occurrences, variants

router = APIRouter(prefix="/api/v3/campaigns/{campaign_id}", tags=["campaigns"], route_class=Once)


class ResultOut(VariantOut):
    """What came of one variant."""

    progress: ProgressOut
    opted_out: int = Field(description="Stopped us within a week of getting it, and have not come back.", examples=[3])


class ComparisonOut(Shown):
    """One number of a variant beside the same of the first variant, as shares of those it was sent to."""

    metric: Literal["read", "replied", "opted_out", "failed"] = Field(examples=["replied"])
    variant: str = Field(examples=["B"])
    against: str = Field(description="The first variant.", examples=["A"])
    share: float = Field(examples=[0.061])
    against_share: float = Field(examples=[0.042])
    p_value: float | None = Field(
        description=(
            "Of the two-proportion z-test, two-sided: how often chance alone makes a difference so large. "
            "Null where there are too few people."
        ),
        examples=[0.031],
    )
    verdict: Literal["higher", "lower", "no_difference", "too_few"] = Field(
        description=(
            "`higher` and `lower` where p is below 0.05, divided by the number of comparisons with the first; "
            "`no_difference`: none can be told."
        ),
        examples=["higher"],
    )


class ComparedOut(Shown):
    """The variants side by side. Without variants both lists are empty."""

    results: list[ResultOut]
    comparisons: list[ComparisonOut]
    held_out: int = Field(description="People who get nothing.", examples=[100])


class ChooseIn(Body):
    """Which one."""

    variant: Annotated[Str, Field(min_length=1, max_length=40)] | None = Field(
        description="Its name; null: by weight again.", examples=["B"]
    )


@router.get("/variants", dependencies=[Depends(needs("campaigns.read"))], responses=documented(404))
async def compare_variants(campaign_id: Id, tx: Tx, occurrence: WhichQuery = "latest") -> ComparedOut:
    """What came of each variant, and whether they differ by more than chance."""
    campaign = await campaigns.get(tx, campaign_id)
    number = await occurrences.chosen(tx, campaign, occurrence)
    found = await comparisons.compare(tx, campaign, occurrence=number)
    return ComparedOut(
        results=[
            ResultOut(
                **variants.said(one.variant),
                is_winner=one.is_winner,
                progress=ProgressOut.model_validate(one.progress),
                opted_out=one.opted_out,
            )
            for one in found.results
        ],
        comparisons=[ComparisonOut.model_validate(one) for one in found.comparisons],
        held_out=found.held_out,
    )


@router.post(
    "/choose-variant",
    dependencies=[Depends(needs("campaigns.send"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def choose_variant(campaign_id: Id, body: ChooseIn, tx: Tx, now: Now) -> CampaignOut:
    """From now on everybody gets this variant, also in later occurrences. Who was handed one before keeps it, also
    when somebody tries again."""
    campaign = await campaigns.get(tx, campaign_id, lock=True)
    await variants.choose(tx, campaign, body.variant, at=now)
    return await show(tx, campaign)

"""How the variants of a campaign did, side by side, and whether a difference is more than chance."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, case, select

from core import variants
from core.database import Tx
from core.models import Campaign, CampaignVariant, Identity, Message, Recipient, Suppression
from core.outcomes import NOTHING, Progress, funnels, of_occurrence

OPTED_OUT_WITHIN = timedelta(days=7)
_EARLIEST = timedelta(minutes=-1)  # an answer may be written down after the person has read the message
_BY_THEMSELVES = ("stop_word", "stopped_at_whatsapp")
_SURE = 0.05
_ENOUGH = 5  # people expected in each of the four fields: below that the formula says nothing


@dataclass(frozen=True, slots=True)
class Result:
    """Of one variant. `opted_out`: who stopped us within a week of getting it, and has not come back."""

    variant: CampaignVariant
    is_winner: bool
    progress: Progress
    opted_out: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """`metric` of one variant beside the first's, as shares. `verdict` is higher, lower, no_difference or too_few.
    `p_value`: how often a difference so large comes of chance alone; None where there are too few people."""

    metric: str
    variant: str
    against: str
    share: float
    against_share: float
    p_value: float | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Compared:
    results: Sequence[Result]
    comparisons: Sequence[Comparison]
    held_out: int


async def compare(tx: Tx, campaign: Campaign, *, occurrence: int | None = None) -> Compared:
    """In an occurrence, or in all together."""
    theirs = of_occurrence(campaign.id, occurrence)
    found = await funnels(tx, theirs, by=_gets(campaign))
    stopped = await opted_out(tx, theirs)
    results = [
        Result(
            variant=one,
            is_winner=campaign.winner == one.number,
            progress=found.get(one.number, NOTHING),
            opted_out=sum(1 for _, number in stopped if number == one.number),
        )
        for one in await variants.of_one(tx, campaign.id)
    ]
    return Compared(results, list(_compared(results)), sum(one.held_out for one in found.values()))


def _gets(campaign: Campaign) -> ColumnElement[Any]:
    """The variant of a recipient; of one who waits and was never handed any, the chosen one."""
    if campaign.winner is None:
        return Recipient.variant.expression
    had_one = select(Message.id).where(Message.recipient_id == Recipient.id).exists()
    return case(((Recipient.state == "queued") & ~had_one, campaign.winner), else_=Recipient.variant)


async def opted_out(tx: Tx, theirs: Collection[ColumnElement[bool]]) -> set[tuple[int, int | None]]:
    """(recipient id, variant) of those who stopped us within a week of their message. Looked for from those who have
    stopped: they are few."""
    rows = await tx.execute(
        select(Recipient.id, Recipient.variant, Recipient.sent_at, Suppression.created_at)
        .select_from(Suppression)
        .join(Identity, Identity.value_hash == Suppression.identity_hash)
        .join(Recipient, Recipient.contact_id == Identity.contact_id)
        .where(*theirs, Recipient.sent_at.is_not(None), Suppression.reason.in_(_BY_THEMSELVES))
    )
    return {
        (recipient_id, variant)
        for recipient_id, variant, sent_at, stopped_at in rows
        if _EARLIEST <= stopped_at - sent_at <= OPTED_OUT_WITHIN
    }


# ---- chance -------------------------------------------------------------------------------------------------


def _metrics(one: Result) -> Mapping[str, tuple[int, int]]:
    """How many of how many."""
    said, failed = one.progress, sum(one.progress.failed.values())
    return {
        "read": (said.read, said.sent),
        "replied": (said.replied, said.sent),
        "opted_out": (one.opted_out, said.sent),
        "failed": (failed, said.sent + failed),
    }


def _compared(results: Sequence[Result]) -> Iterator[Comparison]:
    """Each with the first. With more of them each has to be surer: of twenty comparisons one looks sure by chance."""
    for other in results[1:]:
        base = _metrics(results[0])
        for metric, (hits, of) in _metrics(other).items():
            yield _beside(metric, other, results[0], (hits, of), base[metric], sure=_SURE / (len(results) - 1))


def _beside(
    metric: str, one: Result, base: Result, mine: tuple[int, int], theirs: tuple[int, int], *, sure: float
) -> Comparison:
    share, against = (hits / of if of else 0.0 for hits, of in (mine, theirs))
    p_value = two_proportions(*mine, *theirs)
    if p_value is None:
        verdict = "too_few"
    elif p_value >= sure:
        verdict = "no_difference"
    else:
        verdict = "higher" if share > against else "lower"
    return Comparison(metric, one.variant.name, base.variant.name, share, against, p_value, verdict)


def two_proportions(hits: int, of: int, other_hits: int, other_of: int) -> float | None:
    """The two-sided p-value of the z-test with pooled variance; None where too few people make it meaningless."""
    together = of + other_of
    if not of or not other_of:
        return None
    pooled = (hits + other_hits) / together
    if min(of, other_of) * min(pooled, 1 - pooled) < _ENOUGH:
        return None
    z = (hits / of - other_hits / other_of) / math.sqrt(pooled * (1 - pooled) * (1 / of + 1 / other_of))
    return math.erfc(abs(z) / math.sqrt(2))

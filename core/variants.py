"""Variants of a campaign's message, each for a part of its audience. Not of a template: those are its languages."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select

from core import templates
from core.database import Tx
from core.errors import Conflict, Invalid, NotFound
from core.events import CampaignMoved, publish
from core.lots import Lots
from core.models import Campaign, CampaignVariant
from core.templates import Family

Families = Mapping[int, Family]
"""By number of the variant; 0 is the campaign's own template, where it has no variants."""
FEWEST, MOST = 2, 5
MOST_WEIGHT = 1_000
MOST_HELD_OUT = 90.0
_MAX_NAME = 40


async def check(tx: Tx, given: Sequence[Mapping[str, Any]], *, template_id: int) -> None:
    """Each a mapping of name and, if it is to be otherwise, template_id (the campaign's), defaults (none) and weight
    (1). Raises `Invalid`, `NotFound`."""
    if given and not FEWEST <= len(given) <= MOST:
        raise Invalid(
            f"A campaign has {FEWEST} to {MOST} variants, or none; these are {len(given)}.",
            field="variants",
            hint="A message that everybody gets is the campaign's template.",
        )
    names: set[str] = set()
    for place, one in enumerate(given):
        field = f"variants.{place}"
        name, weight = one["name"].strip(), one.get("weight", 1)
        if not 0 < len(name) <= _MAX_NAME:
            raise Invalid(f"The name of a variant has 1 to {_MAX_NAME} characters.", field=f"{field}.name")
        if name.casefold() in names:
            raise Invalid(f"There are two variants named {name!r}.", field=f"{field}.name")
        names.add(name.casefold())
        if not 0 < weight <= MOST_WEIGHT:
            raise Invalid(f"A weight is from 1 to {MOST_WEIGHT:,}.", field=f"{field}.weight")
        await _check_template(tx, one, field, template_id)


async def _check_template(tx: Tx, one: Mapping[str, Any], field: str, template_id: int) -> None:
    try:
        family = await templates.family(tx, one.get("template_id") or template_id)
    except NotFound as missing:
        raise NotFound(missing.message, field=f"{field}.template_id") from None
    known = {name for wording in family.by_language.values() for name in wording.variables}
    if unknown := sorted(set(one.get("defaults") or {}) - known):
        raise Invalid(
            f"There is a default for {unknown[0]!r}, but the template has no such variable.",
            field=f"{field}.defaults",
            hint=f"Variables of the template: {', '.join(sorted(known)) or 'none'}.",
        )


def holdout(percent: float | None) -> float | None:
    """Raises `Invalid`."""
    if percent is not None and not 0 < percent <= MOST_HELD_OUT:
        raise Invalid(
            f"The holdout is more than 0 and at most {MOST_HELD_OUT:g} percent.",
            field="holdout_percent",
            hint="Leave it out to hold nobody out.",
        )
    return percent


async def save_all(tx: Tx, campaign_id: int, given: Sequence[Mapping[str, Any]]) -> None:
    """In place of those it has. They were checked."""
    await tx.execute(delete(CampaignVariant).where(CampaignVariant.campaign_id == campaign_id))
    for number, one in enumerate(given, start=1):
        tx.add(
            CampaignVariant(
                campaign_id=campaign_id,
                number=number,
                name=one["name"].strip(),
                template_id=one.get("template_id"),
                defaults=dict(one.get("defaults") or {}),
                weight=one.get("weight", 1),
            )
        )
    await tx.flush()


async def of(tx: Tx, campaign_ids: Sequence[int]) -> Mapping[int, Sequence[CampaignVariant]]:
    """Those of each campaign that has some, in order."""
    rows = await tx.execute(
        select(CampaignVariant)
        .where(CampaignVariant.campaign_id.in_(campaign_ids))
        .order_by(CampaignVariant.campaign_id, CampaignVariant.number)
    )
    found: dict[int, list[CampaignVariant]] = {}
    for row in rows.scalars():
        found.setdefault(row.campaign_id, []).append(row)
    return found


def said(one: CampaignVariant) -> dict[str, Any]:
    """As `check` and `save_all` take it."""
    return {"name": one.name, "template_id": one.template_id, "defaults": one.defaults, "weight": one.weight}


async def of_one(tx: Tx, campaign_id: int) -> Sequence[CampaignVariant]:
    return (await of(tx, [campaign_id])).get(campaign_id, ())


async def named(tx: Tx, campaign_id: int, name: str, *, field: str = "variant") -> CampaignVariant:
    known = await of_one(tx, campaign_id)
    for one in known:
        if one.name.casefold() == name.strip().casefold():
            return one
    hint = f"It has: {', '.join(one.name for one in known)}." if known else "It has none."
    raise NotFound(f"Campaign {campaign_id} has no variant {name!r}.", field=field, hint=hint)


async def lots(tx: Tx, campaign: Campaign) -> Lots:
    """How its audience is divided, as of now."""
    weights = [(one.number, one.weight) for one in await of_one(tx, campaign.id)]
    if campaign.winner is not None:
        weights = [(campaign.winner, 1)]
    first = campaign.canary_percent if campaign.wave is not None else None
    return Lots(campaign.id, campaign.occurrence, campaign.holdout_percent, weights, first)


# ---- what they say ------------------------------------------------------------------------------------------


async def template_ids(tx: Tx, campaign: Campaign) -> list[int]:
    """What it sends, in order of id: its own template, or those of its variants."""
    known = await of_one(tx, campaign.id)
    return sorted({one.template_id or campaign.template_id for one in known} or {campaign.template_id})


async def families(tx: Tx, campaign: Campaign) -> Families:
    """What each of its recipients gets; load it once and keep it, it holds no row."""
    known = await of_one(tx, campaign.id)
    if not known:
        return {0: await templates.family(tx, campaign.template_id)}
    return {one.number: await family(tx, campaign, one) for one in known}


async def family(tx: Tx, campaign: Campaign, variant: CampaignVariant) -> Family:
    said = await templates.family(tx, variant.template_id or campaign.template_id)
    return said.with_defaults(variant.defaults)


# ---- one of them for everybody ------------------------------------------------------------------------------


async def choose(tx: Tx, campaign: Campaign, name: str | None, *, at: datetime) -> None:
    """From now on everybody gets this one, also in later occurrences; None: by weight again. Who was handed one
    already keeps it, whatever becomes of it. Who holds the campaign's row calls this."""
    chosen = None if name is None else await named(tx, campaign.id, name)
    if campaign.state in ("cancelled", "finished"):
        raise Conflict(f"Campaign {campaign.id} is {campaign.state}: nobody is left to choose for.", field="state")
    campaign.winner = None if chosen is None else chosen.number
    await tx.flush()
    told = "" if chosen is None else chosen.name
    await publish(tx, CampaignMoved(campaign_id=campaign.id, what="variant_chosen", reason=told), at=at)


def media_ids(families: Families) -> frozenset[int]:
    """Of the files in their headers."""
    return frozenset().union(*(family.media_ids for family in families.values()))

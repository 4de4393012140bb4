"""Changing a campaign that was not launched yet."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from core import audiences, campaigns, canaries, consents, quiet, senders, templates, variants
from core.database import Tx
from core.errors import Conflict, Invalid
from core.events import CampaignMoved, publish
from core.models import Campaign


async def change(tx: Tx, campaign_id: int, changes: Mapping[str, Any], *, at: datetime) -> Campaign:
    """`changes` names any of name, sender_id, template_id, audience, purpose, quiet_hours, timezone, holdout_percent,
    variants and canary; None takes the last five away. Raises `Conflict` once it was launched: its record says what was
    sent, and to whom."""
    campaign = await campaigns.get(tx, campaign_id, lock=True)
    if campaign.state != campaigns.DRAFT:
        raise Conflict(
            f"Campaign {campaign_id} is {campaign.state}; only a draft can be changed.",
            field="state",
            hint="Make another campaign.",
        )
    if not changes.get("name", campaign.name).strip():
        raise Invalid("A campaign needs a name.", field="name")
    if "sender_id" in changes:
        await senders.get(tx, changes["sender_id"])
    if "template_id" in changes:
        await templates.get(tx, changes["template_id"])
    if "audience" in changes:
        await audiences.check(tx, changes["audience"])
    if "purpose" in changes:
        consents.purpose(changes["purpose"])
    if changes.get("quiet_hours") is not None:
        quiet.parsed(changes["quiet_hours"])
    if changes.get("timezone") is not None:
        quiet.zone(changes["timezone"])
    variants.holdout(changes.get("holdout_percent"))
    if "canary" in changes:
        changes = {**changes, "canary": canaries.checked(changes["canary"])}
    await _change_variants(tx, campaign, changes)
    for field, value in changes.items():
        if field != "variants":
            setattr(campaign, field, value)
    campaign.forecast = None  # it was of another campaign
    await tx.flush()
    await publish(tx, CampaignMoved(campaign_id=campaign_id, what="changed"), at=at)
    return campaign


async def _change_variants(tx: Tx, campaign: Campaign, changes: Mapping[str, Any]) -> None:
    """Those it keeps have to fit a new template, where they have none of their own."""
    template_id = changes.get("template_id", campaign.template_id)
    if "variants" in changes:
        given = changes["variants"] or ()
        await variants.check(tx, given, template_id=template_id)
        await variants.save_all(tx, campaign.id, given)
        campaign.winner = None
    elif template_id != campaign.template_id:
        kept = [variants.said(one) for one in await variants.of_one(tx, campaign.id)]
        await variants.check(tx, kept, template_id=template_id)

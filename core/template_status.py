"""What WhatsApp says of a template: kept on its row; one that may not go any more pauses its own campaigns."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import func, or_, select

from core import campaigns, notices, notifications, templates
from core.database import Tx
from core.events import TemplateMoved, TemplateSaved, publish
from core.models import Campaign, CampaignVariant, Sender, Template, TemplateVariant
from core.ports import TemplateChanged
from core.wordings import tag

APPROVED, DELETED = "approved", "deleted"
STOPPING = frozenset(("paused", "disabled", "rejected", "archived", DELETED))


async def apply(tx: Tx, change: TemplateChanged, *, at: datetime) -> None:
    """A change that WhatsApp reports. What we missed, the next sync finds."""
    rows = await tx.execute(
        select(Template)
        .where(Template.waba_id == change.waba_id, Template.cloud_name == change.name)
        .order_by(Template.id)
        .with_for_update()
    )
    known = rows.scalars().all()
    variants = await templates.variants(tx, [one.id for one in known])
    unused: set[int] = set()
    for template in known:
        if change.category is not None and template.category != change.category:
            template.category = change.category
            await publish(tx, TemplateSaved(template_id=template.id), at=at)
        for row in templates.languages(template, variants.get(template.id, ())):
            if change.status is None or tag(row.language) != tag(change.language):
                continue
            if not await move(tx, template, row, change.status, at=at):
                unused.add(template.id)
    if change.status in STOPPING:
        await pause_campaigns(tx, change, but=unused, at=at)


async def move(tx: Tx, template: Template, row: Template | TemplateVariant, status: str, *, at: datetime) -> bool:
    """Returns whether running campaigns may be using `row`: a variant that was not approved was in no run."""
    was, row.status = row.status, status
    if was != status:
        await publish(tx, TemplateMoved(template_id=template.id, what=status, language=row.language), at=at)
        if status in STOPPING:
            await notifications.tell(tx, notices.template_stopped(template, row.language, status, at=at), at=at)
    return row is template or was in (None, APPROVED)


async def pause_campaigns(tx: Tx, change: TemplateChanged, *, but: Collection[int] = (), at: datetime) -> None:
    """Those that run with this template in this language from this account, also where the template was made by
    hand, and where only one of their variants has it; `but` names templates to leave alone."""
    sent = func.coalesce(CampaignVariant.template_id, Campaign.template_id)  # its own, unless all variants have theirs
    rows = await tx.execute(
        select(Campaign.id, Template.id, Template.language)
        .outerjoin(CampaignVariant, CampaignVariant.campaign_id == Campaign.id)
        .join(Template, Template.id == sent)
        .join(Sender, Sender.id == Campaign.sender_id)
        .where(
            Campaign.state.in_(campaigns.UNDER_WAY),
            Sender.waba_id == change.waba_id,
            Template.cloud_name == change.name,
            or_(Template.waba_id.is_(None), Template.waba_id == change.waba_id),
            Template.id.not_in(but),
        )
        .order_by(Campaign.id, Template.id)
    )
    found = rows.all()
    variants = await templates.variants(tx, [template_id for _, template_id, _ in found])
    for campaign_id, template_id, language in found:
        languages = {tag(language), *(tag(one.language) for one in variants.get(template_id, ()))}
        if tag(change.language) in languages:
            campaign = await campaigns.get(tx, campaign_id, lock=True)
            if campaign.state in campaigns.UNDER_WAY:  # it may have ended while we waited for its row
                await campaigns.pause(tx, campaign_id, reason=f"template_{change.status}", at=at)

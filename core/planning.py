"""From an audience to recipients: who will be written to, and who will not and why."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select

from core import audiences, bulk, campaigns, consents, occurrences, senders, variants
from core.canaries import FIRST
from core.database import Tx
from core.events import RecipientsPlanned, publish
from core.models import Campaign, Recipient
from core.settings import PLAN_AT_ONCE


async def plan_chunk(tx: Tx, campaign_id: int, *, at: datetime, size: int = PLAN_AT_ONCE) -> bool:
    """Make the next `size` recipients; False when there are none left. The cursor moves in the same
    transaction, and the unique key (campaign, occurrence, contact) stands behind it. Who had it before gets no row
    where they are not to be written to again: a campaign of every day would add the same people each day, for ever
    (core/why.py tells them from the earlier row)."""
    await senders.hold_switch(tx)  # two people that become one meanwhile would both be planned
    campaign = await campaigns.get(tx, campaign_id, lock=True)
    if campaign.state not in (campaigns.RUNNING, campaigns.PAUSED) or campaigns.planned(campaign):
        return False
    if campaign.audience_to is None:  # paused before it ever began
        return False
    occurrence = await occurrences.get(tx, campaign_id, campaign.occurrence)
    chosen = await audiences.members(tx, occurrence.audience or campaign.audience, at=campaign.launched_at)
    member = chosen.selected_columns.id
    chunk = chosen.where(member > campaign.planned_to, member <= campaign.audience_to).order_by(member).limit(size)
    ids = (await tx.execute(chunk)).scalars().all()
    if not ids:
        campaign.planned_to = campaign.audience_to
        return False
    inserted = await _insert(tx, campaign, ids, again=occurrence.include_earlier)
    skipped = (
        await tx.execute(
            select(func.count()).where(
                Recipient.campaign_id == campaign_id,
                Recipient.occurrence == campaign.occurrence,
                Recipient.contact_id > campaign.planned_to,
                Recipient.contact_id <= ids[-1],
                Recipient.state == "skipped",
            )
        )
    ).scalar_one()
    campaign.planned_to = ids[-1]
    queued = inserted - skipped
    await publish(tx, RecipientsPlanned(campaign_id=campaign_id, queued=queued, skipped=skipped), at=at)
    return True


async def _insert(tx: Tx, campaign: Campaign, ids: Sequence[int], *, again: bool) -> int:
    """How many recipients were new. With `again` also of those who had an earlier occurrence."""
    agreed = consents.agreed("c.id") if consents.is_needed(campaign.purpose) else "true"
    anew = "" if again else f"AND NOT {occurrences.had_it('c.id')}"
    lots = await variants.lots(tx, campaign)
    if lots.are_needed:
        rows = [
            {
                "id": one,
                "held": int(lots.held_out(one)),
                "variant": lots.variant(one),
                "wave": FIRST if lots.goes_first(one) else None,
            }
            for one in ids
        ]
        drawn = bulk.table(tx, id="bigint", held="int", variant="int", wave="int")
        # CROSS: SQLite goes through these first, and looks each person up.
        people = f"{drawn} CROSS JOIN contacts c WHERE c.id = r.id {bulk.few(tx, 'c.id', bulk.in_ids(tx))}"
        held, variant, wave = "r.held = 1", "r.variant", "r.wave"
    else:  # the usual case costs nothing more
        rows, people = None, f"contacts c WHERE c.id {bulk.in_ids(tx)}"
        held, variant, wave = "false", "CAST(NULL AS smallint)", "CAST(NULL AS smallint)"
    inserted = await bulk.run(
        tx,
        f"""
        INSERT INTO recipients (campaign_id, occurrence, contact_id, receipt, attempts, state, reason, variant,
            wave)
        SELECT :campaign, :occurrence, planned.id, 0, 0,
            CASE WHEN planned.reason IS NULL THEN 'queued' ELSE 'skipped' END, planned.reason,
            CASE WHEN planned.reason IS NULL OR planned.reason <> '{campaigns.HOLDOUT}' THEN planned.variant END,
            CASE WHEN planned.reason IS NULL THEN planned.wave END
        FROM (
            SELECT c.id, {variant} AS variant, {wave} AS wave, CASE
                WHEN {consents.stopped("c.id")} THEN 'opted_out'
                WHEN NOT {agreed} THEN 'unverified'
                WHEN {held} THEN '{campaigns.HOLDOUT}'
            END AS reason
            FROM {people} {anew}
        ) planned
        WHERE true ORDER BY planned.id
        ON CONFLICT (campaign_id, occurrence, contact_id) DO NOTHING
        """,
        rows,
        campaign=campaign.id,
        occurrence=campaign.occurrence,
        purpose=campaign.purpose,
        ids=bulk.ids(ids),
    )
    return max(0, int(inserted.rowcount))  # type: ignore[attr-defined]

"""Writing again to people of a campaign, because somebody asked for it; nothing here happens by itself."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, func, select, update

from core import bulk, campaigns, messages, occurrences
from core.database import Tx, is_postgres
from core.errors import Conflict
from core.events import CampaignMoved, publish
from core.models import Campaign, Message, Recipient

_AGAIN = (campaigns.RUNNING, campaigns.PAUSED, campaigns.FINISHED, campaigns.SCHEDULED)


async def retry_failed(
    tx: Tx, campaign_id: int, *, reason: str | None = None, occurrence: int | None = None, at: datetime
) -> int:
    """Back into the queue with those whose message is known to have had no effect (all, or those of one reason) in
    this occurrence, the latest unless given; returns how many. A finished campaign runs again."""
    campaign, who = await _chosen(tx, campaign_id, "failed", occurrence)
    if reason is not None:
        who.append(Recipient.reason == reason)
    return await _again(tx, campaign, "failed", who, occurrence, what="retried", at=at)


async def resend_unknown(tx: Tx, campaign_id: int, *, confirm: int, occurrence: int | None = None, at: datetime) -> int:
    """Write again to those of whom nobody knows whether they got it: each of them may get it twice, and that doubt is
    kept. `confirm` has to be their number; raises `Conflict` with the right one."""
    campaign, who = await _chosen(tx, campaign_id, "unknown", occurrence)
    number = (await tx.execute(select(func.count()).select_from(Recipient).where(*who))).scalar_one()
    if confirm != number:
        raise Conflict(
            f"Of {number} people it is not known whether they got the message; {confirm} was confirmed.",
            field="confirm",
            hint=f"Each of them may get it twice. If that is meant, confirm {number}.",
        )
    return await _again(tx, campaign, "unknown", who, occurrence, what="resent", at=at)


async def _chosen(
    tx: Tx, campaign_id: int, state: str, number: int | None
) -> tuple[Campaign, list[ColumnElement[bool]]]:
    """Who is in this state. Where nobody is to have it twice, without those who had it in another occurrence."""
    campaign = await campaigns.get(tx, campaign_id, lock=True)
    if campaign.state not in _AGAIN:
        is_held = campaign.state == campaigns.HOLDING
        hint = "Its canary is being looked at, as it is: let it go on, or pause it, first." if is_held else None
        raise Conflict(f"Campaign {campaign_id} is {campaign.state}.", field="state", hint=hint)
    occurrence = await occurrences.get(tx, campaign_id, campaign.occurrence if number is None else number)
    who = [
        Recipient.campaign_id == campaign_id,
        Recipient.occurrence == occurrence.number,
        Recipient.state == state,
    ]
    if not occurrence.include_earlier:
        who.append(~occurrences.had_another())
    return campaign, who


async def _again(
    tx: Tx,
    campaign: Campaign,
    state: str,
    who: Sequence[ColumnElement[bool]],
    occurrence: int | None,
    *,
    what: str,
    at: datetime,
) -> int:
    chosen = (
        select(Message.id).join(Recipient, Recipient.id == Message.recipient_id).where(*who, Message.state == state)
    )
    query = chosen.order_by(Message.id)  # as receipts lock them: two that touch the same never deadlock
    ids = (await tx.execute(query.with_for_update(of=Message) if is_postgres(tx) else query)).scalars().all()
    if state == "unknown":
        doubtful = update(Recipient).where(*who).values(may_have_arrived=True)
        await tx.execute(doubtful.execution_options(synchronize_session=False))
    await bulk.run(
        tx,
        "UPDATE messages SET state = 'queued', reason = NULL, receipt = 0, attempts = 0, provider_id = NULL, "
        f"settled_at = NULL, delivered_at = NULL, read_at = NULL WHERE id {bulk.in_ids(tx)}",
        ids=bulk.ids(ids),
    )
    await messages.moved(tx, "queued", ids, at=at)
    # Also who has no message at all: a restored backup knows only that they may have been written to.
    waiting = update(Recipient).values(state="queued", reason=None, evidence=None, not_before=None)
    unwritten = await tx.execute(waiting.where(*who).execution_options(synchronize_session=False))
    number = len(ids) + int(unwritten.rowcount)  # type: ignore[attr-defined]
    if number:
        await occurrences.run_again(tx, campaign.id, campaign.occurrence if occurrence is None else occurrence, at=at)
    if number and campaign.state in (campaigns.FINISHED, campaigns.SCHEDULED):
        campaigns.move(campaign, campaigns.RUNNING)
        campaign.finished_at = None
        campaign.launches += 1
    await publish(tx, CampaignMoved(campaign_id=campaign.id, what=what, reason=f"{number} recipients"), at=at)
    return number

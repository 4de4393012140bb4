"""One message to an audience: its states, its recipients, and who runs it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select, update

from core import audiences, canaries, consents, messages, notices, notifications, occurrences, quiet, senders, templates
from core.database import Tx
from core.errors import Conflict, Invalid, NotFound
from core.events import CampaignMoved, publish
from core.listing import Order, some
from core.models import Campaign, Contact, Occurrence, Recipient, Sender
from core.variants import check as check_variants
from core.variants import holdout, save_all, template_ids

DRAFT, SCHEDULED, RUNNING, HOLDING, PAUSED, CANCELLED, FINISHED = (
    "draft",
    "scheduled",
    "running",
    "holding",
    "paused",
    "cancelled",
    "finished",
)
MOVES = {
    DRAFT: {SCHEDULED, RUNNING, CANCELLED},
    SCHEDULED: {RUNNING, PAUSED, CANCELLED, FINISHED, DRAFT},  # a draft again: nothing of it ever began
    RUNNING: {HOLDING, PAUSED, CANCELLED, FINISHED, SCHEDULED},
    HOLDING: {RUNNING, PAUSED, CANCELLED},  # its canary was written to, and the others wait
    PAUSED: {RUNNING, CANCELLED, SCHEDULED, FINISHED, DRAFT},  # the last three from a pause between two occurrences
    CANCELLED: set[str](),
    FINISHED: {RUNNING},  # somebody wants to write again to those who did not get it
}
OVER = (CANCELLED, FINISHED)
UNDER_WAY = (RUNNING, HOLDING)
UNFINISHED = ("queued", "claimed", "sending")
HOLDOUT = "holdout"
"""Why somebody was skipped who was held out."""


async def create(
    tx: Tx,
    *,
    name: str,
    sender_id: int,
    template_id: int,
    audience: Mapping[str, Any],
    purpose: str = consents.MARKETING,
    quiet_hours: Mapping[str, str] | None = None,
    timezone: str | None = None,
    holdout_percent: float | None = None,
    variants: Sequence[Mapping[str, Any]] = (),
    canary: Mapping[str, Any] | None = None,
    at: datetime,
) -> Campaign:
    """`audience` as in `core.audiences`. Who has not agreed to `purpose` is left out, unless it is one
    that needs no consent. `timezone` is for quiet hours of those whose own is not known. `variants` as
    `core.variants.check`
    takes them, `canary` as `core.canaries`."""
    if quiet_hours is not None:
        quiet.parsed(quiet_hours)
    await audiences.check(tx, audience)
    if not name.strip():
        raise Invalid("A campaign needs a name.", field="name")
    await senders.get(tx, sender_id)
    await templates.get(tx, template_id)
    await check_variants(tx, variants, template_id=template_id)
    campaign = Campaign(
        name=name,
        sender_id=sender_id,
        template_id=template_id,
        audience=dict(audience),
        purpose=consents.purpose(purpose),
        quiet_hours=None if quiet_hours is None else dict(quiet_hours),
        timezone=None if timezone is None else quiet.zone(timezone),
        holdout_percent=holdout(holdout_percent),
        canary=canaries.checked(canary),
        state=DRAFT,
        state_reason="",
        occurrence=0,
        launches=0,
        planned_to=0,
        created_at=at,
    )
    tx.add(campaign)
    await tx.flush()
    if variants:
        await save_all(tx, campaign.id, variants)
    await publish(tx, CampaignMoved(campaign_id=campaign.id, what="created"), at=at)
    return campaign


async def get(tx: Tx, campaign_id: int, *, lock: bool = False) -> Campaign:
    query = select(Campaign).where(Campaign.id == campaign_id).execution_options(populate_existing=True)
    campaign = (await tx.execute(query.with_for_update() if lock else query)).scalar()
    if campaign is None:
        raise NotFound(f"There is no campaign {campaign_id}.", field="campaign_id")
    return campaign


async def listed(
    tx: Tx,
    *,
    after: int,
    limit: int,
    order: Order = "oldest",
    state: str | None = None,
    name: str | None = None,
    active_since: datetime | None = None,
) -> Sequence[Campaign]:
    """`active_since`: those of which an occurrence was under way then, or has been since."""
    query = some(select(Campaign), Campaign.id, after=after, limit=limit, order=order)
    if state is not None:
        query = query.where(Campaign.state == state)
    if name is not None:
        query = query.where(Campaign.name == name)
    if active_since is not None:
        query = query.where(occurrences.active_since(Campaign.id, active_since))
    return (await tx.execute(query)).scalars().all()


def move(campaign: Campaign, to: str) -> None:
    if to not in MOVES[campaign.state]:
        raise Conflict(
            f"Campaign {campaign.id} is {campaign.state}; it cannot become {to}.",
            field="state",
            hint=f"From {campaign.state} it can become: {', '.join(sorted(MOVES[campaign.state])) or 'nothing more'}.",
        )
    campaign.state = to


async def launch(tx: Tx, campaign_id: int, *, at: datetime) -> Campaign:
    """Freeze the audience and set it running. Of two launches at once the second gets `Conflict`."""
    campaign = await get(tx, campaign_id, lock=True)
    if campaign.state == SCHEDULED:
        raise Conflict(
            f"Campaign {campaign_id} is scheduled.",
            field="state",
            hint="Remove its schedule to launch it by hand, or schedule it sooner.",
        )
    if campaign.state != DRAFT:
        raise Conflict(
            f"Campaign {campaign_id} was launched already; it is {campaign.state}.",
            field="state",
            hint="A paused campaign goes on with resume." if campaign.state == PAUSED else None,
        )
    await check_fit(tx, campaign)
    occurrence = await occurrences.add(tx, campaign, due_at=at, include_earlier=True, at=at)
    await begin(tx, campaign, occurrence, at=at)
    return campaign


async def check_fit(tx: Tx, campaign: Campaign) -> None:
    """Raises `Conflict` where its sender or its template could not send it now."""
    sender = await senders.get(tx, campaign.sender_id)
    if sender.state != senders.ACTIVE:
        raise Conflict(f"Sender {sender.name!r} is {sender.state}: {sender.state_reason}", field="sender_id")
    await _check_template(tx, campaign, sender)


async def begin(tx: Tx, campaign: Campaign, occurrence: Occurrence, *, at: datetime) -> None:
    """The audience of this occurrence is frozen now, and planned from its beginning."""
    move(campaign, RUNNING)
    await occurrences.begin(tx, campaign, occurrence, at=at)
    campaign.occurrence = occurrence.number
    await canaries.start(tx, campaign)
    campaign.planned_to = 0
    campaign.audience_to = (await tx.execute(select(func.max(Contact.id)))).scalar() or 0
    campaign.launched_at = at
    campaign.launches += 1
    campaign.state_reason = ""
    await tx.flush()
    await publish(tx, CampaignMoved(campaign_id=campaign.id, what="launched"), at=at)


async def rest(tx: Tx, campaign: Campaign, *, reason: str = "", at: datetime) -> None:
    """Nothing of it runs: it waits for its next occurrence, or is over, or a draft again if it never began."""
    campaign.run_token = campaign.run_until = campaign.wave = campaign.held_until = None
    if await occurrences.waiting(tx, campaign.id) is not None:
        to, what = SCHEDULED, "scheduled"
    elif campaign.launched_at is None:
        to, what = DRAFT, "unscheduled"
    else:
        to, what, campaign.finished_at = FINISHED, "finished", at
    move(campaign, to)
    campaign.state_reason = reason
    await tx.flush()
    await publish(tx, CampaignMoved(campaign_id=campaign.id, what=what, reason=reason), at=at)


async def pause(tx: Tx, campaign_id: int, *, reason: str = "", quietly: bool = False, at: datetime) -> Campaign:
    """No intent commits after this does; what is under way ends as it ends. `quietly`: whoever asked for it knows, and
    nobody is told; otherwise `reason` is a code."""
    campaign = await get(tx, campaign_id, lock=True)
    move(campaign, PAUSED)
    campaign.state_reason = reason
    await publish(tx, CampaignMoved(campaign_id=campaign_id, what="paused", reason=reason), at=at)
    if not quietly:
        await notifications.tell(tx, notices.campaign_paused(campaign, at=at), at=at)
    return campaign


async def resume(tx: Tx, campaign_id: int, *, at: datetime) -> Campaign:
    """Go on; a pause between two occurrences ends in waiting for the next. Where the canary was judged already,
    whatever was said of it, all others are written to now."""
    campaign = await get(tx, campaign_id, lock=True)
    if campaign.state != PAUSED:
        raise Conflict(f"Campaign {campaign_id} is {campaign.state}, not paused.", field="state")
    if not await occurrences.is_running(tx, campaign_id):
        await rest(tx, campaign, at=at)
        return campaign
    await _check_template(tx, campaign, await senders.get(tx, campaign.sender_id))
    move(campaign, RUNNING)
    if campaign.canary_verdict is not None:
        campaign.wave = campaign.held_until = None
    campaign.state_reason = ""
    campaign.launches += 1
    await publish(tx, CampaignMoved(campaign_id=campaign_id, what="resumed"), at=at)
    return campaign


async def _check_template(tx: Tx, campaign: Campaign, sender: Sender) -> None:
    """Locked, so that it does not change between the look and the launch; so is each that a variant has."""
    for template_id in await template_ids(tx, campaign):
        template = await templates.get(tx, template_id, lock=True)
        await templates.check_sendable(tx, template, sender.waba_id)


async def cancel(tx: Tx, campaign_id: int, *, at: datetime) -> Campaign:
    """For good. Who was not written to yet is skipped; what is under way still gets its true outcome. Who was resent
    while unknown is so again."""
    campaign = await get(tx, campaign_id, lock=True)
    move(campaign, CANCELLED)
    campaign.finished_at = at
    await occurrences.end(tx, campaign_id, occurrences.CANCELLED, at=at)
    if (due := await occurrences.waiting(tx, campaign_id)) is not None:
        await occurrences.settle(tx, due, occurrences.CANCELLED, reason="campaign_cancelled", at=at)
    waiting = update(Recipient).where(Recipient.campaign_id == campaign_id, Recipient.state.in_(("queued", "claimed")))
    waiting = waiting.values(reason="cancelled", claim_token=None, claimed_until=None)
    doubtful = waiting.where(Recipient.may_have_arrived).values(state="unknown").returning(Recipient.id)
    doubtful = doubtful.execution_options(synchronize_session=False)
    await messages.leave_in_doubt(tx, (await tx.execute(doubtful)).scalars().all(), "cancelled", at=at)
    await tx.execute(waiting.values(state="skipped"))
    await publish(tx, CampaignMoved(campaign_id=campaign_id, what="cancelled"), at=at)
    return campaign


async def finish_if_done(tx: Tx, campaign_id: int, *, at: datetime) -> bool:
    """The occurrence is over when planned to the end and nobody is queued, claimed or without an outcome; so is the
    campaign, unless another is to come."""
    campaign = await get(tx, campaign_id, lock=True)
    if campaign.state != RUNNING or not planned(campaign):
        return False
    left = await tx.execute(
        select(Recipient.id).where(Recipient.campaign_id == campaign_id, Recipient.state.in_(UNFINISHED)).limit(1)
    )
    if left.first():
        return False
    await occurrences.end(tx, campaign_id, occurrences.FINISHED, at=at)
    await rest(tx, campaign, at=at)
    return True


def planned(campaign: Campaign) -> bool:
    return campaign.audience_to is not None and campaign.planned_to >= campaign.audience_to


# ---- the run that sends it ----------------------------------------------------------------------------------


async def hold_run(tx: Tx, campaign_id: int, *, token: str, now: datetime, until: datetime) -> bool:
    """Take or keep the lease of running this campaign; False when another run has it."""
    held = await tx.execute(
        update(Campaign)
        .where(
            Campaign.id == campaign_id,
            or_(Campaign.run_token.is_(None), Campaign.run_token == token, Campaign.run_until < now),
        )
        .values(run_token=token, run_until=until)
        .execution_options(synchronize_session=False)
    )
    return bool(held.rowcount)  # type: ignore[attr-defined]


async def leave_run(tx: Tx, campaign_id: int, *, token: str) -> None:
    await tx.execute(
        update(Campaign)
        .where(Campaign.id == campaign_id, Campaign.run_token == token)
        .values(run_token=None, run_until=None)
        .execution_options(synchronize_session=False)
    )


async def to_watch(tx: Tx, ids: Collection[int], *, all_running: bool) -> Sequence[Campaign]:
    """These, and those under way."""
    wanted = Campaign.id.in_(ids)
    query = select(Campaign).where(or_(wanted, Campaign.state == RUNNING) if all_running else wanted)
    return (await tx.execute(query.order_by(Campaign.id))).scalars().all()


async def waiting_for_a_run(tx: Tx, *, now: datetime) -> Sequence[Campaign]:
    """Running campaigns that nobody runs although there is something to do now."""
    due = select(Recipient.id).where(
        Recipient.campaign_id == Campaign.id,
        Recipient.state == "queued",
        or_(Recipient.not_before.is_(None), Recipient.not_before <= now),
    )
    first = due.where(Recipient.wave == canaries.FIRST, Recipient.occurrence == Campaign.occurrence)
    someone_is_due = or_(Campaign.wave.is_(None) & due.exists(), Campaign.wave.is_not(None) & first.exists())
    rows = await tx.execute(
        select(Campaign)
        .join(Sender, Sender.id == Campaign.sender_id)
        .where(
            Campaign.state == RUNNING,
            or_(Campaign.run_token.is_(None), Campaign.run_until < now),
            or_(Campaign.planned_to < Campaign.audience_to, someone_is_due),
            Sender.state == senders.ACTIVE,
            Sender.next_slot <= now.timestamp() + 1,
        )
        .order_by(Campaign.id)
    )
    return rows.scalars().all()


async def next_due(tx: Tx, campaign_id: int) -> datetime | None:
    """When the next of its queued recipients may be written to; the past for those who may be now."""
    queued = [Recipient.campaign_id == campaign_id, Recipient.state == "queued"]
    queued += of_wave(await get(tx, campaign_id))
    if (await tx.execute(select(Recipient.id).where(*queued, Recipient.not_before.is_(None)).limit(1))).first():
        return datetime.min.replace(tzinfo=UTC)
    moment: datetime | None = (await tx.execute(select(func.min(Recipient.not_before)).where(*queued))).scalar()
    return moment


def of_wave(campaign: Campaign) -> list[ColumnElement[bool]]:
    """Conditions on `Recipient`: those of the campaign that may be written to now, where that are not all."""
    if campaign.wave is None:
        return []
    return [Recipient.wave == campaign.wave, Recipient.occurrence == campaign.occurrence]


async def running(tx: Tx) -> Sequence[int]:
    rows = await tx.execute(select(Campaign.id).where(Campaign.state == RUNNING).order_by(Campaign.id))
    return rows.scalars().all()

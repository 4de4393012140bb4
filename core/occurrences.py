"""Each time that a campaign is sent: when it is due, what came of it, and whom it was for.

Rows of one campaign change only with the campaign's row locked.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, aliased

from core import audiences, bulk, notices, notifications
from core.database import Tx
from core.errors import NotFound
from core.events import OccurrenceMoved, publish
from core.models import Campaign, Occurrence, Recipient
from core.notices import Notice

SCHEDULED, RUNNING, FINISHED, MISSED, CANCELLED = "scheduled", "running", "finished", "missed", "cancelled"
# In these states the person got the message, may have got it, or is about to.
_HAD = ("queued", "claimed", "sending", "sent", "unknown")
Which = int | Literal["latest", "all"]


async def add(tx: Tx, campaign: Campaign, *, due_at: datetime, include_earlier: bool, at: datetime) -> Occurrence:
    """The next one, scheduled."""
    last = select(func.max(Occurrence.number)).where(Occurrence.campaign_id == campaign.id)
    occurrence = Occurrence(
        campaign_id=campaign.id,
        number=((await tx.execute(last)).scalar() or 0) + 1,
        state=SCHEDULED,
        reason="",
        planned_at=due_at,
        due_at=due_at,
        include_earlier=include_earlier,
        job_turn=0,
    )
    tx.add(occurrence)
    await tx.flush()
    await _tell(tx, occurrence, SCHEDULED, at=at)
    return occurrence


async def begin(tx: Tx, campaign: Campaign, occurrence: Occurrence, *, at: datetime) -> None:
    """Freeze whom it is for. A segment that changes later changes nothing here."""
    occurrence.audience = await audiences.frozen(tx, campaign.audience)
    occurrence.started_at = at
    await settle(tx, occurrence, RUNNING, at=at)


async def settle(tx: Tx, occurrence: Occurrence, state: str, *, reason: str = "", at: datetime) -> None:
    occurrence.state, occurrence.reason = state, reason
    if state in (FINISHED, MISSED, CANCELLED):
        occurrence.finished_at = at
    await tx.flush()
    await _tell(tx, occurrence, state, reason=reason, at=at)
    if state == FINISHED:
        await notifications.tell(tx, await _finished(tx, occurrence), at=at)
    elif state == MISSED:
        campaign = await tx.get_one(Campaign, occurrence.campaign_id)
        await notifications.tell(tx, notices.campaign_missed(campaign, occurrence), at=at)


async def _finished(tx: Tx, occurrence: Occurrence) -> Notice:
    """Looked up by one row of each kind, not counted: there may be a million."""

    async def has(state: str) -> bool:
        theirs = Recipient.campaign_id == occurrence.campaign_id, Recipient.occurrence == occurrence.number
        return (
            await tx.execute(select(Recipient.id).where(*theirs, Recipient.state == state).limit(1))
        ).first() is not None

    campaign = await tx.get_one(Campaign, occurrence.campaign_id)
    return notices.campaign_finished(campaign, occurrence, nobody=not await has("sent"), unknown=await has("unknown"))


async def put_off(tx: Tx, occurrence: Occurrence, due_at: datetime, *, reason: str, at: datetime) -> None:
    """It is due at another time."""
    occurrence.due_at = due_at
    await tx.flush()
    await _tell(tx, occurrence, "moved", reason=reason, at=at)


async def end(tx: Tx, campaign_id: int, state: str, *, at: datetime) -> None:
    """Those that run have come to an end."""
    for occurrence in await _in_state(tx, campaign_id, RUNNING):
        await settle(tx, occurrence, state, at=at)


async def run_again(tx: Tx, campaign_id: int, number: int, *, at: datetime) -> None:
    """People of one that may be over are written to again."""
    occurrence = await get(tx, campaign_id, number)
    if occurrence.state == FINISHED:
        occurrence.finished_at = None
        await settle(tx, occurrence, RUNNING, at=at)


async def waiting(tx: Tx, campaign_id: int) -> Occurrence | None:
    """The one that is scheduled."""
    found = await _in_state(tx, campaign_id, SCHEDULED)
    return found[0] if found else None


def active_since(campaign_id: ColumnElement[int] | InstrumentedAttribute[int], since: datetime) -> ColumnElement[bool]:
    """Whether one of the campaign began and was not over by then."""
    is_over = and_(Occurrence.finished_at.is_not(None), Occurrence.finished_at < since)
    its = select(Occurrence.id).where(Occurrence.campaign_id == campaign_id, Occurrence.started_at.is_not(None))
    return its.where(~is_over).exists()


async def is_running(tx: Tx, campaign_id: int) -> bool:
    return bool(await _in_state(tx, campaign_id, RUNNING))


async def _in_state(tx: Tx, campaign_id: int, state: str) -> Sequence[Occurrence]:
    rows = await tx.execute(
        select(Occurrence)
        .where(Occurrence.campaign_id == campaign_id, Occurrence.state == state)
        .order_by(Occurrence.number)
        .execution_options(populate_existing=True)
    )
    return rows.scalars().all()


async def get(tx: Tx, campaign_id: int, number: int) -> Occurrence:
    rows = await tx.execute(
        select(Occurrence).where(Occurrence.campaign_id == campaign_id, Occurrence.number == number)
    )
    occurrence = rows.scalar()
    if occurrence is None:
        raise NotFound(f"Campaign {campaign_id} has no occurrence {number}.", field="occurrence")
    return occurrence


async def listed(tx: Tx, campaign_id: int, *, after: int, limit: int, state: str | None = None) -> Sequence[Occurrence]:
    """By id, oldest first."""
    theirs = [Occurrence.campaign_id == campaign_id, Occurrence.id > after]
    if state is not None:
        theirs.append(Occurrence.state == state)
    return (await tx.execute(select(Occurrence).where(*theirs).order_by(Occurrence.id).limit(limit))).scalars().all()


async def chosen(tx: Tx, campaign: Campaign, which: Which) -> int | None:
    """The number meant: `latest` is the last that began, None stands for all together. Raises `NotFound`."""
    if which == "all":
        return None
    if which == "latest" or which == campaign.occurrence:
        return campaign.occurrence
    return (await get(tx, campaign.id, which)).number


# ---- who had it before --------------------------------------------------------------------------------------


def had_it(contact: str) -> str:
    """SQL: the person `contact` had another occurrence than `:occurrence` of `:campaign`, or may have had it. Merged
    into somebody of the same occurrence counts as having had that one's."""
    states = ", ".join(f"'{state}'" for state in _HAD)
    return (
        "EXISTS (SELECT 1 FROM recipients earlier WHERE earlier.campaign_id = :campaign "
        f"AND earlier.contact_id = {contact} AND earlier.occurrence <> :occurrence "
        f"AND (earlier.state IN ({states}) OR earlier.reason = 'merged'))"
    )


def had_another() -> ColumnElement[bool]:
    """The same, of a row of `Recipient`."""
    other = aliased(Recipient)
    theirs = (
        other.campaign_id == Recipient.campaign_id,
        other.contact_id == Recipient.contact_id,
        other.occurrence != Recipient.occurrence,
        or_(other.state.in_(_HAD), other.reason == "merged"),
    )
    return select(other.id).where(*theirs).exists()


async def who_had_it(tx: Tx, campaign_id: int, contact_ids: Sequence[int], *, number: int = -1) -> set[int]:
    """Of these people, who had another occurrence than `number`."""
    rows = await bulk.run(
        tx,
        f"SELECT c.id FROM contacts c WHERE c.id {bulk.in_ids(tx)} AND {had_it('c.id')}",
        campaign=campaign_id,
        occurrence=number,
        ids=bulk.ids(contact_ids),
    )
    return set(rows.scalars())


async def _tell(tx: Tx, occurrence: Occurrence, what: str, *, reason: str = "", at: datetime) -> None:
    happened = OccurrenceMoved(
        campaign_id=occurrence.campaign_id,
        number=occurrence.number,
        what=what,
        due_at=occurrence.due_at.isoformat(),
        reason=reason,
    )
    await publish(tx, happened, at=at)

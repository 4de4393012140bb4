"""Filters with a name. Who is in a segment is asked anew each time."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select, text

from core import audiences
from core.database import Tx, is_postgres
from core.errors import Conflict, Invalid, NotFound
from core.events import SegmentMoved, publish
from core.filters import Filter
from core.filters_text import parse, write
from core.listing import Order, some
from core.models import Campaign, Segment

SAMPLE = 10
_USING = ("draft", "scheduled", "running", "holding", "paused")


async def create(tx: Tx, *, name: str, filter: Filter, at: datetime) -> Segment:
    """The filter is kept in its canonical text. Raises `Invalid` where it does not fit, `Conflict` for a known name."""
    await audiences.matching(tx, filter, at=at)
    segment = Segment(name=await _free(tx, name), filter=write(filter), created_at=at, updated_at=at)
    tx.add(segment)
    await tx.flush()
    await publish(tx, SegmentMoved(segment_id=segment.id, what="saved"), at=at)
    return segment


async def change(
    tx: Tx,
    segment_id: int,
    *,
    name: str | None = None,
    filter: Filter | None = None,
    at: datetime,
) -> Segment:
    """Also one that a campaign uses: what has begun keeps the filter it began with, what is still to begin takes the
    new one."""
    segment = await get(tx, segment_id, lock=True)
    if name is not None and name != segment.name:
        segment.name = await _free(tx, name)
    if filter is not None:
        await audiences.matching(tx, filter, at=at)
        segment.filter = write(filter)
    segment.updated_at = at
    await tx.flush()
    await publish(tx, SegmentMoved(segment_id=segment_id, what="saved"), at=at)
    return segment


async def delete(tx: Tx, segment_id: int, *, at: datetime) -> None:
    """Raises `Conflict` while a campaign that is not over uses it."""
    segment = await get(tx, segment_id, lock=True)
    for campaign in (await tx.execute(select(Campaign).where(Campaign.state.in_(_USING)))).scalars():
        if campaign.audience.get("segment") == segment_id:
            raise Conflict(
                f"Campaign {campaign.id} is for this segment and is {campaign.state}.",
                field="segment_id",
                hint="Cancel the campaign, or wait until it is finished.",
            )
    await tx.delete(segment)
    await publish(tx, SegmentMoved(segment_id=segment_id, what="deleted"), at=at)


async def get(tx: Tx, segment_id: int, *, lock: bool = False) -> Segment:
    query = select(Segment).where(Segment.id == segment_id).execution_options(populate_existing=True)
    segment = (await tx.execute(query.with_for_update() if lock else query)).scalar()
    if segment is None:
        raise NotFound(f"There is no segment {segment_id}.", field="segment_id")
    return segment


async def listed(
    tx: Tx, *, after: int, limit: int, order: Order = "oldest", name: str | None = None
) -> Sequence[Segment]:
    query = some(select(Segment), Segment.id, after=after, limit=limit, order=order)
    if name is not None:
        query = query.where(Segment.name == name)
    return (await tx.execute(query)).scalars().all()


async def count(tx: Tx, filter: Filter, *, at: datetime, sees_numbers: bool = True) -> int:
    """How many people it chooses now; whether who asks may see numbers."""
    await _look_broadly(tx)
    chosen = await audiences.chosen(tx, filter, at=at, sees_numbers=sees_numbers, reads_all=True)
    who = chosen.subquery()
    return (await tx.execute(select(func.count()).select_from(who))).scalar_one()


async def sample(tx: Tx, filter: Filter, *, at: datetime, sees_numbers: bool = True) -> Sequence[int]:
    """The ids of the ten who were added last, of those it chooses."""
    await _look_broadly(tx)
    who = await audiences.chosen(tx, filter, at=at, sees_numbers=sees_numbers)
    return (await tx.execute(who.order_by(who.selected_columns.id.desc()).limit(SAMPLE))).scalars().all()


def structure(segment: Segment) -> Filter:
    return parse(segment.filter)


async def _look_broadly(tx: Tx) -> None:
    """A count reads tables whole, which our connections are told to avoid (core/database.py), and hashes them."""
    if is_postgres(tx):
        await tx.execute(text("SET LOCAL enable_seqscan = on"))
        await tx.execute(text("SET LOCAL work_mem = '64MB'"))
        await tx.execute(text("SET LOCAL jit = off"))


async def _free(tx: Tx, name: str) -> str:
    if not name.strip():
        raise Invalid("A segment needs a name.", field="name")
    if (await tx.execute(select(Segment.id).where(Segment.name == name))).first():
        raise Conflict(f"There is a segment named {name!r} already.", field="name")
    return name

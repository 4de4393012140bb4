"""Whom a campaign is for: `{"all": true}`, `{"tag": "vip"}`, `{"segment": 3}` or `{"filter": "tag = \\"vip\\""}`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, select

from core import attributes, filters_sql
from core.database import DatabaseClock, Tx, is_postgres
from core.errors import Invalid
from core.filters import Filter
from core.filters_text import parse
from core.models import Contact, ContactTag, Merge, Segment

_HINT = '{"all": true}, {"tag": "customers"}, {"segment": 3} or {"filter": "tag = \\"vip\\""}'


async def check(tx: Tx, audience: Mapping[str, Any]) -> None:
    """Raises `Invalid` for a shape that is none, a segment that is not there, a filter that does not fit."""
    await members(tx, audience)


async def members(tx: Tx, audience: Mapping[str, Any], *, at: datetime | None = None) -> Select[tuple[int]]:
    """The ids of these people, asked anew each time, in one column labelled `id`. Go through them in chunks so:

        who = await audiences.members(tx, campaign.audience)
        member = who.selected_columns.id
        ids = (await tx.execute(who.where(member > after, member <= last).order_by(member).limit(5_000))).scalars()

    Who was merged into another is not among them. `at` is what "30 days ago" counts from; now, where it is not given.
    Raises `Invalid` as `check` does.
    """
    match dict(audience):
        case {"all": True, **rest} if not rest and audience["all"] is True:
            return select(Contact.id.label("id")).where(is_there())
        case {"tag": str(tag), **rest} if tag.strip() and not rest:
            return select(ContactTag.contact_id.label("id")).where(ContactTag.tag == tag)
        case {"segment": int(segment_id), **rest} if not isinstance(segment_id, bool) and not rest:
            segment = await tx.get(Segment, segment_id) if 0 < segment_id < 2**63 else None
            if segment is None:
                raise Invalid(f"There is no segment {segment_id}.", field="audience", hint=_HINT)
            return await chosen(tx, parse(segment.filter), at=at)
        case {"filter": str(text), **rest} if not rest:
            return await chosen(tx, parse(text), at=at)
    raise Invalid("An audience is everybody, a tag, a segment or a filter.", field="audience", hint=_HINT)


async def frozen(tx: Tx, audience: Mapping[str, Any]) -> dict[str, Any]:
    """The same, that a later change of the segment does not change. Raises `Invalid` as `check` does."""
    await check(tx, audience)
    if "segment" in audience:
        return {"filter": (await tx.get_one(Segment, audience["segment"])).filter}
    return dict(audience)


async def chosen(
    tx: Tx, one: Filter, *, at: datetime | None = None, sees_numbers: bool = True, reads_all: bool = False
) -> Select[tuple[int]]:
    """As `members`, of a filter. `reads_all`: no page of it is asked for, but the whole, as a count does."""
    who = await matching(tx, one, at=at, sees_numbers=sees_numbers, reads_all=reads_all)
    return select(Contact.id.label("id")).where(is_there(), who)


async def matching(
    tx: Tx, one: Filter, *, at: datetime | None = None, sees_numbers: bool = True, reads_all: bool = False
) -> ColumnElement[bool]:
    """The filter as a condition on `Contact`; whether who asks may see numbers."""
    now = at or await DatabaseClock().now(tx)
    about = filters_sql.About(is_postgres(tx), await attributes.kinds(tx), now, sees_numbers, reads_all)
    return filters_sql.condition(one, about)


def is_there() -> ColumnElement[bool]:
    """Not merged into another. By a subquery of its own: there are few of those, and it is made once."""
    return Contact.id.not_in(select(Merge.gone_id).where(Merge.undone_at.is_(None)))

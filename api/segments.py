"""Filters over people, and those of them that have a name."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from api.auth import needs, principal_of
from api.bodies import Body, Shown
from api.deps import Id, Now, Str, Tx
from api.errors import documented
from api.idempotent import DOCUMENTED, Once, Signed
from api.masking import sees_numbers
from api.pages import Named, OrderedDep, Page, page
from core import segments
from core.errors import Invalid
from core.filters import MAX_TEXT, Filter, from_json, to_json
from core.filters_text import parse, write
from core.models import Segment

router = APIRouter(prefix="/api/v3/segments", tags=["segments"], route_class=Once)
looking = APIRouter(prefix="/api/v3/segments", tags=["segments"], route_class=Signed)

_TEXT = 'tag = "vip" and not city in ("Riyadh", "جدة")'
_STRUCTURE = {
    "all": [
        {"field": "tag", "op": "=", "value": "vip"},
        {"not": {"attribute": "city", "op": "in", "value": ["Riyadh", "جدة"]}},
    ]
}
Name = Annotated[Str, Field(min_length=1, max_length=100)]


class FilterIn(Body):
    """Who is meant, as text or as structure."""

    filter: Annotated[Str, Field(max_length=MAX_TEXT)] | None = Field(
        default=None, description="As text; the language is in docs/segments.md.", examples=[_TEXT]
    )
    structure: dict[str, Any] | None = Field(default=None, description="The same as a tree.", examples=[_STRUCTURE])


class SegmentIn(FilterIn):
    """A filter to keep. Give `filter` or `structure`."""

    name: Name = Field(examples=["VIPs elsewhere"])


class SegmentChange(FilterIn):
    """What is to be otherwise; what is not given stays."""

    name: Name | None = Field(default=None, examples=["VIPs elsewhere"])


class SegmentOut(Shown):
    """A filter with a name. Who is in it is asked anew each time."""

    id: int = Field(examples=[3])
    name: str = Field(examples=["VIPs elsewhere"])
    filter: str = Field(description="In its canonical text.", examples=[_TEXT])
    structure: dict[str, Any] = Field(description="The same as a tree.", examples=[_STRUCTURE])
    created_at: datetime
    updated_at: datetime


class CountOut(Shown):
    """How many people a filter chooses at this moment."""

    count: int = Field(examples=[1200])
    sample: list[int] = Field(description="Ten of them at most, added last first: ids of contacts.", examples=[[7, 5]])
    filter: str = Field(description="In its canonical text.", examples=[_TEXT])
    structure: dict[str, Any] = Field(description="The same as a tree.", examples=[_STRUCTURE])


def asked(body: FilterIn) -> Filter | None:
    """None where neither is given; raises `Invalid` for both."""
    if body.filter is not None and body.structure is not None:
        raise Invalid("Give the filter as text or as structure, not both.", field="filter")
    if body.structure is not None:
        return from_json(body.structure)
    return None if body.filter is None else parse(body.filter)


def _needed(body: FilterIn) -> Filter:
    if (found := asked(body)) is None:
        raise Invalid("There is no filter.", field="filter", hint=f"Example: {_TEXT}")
    return found


def show(segment: Segment) -> SegmentOut:
    return SegmentOut(
        id=segment.id,
        name=segment.name,
        filter=segment.filter,
        structure=to_json(segments.structure(segment)),
        created_at=segment.created_at,
        updated_at=segment.updated_at,
    )


async def _count(tx: Tx, chosen: Filter, now: datetime, *, sees_numbers: bool = True) -> CountOut:
    return CountOut(
        count=await segments.count(tx, chosen, at=now, sees_numbers=sees_numbers),
        sample=list(await segments.sample(tx, chosen, at=now, sees_numbers=sees_numbers)),
        filter=write(chosen),
        structure=to_json(chosen),
    )


@looking.post("/count", dependencies=[Depends(needs("contacts.read"))], responses=documented())
async def count_filter(body: FilterIn, request: Request, tx: Tx, now: Now) -> CountOut:
    """How many people a filter chooses now, without saving it. Changes nothing, so it needs no idempotency key."""
    return await _count(tx, _needed(body), now, sees_numbers=sees_numbers(principal_of(request)))


@router.post(
    "",
    status_code=201,
    dependencies=[Depends(needs("contacts.write"))],
    responses=documented(409),
    openapi_extra=DOCUMENTED,
)
async def create_segment(body: SegmentIn, tx: Tx, now: Now) -> SegmentOut:
    """Keep a filter under a name."""
    return show(await segments.create(tx, name=body.name, filter=_needed(body), at=now))


@router.get("", dependencies=[Depends(needs("contacts.read"))], responses=documented())
async def list_segments(tx: Tx, place: OrderedDep, name: Named = None) -> Page[SegmentOut]:
    """All segments, oldest first unless `order` says otherwise."""
    rows = await segments.listed(tx, after=place.after, limit=place.limit, order=place.order, name=name)
    return page(rows, place, id_of=lambda row: row.id, show=show)


@router.get("/{segment_id}", dependencies=[Depends(needs("contacts.read"))], responses=documented(404))
async def get_segment(segment_id: Id, tx: Tx) -> SegmentOut:
    """One segment."""
    return show(await segments.get(tx, segment_id))


@router.get("/{segment_id}/count", dependencies=[Depends(needs("contacts.read"))], responses=documented(404))
async def count_segment(segment_id: Id, tx: Tx, now: Now) -> CountOut:
    """How many people are in it now, and ten of them."""
    return await _count(tx, segments.structure(await segments.get(tx, segment_id)), now)


@router.patch(
    "/{segment_id}",
    dependencies=[Depends(needs("contacts.write"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def change_segment(segment_id: Id, body: SegmentChange, tx: Tx, now: Now) -> SegmentOut:
    """Change the name or the filter. What has begun goes on with the old filter."""
    return show(await segments.change(tx, segment_id, name=body.name, filter=asked(body), at=now))


@router.delete(
    "/{segment_id}",
    dependencies=[Depends(needs("contacts.write"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def delete_segment(segment_id: Id, tx: Tx, now: Now) -> SegmentOut:
    """Delete it, and show it for the last time. Refused while a campaign that is not over is for it."""
    shown = show(await segments.get(tx, segment_id))
    await segments.delete(tx, segment_id, at=now)
    return shown

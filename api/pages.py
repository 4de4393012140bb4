"""Lists in pages: a cursor that only we can read, so that its meaning may change."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from api.deps import Str
from core.errors import Invalid
from core.listing import Order

_MARKS: dict[Order, str] = {"oldest": "after", "newest": "before"}

T = TypeVar("T")
Row = TypeVar("Row")


class Page(BaseModel, Generic[T]):
    """Some of a list, and how to get the next."""

    model_config = ConfigDict(json_schema_extra={"description": "Some of a list, and how to get the next."})

    data: list[T]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null at the end.")


@dataclass(frozen=True, slots=True)
class Place:
    """`after` is the id the last page ended with; 0 at the beginning."""

    after: int
    limit: int
    order: Order = "oldest"


_Limit = Annotated[int, Query(ge=1, le=500, description="At most so many.")]
_Cursor = Annotated[str | None, Query(max_length=100, description="`next_cursor` of the page before.")]


async def _place(limit: _Limit = 100, cursor: _Cursor = None) -> Place:
    return Place(after=_read(cursor, "oldest") if cursor else 0, limit=limit)


async def _ordered(
    limit: _Limit = 100,
    cursor: _Cursor = None,
    order: Annotated[Order, Query(description="What comes first; the same on every page.")] = "oldest",
) -> Place:
    return Place(after=_read(cursor, order) if cursor else 0, limit=limit, order=order)


PlaceDep = Annotated[Place, Depends(_place)]
OrderedDep = Annotated[Place, Depends(_ordered)]
Named = Annotated[Str | None, Query(max_length=200, description="Only of exactly this name.")]


def page(rows: Sequence[Row], place: Place, *, id_of: Callable[[Row], int], show: Callable[[Row], T]) -> Page[T]:
    is_full = len(rows) == place.limit
    return Page(data=[show(row) for row in rows], next_cursor=_write(id_of(rows[-1]), place.order) if is_full else None)


def _write(after: int, order: Order) -> str:
    return urlsafe_b64encode(f"{_MARKS[order]}:{after}".encode()).decode().rstrip("=")


def _read(cursor: str, order: Order) -> int:
    try:
        mark, _, number = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(":")
        after = int(number)
    except ValueError:
        mark, after = "", -1
    if mark not in _MARKS.values() or not 0 <= after < 2**63:
        raise Invalid("This cursor is not one of ours.", field="cursor", hint="Give back next_cursor as it came.")
    if mark != _MARKS[order]:
        raise Invalid("This cursor is of a list in the other order.", field="cursor", hint="Give the same order again.")
    return after

"""The tags that people have. Who gets and loses one: `contacts.py`."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from api.auth import needs
from api.bodies import Shown
from api.deps import Tx
from api.errors import documented
from api.idempotent import Once
from api.pages import Page
from core import tags
from core.errors import Invalid

router = APIRouter(prefix="/api/v3/tags", tags=["tags"], route_class=Once)


class TagOut(Shown):
    """A tag that somebody has."""

    name: str = Field(examples=["vip"])


@router.get("", dependencies=[Depends(needs("contacts.read"))], responses=documented())
async def list_tags(
    tx: Tx,
    limit: Annotated[int, Query(ge=1, le=500, description="At most so many.")] = 100,
    cursor: Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before.")] = None,
) -> Page[TagOut]:
    """Every tag that somebody has, by name. A tag nobody has any more is not there; it needs no deleting."""
    names = await tags.listed(tx, after=_read(cursor) if cursor else "", limit=limit)
    more = urlsafe_b64encode(names[-1].encode()).decode().rstrip("=") if len(names) == limit else None
    return Page(data=[TagOut(name=name) for name in names], next_cursor=more)


def _read(cursor: str) -> str:
    try:
        after = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError:
        after = "\0"
    if "\0" in after:
        raise Invalid("This cursor is not one of ours.", field="cursor", hint="Give back next_cursor as it came.")
    return after

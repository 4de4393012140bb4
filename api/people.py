"""One person: changed by hand, joined with another, and all that ever happened."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from api.auth import may, needs
from api.bodies import Body, Shown
from api.contacts import ContactOut, Value, show
from api.deps import Id, Now, Str, Tx
from api.errors import documented
from api.idempotent import DOCUMENTED, Once
from api.messages import RECEIPTS
from api.pages import Page
from core import contacts, history, merges, profiles
from core.history import Entry

router = APIRouter(prefix="/api/v3/contacts", tags=["contacts"], route_class=Once)


class ContactChange(Body):
    """What is to be otherwise; what is not given stays."""

    name: Annotated[Str, Field(max_length=200)] | None = Field(default=None, examples=["نورة"])
    language: Annotated[Str, Field(max_length=20)] | None = Field(
        default=None, description="An empty text takes it away.", examples=["ar"]
    )
    timezone: Annotated[Str, Field(max_length=64)] | None = Field(
        default=None, description="An empty text takes it away.", examples=["Asia/Riyadh"]
    )
    attributes: dict[Annotated[Str, Field(max_length=50)], Value | None] | None = Field(
        default=None,
        max_length=100,
        description="Added to those there are; one that is null is taken away. Each has to be of its kind.",
        examples=[{"age": 30, "city": None}],
    )
    tags: list[Annotated[Str, Field(min_length=1, max_length=80)]] | None = Field(
        default=None, max_length=50, description="All tags from now on.", examples=[["customers"]]
    )


class MergeIn(Body):
    """Who is the same person."""

    gone_id: int = Field(ge=1, le=2**63 - 1, description="This contact becomes part of the other.", examples=[9])


class MergeOut(Shown):
    """Two contacts that became one."""

    id: int = Field(examples=[2])
    kept_id: int = Field(examples=[7])
    gone_id: int = Field(examples=[9])
    merged_at: datetime
    undone_at: datetime | None = Field(description="When they were parted again.")


class EntryOut(Shown):
    """One thing that happened."""

    at: datetime
    kind: Literal["message", "campaign", "consent", "merged", "parted"]
    id: int = Field(description="Of the message, recipient, line of the ledger, or merge.", examples=[41])
    details: dict[str, Any] = Field(
        description="By kind. A campaign: its `name`, the recipient's `state`, `reason` and `evidence`.",
        examples=[{"campaign_id": 7, "name": "Spring", "state": "skipped", "reason": "opted_out"}],
    )


@router.patch(
    "/{contact_id}",
    dependencies=[Depends(needs("contacts.write"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def change_contact(contact_id: Id, body: ContactChange, tx: Tx, now: Now) -> ContactOut:
    """Change what is known of a person."""
    given: dict[str, Any] = {name: getattr(body, name) for name in ContactChange.model_fields}
    await profiles.change(tx, contact_id, profiles.Changes(**given), at=now)
    return show(await contacts.card(tx, contact_id))


@router.post(
    "/{contact_id}/merge",
    status_code=201,
    dependencies=[Depends(needs("contacts.write"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def merge_contacts(contact_id: Id, body: MergeIn, tx: Tx, now: Now) -> MergeOut:
    """Make another contact part of this one: identities, tags, attributes, messages and campaigns. Values of this one
    win; an opt-out of either counts for both; nobody is written to twice."""
    return MergeOut.model_validate(await merges.merge(tx, contact_id, body.gone_id, at=now))


@router.post(
    "/merges/{merge_id}/undo",
    dependencies=[Depends(needs("contacts.write"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def undo_merge(merge_id: Id, tx: Tx, now: Now) -> MergeOut:
    """Part two contacts again, the last merge first. What was changed since stays with the one that was kept."""
    return MergeOut.model_validate(await merges.unmerge(tx, merge_id, at=now))


@router.get("/{contact_id}/history", dependencies=[Depends(needs("contacts.read"))], responses=documented(404))
async def get_history(
    contact_id: Id,
    request: Request,
    tx: Tx,
    limit: Annotated[int, Query(ge=1, le=500, description="At most so many.")] = 100,
    cursor: Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before.")] = None,
) -> Page[EntryOut]:
    """Everything of one person, newest first: messages, campaigns with why and why not, consents, merges. What was
    written is in it for who may read chats."""
    await contacts.get(tx, contact_id)
    entries = await history.of(tx, contact_id, before=cursor, limit=limit)
    return Page(
        data=[_shown(one, with_chats=may(request, "messages.read")) for one in entries],
        next_cursor=entries[-1].cursor if len(entries) == limit else None,
    )


def _shown(entry: Entry, *, with_chats: bool) -> EntryOut:
    shown = EntryOut.model_validate(entry)
    if "receipt" in shown.details:
        shown.details["receipt"] = RECEIPTS[shown.details["receipt"]]
    if not with_chats:
        shown.details.pop("content", None)
    return shown

"""What was written, in both directions; and one message or many to write."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field, ValidationError

from api.auth import needs
from api.bodies import Body, Shown
from api.deps import Id, Now, PlatformDep, Tx, Work, after_commit
from api.errors import documented, first_wrong
from api.idempotent import DOCUMENTED, Once
from api.media import MediaOut
from api.message_bodies import MessageIn
from api.pages import Page, PlaceDep, page
from core import contacts, messages, outgoing
from core.errors import WaqtorError
from core.models import Message
from core.outbox import Outbox
from core.transfers import Transfers

router = APIRouter(prefix="/api/v3/messages", tags=["messages"], route_class=Once)

Receipt = Literal["none", "sent", "delivered", "read", "failed"]
RECEIPTS: dict[int, Receipt] = {-1: "failed", 0: "none", 1: "sent", 2: "delivered", 3: "read"}


class MessageOut(Shown):
    """One message in or out."""

    id: int = Field(examples=[12])
    direction: Literal["in", "out"]
    sender_id: int
    contact_id: int | None
    content: dict[str, Any] = Field(description="By `type`.", examples=[{"type": "text", "body": "Hello"}])
    state: str = Field(description="queued, intent, in_doubt, unknown, sent, failed; received.", examples=["sent"])
    reason: str | None = Field(examples=[None])
    receipt: Receipt
    attempts: int
    late: bool = Field(description="The proof came after we had given up waiting for it.")
    client_id: str | None = Field(description="Ours, equal for every attempt.")
    provider_id: str | None = Field(description="WhatsApp's.")
    purpose: str | None = Field(description="Of a single message.", examples=["service"])
    not_before: datetime | None = Field(description="While it is queued: when it is tried next.")
    expires_at: datetime | None
    reply_to: str | None = Field(description="WhatsApp's id of the message it answers.", examples=[None])
    test_of: int | None = Field(description="The campaign it is a test of.", examples=[None])
    at: datetime = Field(description="Accepted; once it was handed over, when that was.")
    settled_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None


def show(message: Message) -> MessageOut:
    plain = {name: getattr(message, name) for name in MessageOut.model_fields if name != "receipt"}
    return MessageOut(**plain, receipt=RECEIPTS[message.receipt])


class BulkIn(Body):
    """Up to 1,000 messages."""

    messages: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=outgoing.MOST)] = Field(
        description="Each as for `POST /api/v3/messages`.",
        examples=[[{"sender_id": 1, "to": "+966501234567", "content": {"type": "text", "body": "Ready!"}}]],
    )


class Refusal(BaseModel):
    """Why one of many was not taken."""

    code: str = Field(examples=["invalid"])
    message: str = Field(examples=["No such number exists in its country."])
    field: str | None = Field(examples=["to"])
    hint: str | None


class TakenOut(BaseModel):
    """What became of the message at this place of the request: one of `message` and `error`."""

    index: int = Field(examples=[0])
    message: MessageOut | None
    error: Refusal | None


class BulkOut(BaseModel):
    """In the order of the request."""

    accepted: int = Field(examples=[999])
    refused: int = Field(examples=[1])
    results: list[TakenOut]


@router.post(
    "",
    status_code=202,
    dependencies=[Depends(needs("messages.send"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def send_message(body: MessageIn, request: Request, platform: PlatformDep, tx: Tx, now: Now) -> MessageOut:
    """Send one message. It is queued when this answers, and leaves within the sender's pace; `GET` it, or follow the
    events, to see what becomes of it. Consent, the 24-hour window and caps are looked at when it leaves."""
    message = await outgoing.accept(tx, platform, body.wanted(), at=now)
    after_commit(request, waking(request))
    return show(message)


@router.post(
    "/bulk",
    status_code=202,
    dependencies=[Depends(needs("messages.send"))],
    responses=documented(),
    openapi_extra=DOCUMENTED,
)
async def send_messages(body: BulkIn, request: Request, platform: PlatformDep, tx: Tx, now: Now) -> BulkOut:
    """Send many, to whom you like; each is taken or refused by itself, all in one transaction."""
    read = [_read(one) for one in body.messages]
    good = [one.wanted() for one in read if isinstance(one, MessageIn)]
    taken = iter(await outgoing.accept_many(tx, platform, good, at=now))
    results = [
        _taken(index, next(taken)) if isinstance(one, MessageIn) else TakenOut(index=index, message=None, error=one)
        for index, one in enumerate(read)
    ]
    accepted = sum(one.message is not None for one in results)
    if accepted:
        after_commit(request, waking(request))
    return BulkOut(accepted=accepted, refused=len(results) - accepted, results=results)


def _read(given: dict[str, Any]) -> MessageIn | Refusal:
    try:
        return MessageIn.model_validate(given)
    except ValidationError as wrong:
        field, message, hint = first_wrong(wrong)
        return Refusal(code="invalid", message=message, field=field, hint=hint)


def _taken(index: int, what: Message | WaqtorError) -> TakenOut:
    if isinstance(what, Message):
        return TakenOut(index=index, message=show(what), error=None)
    refusal = Refusal(code=what.code, message=what.message, field=what.field, hint=what.hint)
    return TakenOut(index=index, message=None, error=refusal)


def waking(request: Request) -> Work:
    """What was queued leaves at once, as soon as its file is uploaded."""
    outbox: Outbox = request.app.state.outbox
    transfers: Transfers = request.app.state.transfers

    async def wake() -> None:
        transfers.wake()
        outbox.wake()

    return wake


@router.get("/{message_id}", dependencies=[Depends(needs("messages.read"))], responses=documented(404))
async def get_message(message_id: Id, tx: Tx) -> MessageOut:
    """One message, and what became of it."""
    return show(await messages.get(tx, message_id))


@router.get("/{message_id}/media", dependencies=[Depends(needs("messages.read"))], responses=documented(404))
async def get_message_media(message_id: Id, tx: Tx) -> MediaOut:
    """The file that goes, went or came with a message; its contents are at `/api/v3/media/{media_id}/content`."""
    return MediaOut.model_validate(await messages.media_of(tx, message_id))


@router.get("", dependencies=[Depends(needs("messages.read"))], responses=documented(404))
async def list_messages(
    tx: Tx,
    place: PlaceDep,
    contact_id: Annotated[int, Query(ge=1, le=2**63 - 1, description="With whom.", examples=[7])],
) -> Page[MessageOut]:
    """The chat with one person, newest first."""
    await contacts.get(tx, contact_id)
    rows = await messages.chat(tx, contact_id, before=place.after or None, limit=place.limit)
    return page(rows, place, id_of=lambda row: row.id, show=show)

"""What was written, in both directions."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from api.auth import needs
from api.bodies import Shown
from api.deps import Tx
from api.errors import documented
from api.idempotent import Once
from api.pages import Page, PlaceDep, page
from core import contacts, messages
from core.models import Message

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
    at: datetime
    settled_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None


def show(message: Message) -> MessageOut:
    plain = {name: getattr(message, name) for name in MessageOut.model_fields if name != "receipt"}
    return MessageOut(**plain, receipt=RECEIPTS[message.receipt])


@router.get("", dependencies=[Depends(needs("read"))], responses=documented(404))
async def list_messages(
    tx: Tx,
    place: PlaceDep,
    contact_id: Annotated[int, Query(ge=1, le=2**63 - 1, description="With whom.", examples=[7])],
) -> Page[MessageOut]:
    """The chat with one person, newest first."""
    await contacts.get(tx, contact_id)
    rows = await messages.chat(tx, contact_id, before=place.after or None, limit=place.limit)
    return page(rows, place, id_of=lambda row: row.id, show=show)

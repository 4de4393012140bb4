"""Chats: who wrote what to whom, what is unread, and till when free text may go."""

import logging
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field

from api.auth import needs
from api.bodies import Body, Shown
from api.deps import Now, PlatformDep, Tx, after_commit
from api.errors import documented
from api.idempotent import DOCUMENTED, Once
from api.messages import MessageOut
from api.messages import show as show_message
from api.pages import Page
from core import chats, senders
from core.bootstrap import Platform
from core.chats import Place
from core.errors import Invalid
from core.ports import SendError

router = APIRouter(prefix="/api/v3/chats", tags=["chats"], route_class=Once)

_Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
ChatId = Annotated[
    str,
    Path(pattern=r"^[1-9]\d{0,17}-[1-9]\d{0,17}$", description="The sender's id and the contact's.", examples=["1-7"]),
]
_Limit = Annotated[int, Query(ge=1, le=500, description="At most so many.")]
_Cursor = Annotated[str | None, Query(max_length=120, description="One that an earlier answer gave.")]
logger = logging.getLogger(__name__)


class ChatOut(Shown):
    """What stands between one sender and one person."""

    id: str = Field(description="The sender's id and the contact's.", examples=["1-7"])
    sender_id: int
    contact_id: int
    name: str = Field(description="The contact's.", examples=["نورة"])
    last_at: datetime = Field(description="When something was said last, by either.")
    last_message: MessageOut | None
    unread: int = Field(description="Messages of theirs that nobody here has marked as read.", examples=[2])
    window_until: datetime | None = Field(description="Till then free text may go; null: only templates.")


class ChatPage(Shown):
    """Some messages of a chat, newest first, and the way on in both directions."""

    data: list[MessageOut]
    next_cursor: str | None = Field(description="Give it as `cursor` for older ones; null at the beginning.")
    previous_cursor: str | None = Field(
        description="Give it as `cursor` for newer ones, also later, for those that are still to come."
    )


class ReadIn(Body):
    """Up to where."""

    message_id: _Id | None = Field(default=None, description="Not given: all there is.", examples=[12])
    tell: bool = Field(
        default=False, description="Also show the person that it was read: tried once, after the answer."
    )


def _show(chat: chats.Shown) -> ChatOut:
    last = None if chat.last_message is None else show_message(chat.last_message)
    return ChatOut(
        id=f"{chat.sender_id}-{chat.contact_id}",
        sender_id=chat.sender_id,
        contact_id=chat.contact_id,
        name=chat.name,
        last_at=chat.last_at,
        last_message=last,
        unread=chat.unread,
        window_until=chat.window_until,
    )


@router.get("", dependencies=[Depends(needs("messages.read"))], responses=documented())
async def list_chats(
    tx: Tx,
    now: Now,
    sender_id: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="Only of this sender.")] = None,
    contact_id: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="Only with this person.")] = None,
    unread: Annotated[bool, Query(description="Only those with unread messages.")] = False,
    limit: _Limit = 100,
    cursor: _Cursor = None,
) -> Page[ChatOut]:
    """The latest first. A chat is there once something was handed over or came in."""
    after = _place(cursor) if cursor else None
    rows = await chats.listed(
        tx, sender_id=sender_id, contact_id=contact_id, unread=unread, after=after, limit=limit, now=now
    )
    more = _cursor_after(rows[-1].place) if len(rows) == limit else None
    return Page(data=[_show(row) for row in rows], next_cursor=more)


@router.get("/{chat_id}", dependencies=[Depends(needs("messages.read"))], responses=documented(404))
async def get_chat(chat_id: ChatId, tx: Tx, now: Now) -> ChatOut:
    """One chat."""
    return _show(await chats.get(tx, *_both(chat_id), now=now))


@router.get("/{chat_id}/messages", dependencies=[Depends(needs("messages.read"))], responses=documented(404))
async def list_chat_messages(
    chat_id: ChatId, tx: Tx, now: Now, limit: _Limit = 100, cursor: _Cursor = None
) -> ChatPage:
    """Its messages, newest first. `next_cursor` leads to older ones, `previous_cursor` to newer ones."""
    sender_id, contact_id = _both(chat_id)
    await chats.get(tx, sender_id, contact_id, now=now)
    way, number = _way(cursor) if cursor else ("", 0)
    found = await chats.stretch(
        tx,
        sender_id,
        contact_id,
        before=number if way == "before" else None,
        after=number if way == "after" else None,
        limit=limit,
    )
    rows = found.messages
    older = f"before:{rows[-1].id}" if rows and found.has_older else None
    newer = f"after:{rows[0].id}" if rows else f"after:{number if way == 'after' else 0}"
    if not rows and way == "after":
        older = f"before:{number + 1}"
    return ChatPage(
        data=[show_message(row) for row in rows],
        next_cursor=older and _written(older),
        previous_cursor=_written(newer) if rows or way != "before" else None,
    )


@router.post(
    "/{chat_id}/read",
    dependencies=[Depends(needs("messages.send"))],
    responses=documented(404),
    openapi_extra=DOCUMENTED,
)
async def mark_chat_read(
    chat_id: ChatId, body: ReadIn, request: Request, platform: PlatformDep, tx: Tx, now: Now
) -> ChatOut:
    """Mark it as read, up to a message or all of it. What was read once stays read."""
    sender_id, contact_id = _both(chat_id)
    last = await chats.mark_read(tx, sender_id, contact_id, up_to=body.message_id, at=now)
    if body.tell and last is not None and last.provider_id is not None:
        provider_id = last.provider_id

        async def tell() -> None:
            await _tell(platform, sender_id, provider_id)

        after_commit(request, tell)
    return _show(await chats.get(tx, sender_id, contact_id, now=now))


async def _tell(platform: Platform, sender_id: int, provider_id: str) -> None:
    async with platform.database.reading() as tx:
        config = senders.config(await senders.get(tx, sender_id), platform.key)
    connector = await platform.connectors.open(config)
    try:
        await connector.mark_read(provider_id)
    except SendError as refused:
        logger.warning("read_not_told sender=%s reason=%s", sender_id, refused.code)
    finally:
        await connector.close()


def _both(chat_id: str) -> tuple[int, int]:
    sender, _, contact = chat_id.partition("-")
    return int(sender), int(contact)


def _cursor_after(place: Place) -> str:
    return _written(f"{place.last_at.isoformat()}|{place.sender_id}|{place.contact_id}")


def _place(cursor: str) -> Place:
    try:
        moment, sender, contact = _plain(cursor).split("|")
        found = Place(datetime.fromisoformat(moment), int(sender), int(contact))
        if found.last_at.tzinfo is None or not 0 <= max(found.sender_id, found.contact_id) < 2**63:
            raise ValueError("not one of ours")
    except ValueError:
        raise _no_cursor() from None
    return found


def _way(cursor: str) -> tuple[str, int]:
    try:
        way, _, number = _plain(cursor).partition(":")
        if way not in ("before", "after") or not 0 <= int(number) < 2**63:
            raise ValueError("not one of ours")
    except ValueError:
        raise _no_cursor() from None
    return way, int(number)


def _written(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _plain(cursor: str) -> str:
    return urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()


def _no_cursor() -> Invalid:
    return Invalid("This cursor is not one of ours.", field="cursor", hint="Give back a cursor as it came.")

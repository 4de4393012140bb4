"""What was said between one sender and one person, and how much of it somebody here has read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, and_, func, literal, select, tuple_
from sqlalchemy.orm import aliased

from core import bulk, messages
from core.database import Tx, is_postgres
from core.errors import NotFound
from core.events import ChatRead, publish
from core.models import BigId, Chat, Contact, Message, UtcDateTime


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of chats ends."""

    last_at: datetime
    sender_id: int
    contact_id: int


@dataclass(frozen=True, slots=True)
class Shown:
    """`unread` are messages of theirs. Till `window_until` free text may go; None: only templates."""

    sender_id: int
    contact_id: int
    name: str
    last_at: datetime
    last_message: Message | None
    unread: int
    window_until: datetime | None

    @property
    def place(self) -> Place:
        return Place(self.last_at, self.sender_id, self.contact_id)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some messages of a chat, newest first. `has_older`: there are more behind the last of them."""

    messages: Sequence[Message]
    has_older: bool


async def listed(
    tx: Tx,
    *,
    sender_id: int | None = None,
    contact_id: int | None = None,
    unread: bool = False,
    after: Place | None = None,
    limit: int,
    now: datetime,
) -> Sequence[Shown]:
    """The latest first."""
    order = Chat.last_at, Chat.sender_id, Chat.contact_id
    latest_first = [column.desc() for column in order]
    query = select(Chat.sender_id, Chat.contact_id).where(Chat.last_at.is_not(None))
    if sender_id is not None:
        query = query.where(Chat.sender_id == sender_id)
    if contact_id is not None:
        query = query.where(Chat.contact_id == contact_id)
    if unread:
        query = query.where(Chat.last_in_at.is_not(None), _unread(select(Message.id)).limit(1).exists())
    if after is not None:
        place = (
            literal(after.last_at, UtcDateTime),
            literal(after.sender_id, BigId),
            literal(after.contact_id, BigId),
        )
        query = query.where(tuple_(*order) < tuple_(*place))
    page = query.order_by(*latest_first).limit(limit).subquery()  # what is told of each is looked up for these only
    on_it = and_(page.c.sender_id == Chat.sender_id, page.c.contact_id == Chat.contact_id)
    rows = await tx.execute(_chats().join(page, on_it).order_by(*latest_first))
    return [_shown(*row, now=now) for row in rows.all()]


async def get(tx: Tx, sender_id: int, contact_id: int, *, now: datetime) -> Shown:
    query = _chats().where(Chat.sender_id == sender_id, Chat.contact_id == contact_id)
    row = (await tx.execute(query)).one_or_none()
    if row is None:
        raise NotFound(f"There is no chat {sender_id}-{contact_id}.", field="chat_id")
    return _shown(*row, now=now)


def _chats() -> Select[tuple[Chat, str, Message, int]]:
    last = aliased(Message)
    newest = (
        select(Message.id)
        .where(Message.contact_id == Chat.contact_id, Message.sender_id == Chat.sender_id)
        .order_by(Message.id.desc())
        .limit(1)
        .correlate(Chat)
        .scalar_subquery()
    )
    return (
        select(Chat, Contact.name, last, _unread(select(func.count(Message.id))).scalar_subquery())
        .join(Contact, Contact.id == Chat.contact_id)
        .outerjoin(last, last.id == newest)
    )


def _unread(query: Select[tuple[int]]) -> Select[tuple[int]]:
    return query.where(
        and_(
            Message.contact_id == Chat.contact_id,
            Message.id > Chat.read_id,
            Message.sender_id == Chat.sender_id,
            Message.direction == "in",
        )
    ).correlate(Chat)


def _shown(chat: Chat, name: str, last: Message | None, unread: int, *, now: datetime) -> Shown:
    window = None if chat.last_in_at is None else chat.last_in_at + messages.SERVICE_WINDOW
    return Shown(
        sender_id=chat.sender_id,
        contact_id=chat.contact_id,
        name=name,
        last_at=chat.last_at or chat.last_in_at or chat.last_out_at or now,
        last_message=last,
        unread=unread,
        window_until=window if window is not None and window > now else None,
    )


async def stretch(
    tx: Tx, sender_id: int, contact_id: int, *, before: int | None = None, after: int | None = None, limit: int
) -> Stretch:
    """The newest messages, those before one, or the first ones after one."""
    query = select(Message).where(Message.contact_id == contact_id, Message.sender_id == sender_id)
    if after is not None:
        newer = query.where(Message.id > after).order_by(Message.id).limit(limit)
        return Stretch(list(reversed((await tx.execute(newer)).scalars().all())), has_older=True)
    if before is not None:
        query = query.where(Message.id < before)
    found = (await tx.execute(query.order_by(Message.id.desc()).limit(limit + 1))).scalars().all()
    return Stretch(found[:limit], has_older=len(found) > limit)


async def mark_read(
    tx: Tx, sender_id: int, contact_id: int, *, up_to: int | None = None, at: datetime
) -> Message | None:
    """Somebody here has read it, up to this message or all of it; returns their last one that was read. What was read
    once stays read."""
    query = select(Chat).where(Chat.sender_id == sender_id, Chat.contact_id == contact_id).with_for_update()
    chat = (await tx.execute(query)).scalar_one_or_none()
    if chat is None:
        raise NotFound(f"There is no chat {sender_id}-{contact_id}.", field="chat_id")
    theirs = select(Message).where(Message.contact_id == contact_id, Message.sender_id == sender_id)
    if up_to is not None:
        if (await tx.execute(theirs.where(Message.id == up_to))).first() is None:
            raise NotFound(f"There is no message {up_to} in this chat.", field="message_id")
        theirs = theirs.where(Message.id <= up_to)
    last = (
        await tx.execute(theirs.where(Message.direction == "in").order_by(Message.id.desc()).limit(1))
    ).scalar_one_or_none()
    if last is not None and last.id > chat.read_id:
        chat.read_id = last.id
        await tx.flush()
        await publish(tx, ChatRead(sender_id=sender_id, contact_id=contact_id, message_id=last.id), at=at)
    return last


async def remember_talk(tx: Tx, sender_id: int, contact_ids: Sequence[int], *, now: datetime) -> None:
    """We write to these now; none may be named twice."""
    cast = ("CAST({} AS timestamptz)" if is_postgres(tx) else "{}").format
    await bulk.run(
        tx,
        f"""
        INSERT INTO chats (sender_id, contact_id, last_out_at, last_at, read_id)
        SELECT :sender, r.contact_id, {cast(":now")}, {cast(":now")}, 0 FROM {bulk.table(tx, contact_id="bigint")}
        WHERE true ON CONFLICT (sender_id, contact_id) DO UPDATE SET last_out_at = excluded.last_out_at,
            last_at = excluded.last_at
        """,
        ({"contact_id": contact_id} for contact_id in contact_ids),
        sender=sender_id,
        now=now,
    )

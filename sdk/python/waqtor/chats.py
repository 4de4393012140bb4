"""Chats: who wrote what to whom, what is unread, and till when free text may go."""

from datetime import datetime

from waqtor.asking import Ask, C, Model, Pages, Resource, call, get, given, paged, pages, write
from waqtor.messages import Message


class Chat(Model):
    """`id` is the sender's id and the contact's: "1-7". Till `window_until` free text may go; None: only templates."""

    id: str
    sender_id: int
    contact_id: int
    name: str
    last_at: datetime
    last_message: Message | None
    unread: int
    window_until: datetime | None


class ChatMessages(Model):
    """Newest first. `next_cursor` leads to older ones; `previous_cursor` to newer ones, also to those still to come."""

    data: list[Message]
    next_cursor: str | None
    previous_cursor: str | None


class Chats(Resource[C]):
    @paged
    def list(
        self,
        *,
        sender_id: int | None = None,
        contact_id: int | None = None,
        unread: bool | None = None,
        limit: int = 100,
    ) -> Pages[Chat]:
        """The latest first."""
        return pages("/chats", Chat, sender_id=sender_id, contact_id=contact_id, unread=unread, limit=limit)

    @call
    def get(self, chat_id: str) -> Ask[Chat]:
        return get(f"/chats/{chat_id}", Chat)

    @call
    def messages(self, chat_id: str, *, cursor: str | None = None, limit: int = 100) -> Ask[ChatMessages]:
        """One page, of the newest where no `cursor` is given."""
        return get(f"/chats/{chat_id}/messages", ChatMessages, cursor=cursor, limit=limit)

    @paged
    def history(self, chat_id: str, *, limit: int = 100) -> Pages[Message]:
        """All its messages, newest first."""
        return pages(f"/chats/{chat_id}/messages", Message, limit=limit)

    @call
    def mark_read(
        self,
        chat_id: str,
        *,
        message_id: int | None = None,
        tell: bool | None = None,
        idempotency_key: str | None = None,
    ) -> Ask[Chat]:
        """Up to this message, or all of it; with `tell` the person sees that it was read."""
        body = given(message_id=message_id, tell=tell)
        return write("POST", f"/chats/{chat_id}/read", Chat, json=body, key=idempotency_key)

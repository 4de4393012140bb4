"""What people and you wrote to each other: the latest chats, one of them in full, and the answer."""

import re
from collections.abc import Sequence

import streamlit as st

from ui import bubbles, filters, formats, look, page, session
from ui.page import Page
from ui.pages import chat
from ui.words import _, later, n_
from waqtor import Chat, Contact, Error

_A_PAGE = 20
_FOUND = 10
_EVERY_S = 10
_CHAT = re.compile(r"[1-9]\d{0,17}-[1-9]\d{0,17}")


def show() -> None:
    chosen = st.query_params.get("chat", "")
    if _CHAT.fullmatch(chosen):
        chat.one(chosen)
        return
    look.heading(_("Chats"), _("Chats with your customers, the latest first."))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        sought = st.text_input(
            _("Search by name or number"), icon=":material/search:", key="chats-sought", width=320
        ).strip()
        unread = st.toggle(_("Unread only"), key="chats-unread")
    if sought:
        _found(sought, unread=unread)
    else:
        _chats(unread)


@look.live(_EVERY_S)
def _chats(unread: bool) -> None:
    at = look.cursor("chats-at", of=unread)
    found = session.client().chats.list.page(at, unread=unread or None, limit=_A_PAGE)
    if not found.data:
        if unread:
            look.empty(_("All is read"), _("When somebody writes, it stands here within seconds."))
        else:
            look.empty(
                _("No messages yet"), _("When somebody writes to your number, the chat stands here within seconds.")
            )
    for one in found.data:
        _row(one)
    look.turn("chats-at", found.next_cursor)


def _row(one: Chat) -> None:
    with st.container(border=True, gap="xsmall", key=f"wq-row-{one.id}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            name = one.name or _("somebody without a name")
            page.link("messages", name, icon=":material/chat:", query={"chat": one.id})
            unread = n_("{count} unread", "{count} unread", one.unread)
            signs = look.chip("running", unread) if one.unread else ""
            signs += "" if one.window_until else look.chip("closed", _("templates only"))
            st.html(f"<span>{signs}</span>")
            st.caption(formats.ago(one.last_at), width="content")
        if one.last_message is not None:
            ours = f"{_('You')}: " if one.last_message.direction == "out" else ""
            begins = " ".join(bubbles.plain(one.last_message.content).split())[:160]
            st.html(f'<p class="wq wq-line" dir="auto">{ours}<bdi>{bubbles.written(begins)}</bdi></p>')


def _found(sought: str, *, unread: bool) -> None:
    """People by part of their name, or by their whole number; each leads to their chats, or only to those with
    something unread."""
    try:
        people = _with_number(sought) if filters.is_number(sought) else _named(sought)
    except Error as error:
        filters.said_wrong(error)
        return
    shown = [_person(person, unread=unread) for person in people]
    if people and not any(shown):
        look.empty(_("All is read"), _("Nobody of this name has written what nobody here has read."))


def _named(sought: str) -> Sequence[Contact]:
    wanted = f"name contains {filters.quoted(sought)}"
    people = session.client().contacts.list.page(None, filter=wanted, limit=_FOUND).data
    if not people:
        look.empty(_("Nobody found"), _("Try another part of the name."))
    return people


def _with_number(sought: str) -> Sequence[Contact]:
    if not session.may("numbers.read"):
        look.empty(_("Numbers are hidden from you"), _("You may look for people by part of their name."))
    elif (person := session.client().contacts.find(sought)) is not None:
        return [person]
    else:
        look.empty(_("Nobody has this number"), _("Is it written whole? One of another country begins with + or 00."))
    return []


def _person(person: Contact, *, unread: bool) -> bool:
    """Whether there was anything to show."""
    chats = session.client().chats.list.page(None, contact_id=person.id, unread=unread or None, limit=3).data
    for one in chats:
        _row(one)
    if not chats and not unread:
        with st.container(border=True):
            st.html(f'<b dir="auto">{bubbles.written(person.name or "–")}</b>')
            st.caption(_("No chat yet."))
    return bool(chats) or not unread


PAGE = Page("messages", later("Chats"), ":material/chat:", show, needs="messages.read", section="Messages", is_new=True)

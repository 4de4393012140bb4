"""What people and you wrote to each other: the latest chats, one of them in full, and the answer."""

import re

import streamlit as st

from ui import bubbles, formats, look, page, session
from ui.page import Page
from ui.pages import chat
from ui.words import _, later, n_
from waqtor import Chat, Contact

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
            _("Search"), key="chats-sought", placeholder=_("Part of a name"), icon=":material/search:", width=320
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
    """People by name; each leads to their chats, or only to those with something unread."""
    quoted = sought.replace("\\", "\\\\").replace('"', '\\"')
    people = session.client().contacts.list.page(None, filter=f'name contains "{quoted}"', limit=_FOUND).data
    if not people:
        look.empty(_("Nobody found"), _("Try another part of the name."))
    shown = [_person(person, unread=unread) for person in people]
    if people and not any(shown):
        look.empty(_("All is read"), _("Nobody of this name has written what nobody here has read."))


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

"""What takes a one-time code before it is shown: a page, or a part of one that looks into another area."""

import streamlit as st

from ui import look, page, session
from ui.words import _, later

AREAS = {
    "contacts": later("people and segments"),
    "recipients": later("what became of each person"),
    "messages": later("chats"),
    "templates": later("templates"),
    "campaigns": later("campaigns"),
    "sending": later("the switch for all sending"),
    "senders": later("senders"),
    "events": later("the event log"),
    "notifications": later("notifications"),
    "webhooks": later("webhooks"),
    "keys": later("API keys"),
    "users": later("people who sign in"),
    "audit": later("the audit log"),
    "system": later("monitoring"),
}


def named(area: str) -> str:
    return _(AREAS[area]) if area in AREAS else area


def whole(area: str) -> None:
    look.heading(_("This page is locked"), _("An admin gives you a code for it. It is good once, for this device."))
    _code(area)


def part(area: str) -> None:
    """In the place of what is locked, or below the page where that stood in a form."""
    st.subheader(_("This part is locked: {what}", what=named(area)), anchor=False)
    st.caption(_("An admin gives you a code for it. It is good once, for this device."))
    _code(area)


def refused() -> None:
    """The code for what the API refused somewhere on this page."""
    if area := page.kept().pop(look.LOCKED, None):
        part(area)


def _code(area: str) -> None:
    with st.form(f"code-{area}", width=420):
        code = st.text_input(_("Code"), max_chars=6, key=f"code-{area}-digits")
        pressed = st.form_submit_button(_("Open"), type="primary", key=f"code-{area}-open")
    if pressed and look.tried(lambda: session.client().auth.open_page(area, code.strip())):
        st.rerun()

"""What happened by itself and wants to be known: read, put away, or told to the others."""

from html import escape

import streamlit as st

from ui import formats, look, notices, page, session
from ui.page import Page
from ui.words import _, later
from waqtor import Notification

_ICONS = {"info": "info", "success": "check_circle", "warning": "warning", "problem": "error"}
_WORDS = {
    "info": later("for your information"),
    "success": later("good news"),
    "warning": later("warning"),
    "problem": later("problem"),
}
_COLOURS = {"info": "draft", "success": "active", "warning": "paused", "problem": "failed"}
_PAGES = {
    "campaign": "campaign",
    "sender": "senders",
    "webhook": "webhooks",
    "template": "templates",
    "import": "import",
    "contact": "contacts",
    "segment": "segments",
    "user": "users",
    "sending": "settings",
}
_EACH = 15
_LOOK_EVERY_S = 20


def show() -> None:
    look.heading(
        _("Notifications"), _("What stopped, ended or went wrong by itself. What you read, others still have.")
    )
    if session.may("notifications.write"):
        _tell()
    unread, severity = _asked()
    found = session.client().notifications.list.page(
        look.cursor("notifications", of=(unread, severity)), unread=unread, severity=severity, limit=_EACH
    )
    if not found.data:
        _nothing(is_filtered=unread or severity is not None)
        return
    newest = found.data[0].id
    _newer(newest, unread=unread, severity=severity)
    if any(one.read_at is None for one in found.data) and st.button(
        _("Mark all as read"), icon=":material/done_all:", key="read-all"
    ):
        session.client().notifications.mark_all(up_to=None if len(st.session_state["notifications"]) > 1 else newest)
        st.rerun()
    for one in found.data:
        _one(one)
    look.turn("notifications", found.next_cursor)


def _asked() -> tuple[bool, str | None]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        which = st.segmented_control(
            _("Show"),
            [False, True],
            format_func=lambda unread: _("not read") if unread else _("all"),
            default=False,
            required=True,
        )
        severity = st.selectbox(
            _("Kind"),
            list(_WORDS),
            format_func=lambda name: _(_WORDS[name]),
            index=None,
            placeholder=_("every kind"),
            width=220,
        )
    return bool(which), severity


def _nothing(*, is_filtered: bool) -> None:
    if is_filtered:
        look.empty(_("Nothing of that kind"), _("Choose another kind above, or look at all of them."))
    else:
        look.empty(
            _("Nothing has happened yet"),
            _("When a campaign ends, a sender is stopped or a file was not taken whole, it is told here."),
            do=("campaigns", _("To the campaigns")),
        )


@look.live(_LOOK_EVERY_S)
def _newer(newest: int, *, unread: bool, severity: str | None) -> None:
    """Says that there is more, and leaves the list as it is: what one reads does not jump away."""
    if len(st.session_state["notifications"]) > 1:
        return
    first = session.client().notifications.list.page(None, unread=unread, severity=severity, limit=1).data
    is_newer = bool(first) and first[0].id > newest
    if is_newer and st.button(_("There are new ones. Show them"), icon=":material/refresh:", type="primary"):
        st.rerun()


def _one(one: Notification) -> None:
    title, text = notices.said(one)
    is_unread = one.read_at is None
    with st.container(border=True, key=f"notice-{one.id}"):
        weight = "b" if is_unread else "span"
        st.html(
            f'<div class="wq">{look.chip(_COLOURS[one.severity], _(_WORDS[one.severity]))}'
            f"{look.chip('finished', _('New')) if is_unread else ''}"
            f"<{weight}><bdi>{escape(title)}</bdi></{weight}>"
            f"<div><bdi>{escape(text)}</bdi></div><small>{formats.ago(one.created_at)}</small></div>"
        )
        with st.container(horizontal=True, vertical_alignment="center"):
            kind, _colon, number = (one.about or "").partition(":")
            if kind in _PAGES:
                page.link(_PAGES[kind], _("Look at it"), icon=":material/arrow_forward:", query={"id": number or 0})
            said = _("Mark as read") if is_unread else _("Mark as not read")
            if st.button(said, key=f"read-{one.id}", type="tertiary", icon=":material/done:"):
                session.client().notifications.mark(one.id, read=is_unread)
                st.rerun()
            if st.button(_("Put away"), key=f"away-{one.id}", type="tertiary", icon=":material/close:"):
                session.client().notifications.dismiss(one.id)
                st.rerun()
            if session.may("notifications.manage") and st.button(
                _("Take back from everybody"), key=f"withdraw-{one.id}", type="tertiary", icon=":material/undo:"
            ):
                look.ask(f"back-{one.id}")
        question = _("“{title}” goes away for everybody, also for those who have not read it.", title=title)
        if look.confirmed(f"back-{one.id}", question, button=_("Take it back"), is_grave=True):
            session.client().notifications.withdraw(one.id)
            st.rerun()


def _tell() -> None:
    if page.kept().pop("told", False):
        st.toast(_("Everybody who signs in sees it."), icon=":material/done:")
    with (
        st.expander(_("Tell the others something"), icon=":material/campaign:"),
        st.form("tell", border=False),
    ):
        severity = st.selectbox(_("Kind"), list(_WORDS), format_func=lambda name: _(_WORDS[name]), key="tell-kind")
        title = st.text_input(_("In a few words"), max_chars=200, key=look.fresh("tell-title"))
        text = st.text_area(_("More about it, if there is more"), max_chars=2000, key=look.fresh("tell-text"))
        if st.form_submit_button(_("Tell everybody"), type="primary") and look.tried(
            lambda: session.client().notifications.create(severity, title, text)
        ):
            look.clear("tell-title", "tell-text")
            page.kept()["told"] = True
            st.rerun()


PAGE = Page(
    "notifications",
    later("Notifications"),
    ":material/notifications:",
    show,
    needs="notifications.read",
    area="notifications",
    section="System",
    is_listed=False,
)

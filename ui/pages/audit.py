"""Who did what, and whether the log is whole. Nobody can change it here."""

import streamlit as st

from ui import formats, look, session
from ui.look import Html
from ui.page import Page
from ui.words import _, later
from waqtor import AuditEntry

_EACH = 50


def show() -> None:
    look.heading(
        _("Audit log"), _("Who did what, when and from where. Nothing here can be changed, and looking is kept too.")
    )
    _verdict()
    with st.container(horizontal=True):
        actor = st.text_input(_("Done by"), placeholder="user:3", width=220).strip() or None
        subject = st.text_input(_("Done to"), placeholder="campaign:7", width=220).strip() or None
    found = session.client().audit.list.page(
        look.cursor("audit", of=(actor, subject)), actor=actor, subject=subject, limit=_EACH
    )
    if not found.data:
        look.empty(_("No entry fits"), _("An entry is found by its whole name, such as user:3 or campaign:7."))
        return
    heads = [_("When"), _("Who"), _("What"), _("To what"), _("From"), _("Entry")]
    look.table(heads, [_row(one) for one in found.data], numeric=[5])
    look.turn("audit", found.next_cursor)


def _row(one: AuditEntry) -> list[str | int]:
    return [
        formats.moment(one.at),
        _code(one.actor),
        _code(one.action),
        _code(one.subject or "–"),
        _code(one.address or "–"),
        one.seq,
    ]


def _code(text: str) -> Html:
    return look.number_of(text)


def _verdict() -> None:
    if not st.button(_("Is the log whole? Check it"), icon=":material/verified_user:"):
        return
    with st.spinner(_("The whole log is read …")):
        said = session.client().audit.verify()
    if said.state == "whole":
        st.success(
            _("It is whole: {count} entries, each fits the one before.", count=formats.number(said.entries)),
            icon=":material/verified:",
        )
    else:
        at = formats.number(said.at or 0)
        st.error(
            _("It was altered or cut off: from entry {number} on it cannot be trusted.", number=at),
            icon=":material/gpp_bad:",
        )
        st.code(said.why, language=None)


PAGE = Page(
    "audit",
    later("Audit log"),
    ":material/policy:",
    show,
    needs="audit.read",
    area="audit",
    section="System",
)

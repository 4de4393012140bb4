"""Filters with a name, each with how many people it chooses at this moment."""

import streamlit as st

from ui import filters, formats, look, page, session
from ui.page import Page
from ui.words import _, later, n_
from waqtor import Error, Segment

_A_PAGE = 20
_NEW, _CHANGED = "segment-new", "segment-changed"


def show() -> None:
    look.heading(_("Segments"), _("Groups that keep themselves up to date: whoever fits is in."))
    if session.may("contacts.write"):
        _make()
    found = session.client().segments.list.page(look.cursor("segments-at"), order="newest", limit=_A_PAGE)
    if not found.data:
        look.empty(_("No segments yet"), _("Write a filter above, look how many people fit, and give it a name."))
    for one in found.data:
        _row(one)
    look.turn("segments-at", found.next_cursor)


def _make() -> None:
    with st.container(border=True):
        wanted = st.text_area(_("Filter"), placeholder='tag = "vip" and country = "SA"', key=f"{_NEW}-filter").strip()
        filters.examples()
        if not wanted:
            return
        try:
            filters.counted(session.client().segments.count(wanted))
        except Error as error:
            filters.said_wrong(error)
            return
        with st.form(_NEW, border=False):
            name = st.text_input(_("Name of the segment"), key=f"{_NEW}-name")
            if not st.form_submit_button(_("Save as a segment"), type="primary", key=f"{_NEW}-save"):
                return
        if not look.tried(lambda: session.client().segments.create(name.strip(), wanted)):
            return
    for field in ("filter", "name"):
        st.session_state.pop(f"{_NEW}-{field}", None)
    st.rerun()


def _row(one: Segment) -> None:
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            page.link("contacts", one.name, icon=":material/filter_alt:", query={"segment": one.id})
            filters.counted(session.client().segments.count(one.id))
        st.html(f'<p class="wq">{look.code(one.filter)}</p>')
        st.caption(_("Changed {when}", when=formats.ago(one.updated_at)))
        if session.may("contacts.write"):
            with st.container(horizontal=True):
                changes = st.button(
                    _("Change"), key=f"segment-{one.id}-change", icon=":material/edit:", type="tertiary"
                )
                deletes = st.button(
                    _("Delete"), key=f"segment-{one.id}-delete-ask", icon=":material/delete:", type="tertiary"
                )
            if changes:
                st.session_state[_CHANGED] = None if st.session_state.get(_CHANGED) == one.id else one.id
            if st.session_state.get(_CHANGED) == one.id:
                _change(one)
            _delete(one, is_asked=deletes)


def _change(one: Segment) -> None:
    """How many it would be is said before it is saved."""
    key = f"segment-{one.id}"
    name = st.text_input(_("Name of the segment"), one.name, key=f"{key}-name", max_chars=100)
    wanted = st.text_area(_("Filter"), one.filter, key=f"{key}-filter").strip()
    if not wanted:
        return
    try:
        would_be = session.client().segments.count(wanted)
    except Error as error:
        filters.said_wrong(error)
        return
    if would_be.filter != one.filter:
        filters.counted(would_be)
        st.caption(_("What has begun goes on with the old filter; campaigns that begin later go by the new one."))
    if st.button(_("Save"), type="primary", key=f"{key}-save") and look.tried(
        lambda: session.client().segments.update(one.id, name=name.strip(), filter=wanted)
    ):
        del st.session_state[_CHANGED]
        st.rerun()


def _delete(one: Segment, *, is_asked: bool) -> None:
    key = f"segment-{one.id}-delete"
    if is_asked:
        look.ask(key)
    count = session.client().segments.count(one.id).count if look.is_asked(key) else 0
    question = n_(
        "The segment is deleted. The {count} person in it stays.",
        "The segment is deleted. The {count} people in it stay.",
        count,
    )
    if look.confirmed(key, question, button=_("Delete the segment"), is_grave=True) and look.tried(
        lambda: session.client().segments.delete(one.id)
    ):
        st.rerun()


PAGE = Page(
    "segments",
    later("Segments"),
    ":material/filter_alt:",
    show,
    needs="contacts.read",
    section="Audience",
    area="contacts",
)

"""The people one writes to: found by name, number, tag, segment or filter; one is added, one is opened."""

import streamlit as st

from ui import filters, formats, look, page, session, tagging
from ui.page import Page
from ui.pages import contact
from ui.words import _, later
from waqtor import Contact, Error

_A_PAGE = 25
_MOST_SEGMENTS = 200


def show() -> None:
    if (chosen := page.asked("id")) is not None:
        contact.show(chosen)
        return
    look.heading(_("Contacts"), _("Everybody you may write to, and what became of it."))
    writes = session.may("contacts.write")
    with st.container(horizontal=True):
        if writes:
            page.link("import", _("Import a file"), icon=":material/upload_file:")
        page.link("segments", _("Segments"), icon=":material/filter_alt:")
    if writes:
        _add()
    try:
        typed, wanted = _asked_for()
        if filters.is_number(typed):
            _with_number(typed)
        else:
            _found(wanted)
    except Error as error:
        filters.said_wrong(error)


def _asked_for() -> tuple[str, str]:
    """What is typed, and the filter that all the fields come to."""
    named = session.client().segments.list.page(None, order="newest", limit=_MOST_SEGMENTS).data
    segments = {one.id: one for one in named}
    begins = page.asked("segment")
    first, second, third = st.columns([3, 2, 2], vertical_alignment="bottom")
    with first:
        text = st.text_input(_("Search by name or number"), icon=":material/search:", key="contacts-name").strip()
    with second:
        tag = tagging.one("contacts-tag")
    with third:
        chosen = st.selectbox(
            _("Segment"),
            [None, *segments],
            index=[None, *segments].index(begins) if begins in segments else 0,
            format_func=lambda one: segments[one].name if one in segments else _("Everybody"),
            key="contacts-segment",
        )
    wanted = filters.all_of(
        f"name contains {filters.quoted(text)}" if text else "",
        f"tag = {filters.quoted(tag)}" if tag else "",
        segments[chosen].filter if chosen in segments else "",
    )
    return text, wanted


def _with_number(typed: str) -> None:
    """Nobody else: neither the tag nor the segment counts."""
    if not session.may("numbers.read"):
        look.empty(_("Numbers are hidden from you"), _("You may look for people by name, tag and segment."))
    elif (one := session.client().contacts.find(typed)) is not None:
        _row(one)
    else:
        look.empty(_("Nobody has this number"), _("Is it written whole? One of another country begins with + or 00."))


def _found(wanted: str) -> None:
    client = session.client()
    found = client.contacts.list.page(look.cursor("contacts-at", of=wanted), filter=wanted or None, limit=_A_PAGE)
    if not found.data and not wanted:
        look.empty(
            _("Nobody is here yet"),
            _("Import a spreadsheet with a column of phone numbers. Excel, CSV and JSON are understood."),
            do=("import", _("Import a file")) if session.may("contacts.write") else None,
        )
        return
    if wanted:
        filters.counted(client.segments.count(wanted))
    if not found.data:
        look.empty(_("Nobody fits"), _("Take a word out of the search, or choose Everybody."))
        return
    for one in found.data:
        _row(one)
    look.turn("contacts-at", found.next_cursor)


def _row(one: Contact) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="small", key=f"wq-row-{one.id}"):
        page.link("contacts", one.name or _("No name"), icon=":material/person:", query={"id": one.id})
        st.html(f"{look.number_of(one.phone)} {_chips(one)}", width="stretch")
        st.caption(formats.day(one.created_at), width="content")


def _chips(one: Contact) -> str:
    opted_out = look.chip("opted_out") if one.opted_out else ""
    return opted_out + "".join(look.chip("tag", tag) for tag in one.tags[:4]) + ("…" if len(one.tags) > 4 else "")


def _add() -> None:
    with st.expander(_("Add a person"), icon=":material/person_add:"), st.form("contact-add", border=False):
        phone = st.text_input(_("Phone number"), placeholder="+966 50 123 4567", key="contact-add-phone")
        name = st.text_input(_("Name"), key="contact-add-name")
        tags = tagging.several("contact-add-tags")
        if not st.form_submit_button(_("Add"), type="primary", key="contact-add-go"):
            return
        made: list[Contact] = []
        if not look.tried(lambda: made.append(session.client().contacts.create(phone, name=name.strip(), tags=tags))):
            return
    page.go("contacts", {"id": made[0].id})


PAGE = Page("contacts", later("Contacts"), ":material/group:", show, needs="contacts.read", section="Audience")

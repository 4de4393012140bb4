"""A spreadsheet becomes contacts in four steps: the file, its columns, the consent, and then how it goes."""

import functools
from collections.abc import Sequence
from datetime import date, datetime, time

import streamlit as st

from ui import formats, look, page, refusals, session, tagging
from ui.markdown import plain
from ui.page import Page
from ui.words import _, later, n_
from waqtor import Error, NotSignedIn
from waqtor.contacts import Consent, Import, ImportPreview

_EVERY_S = 1.0
_A_PAGE = 10
_COUNTRIES = ("SA", "AE", "EG", "KW", "QA", "BH", "OM", "JO", "IQ", "LB", "MA", "DZ", "TN", "TR", "GB", "DE", "US")
_FIELDS = {
    "phone": later("Phone number"),
    "name": later("Name"),
    "language": later("Language"),
    "timezone": later("Time zone"),
    "tags": later("Tags"),
    "opted_out": later("Does not want messages"),
    "": later("Leave this column out"),
}
_SOURCES = {
    "shop": later("At the till or in the shop"),
    "website": later("A form on our website"),
    "chat": later("They wrote to us on WhatsApp"),
    "contract": later("They are customers with a contract"),
    "event": later("At a fair or an event"),
}
_MOST_SHOWN, _MOST_LOOKED_OVER = 20, 6


def show() -> None:
    if (chosen := page.asked("id")) is not None:
        _one(chosen)
        return
    look.way_back("contacts", _("All contacts"))
    look.heading(_("Import contacts"), _("From Excel, CSV or JSON. Nothing is saved before you say so."))
    file = st.file_uploader(_("1. Choose the file"), type=["csv", "xlsx", "json", "txt"], key="import-file")
    if file is None:
        _template()
        _earlier()
        return
    content = file.getvalue()
    country = _country()
    first = _first_look(content, file.name, country)
    if first is None:
        return
    mapping = _columns(first)
    tags = tagging.several("import-tags", label=_("Tags that everybody in the file gets"))
    try:
        preview = _preview(content, file.name, mapping, country, tags)
    except Error as error:
        _told(error)
        return
    _sample(preview, file.name)
    consent, is_said = _consent()
    label = _("Import the file")
    if not is_said:
        st.caption(_("First say whether they agreed; if they did, with which words."))
    if st.button(label, type="primary", icon=":material/upload:", disabled=not is_said, key="import-go"):
        try:
            with st.spinner(_("The file is being taken …")):
                begun = session.client().contacts.import_file(
                    content,
                    filename=file.name,
                    mapping=mapping,
                    country=country,
                    consent=consent,
                    tags=tags,
                    wait=False,
                )
        except Error as error:
            _told(error)
            return
        page.go("import", {"id": begun.id})


def _preview(
    content: bytes, name: str, mapping: dict[str, str], country: str | None, tags: Sequence[str] = ()
) -> ImportPreview:
    contacts = session.client().contacts
    return contacts.preview_import(content, filename=name, mapping=mapping, country=country, tags=tags)


def _told(error: Error) -> None:
    if isinstance(error, NotSignedIn):
        raise error
    look.problem(error)


def _template() -> None:
    example = "phone,name,tags,city\n+966501234567,نورة,vip,الرياض\n+971501234567,Omar,new;dubai,Dubai\n"
    st.download_button(
        _("A file to begin with"),
        "\ufeff" + example,  # Excel takes a file for UTF-8 by this
        "contacts.csv",
        "text/csv",
        icon=":material/download:",
        key="import-example",
    )


def _country() -> str | None:
    names = formats.locale().territories
    return st.selectbox(
        _("Country of the numbers that begin without +"),
        [None, *_COUNTRIES],
        format_func=lambda one: names.get(one, one) if one else _("As the installation is set"),
        key="import-country",
        width=420,
    )


# ---- columns ------------------------------------------------------------------------------------------------


def _first_look(content: bytes, name: str, country: str | None) -> ImportPreview | None:
    """Where the column of numbers has an unusual name, the reader says which it is."""
    try:
        return _preview(content, name, {}, country)
    except Error as error:
        _told(error)
        if error.hint is None:
            return None
    column = st.text_input(_("What is the column of phone numbers called in your file?"), key="import-phone").strip()
    if not column:
        return None
    try:
        return _preview(content, name, {column: "phone"}, country)
    except Error as again:
        _told(again)
        return None


def _columns(preview: ImportPreview) -> dict[str, str]:
    st.subheader(_("2. What is in which column"), anchor=False)
    chosen: dict[str, str] = {}
    columns = st.columns(3)
    for at, (column, place) in enumerate(preview.columns.items()):
        own = place if place.startswith("attributes.") else f"attributes.{column}"
        places = [*_FIELDS, own]
        with columns[at % 3]:
            chosen[column] = st.selectbox(
                column,
                places,
                index=places.index(place),
                format_func=lambda one: _(_FIELDS[one]) if one in _FIELDS else _("Keep it as a detail"),
                key=f"import-column-{column}",
            )
    return chosen


def _sample(preview: ImportPreview, name: str) -> None:
    st.subheader(_("3. Look it over"), anchor=False)
    taken = preview.rows - preview.rejected
    st.html(
        '<p class="wq">'
        + look.chip("active", n_("{count} of the first rows is good", "{count} of the first rows are good", taken))
        + (look.chip("failed", _not_taken(preview.rejected)) if preview.rejected else "")
        + "</p>"
    )
    details = sorted({name for one in preview.sample for name in one.attributes})[:4]
    look.table(
        [_("Number"), _("Name"), _("Tags"), *details],
        [
            [
                look.number_of(one.phone),
                one.name,
                look.Html("".join(look.chip("tag", tag) for tag in one.tags)),
                *(one.attributes.get(name, "") for name in details),
            ]
            for one in preview.sample[:_MOST_LOOKED_OVER]
        ],
    )
    if preview.report:
        with st.expander(_not_taken(preview.rejected), expanded=True, icon=":material/warning:"):
            _rejected(preview, name)


def _not_taken(count: int) -> str:
    return n_("{count} row cannot be taken", "{count} rows cannot be taken", count)


def _rejected(one: "Import | ImportPreview", name: str) -> None:
    """With the number that a spreadsheet shows beside the row: its heading is row 1."""
    above = 0 if name.lower().endswith(".json") else 1
    look.table(
        [_("Row in the file"), _("Column"), _("Why")],
        [
            [row.row + above, _column(row.field), refusals.said(row.message) or row.message]
            for row in (one.report or [])[:_MOST_SHOWN]
        ],
    )


def _column(field: str) -> str:
    if field in _FIELDS:
        return _(_FIELDS[field])
    return "–" if field == "row" else field.removeprefix("attributes.")


# ---- consent ------------------------------------------------------------------------------------------------


def _consent() -> tuple[Consent | None, bool]:
    """What is kept as evidence, and whether enough was said to go on."""
    st.subheader(_("4. Did they agree?"), anchor=False)
    answers = {
        "yes": _("Yes, and this is how"),
        "no": _("No, or I am not sure: import them, and send them no offers"),
    }
    agreed = st.radio(
        _("WhatsApp blocks numbers that write to people who never agreed."),
        list(answers),
        index=None,
        format_func=answers.__getitem__,
        key="import-agreed",
    )
    if agreed != "yes":
        return None, agreed == "no"
    first, second = st.columns([2, 1])
    with first:
        source = st.selectbox(
            _("Where they agreed"), list(_SOURCES), format_func=lambda one: _(_SOURCES[one]), key="import-source"
        )
    with second:
        given_at = st.date_input(_("When"), formats.today().date(), max_value=formats.today().date(), key="import-when")
    wording = st.text_area(
        _("The words they agreed to"),
        placeholder=_("Yes, send me offers on WhatsApp."),
        max_chars=1000,
        key="import-wording",
    ).strip()
    when = datetime.combine(given_at, time(), formats.zone()) if isinstance(given_at, date) else formats.today()
    return (Consent(source=source, wording=wording, given_at=when), True) if wording else (None, False)


# ---- how it goes --------------------------------------------------------------------------------------------


def _one(import_id: int) -> None:
    look.way_back("import", _("Import another file"))
    one = session.client().contacts.get_import(import_id)
    look.heading(_("Import"), one.filename)
    if one.state == "running":
        _going(import_id)
    else:
        _result(one)


@look.live(_EVERY_S)
def _going(import_id: int) -> None:
    one = session.client().contacts.get_import(import_id)
    if one.state != "running":
        st.rerun()
    done = n_("{count} row done", "{count} rows done", one.rows)
    st.progress(min(1.0, one.rows / one.total) if one.total else 0.0, text=done)
    st.caption(_("You may leave this page. The file is taken all the same."))


def _result(one: Import) -> None:
    if one.state == "failed":
        why = (refusals.said(one.reason) or one.reason) if one.reason else _("The file cannot be read.")
        st.error(plain(why), icon=":material/error:")
    first, second, third = st.columns(3)
    first.metric(_("New people"), formats.number(one.created))
    second.metric(_("Known, brought up to date"), formats.number(one.updated))
    third.metric(_("Not taken"), formats.number(one.rejected))
    if one.rejected:
        st.subheader(_not_taken(one.rejected), anchor=False)
        _rejected(one, one.filename)
        st.download_button(
            _("All of them as a file"),
            functools.partial(session.client().contacts.rejected_csv, one.id),
            f"rejected-{one.id}.csv",
            "text/csv",
            icon=":material/download:",
            key=f"import-{one.id}-rejected",
        )
        st.caption(_("Put these rows right in your spreadsheet and import it again: who is known is not doubled."))
        if not one.filename.lower().endswith(".json"):
            st.caption(_("The downloaded file counts from the first row below the heading: its row 1 is row 2 here."))
    with st.container(horizontal=True):
        page.link("contacts", _("To the contacts"), icon=":material/group:")
        if one.tags:
            label = _("New campaign to everybody with the tag “{tag}”", tag=one.tags[0])
            page.link("campaign-new", label, icon=":material/campaign:", query={"tag": one.tags[0]})
        else:
            page.link("campaign-new", _("New campaign"), icon=":material/campaign:")


def _earlier() -> None:
    found = session.client().contacts.imports.page(look.cursor("imports-at"), order="newest", limit=_A_PAGE)
    if not found.data:
        return
    st.subheader(_("Imported so far"), anchor=False)
    for one in found.data:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            page.link("import", one.filename, icon=":material/description:", query={"id": one.id})
            st.html(look.chip(one.state), width="content")
            st.caption(n_("{count} person", "{count} people", one.created + one.updated), width="content")
            st.caption(formats.moment(one.created_at), width="content")
    look.turn("imports-at", found.next_cursor)


PAGE = Page(
    "import",
    later("Import"),
    ":material/upload_file:",
    show,
    needs="contacts.write",
    section="Audience",
    area="contacts",
)

"""One person: who it is, whether one may write, and all that happened between us."""

from datetime import datetime
from typing import Any

import streamlit as st

from ui import formats, look, page, reasons, session, tagging
from ui.markdown import plain
from ui.words import _, later
from waqtor import Contact
from waqtor.contacts import Entry

_A_PAGE = 30
_KINDS = {
    "message": (later("Message"), ":material/chat:"),
    "campaign": (later("Campaign"), ":material/campaign:"),
    "consent": (later("Consent"), ":material/verified_user:"),
    "merged": (later("Joined with another contact"), ":material/merge:"),
    "parted": (later("Parted again"), ":material/call_split:"),
}
_CONSENTS = {
    "granted": later("Agreed to be written to"),
    "withdrawn": later("Does not want to be written to"),
}


def show(contact_id: int) -> None:
    one = session.client().contacts.get(contact_id)
    look.way_back("contacts", _("All contacts"))
    look.heading(one.name or _("No name"))
    st.html(
        f'<p class="wq">{look.number_of(one.phone)} '
        + (look.chip("opted_out") if one.opted_out else look.chip("active", _("may be written to")))
        + "".join(look.chip("tag", tag) for tag in one.tags)
        + "</p>"
    )
    if one.opted_out:
        st.info(_("This person said no. Nothing is sent, whatever campaign they are in."), icon=":material/block:")
    left, right = st.columns([2, 1], gap="large")
    with right:
        _known(one)
        if session.may("contacts.write"):
            _change(one)
            if not one.opted_out:
                _opt_out(one)
    with left:
        st.subheader(_("What happened"), anchor=False)
        _history(one)


def _known(one: Contact) -> None:
    st.subheader(_("Details"), anchor=False)
    rows: list[list[Any]] = [[_("Added"), formats.day(one.created_at)]]
    rows += [[_("Language"), one.language]] if one.language else []
    rows += [[_("Time zone"), look.code(one.timezone)]] if one.timezone else []
    rows += [[name, value] for name, value in sorted(one.attributes.items())]
    look.table([_("Detail"), _("Value")], rows)


def _change(one: Contact) -> None:
    with st.expander(_("Change"), icon=":material/edit:"), st.form(f"contact-{one.id}", border=False):
        name = st.text_input(_("Name"), one.name, key=f"contact-{one.id}-name")
        tags = tagging.several(f"contact-{one.id}-tags", one.tags)
        if not st.form_submit_button(_("Save"), type="primary", key=f"contact-{one.id}-save"):
            return
        if not look.tried(lambda: session.client().contacts.update(one.id, name=name.strip(), tags=tags)):
            return
    st.rerun()


def _opt_out(one: Contact) -> None:
    key = f"contact-{one.id}-out"
    with st.expander(_("Does not want messages any more"), icon=":material/block:"):
        wording = st.text_area(_("What the person said, kept as proof"), key=f"{key}-wording", max_chars=1000)
        if st.button(_("Never write to this person again"), key=f"{key}-ask"):
            look.ask(key)
        sure = _("1 person will never be written to again, by any campaign. Only their own message START changes that.")
        if look.confirmed(key, sure, button=_("Yes, never again"), is_grave=True):
            session.client().contacts.opt_out(one.id, wording=wording.strip())
            st.rerun()


# ---- what happened ------------------------------------------------------------------------------------------


def _history(one: Contact) -> None:
    at = f"contact-{one.id}-at"
    found = session.client().contacts.history.page(look.cursor(at), one.id, limit=_A_PAGE)
    if not found.data:
        look.empty(_("Nothing yet"), _("Messages, campaigns and consents of this person are listed here."))
        return
    for entry in found.data:
        _entry(entry)
    look.turn(at, found.next_cursor)


def _entry(entry: Entry) -> None:
    title, icon = _KINDS.get(entry.kind, (entry.kind, ":material/circle:"))
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"{icon} **{_(title)}**", width="content")
            st.caption(formats.moment(entry.at), width="content")
        draw = {"message": _message, "campaign": _campaign, "consent": _consent}.get(entry.kind)
        if draw:
            draw(entry.details)


def _message(told: dict[str, Any]) -> None:
    ours = told.get("direction") == "out"
    side = _("From us") if ours else _("From them")
    text = _text(told.get("content"))
    receipt = told.get("receipt") if told.get("receipt") not in (None, "none") else told.get("state")
    state = look.chip(str(receipt)) if ours and receipt else ""
    st.html(f'<p class="wq">{look.chip("draft", side)}{state} {look.words_of(text)}</p>')
    _why(told.get("reason"))


def _text(content: Any) -> str:
    """The words of it, whatever kind it is."""
    if not isinstance(content, dict):
        return ""
    for name in ("body", "text", "caption"):
        if isinstance(found := content.get(name), str) and found:
            return found
        if isinstance(found, dict) and isinstance(found.get("body"), str):
            return str(found["body"])
    return ""


def _campaign(told: dict[str, Any]) -> None:
    receipt = told.get("receipt") if told.get("receipt") not in (None, "none") else told.get("state")
    with st.container(horizontal=True, vertical_alignment="center"):
        page.link("campaign", str(told.get("name") or ""), query={"id": told.get("campaign_id")})
        st.html(look.chip(str(receipt)), width="content")
    _why(told.get("reason"))
    replied = told.get("replied_at")
    if isinstance(replied, str):
        st.caption(_("Answered {when}", when=formats.moment(datetime.fromisoformat(replied))))


def _consent(told: dict[str, Any]) -> None:
    said = _CONSENTS.get(str(told.get("action")))
    st.html(f'<p class="wq">{look.words_of(_(said) if said else str(told.get("action")))}</p>')
    if wording := told.get("wording"):
        st.html(f'<blockquote class="wq" dir="auto">{look.words_of(str(wording))}</blockquote>')
    st.caption(_("Source: {source}", source=plain(str(told.get("source") or "–"))))


def _why(reason: Any) -> None:
    if reason:
        st.caption(plain(reasons.explained(str(reason))))

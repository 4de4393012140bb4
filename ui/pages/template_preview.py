"""What a person would read, beside the text while it is written."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from ui import bubbles, formats, pictures, session
from ui.bubbles import Bubble
from ui.words import _, n_
from waqtor import Contact, Invalid, Template
from waqtor.templates import Variant

_PEOPLE = 20
_LONGEST = 1024


def of_draft(body: str, defaults: Mapping[str, str], header: Mapping[str, Any] | None) -> None:
    _shown(body, defaults, header, heading="", buttons=())


def of_saved(
    template: Template,
    variant: Variant | None,
    body: str,
    defaults: Mapping[str, str],
    header: Mapping[str, Any] | None,
) -> None:
    heading, buttons = "", list[str]()
    if template.waba_id and session.may("contacts.read"):  # what stands around the text is WhatsApp's
        around = session.client().templates.preview_for(template.id)
        heading, buttons = around.heading, around.buttons
    _shown(body, defaults, header or (template.header if variant else None), heading=heading, buttons=buttons)


def _shown(
    body: str, defaults: Mapping[str, str], header: Mapping[str, Any] | None, *, heading: str, buttons: Sequence[str]
) -> None:
    st.markdown("**" + _("In WhatsApp") + "**")
    person = _person()
    values = {"name": person.name, **person.attributes} if person else {}
    given = {name: str(value)[:1000] for name, value in values.items() if value}
    text, missing = body, list[str]()
    if body.strip():
        try:
            seen = session.client().templates.preview_draft(body, defaults=defaults, values=given)
            text, missing = seen.text, seen.missing
        except Invalid:  # told beside the text
            text = body
    over = _over(header)
    if not text.strip() and not over:
        st.caption(_("Write something, and see here how it looks."))
        return
    bubbles.show(Bubble(text, over=over, heading=heading, buttons=buttons, missing=missing))
    st.caption(_("{count} of {most} characters", count=formats.number(len(text)), most=formats.number(_LONGEST)))
    if len(text) > _LONGEST:
        st.warning(_("WhatsApp takes at most {most} in a template.", most=formats.number(_LONGEST)))
    if missing:
        names = ", ".join(f"{{{one}}}" for one in missing)
        st.warning(
            n_("No value for {names}: who lacks it is left out.", "No values for {names}: who lacks one is left out.",
                len(missing), names=names)
        )  # fmt: skip


def _person() -> Contact | None:
    """Somebody to try it on."""
    if not session.may("contacts.read"):
        return None
    people = session.client().contacts.list.page(None, limit=_PEOPLE).data
    names = {0: _("somebody without a name"), **{one.id: one.name or f"#{one.id}" for one in people}}
    chosen = st.selectbox(
        _("As it comes to"), list(names), min(1, len(people)), format_func=names.__getitem__, key="template-person"
    )
    return next((one for one in people if one.id == chosen), None)


def _over(header: Mapping[str, Any] | None) -> str:
    if not header:
        return ""
    kind = str(header["type"])
    if kind == "image" and header.get("media_id"):
        shown = pictures.of_media(int(header["media_id"]), said=_("The picture above the text"))
        if shown is not None:
            return shown
    return bubbles.card(kind, str(header.get("filename") or header.get("link") or ""))

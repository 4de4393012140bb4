"""What an address is told of, and what of people: asked when it is added and when it is changed."""

from typing import Any

import streamlit as st

from ui import session
from ui.words import _, later
from waqtor.webhook_endpoints import Webhook

ALL = "*"
_FIELDS = {"text": later("the text of messages"), "phone": later("phone numbers"), "name": later("names")}


def asked(key: str, button: str, of: Webhook | None = None) -> dict[str, Any] | None:
    """What it came to when the button is pressed, as the API takes it; `of` is how it is now."""
    there_are = [one.name for one in session.client().webhooks.events().data if one.since]
    has = of.events if of else []
    with st.form(key, width=620, border=of is None):
        url = st.text_input(
            _("Address"), of.url if of else "", key=f"{key}-url", placeholder="https://shop.example/hooks/waqtor"
        )
        description = st.text_input(
            _("What it is"), of.description if of else "", key=f"{key}-description", max_chars=500
        )
        events = st.multiselect(
            _("Tell it of"),
            list(dict.fromkeys([ALL, *there_are, *has])),
            has,
            format_func=lambda name: _("everything") if name == ALL else name,
            key=f"{key}-events",
            placeholder=_("Choose"),
        )
        st.caption(_("It gets ids only, unless you add what of a person it may have:"))
        fields = [
            name
            for name, says in _FIELDS.items()
            if st.checkbox(_(says), of is not None and name in of.fields, key=f"{key}-field-{name}")
        ]
        if not st.form_submit_button(button, type="primary", key=f"{key}-go"):
            return None
    if not events:
        st.warning(_("Choose what it is to be told of."))
        return None
    return {"url": url.strip(), "description": description.strip(), "events": events, "fields": fields}

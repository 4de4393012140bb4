"""The switch that stops everything, and what this installation is set to."""

import streamlit as st

from ui import formats, look, session
from ui.page import Page
from ui.pages import sending_switch
from ui.words import _, later

_NAMES = {
    "default_country": later("Country of numbers without one"),
    "marketing_per_week": later("Marketing messages to one person in a week, at most"),
    "max_upload_bytes": later("Largest file, in bytes"),
    "send_concurrency": later("Messages under way at once"),
    "max_attempts": later("Tries for a message that had no effect"),
    "silence_window_s": later("Seconds until a doubt becomes “unknown”"),
    "sweep_interval_s": later("Seconds between looks for what stands still"),
    "suspect_after_messages": later("Messages without a receipt until a sender rests"),
    "suspect_after_s": later("and seconds since the first of them"),
    "schedule_grace_s": later("Seconds that a scheduled campaign may begin late"),
    "event_retention_days": later("Days that events are kept"),
    "inbox_retention_days": later("Days that webhooks of WhatsApp are kept"),
    "idempotency_days": later("Days that a repeated request is known"),
    "notification_retention_days": later("Days that notifications are kept"),
    "live_connections": later("Live connections at once"),
    "requests_per_s": later("Requests per second of one person or key"),
    "log_level": later("What is written to the log"),
}


def show() -> None:
    look.heading(_("Settings"), _("The switch for all sending, and how this installation is set up."))
    st.subheader(_("All sending"), anchor=False)
    sending_switch.show()
    if session.may("system.read"):
        _in_force()


def _in_force() -> None:
    st.subheader(_("In force"), anchor=False)
    st.write(_("Who runs the machine changes these in its file config.toml. Addresses and secrets are not shown."))
    settings = session.client().system.get().settings
    rows = [[_(_NAMES.get(name, name)), _shown(value), look.number_of(name)] for name, value in settings.items()]
    look.table([_("Setting"), _("Value"), _("Name in the file")], rows)


def _shown(value: object) -> str:
    if value is None:
        return _("no limit")
    return formats.number(value, digits=2) if isinstance(value, int | float) else str(value)


PAGE = Page(
    "settings",
    later("Settings"),
    ":material/settings:",
    show,
    needs="senders.read",
    area="sending",
    section="System",
)

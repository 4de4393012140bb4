"""The switch that stops everything, and what this installation is set to."""

import streamlit as st

from ui import formats, look, session
from ui.page import Page
from ui.words import _, later
from waqtor import Sending

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
    _switch()
    if session.may("system.read"):
        _in_force()


def _switch() -> None:
    st.subheader(_("All sending"), anchor=False)
    sending = session.client().sending
    now = sending.get()
    _state(now)
    if not session.may("sending.stop"):
        st.caption(_("Your role may look at this switch, and not turn it."))
        return
    if now.on:
        if st.button(_("Stop all sending"), icon=":material/emergency_home:", key="stop"):
            look.ask("stop-all")
        if st.session_state.get("stop-all"):
            reason = st.text_input(_("Why? The others are told."), key="stop-reason", max_chars=200)
            question = _(
                "Campaigns under way now: {count}. Nothing leaves from any sender until somebody turns it on again; "
                "what was begun a moment ago still leaves. Nothing is lost.",
                count=formats.number(_under_way()),
            )
            if look.confirmed("stop-all", question, button=_("Stop all sending now"), is_grave=True):
                sending.stop(reason)
                st.rerun()
        return
    if st.button(_("Turn sending on again"), icon=":material/play_arrow:", type="primary", key="start"):
        look.ask("start-all")
    question = _(
        "Campaigns under way: {count}. They go on within a minute, at the pace of their senders.",
        count=formats.number(_under_way()),
    )
    if look.confirmed("start-all", question, button=_("Turn it on")):
        sending.start()
        st.rerun()


def _state(now: Sending) -> None:
    at = formats.moment(now.changed_at)
    if now.on:
        st.success(_("Messages may leave. So since {at}.", at=at), icon=":material/check_circle:")
    else:
        said = f" {_('Reason:')} {now.reason}" if now.reason else ""
        st.error(_("All sending is switched off. So since {at}.", at=at) + said, icon=":material/block:")


def _under_way() -> int:
    campaigns = session.client().campaigns
    return len(campaigns.list.page(None, state="running", limit=100).data)


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

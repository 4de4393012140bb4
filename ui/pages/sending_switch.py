"""The switch that stops everything, and starts it again after a question that says what waits."""

from collections.abc import Sequence

import streamlit as st

from ui import formats, look, session
from ui.markdown import plain
from ui.words import _, n_
from waqtor import Sending
from waqtor.campaigns import Campaign

_MOST = 100


def show() -> None:
    sending = session.client().sending
    now = sending.get()
    _state(now)
    if not session.may("sending.stop"):
        if not session.could("sending.stop"):
            st.caption(_("Your role may look at this switch, and not turn it."))
        return
    if now.on:
        if st.button(_("Stop all sending"), icon=":material/emergency_home:", key="stop"):
            look.ask("stop-all")
        if look.is_asked("stop-all"):
            reason = st.text_input(_("Why? The others are told."), key="stop-reason", max_chars=200)
            question = _(
                "Campaigns under way now: {count}. Nothing leaves from any sender until somebody turns it on again; "
                "what was begun a moment ago still leaves. Nothing is lost.",
                count=formats.number(len(under_way())),
            )
            if look.confirmed("stop-all", question, button=_("Stop all sending now"), is_grave=True):
                sending.stop(reason)
                st.rerun()
        return
    if st.button(_("Turn sending on again"), icon=":material/play_arrow:", type="primary", key="start"):
        look.ask("start-all")
    if look.is_asked("start-all") and look.confirmed("start-all", waits(under_way()), button=_("Turn it on")):
        sending.start()
        st.rerun()


def under_way(*, sender_id: int | None = None) -> Sequence[Campaign]:
    """Those that send, or would, of all senders or of one."""
    if not session.may("campaigns.read"):
        return []
    found = session.client().campaigns.list.page(None, state="running", order="newest", limit=_MOST).data
    return [one for one in found if sender_id in (None, one.sender_id)]


def waits(campaigns: Sequence[Campaign]) -> str:
    """What leaves when sending goes on."""
    progress = session.client().campaigns.progress
    people = sum(counted.total - counted.done for counted in (progress(one.id) for one in campaigns))
    said = _(
        "Campaigns under way: {count}. They go on within a minute, at the pace of their senders.",
        count=formats.number(len(campaigns)),
    )
    return said + " " + n_("{count} person waits.", "{count} people wait.", people)


def _state(now: Sending) -> None:
    at = formats.moment(now.changed_at)
    if now.on:
        st.success(_("Messages may leave. So since {at}.", at=at), icon=":material/check_circle:")
    else:
        said = f" {_('Reason:')} {plain(now.reason)}" if now.reason else ""
        st.error(_("All sending is switched off. So since {at}.", at=at) + said, icon=":material/block:")

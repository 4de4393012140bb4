"""What became of each person of a campaign, page by page, and all of it as a file."""

import streamlit as st

from ui import formats, look, session
from ui.reasons import explained
from ui.words import _
from waqtor.campaigns import Campaign, Recipient

_STATES = ("queued", "sending", "sent", "failed", "skipped", "unknown")
_ON_A_PAGE = 50
_CURSORS = "wq-recipients"


def show(campaign: Campaign) -> None:
    client, progress = session.client(), campaign.progress
    with st.container(horizontal=True, vertical_alignment="bottom"):
        state = st.selectbox(
            _("State"), _STATES, index=None, format_func=look.state, placeholder=_("All"), key="wqp-state", width=200
        )
        known = [*progress.failed, *progress.skipped, *progress.unknown] if progress else []
        reason = st.selectbox(
            _("Why"), known, index=None, format_func=explained, placeholder=_("All"), key="wqp-reason", width=320
        )
        occurrence = _occurrence(campaign)
        if session.may("contacts.export"):
            st.download_button(
                _("All as a file (CSV)"),
                lambda: client.campaigns.recipients_csv(campaign.id, state=state, occurrence=occurrence),
                file_name=f"campaign-{campaign.id}.csv",
                mime="text/csv",
                icon=":material/download:",
                on_click="ignore",
                key="wqp-file",
            )
    at = look.cursor(_CURSORS, of=(campaign.id, state, reason, occurrence))
    found = client.campaigns.recipients.page(
        at, campaign.id, state=state, reason=reason, occurrence=occurrence, limit=_ON_A_PAGE
    )
    if not found.data:
        look.empty(_("Nobody here"), _("Nobody of this campaign is in this state."))
        return
    heads = (_("Person"), _("Phone number"), _("State"), _("Why"), _("Sent"), _("Read"))
    look.table(heads, [_row(one) for one in found.data])
    look.turn(_CURSORS, found.next_cursor)


def _occurrence(campaign: Campaign) -> int | str | None:
    if campaign.launches < 2:
        return None
    chosen: int | str = st.selectbox(
        _("Time"),
        ["all", *range(campaign.occurrence, 0, -1)],
        index=1,
        format_func=lambda one: _("All") if one == "all" else formats.number(int(one)),
        key="wqp-time",
        width=140,
    )
    return chosen


def _row(one: Recipient) -> tuple[object, ...]:
    shown = one.receipt if one.state == "sent" and one.receipt in ("delivered", "read") else one.state
    if one.replied_at:
        shown = "replied"
    return (
        one.name or _("Contact {number}", number=one.contact_id),
        look.number_of(one.phone),
        look.Html(look.chip(shown)),
        explained(one.reason) if one.reason else "–",
        formats.moment(one.sent_at),
        formats.moment(one.read_at),
    )

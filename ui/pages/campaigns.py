"""All campaigns: what runs, what comes, what was."""

import streamlit as st

from ui import formats, look, page, session
from ui.page import Page
from ui.pages import campaign_new
from ui.words import _, later, n_
from waqtor.campaigns import Campaign

_CURSORS = "wq-campaigns"
_STATES = ("running", "scheduled", "paused", "holding", "draft", "finished", "cancelled")
_UNDER_WAY = ("running", "paused", "holding")
_ON_A_PAGE = 20


def show() -> None:
    look.heading(_("Campaigns"), _("One message to many people, and what became of each of them."))
    if session.may("campaigns.write") and st.button(
        _("New campaign"), icon=":material/add:", type="primary", key="wq-new-campaign"
    ):
        campaign_new.begin()
    state = st.pills(_("Only in this state"), _STATES, format_func=look.state, key="wq-campaigns-state")
    at = look.cursor(_CURSORS, of=state)
    found = session.client().campaigns.list.page(at, state=state, order="newest", limit=_ON_A_PAGE)
    if not found.data:
        _nothing(state)
        return
    for campaign in found.data:
        _row(campaign)
    look.turn(_CURSORS, found.next_cursor)


def _nothing(state: str | None) -> None:
    if state is not None:
        look.empty(_("No campaign is in this state"), _("Take the filter away to see the others."))
    elif session.may("campaigns.write"):
        look.empty(
            _("No campaigns yet"),
            _("Add people and a message first; then a campaign brings the message to them."),
            do=("contacts", _("Add people")),
        )
    else:
        look.empty(_("No campaigns yet"), _("Whoever may write campaigns has not made one."))


def _row(campaign: Campaign) -> None:
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            is_draft = campaign.state == "draft" and session.may("campaigns.write")
            with st.container(width="content"):
                page.link("campaign-new" if is_draft else "campaign", campaign.name, query={"id": campaign.id})
            st.html(look.chip(campaign.state), width="content")
        st.caption(_said(campaign))
        if campaign.state in _UNDER_WAY:
            progress = session.client().campaigns.progress(campaign.id)
            st.progress(progress.done / max(progress.total, 1))


def _said(campaign: Campaign) -> str:
    match campaign.state:
        case "draft":
            return _("Made {when}. Nothing is sent yet.", when=formats.ago(campaign.created_at))
        case "scheduled":
            return _("Begins by itself.")
        case "finished" | "cancelled":
            return _("Ended {when}", when=formats.ago(campaign.finished_at))
    times = n_("{count} time", "{count} times", campaign.launches) if campaign.launches > 1 else ""
    began = _("Began {when}", when=formats.ago(campaign.launched_at))
    return f"{began} · {times}" if times else began


PAGE = Page(
    "campaigns",
    later("Campaigns"),
    ":material/campaign:",
    show,
    needs="campaigns.read",
    section="Messages",
    is_new=True,
)

"""One campaign: how far it is, what can be done about it, and what became of each person."""

from collections.abc import Callable, Mapping

import streamlit as st

from ui import locked, look, page, session
from ui.markdown import plain
from ui.page import Page
from ui.pages import campaign_live, campaign_people
from ui.reasons import REASONS, explained
from ui.words import _, later, n_
from waqtor.campaigns import Again, Campaign

_VIEWS: Mapping[str, str] = {
    "live": later("How it goes"),
    "people": later("People"),
    "variants": later("Messages compared"),
    "times": later("Each time"),
}
_UNDER_WAY = ("running", "paused", "holding")


def show() -> None:
    asked = page.asked("id")
    if asked is None:
        look.empty(_("No campaign"), _("Choose one from the list."), do=("campaigns", _("All campaigns")))
        return
    campaign = session.client().campaigns.get(asked)
    look.way_back("campaigns", _("All campaigns"))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title(plain(campaign.name), anchor=False, width="content")
        st.html(look.chip(campaign.state), width="content")
    if campaign.state in ("paused", "holding", "cancelled") and campaign.state_reason:
        st.caption(
            explained(campaign.state_reason) if campaign.state_reason in REASONS else plain(campaign.state_reason)
        )
    if campaign.state == "draft":
        look.empty(_("Not sent yet"), _("It is a draft."))
        page.link("campaign-new", _("Go on with it"), query={"id": campaign.id})
        return
    if campaign.state == "holding":
        campaign_live.canary(campaign)
    if session.may("campaigns.send"):
        _controls(campaign)
    _views(campaign)


def _views(campaign: Campaign) -> None:
    shown = ["live"]
    if session.could("recipients.read") and campaign.launches:
        shown.append("people")
    if campaign.variants:
        shown.append("variants")
    if campaign.launches > 1 or campaign.state == "scheduled":
        shown.append("times")
    view = "live"
    if len(shown) > 1:
        view = st.segmented_control(
            _("Show"),
            shown,
            format_func=lambda one: _(_VIEWS[one]),
            default="live",
            required=True,
            key=f"wq-campaign-view-{campaign.id}",
            label_visibility="collapsed",
        )
    match view:
        case "people":
            if session.may("recipients.read"):
                campaign_people.show(campaign)
            else:
                locked.part("recipients")
        case "variants":
            campaign_live.variants(campaign)
        case "times":
            campaign_live.times(campaign)
        case _view:
            campaign_live.have(campaign)
            (campaign_live.moving if campaign.state == "running" else campaign_live.resting)(
                campaign.id, campaign.state
            )


# ---- what can be done ---------------------------------------------------------------------------------------


def _controls(campaign: Campaign) -> None:
    client, progress = session.client(), campaign.progress
    failed = sum(progress.failed.values()) if progress else 0
    unknown = sum(progress.unknown.values()) if progress else 0
    waiting = progress.queued if progress else 0
    with st.container(horizontal=True, key="wq-controls"):
        if campaign.state in ("running", "holding") and st.button(_("Pause"), icon=":material/pause:", key="wqc-pause"):
            _done(lambda: client.campaigns.pause(campaign.id))
        if campaign.state == "paused" and st.button(
            _("Resume"), icon=":material/play_arrow:", type="primary", key="wqc-resume"
        ):
            look.ask("wqc-resume-ask", of=campaign.id)
        if campaign.state == "holding" and st.button(_("Go on now"), icon=":material/fast_forward:", key="wqc-go-on"):
            look.ask("wqc-go-on-ask", of=campaign.id)
        if campaign.state == "scheduled" and st.button(_("Take it off the schedule"), key="wqc-unschedule"):
            _done(lambda: client.schedules.remove(campaign.id))
        if (
            failed
            and campaign.state in ("finished", "running", "paused")
            and st.button(_("Try the failed again"), icon=":material/replay:", key="wqc-retry")
        ):
            look.ask("wqc-retry-ask", of=campaign.id)
        if (
            unknown
            and campaign.state in ("finished", "running", "paused")
            and st.button(_("Send to the unknown again"), icon=":material/help:", key="wqc-unknown")
        ):
            look.ask("wqc-unknown-ask", of=campaign.id)
        if campaign.state in _UNDER_WAY and st.button(_("Cancel"), icon=":material/cancel:", key="wqc-cancel"):
            look.ask("wqc-cancel-ask", of=campaign.id)
    _questions(campaign, waiting=waiting, failed=failed)
    if unknown:
        _unknown(campaign, unknown)


def _questions(campaign: Campaign, *, waiting: int, failed: int) -> None:
    client = session.client()
    if look.confirmed(
        "wqc-resume-ask",
        n_("{count} person who waits will get it now.", "{count} people who wait will get it now.", waiting),
        button=_("Resume"),
        of=campaign.id,
    ):
        _done(lambda: client.campaigns.resume(campaign.id))
    if look.confirmed(
        "wqc-go-on-ask",
        n_("{count} person who waits will get it now.", "{count} people who wait will get it now.", waiting),
        button=_("Go on now"),
        of=campaign.id,
    ):
        _done(lambda: client.canaries.go_on(campaign.id))
    if look.confirmed(
        "wqc-cancel-ask",
        n_(
            "{count} person will not get it. This cannot be undone.",
            "{count} people will not get it. This cannot be undone.",
            waiting,
        ),
        button=_("Cancel it for good"),
        of=campaign.id,
        is_grave=True,
    ):
        _done(lambda: client.campaigns.cancel(campaign.id))
    if look.confirmed(
        "wqc-retry-ask",
        n_(
            "{count} message failed without effect. It is sent again now.",
            "{count} messages failed without effect. They are sent again now.",
            failed,
        ),
        button=_("Try again"),
        of=campaign.id,
    ):
        _done(lambda: client.campaigns.retry(campaign.id))


def _unknown(campaign: Campaign, unknown: int) -> None:
    """Their number has to be written, since each of them may get it twice."""
    key = "wqc-unknown-ask"
    if not look.is_asked(key, of=campaign.id):
        return
    with st.container(border=True):
        st.error(
            n_(
                "Nobody knows whether {count} person got it. They may get it twice.",
                "Nobody knows whether {count} people got it. Each of them may get it twice.",
                unknown,
            ),
            icon=":material/help:",
        )
        said = st.number_input(
            _("Write their number to confirm"), 0, step=1, key=f"wqc-unknown-count-{campaign.id}", width=260
        )
        with st.container(horizontal=True):
            yes = st.button(_("Send to them again"), type="primary", key="wqc-unknown-yes", disabled=said != unknown)
            no = st.button(_("No, go back"), key="wqc-unknown-no")
        if yes and look.tried(lambda: session.client().campaigns.resend_unknown(campaign.id, confirm=int(said))):
            look.answered(key)
            st.rerun()
    if no:
        look.answered(key)
        st.rerun()


def _done(act: Callable[[], Campaign | Again]) -> None:
    if look.tried(act):
        st.rerun()


PAGE = Page(
    "campaign",
    later("Campaign"),
    ":material/campaign:",
    show,
    needs="campaigns.read",
    section="Messages",
    area="campaigns",
    is_listed=False,
)

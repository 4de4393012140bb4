"""How far a campaign is, drawn anew by itself while it runs."""

import time
from collections import deque
from datetime import UTC, datetime, timedelta
from html import escape

import streamlit as st

from ui import formats, look, session
from ui.reasons import explained
from ui.words import _, later, n_
from waqtor.campaigns import Campaign, Progress

_LOOKED_BACK_S = 30.0
_READ = "_campaign_read"
_VERDICTS = {
    "higher": later("higher"),
    "lower": later("lower"),
    "no_difference": later("no difference"),
    "too_few": later("too few people to tell"),
}
_METRICS = {
    "read": later("read"),
    "replied": later("replied"),
    "opted_out": later("said stop"),
    "failed": later("failed"),
}


@look.live(2)
def moving(campaign_id: int, state: str) -> None:
    _draw(campaign_id, state)


@look.live(15)
def resting(campaign_id: int, state: str) -> None:
    """Nothing is sent, but receipts still come."""
    _draw(campaign_id, state)


def have(campaign: Campaign) -> None:
    """It was read just now: the first drawing need not ask for it again."""
    st.session_state[_READ] = campaign


def _draw(campaign_id: int, state: str) -> None:
    campaign: Campaign = st.session_state.pop(_READ, None) or session.client().campaigns.get(campaign_id)
    if campaign.state != state:
        st.rerun()  # what can be done about it is another thing now
    progress = campaign.progress
    if progress is None or not progress.total:
        _not_begun(campaign)
        return
    _how_far(campaign, progress)
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader(_("From sent to answered"), anchor=False)
        look.funnel(
            [
                (_("In the audience"), progress.total, ""),
                (_("Sent"), progress.sent, ""),
                (_("Delivered"), progress.delivered, ""),
                (_("Read"), progress.read, ""),
                (_("Answered"), progress.replied, ""),
            ],
            progress.total,
        )
    with right:
        _why_not(progress)


def _not_begun(campaign: Campaign) -> None:
    if campaign.state == "scheduled":
        coming = session.client().schedules.get(campaign.id).next
        look.empty(_("It begins by itself"), " · ".join(formats.moment(one) for one in coming[:3]))
    else:
        look.empty(_("It begins"), _("The people are being put in line; this page shows it by itself."))


def _how_far(campaign: Campaign, progress: Progress) -> None:
    share = progress.done / progress.total
    st.progress(
        share,
        text=_(
            "{done} of {total} have an outcome",
            done=formats.number(progress.done),
            total=formats.number(progress.total),
        ),
    )
    rate = _rate(campaign.id, progress.done)
    waiting = progress.total - progress.done
    with st.container(horizontal=True):
        st.metric(_("Sent"), formats.number(progress.sent), border=True)
        st.metric(_("Waiting"), formats.number(waiting), border=True)
        if campaign.state == "running":
            st.metric(_("A minute"), formats.number(rate * 60) if rate else "–", border=True)
            st.metric(_("Finished about"), _through(campaign, waiting, rate), border=True)
        else:
            st.metric(_("Ended"), formats.moment(campaign.finished_at), border=True)


def _rate(campaign_id: int, done: int) -> float:
    """Outcomes a second, lately."""
    kept: deque[tuple[float, int]] = st.session_state.setdefault(f"wq-rate-{campaign_id}", deque())
    now = time.monotonic()
    kept.append((now, done))
    while kept and now - kept[0][0] > _LOOKED_BACK_S:
        kept.popleft()
    took = kept[-1][0] - kept[0][0]
    return (kept[-1][1] - kept[0][1]) / took if took > 1 else 0.0


def _through(campaign: Campaign, waiting: int, rate: float) -> str:
    if rate:
        at = datetime.now(UTC) + timedelta(seconds=waiting / rate)
        return formats.clock(at) if waiting / rate < 20 * 3600 else formats.moment(at)
    at_first = (campaign.forecast or {}).get("finishes_at")
    return formats.moment(datetime.fromisoformat(at_first)) if at_first else "–"


def _why_not(progress: Progress) -> None:
    groups = (("failed", progress.failed), ("unknown", progress.unknown), ("skipped", progress.skipped))
    if not any(found for _state, found in groups) and not progress.held_out:
        st.subheader(_("Who did not get it"), anchor=False)
        st.write(_("Nobody so far."))
        return
    st.subheader(_("Who did not get it"), anchor=False)
    rows = [
        (look.Html(look.chip(state)), explained(reason), count)
        for state, found in groups
        for reason, count in sorted(found.items(), key=lambda one: -one[1])
    ]
    if progress.held_out:
        rows.append((look.Html(look.chip("skipped", _("held out"))), explained("holdout"), progress.held_out))
    look.table((_("State"), _("Why"), _("People")), rows, numeric=(2,))


# ---- a few first, several messages, several times -----------------------------------------------------------


def canary(campaign: Campaign) -> None:
    found = session.client().canaries.get(campaign.id)
    if (rates := found.rates) is None:
        return
    said = n_("{count} person has it first.", "{count} people have it first.", rates.people)
    if found.held_until:
        said += " " + _("The others wait until {when}.", when=formats.moment(found.held_until))
    st.info(said, icon=":material/looks_one:")
    with st.container(horizontal=True):
        for label, count in (
            (_("Failed"), rates.failed),
            (_("Said stop"), rates.opted_out),
            (_("Kept from us by WhatsApp"), rates.blocked),
            (_("Waiting"), rates.waiting),
        ):
            st.metric(label, formats.number(count), border=True)


def variants(campaign: Campaign) -> None:
    found = session.client().variants.compare(campaign.id)
    look.table(
        (
            _("Message"),
            _("Sent"),
            _("Delivered"),
            _("Read"),
            _("Answered"),
            _("Failed"),
            _("Said stop"),
        ),
        [
            (
                look.Html(f"<b>{escape(one.name)}</b>{' ' + look.chip('read', _('chosen')) if one.is_winner else ''}"),
                one.progress.sent,
                one.progress.delivered,
                one.progress.read,
                one.progress.replied,
                sum(one.progress.failed.values()),
                one.opted_out,
            )
            for one in found.results
        ],
        numeric=range(1, 7),
    )
    st.subheader(_("Beside the first"), anchor=False)
    look.table(
        (_("What"), _("Message"), _("Share"), _("The first"), _("Says")),
        [
            (
                _(_METRICS.get(one.metric, one.metric)),
                one.variant,
                formats.percent(one.share),
                formats.percent(one.against_share),
                _(_VERDICTS.get(one.verdict, one.verdict)),
            )
            for one in found.comparisons
        ],
        numeric=(2, 3),
    )
    st.caption(_("Look once, when all is sent and people had their time: who looks every hour is fooled more often."))


def times(campaign: Campaign) -> None:
    at = look.cursor("wq-times", of=campaign.id)
    found = session.client().schedules.occurrences.page(at, campaign.id, limit=20)
    if not found.data:
        look.empty(_("It was not sent yet"), _("Each time that it is due is shown here."))
        return
    look.table(
        (_("Number"), _("State"), _("Due"), _("Began"), _("Ended"), _("Why")),
        [
            (
                one.number,
                look.Html(look.chip(one.state)),
                formats.moment(one.due_at),
                formats.moment(one.started_at),
                formats.moment(one.finished_at),
                explained(one.reason) if one.reason else "–",
            )
            for one in found.data
        ],
        numeric=(0,),
    )
    look.turn("wq-times", found.next_cursor)

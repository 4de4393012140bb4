"""A campaign in four steps: who, what, when, and a last look with numbers before anything is sent."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zoneinfo import available_timezones

import streamlit as st

from ui import bubbles, formats, look, page, session, tagging
from ui.markdown import plain
from ui.page import Page
from ui.pages import campaign_check, campaign_draft
from ui.pages.campaign_draft import DAYS, Draft
from ui.words import _, later, n_
from waqtor import Error, NotSignedIn
from waqtor.templates import Preview, Template

_STEPS = (later("Who"), later("Message"), later("When"), later("Check and send"))
_KINDS = {
    "all": later("All contacts"),
    "tag": later("With a tag"),
    "segment": later("A segment"),
    "filter": later("A filter"),
}
_WHEN = {"now": later("Now"), "once": later("At a time"), "again": later("Again and again")}
_EVERY = {"day": later("Every day"), "week": later("Every week"), "month": later("Every month")}
_DAYS = dict(
    zip(
        DAYS,
        (
            later("Monday"),
            later("Tuesday"),
            later("Wednesday"),
            later("Thursday"),
            later("Friday"),
            later("Saturday"),
            later("Sunday"),
        ),
        strict=True,
    )
)
_PURPOSES = {
    "marketing": later("Marketing: only to people who agreed to it"),
    "service": later("Service: about something they bought or asked for"),
    "utility": later("Utility: an order, an appointment, an account"),
    "authentication": later("A code to sign in with"),
}
_MOST_LISTED = 100


def begin() -> None:
    """A new one, whatever was begun before."""
    campaign_draft.keep(Draft(timezone=st.context.timezone or "UTC"))
    page.go("campaign-new")


def show() -> None:
    draft = _found()
    if draft is None:
        return
    look.way_back("campaigns", _("All campaigns"))
    look.heading(draft.name or _("New campaign"))
    _way(draft)
    if draft.step < len(_STEPS) - 1:
        draft.seen = None
    (_who, _what, _when, campaign_check.show)[draft.step](draft)


def _found() -> Draft | None:
    if tag := st.query_params.get("tag", ""):  # as an import leads here: to those who were in it
        del st.query_params["tag"]
        return campaign_draft.keep(Draft(timezone=st.context.timezone or "UTC", kind="tag", tag=tag))
    draft, asked = campaign_draft.current(), page.asked("id")
    if asked is not None and (draft is None or draft.id != asked):
        campaign = session.client().campaigns.get(asked)
        if campaign.state != "draft":
            page.go("campaign", {"id": asked})
            return None
        draft = campaign_draft.keep(campaign_draft.read(campaign, st.query_params.to_dict()))
    return draft or campaign_draft.keep(Draft(timezone=st.context.timezone or "UTC"))


def _way(draft: Draft) -> None:
    """Where one is; what was passed can be gone back to."""
    with st.container(horizontal=True, gap="small", key="wq-steps"):
        for at, name in enumerate(_STEPS):
            label = f"{formats.number(at + 1)}. {_(name)}"
            kind: Any = "primary" if at == draft.step else "secondary"
            if st.button(label, key=f"wqd-step-{at}", type=kind, disabled=at > draft.step):
                draft.step = at
                st.rerun()


def _on(draft: Draft, *, is_ready: bool, lacks: str = "") -> None:
    """`lacks` is told when one goes on: a button that is off swallows the click with which one leaves a field."""
    with st.container(horizontal=True):
        if draft.step and st.button(_("Back"), key="wqd-back", icon=":material/arrow_back:"):
            draft.step -= 1
            st.rerun()
        goes_on = st.button(_("Go on"), key="wqd-on", type="primary", disabled=not is_ready)
    if goes_on and lacks:
        st.warning(lacks, icon=":material/edit:")
    elif goes_on:
        draft.step += 1
        st.rerun()


def _kept(draft: Draft, name: str) -> str:
    """The key of a widget that shows this field; what it shows outlives a step in which it is not drawn."""
    key = f"wqd-{name}"
    if key not in st.session_state:
        st.session_state[key] = getattr(draft, name)
    return key


# ---- who ----------------------------------------------------------------------------------------------------


def _who(draft: Draft) -> None:
    draft.name = st.text_input(
        _("Name of the campaign"),
        key=_kept(draft, "name"),
        max_chars=200,
        placeholder=_("Spring sale"),
        help=_("Only you see it."),
    ).strip()
    draft.kind = _one_of(draft, "kind", _("Who gets it"), _KINDS)
    if draft.kind == "tag":
        draft.tag = tagging.one(_kept(draft, "tag"))
    elif draft.kind == "segment":
        _segment(draft)
    elif draft.kind == "filter":
        draft.filter = st.text_input(
            _("Filter"),
            key=_kept(draft, "filter"),
            placeholder='tag = "vip" and city = "جدة"',
            help=_('Such as: tag = "vip" and not city in ("Riyadh", "Jeddah") and age >= 18'),
        ).strip()
    count = _count(draft)
    _on(draft, is_ready=bool(count), lacks="" if draft.name else _("Give the campaign a name first."))


def _segment(draft: Draft) -> None:
    found = session.client().segments.list.page(None, order="newest", limit=_MOST_LISTED).data
    if not found:
        look.empty(_("No segments yet"), _("A segment is a filter with a name."), do=("segments", _("Make a segment")))
        return
    names = {one.id: one.name for one in found}
    draft.segment = _choice(draft, "segment", _("Segment"), list(names), names.__getitem__)


def _count(draft: Draft) -> int | None:
    if draft.chosen is None:
        return None
    try:
        count = session.client().segments.count(draft.chosen).count
    except NotSignedIn:
        raise
    except Error as error:
        look.problem(error)
        return None
    if count:
        st.info(
            n_("{count} person is in it now.", "{count} people are in it now.", count)
            + " "
            + _("Who has not agreed, or said stop, is left out later; the last step says how many."),
            icon=":material/group:",
        )
    else:
        st.warning(_("Nobody is in it now."), icon=":material/group_off:")
    return count


def _choice(draft: Draft, name: str, label: str, options: Sequence[int], said: Callable[[int], str]) -> int | None:
    key = f"wqd-{name}"
    if st.session_state.get(key) not in options:
        kept = getattr(draft, name)
        st.session_state[key] = kept if kept in options else options[0]
    chosen: int | None = st.selectbox(label, options, format_func=said, key=key)
    return chosen


def _one_of(draft: Draft, name: str, label: str, said: Mapping[str, str]) -> str:
    chosen = st.segmented_control(
        label, list(said), format_func=lambda one: _(said[one]), key=_kept(draft, name), required=True
    )
    return chosen or next(iter(said))


# ---- message ------------------------------------------------------------------------------------------------


def _what(draft: Draft) -> None:
    found = session.client().templates.list.page(None, order="newest", limit=_MOST_LISTED).data
    if not found:
        look.empty(
            _("No messages yet"), _("Write the message first, then come back."), do=("templates", _("Write a message"))
        )
        _on(draft, is_ready=False)
        return
    found = sorted(found, key=lambda one: not _opens(one))
    names = {one.id: _named(one) for one in found}
    left, right = st.columns(2, gap="large")
    with left:
        draft.template_id = _choice(draft, "template_id", _("Message"), list(names), names.__getitem__)
        if any(one.id == draft.template_id and not one.cloud_name for one in found):
            st.warning(
                _(
                    "WhatsApp has not approved this text. Only people who wrote to you in the last 24 hours get it; "
                    "for the others choose an approved template."
                ),
                icon=":material/schedule:",
            )
        purposes = list(_PURPOSES) if draft.purpose in _PURPOSES else [draft.purpose, *_PURPOSES]
        draft.purpose = (
            st.selectbox(
                _("What it is for"),
                purposes,
                format_func=lambda one: _(_PURPOSES[one]) if one in _PURPOSES else one,
                key=_kept(draft, "purpose"),
            )
            or purposes[0]
        )
        with st.expander(_("More: try several messages, hold people out"), key="wqd-more"):
            rest = [one for one in names if one != draft.template_id]
            kept = _kept(draft, "others")
            st.session_state[kept] = [one for one in st.session_state[kept] if one in rest]
            draft.others = st.multiselect(
                _("Try these messages too"),
                rest,
                format_func=names.__getitem__,
                key=kept,
                max_selections=4,
                placeholder=_("Choose up to four"),
                help=_(
                    "Each person gets one of them, drawn by lot, as many each. Afterwards you see which did better."
                ),
            )
            if draft.has_more:
                st.caption(_("It was given several messages elsewhere. What you choose here takes their place."))
            draft.holdout = st.number_input(
                _("Percent of the people who get nothing, to compare with"),
                0.0,
                90.0,
                step=5.0,
                key=_kept(draft, "holdout"),
            )
    with right:
        is_complete = _bubble(draft)
    if not is_complete:
        st.caption(_("People without these values are left out."))
    _on(draft, is_ready=draft.template_id is not None)


def _named(one: Template) -> str:
    if not one.cloud_name:
        return f"{one.name} · {_('for answers only')}"
    return f"{one.name} · {look.state(one.status.upper())}" if one.status else one.name


def _opens(one: Template) -> bool:
    """Whether WhatsApp lets it be the first message to somebody."""
    return bool(one.cloud_name) and one.status in (None, "approved")


def _bubble(draft: Draft) -> bool:
    """As somebody of the audience would read it."""
    if draft.template_id is None or draft.chosen is None:
        return True
    client = session.client()
    sample = client.segments.count(draft.chosen).sample
    first = next((one for one in map(client.contacts.get, sample[:3]) if not one.opted_out), None)
    seen: Preview = client.templates.preview_for(draft.template_id, first.id if first else None)
    if first is not None:
        st.caption(_("As {name} would read it", name=plain(first.name or first.phone or "–")))
    over = bubbles.card(str(seen.header.get("type", "other"))) if seen.header else ""
    bubbles.show(bubbles.Bubble(seen.text, over=over, heading=seen.heading, buttons=seen.buttons, missing=seen.missing))
    if seen.missing:
        st.warning(_("Not known of this person: {what}", what=plain(", ".join(seen.missing))), icon=":material/help:")
    return not seen.missing


# ---- when ---------------------------------------------------------------------------------------------------


def _when(draft: Draft) -> None:
    senders = session.client().senders.list.page(None, limit=_MOST_LISTED).data
    if not senders:
        look.empty(_("No sender yet"), _("A sender is a WhatsApp number of yours."), do=("senders", _("Add a sender")))
        _on(draft, is_ready=False)
        return
    by_id = {one.id: one for one in senders}
    draft.sender_id = _choice(
        draft,
        "sender_id",
        _("Sender"),
        list(by_id),
        lambda one: (
            by_id[one].name if by_id[one].state == "active" else f"{by_id[one].name} · {look.state(by_id[one].state)}"
        ),
    )
    sender = by_id[draft.sender_id or senders[0].id]
    pace = n_("Sends {count} message a second at most.", "Sends {count} messages a second at most.", round(sender.rate))
    if sender.rate < 1:
        pace = n_(
            "Sends {count} message an hour at most.",
            "Sends {count} messages an hour at most.",
            round(sender.rate * 3600),
        )
    if sender.daily_cap:
        pace += " " + n_("{count} message a day.", "{count} messages a day.", sender.daily_cap)
    st.caption(pace)
    draft.when = _one_of(draft, "when", _("When"), _WHEN)
    if draft.when != "now":
        _times(draft)
    _quiet(draft)
    _canary(draft)
    _on(draft, is_ready=True)


def _times(draft: Draft) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if draft.when == "once":
            draft.day = st.date_input(_("Day"), key=_kept(draft, "day"), width=180)
        else:
            draft.every = st.selectbox(
                _("How often"),
                list(_EVERY),
                format_func=lambda one: _(_EVERY[one]),
                key=_kept(draft, "every"),
                width=180,
            )
            if draft.every == "week":
                draft.weekday = st.selectbox(
                    _("On"), list(_DAYS), format_func=lambda one: _(_DAYS[one]), key=_kept(draft, "weekday"), width=180
                )
            elif draft.every == "month":
                draft.month_day = st.number_input(_("On day"), 1, 28, key=_kept(draft, "month_day"), width=140)
        draft.at = st.time_input(_("At"), key=_kept(draft, "at"), width=140)
        zones = sorted(available_timezones() | {draft.timezone})
        draft.timezone = st.selectbox(_("Time zone"), zones, key=_kept(draft, "timezone"), width=260)
    if draft.when == "again":
        draft.again = st.radio(
            _("People who already got it"),
            (False, True),
            format_func=lambda one: _("do not get it again") if not one else _("get it each time"),
            key=_kept(draft, "again"),
            horizontal=True,
        )


def _quiet(draft: Draft) -> None:
    draft.is_quiet = st.toggle(
        _("Not at night"),
        key=_kept(draft, "is_quiet"),
        help=_("Where it is night, people get it in the morning."),
    )
    if draft.is_quiet:
        with st.container(horizontal=True):
            draft.quiet_from = st.time_input(_("Quiet from"), key=_kept(draft, "quiet_from"), width=160)
            draft.quiet_to = st.time_input(_("until"), key=_kept(draft, "quiet_to"), width=160)


def _canary(draft: Draft) -> None:
    with st.expander(_("More: send to a few first"), key="wqd-few"):
        draft.is_canary = st.toggle(
            _("Send to a few first, and stop by itself if too many fail or say stop"), key=_kept(draft, "is_canary")
        )
        if draft.is_canary:
            with st.container(horizontal=True):
                if draft.canary_count is not None:  # as a program said it
                    draft.canary_count = st.number_input(
                        _("So many people"), 1, step=1, key=_kept(draft, "canary_count"), width=200
                    )
                else:
                    draft.canary_percent = st.number_input(
                        _("Percent of the people"), 0.01, 50.0, step=0.5, key=_kept(draft, "canary_percent"), width=200
                    )
                draft.canary_minutes = st.number_input(
                    _("Then wait, in minutes"), 0, 7 * 24 * 60, key=_kept(draft, "canary_minutes"), width=200
                )
            draft.canary_asks = st.checkbox(
                _("Wait for my word before it goes on, also when all is well"), key=_kept(draft, "canary_asks")
            )


PAGE = Page(
    "campaign-new",
    later("New campaign"),
    ":material/add_circle:",
    show,
    needs="campaigns.write",
    section="Messages",
    area="campaigns",
    is_listed=False,
)

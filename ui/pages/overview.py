"""How things are today, and what wants a look."""

from collections.abc import Sequence

import streamlit as st

from ui import formats, look, notices, page, session
from ui.markdown import plain
from ui.page import Page
from ui.pages import campaign_new, sender
from ui.words import _, later, n_
from waqtor.campaigns import Campaign, Progress

_EVERY_S = 5.0
_MOST_COUNTED, _MOST_SENDERS = 50, 20
_UNDER_WAY = ("running", "holding", "paused")
_WANTS_A_LOOK = ("problem", "warning")


def show() -> None:
    me = session.me()
    name = me.name.split()[0] if me.name else ""
    look.heading(_("Hello, {name}", name=name) if name else _("Overview"), formats.day(formats.today()))
    if session.may("campaigns.write") and st.button(
        _("New campaign"), icon=":material/add:", type="primary", key="overview-new"
    ):
        campaign_new.begin()
    if session.may("campaigns.read"):
        if session.may("contacts.read") and not session.client().contacts.list.page(None, limit=1).data:
            _first_steps()
        else:
            _today()
    left, right = st.columns(2, gap="large")
    with left:
        _attention()
    with right:
        _senders()


def _first_steps() -> None:
    st.subheader(_("Three steps to the first campaign"), anchor=False)
    steps = (
        ("senders", _("1. Connect your WhatsApp number"), ":material/phonelink_setup:"),
        ("import", _("2. Import your customers"), ":material/upload_file:"),
        ("campaign-new", _("3. Write a message and send it"), ":material/campaign:"),
    )
    with st.container(border=True):
        for target, label, icon in steps:
            page.link(target, label, icon=icon)


# ---- campaigns ----------------------------------------------------------------------------------------------


@look.live(_EVERY_S)
def _today() -> None:
    client, today = session.client(), formats.today()
    found = client.campaigns.list.page(None, active_since=today, order="newest", limit=_MOST_COUNTED)
    counted = [(one, client.campaigns.progress(one.id)) for one in found.data]
    st.subheader(_("Today"), anchor=False)
    _funnel([progress for _one, progress in counted])
    if counted:
        st.caption(_("All people of the campaigns that were under way today, whenever they began."))
    if found.next_cursor:
        st.caption(_("Counted are the newest {count} of them; there are more.", count=formats.number(_MOST_COUNTED)))
    under_way = [each for each in counted if each[0].state in _UNDER_WAY]
    if under_way:
        st.subheader(n_("{count} campaign under way", "{count} campaigns under way", len(under_way)), anchor=False)
        for one, progress in under_way:
            _under_way(one, progress)


def _funnel(today: Sequence[Progress]) -> None:
    whole = sum(one.total for one in today)
    if not whole:
        look.empty(
            _("No campaign was under way today"),
            _("What is sent today is counted here: sent, delivered, read and answered."),
            do=("campaign-new", _("New campaign")) if session.may("campaigns.write") else None,
        )
        return
    failed = sum(sum(one.failed.values()) for one in today)
    skipped = sum(sum(one.skipped.values()) for one in today)
    unknown = sum(sum(one.unknown.values()) for one in today)
    steps = [
        (_("People"), whole, ""),
        (_("Sent"), sum(one.sent for one in today), ""),
        (_("Delivered"), sum(one.delivered for one in today), ""),
        (_("Read"), sum(one.read for one in today), ""),
        (_("Answered"), sum(one.replied for one in today), ""),
    ]
    steps += [(_("Left out"), skipped, "warn")] if skipped else []
    steps += [(_("Failed"), failed, "bad")] if failed else []
    steps += [(_("Outcome unknown"), unknown, "warn")] if unknown else []
    look.funnel(steps, whole)


def _under_way(one: Campaign, progress: Progress) -> None:
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            page.link("campaign", one.name, icon=":material/campaign:", query={"id": one.id})
            st.html(look.chip(one.state), width="content")
        done = _("{done} of {total}", done=formats.number(progress.done), total=formats.number(progress.total))
        st.progress(min(1.0, progress.done / max(progress.total, 1)), text=done)


# ---- what wants a look --------------------------------------------------------------------------------------


def _attention() -> None:
    if not session.may("notifications.read"):
        return
    st.subheader(_("What needs attention"), anchor=False)
    client = session.client()
    found = []
    for severity in _WANTS_A_LOOK:
        found += client.notifications.list.page(None, unread=True, severity=severity, limit=5).data
    mine = f"user:{session.me().id}"  # that I am an admin is no news to me
    found = [one for one in found if (one.kind, one.about) != ("user.made_admin", mine)]
    if not found:
        st.success(_("Nothing. All is well."), icon=":material/check_circle:")
        return
    for one in sorted(found, key=lambda one: one.created_at, reverse=True)[:5]:
        title, text = notices.said(one)
        draw = st.error if one.severity == "problem" else st.warning
        draw(f"**{plain(title)}**  \n{plain(text)}")
    page.link("notifications", _("All notifications"), icon=":material/notifications:")


def _senders() -> None:
    if not session.may("senders.read"):
        return
    st.subheader(_("Senders"), anchor=False)
    found = session.client().senders.list.page(None, limit=_MOST_SENDERS)
    if not found.data:
        look.empty(
            _("No number is connected"),
            _("Messages need a WhatsApp number to leave from."),
            do=("senders", _("Connect a number")),
        )
    for one in found.data:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            page.link("senders", one.name, icon=":material/smartphone:", query={"id": one.id})
            st.html(look.chip(one.state) + sender.quality(one.quality), width="content")


PAGE = Page("overview", later("Overview"), ":material/home:", show)

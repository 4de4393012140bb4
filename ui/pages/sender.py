"""One number: its health, what it may still send today, its pace and its token."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import streamlit as st

from ui import formats, look, session
from ui.markdown import plain
from ui.pages import sending_switch
from ui.words import _, later
from waqtor import Conflict, Invalid
from waqtor.senders import Sender, SenderHealth

_HEALTH_S = 120
_QUALITIES = {"GREEN": later("good"), "YELLOW": later("fair"), "RED": later("bad")}
_COLOURS = {"GREEN": "active", "YELLOW": "suspect", "RED": "blocked"}
_REASONS = {
    "no_receipts": later("WhatsApp takes its messages, but no receipts come back. It rests until one does."),
    "token_expired": later("Its access token has expired. Give it a new one below."),
    "permission": later("Its access token may not write from this number."),
    "account_restricted": later("WhatsApp has restricted the account."),
    "payment_missing": later("WhatsApp has no way to be paid for the account."),
    "number_not_registered": later("The number is not registered with WhatsApp."),
    "name_not_approved": later("WhatsApp has not approved the number's display name."),
    "restored": later("It waits since a backup was restored. Resume it when you are ready."),
}
_GENTLE = (50, 100, 200, 400, 800, 1600)


def quality(said: str | None) -> str:
    """WhatsApp's mark, as HTML."""
    if said not in _QUALITIES:
        return ""
    return look.chip(_COLOURS[said], _("quality: {mark}", mark=_(_QUALITIES[said])))


def why(one: Sender) -> str:
    if one.state_reason in _REASONS:
        return _(_REASONS[one.state_reason])
    return one.state_reason or _("No reason was given.")


def one(of: Sender) -> None:
    look.way_back("senders", _("All senders"))
    look.heading(of.name)
    st.html(look.chip(of.state) + quality(of.quality))
    if (told := st.session_state.pop("sender-told", None)) is not None:
        st.success(told, icon=":material/check_circle:")
    if of.state != "active":
        st.warning(plain(why(of)), icon=":material/pause_circle:")
    _pause(of)
    _health(of)
    if session.may("senders.manage"):
        _pace(of)
        _token(of)
    _warm_up(of)
    _address(of)
    encryption()


# ---- how it does --------------------------------------------------------------------------------------------


def _pause(of: Sender) -> None:
    if not session.may("senders.pause"):
        return
    if of.state != "active":
        if st.button(_("Let it send again"), type="primary", icon=":material/play_arrow:", key="sender-resume"):
            look.ask("sender-resume-sure", of=of.id)
        if look.is_asked("sender-resume-sure", of=of.id):
            question = sending_switch.waits(sending_switch.under_way(sender_id=of.id))
            if look.confirmed("sender-resume-sure", question, button=_("Yes, let it send"), of=of.id):
                _try(lambda: session.client().senders.resume(of.id), _("It sends again."))
        return
    if st.button(_("Pause"), icon=":material/pause:", key="sender-pause"):
        look.ask("sender-sure", of=of.id)
    question = _("Nothing more leaves from “{name}” until you let it send again. Its campaigns wait.", name=of.name)
    if look.confirmed("sender-sure", question, button=_("Yes, pause it"), of=of.id):
        _try(lambda: session.client().senders.pause(of.id), _("It is paused."))


def _health(of: Sender) -> None:
    """WhatsApp is asked when the page is opened, and then when one wants."""
    key = f"sender-health-{of.id}"
    kept: tuple[datetime, SenderHealth] | None = st.session_state.get(key)
    is_old = kept is None or datetime.now(UTC) - kept[0] > timedelta(seconds=_HEALTH_S)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(_("Health"), anchor=False, width="content")
        if st.button(_("Check now"), icon=":material/refresh:", key="sender-check") or is_old:
            with st.spinner(_("Asking WhatsApp …")):
                kept = datetime.now(UTC), session.client().senders.health(of.id)
            st.session_state[key] = kept
    if kept is None:
        return
    at, told = kept
    if told.ok:
        st.success(_("WhatsApp says that all is well, {when}.", when=formats.ago(at)), icon=":material/check_circle:")
    else:
        st.error(plain(told.detail) or _("WhatsApp does not say that all is well."), icon=":material/error:")
    columns = st.columns(4)
    columns[0].metric(_("Messages left today"), _left(told.budget.messages_left))
    columns[1].metric(
        _("New chats left today"),
        _left(told.budget.conversations_left),
        help=_("People whom you write to first, within 24 hours."),
    )
    columns[2].metric(_("WhatsApp's limit"), _tier(told.tier))
    columns[3].metric(_("Last receipt"), formats.ago(told.budget.last_receipt_at))
    named = [(_("Number"), told.display_phone), (_("Name that people see"), told.verified_name)]
    look.table(
        ["", ""],
        [
            [label, look.number_of(said) if at_place == 0 else said]
            for at_place, (label, said) in enumerate(named)
            if said
        ],
    )


def _left(count: int | None) -> str:
    return _("no limit") if count is None else formats.number(count)


def _tier(said: str | None) -> str:
    digits = (said or "").removeprefix("TIER_").replace("K", "000")
    if digits.isdecimal():
        return _("{count} a day", count=formats.number(int(digits)))
    return _("no limit") if said == "TIER_UNLIMITED" else _("not known")


# ---- how fast it may ----------------------------------------------------------------------------------------


def _pace(of: Sender) -> None:
    st.subheader(_("Pace"), anchor=False)
    with st.form("sender-pace", width=620):
        rate = st.number_input(
            _("Messages a second, at most"), 0.01, 1000.0, float(of.rate), help=_("WhatsApp takes 80.")
        )
        daily = st.number_input(_("Messages in 24 hours (0: no limit)"), 0, 2**31 - 1, of.daily_cap or 0)
        chats = st.number_input(_("New chats in 24 hours (0: no limit)"), 0, 2**31 - 1, of.conversation_cap or 0)
        jitter = st.slider(
            _("Unevenness, in percent"),
            0,
            100,
            round(of.jitter * 100),
            help=_("So that messages do not leave like clockwork."),
        )
        warming = st.selectbox(
            _("Warm-up of a new number"),
            ["same", "gentle", "none"],
            format_func={
                "same": _("as it is"),
                "gentle": _("gentle, from today: 50 new chats, then twice as many each day"),
                "none": _("none"),
            }.__getitem__,
        )
        pressed = st.form_submit_button(_("Save"), type="primary")
    if pressed:
        wanted: dict[str, Any] = {
            "rate": rate,
            "daily_cap": daily or None,
            "conversation_cap": chats or None,
            "jitter": jitter / 100,
        }
        if warming != "same":
            wanted["warm_up"] = list(_GENTLE) if warming == "gentle" else None
        _try(lambda: session.client().senders.change(of.id, wanted), _("Saved. Campaigns under way follow at once."))


def _warm_up(of: Sender) -> None:
    if not of.warm_up:
        return
    plan: Mapping[str, Any] = of.warm_up
    began, per_day = date.fromisoformat(plan["began"]), list(plan["per_day"])
    day = (datetime.now(UTC).date() - began).days
    st.subheader(_("Warm-up"), anchor=False)
    if day >= len(per_day):
        st.caption(_("It is over: WhatsApp's own limit counts."))
        return
    st.caption(
        _("Day {day} of {count}.", day=formats.number(max(day, 0) + 1), count=formats.number(len(per_day)))
        + " "
        + _("So many new chats may begin on each day:")
    )
    steps = [
        (_("Day {day}", day=formats.number(at + 1)), most, "" if at == day else "warn")
        for at, most in enumerate(per_day)
    ]
    look.funnel(steps, max(per_day))


# ---- what WhatsApp needs, and what it sees ------------------------------------------------------------------


def _token(of: Sender) -> None:
    with (
        st.expander(_("Replace the access token"), expanded=of.state_reason == "token_expired"),
        st.form("sender-token"),
    ):
        token = st.text_input(_("Access token"), type="password")
        if st.form_submit_button(_("Replace")) and token.strip():
            _try(lambda: session.client().senders.replace_token(of.id, token.strip()), _("It has a new token."))


def _address(of: Sender) -> None:
    with st.expander(_("What Meta has to know")):
        st.write(_("Give Meta this address as the webhook of the app, behind the address of your server:"))
        st.code(f"/webhooks/cloud/{of.id}", language=None)
        st.write(_("Subscribe to: messages, message_template_status_update, message_template_category_update."))
        look.table(
            [_("What"), _("Is")],
            [
                [_("Phone number ID"), look.number_of(of.phone_number_id)],
                [_("WhatsApp Business account ID"), look.number_of(of.waba_id)],
            ],
        )


def encryption() -> None:
    """The truth, for who has to answer for it."""
    with st.expander(_("Who can read the messages? What end-to-end encryption means here"), icon=":material/lock:"):
        st.markdown("**" + _("With the Cloud API, which WaQtor uses") + "**")
        st.write(
            _(
                "Messages are encrypted between the person's phone and Meta's Cloud API, and again from there to "
                "WaQtor. In between Meta's servers read them, on behalf of your business. So it is not end-to-end "
                "encryption between your customer and you, and you should not promise it."
            )
        )
        st.markdown("**" + _("With WhatsApp Web") + "**")
        st.write(
            _(
                "There a message is encrypted from the person's phone to the linked device, and Meta cannot read it on "
                "the way. The linked device would be this server, so whoever runs it can. WaQtor does not link numbers "
                "by WhatsApp Web yet."
            )
        )
        st.markdown("**" + _("On this server") + "**")
        st.write(
            _(
                "WaQtor keeps chats readable in its database, for you to search and answer. Access tokens are "
                "encrypted there; messages and numbers are not. Encrypt the server's disk and its backups."
            )
        )


def _try(work: Callable[[], object], told: str) -> None:
    try:
        work()
    except (Invalid, Conflict) as error:
        look.problem(error)
        return
    st.session_state["sender-told"] = told
    st.rerun()

"""The last step of the wizard: who would get it, who not and why, until when, at what cost; a test; the question."""

import streamlit as st

from ui import bubbles, formats, look, page, session
from ui.pages import campaign_draft
from ui.pages.campaign_draft import Draft
from ui.reasons import explained
from ui.words import _, later, n_
from waqtor import Error, NotSignedIn
from waqtor.campaigns import Preflight

_LIMITED = {
    "rate": later("the sender's pace"),
    "daily_cap": later("the sender's messages a day"),
    "conversations": later("the sender's new conversations a day"),
    "quiet_hours": later("the night, in which nobody is written to"),
}
_ASK, _LOOKED, _GREW = "wqd-send", "wqd-looked", "wqd-grew"


def show(draft: Draft) -> None:
    if draft.id and session.client().campaigns.get(draft.id).state != "draft":  # pressed twice, or in another window
        _leave(draft.id)
        return
    is_new = _LOOKED in page.kept()  # else one was elsewhere meanwhile
    found = draft.seen if draft.seen is not None and is_new else _looked(draft)
    if found is None:
        _back(draft)
        return
    campaign_id = draft.id or 0
    _numbers(found)
    left, right = st.columns(2, gap="large")
    with left:
        _left_out(found)
        _costs(found)
    with right:
        if found.examples:
            st.subheader(_("The message"), anchor=False)
            bubbles.show(*(bubbles.Bubble(example) for example in found.examples[:2]))
        if session.may("campaigns.send"):
            _test(campaign_id)
    if draft.when != "now":
        _coming(draft)
    _send(draft, found)


def _looked(draft: Draft) -> Preflight | None:
    """At this moment, and at the campaign as it is told here; None where that failed, which is told."""

    def look_now() -> None:
        with st.spinner(_("Looking at everybody in the audience …")):
            draft.seen = session.client().campaigns.preflight(campaign_draft.save(draft))

    draft.seen = None
    if look.tried(look_now):
        page.stay({"id": draft.id, **draft.address})
        page.kept()[_LOOKED] = True
    return draft.seen


def _numbers(found: Preflight) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(_("As of {when}", when=formats.moment(found.at)))
    with st.container(horizontal=True):
        st.metric(_("Will get it"), formats.number(found.recipients), border=True)
        st.metric(_("Left out"), formats.number(found.people - found.recipients), border=True)
        st.metric(_("Finished about"), formats.moment(found.forecast.finishes_at), border=True)
    if found.forecast.finishes_at is None:
        st.warning(_("A year would not be enough for it at this sender's pace."), icon=":material/hourglass:")
    elif found.recipients:
        st.caption(
            _(
                "How long it takes depends on {what}.",
                what=_(_LIMITED.get(found.forecast.limited_by, "")) or found.forecast.limited_by,
            )
        )
    if found.canary:
        st.info(
            n_("{count} person gets it first.", "{count} people get it first.", found.canary),
            icon=":material/looks_one:",
        )
    if found.asleep:
        st.info(
            n_(
                "{count} person sleeps now and gets it in the morning.",
                "{count} people sleep now and get it in the morning.",
                found.asleep,
            ),
            icon=":material/bedtime:",
        )
    if found.us_marketing:
        st.warning(
            n_(
                "{count} number is of the United States, where WhatsApp delivers no marketing.",
                "{count} numbers are of the United States, where WhatsApp delivers no marketing.",
                found.us_marketing,
            ),
            icon=":material/public_off:",
        )


def _left_out(found: Preflight) -> None:
    st.subheader(_("Who does not get it"), anchor=False)
    if not found.excluded:
        st.write(_("Everybody in the audience gets it."))
    else:
        rows = [(explained(reason), count) for reason, count in sorted(found.excluded.items(), key=lambda one: -one[1])]
        look.table((_("Why"), _("People")), rows, numeric=(1,))
    if "window_closed" in found.excluded:
        st.info(
            _("WhatsApp has not approved this text. Go back to the message and choose an approved template."),
            icon=":material/lightbulb:",
        )
    if found.missing:
        look.table((_("Value that is missing"), _("People")), list(found.missing.items()), numeric=(1,))
    if found.variants:
        st.subheader(_("Who gets which message"), anchor=False)
        look.table((_("Message"), _("People")), list(found.variants.items()), numeric=(1,))


def _costs(found: Preflight) -> None:
    st.subheader(_("Cost"), anchor=False)
    rows = [
        (
            _("unknown") if country == "unknown" else formats.country(country),
            cost.recipients,
            "–" if cost.total is None else formats.money(cost.total, cost.currency),
        )
        for country, cost in sorted(found.costs.items(), key=lambda one: -one[1].recipients)
    ]
    if not any(cost.total is not None for cost in found.costs.values()):
        st.caption(_("No prices are known here, so none is shown. WhatsApp bills you by country."))
    with st.expander(n_("{count} country", "{count} countries", len(rows))):
        look.table((_("Country"), _("People"), _("Price")), rows, numeric=(1, 2))


def _test(campaign_id: int) -> None:
    with st.form("wqd-test", border=True):
        phone = st.text_input(_("See it on your own phone first"), placeholder="+966501234567")
        pressed = st.form_submit_button(_("Send me a test"), icon=":material/phone_iphone:") and bool(phone)
        if pressed and look.tried(lambda: session.client().campaigns.test(campaign_id, to=phone.strip())):
            st.success(_("The test is on its way. Nobody else gets it."), icon=":material/done:")


def _coming(draft: Draft) -> None:
    try:
        coming = session.client().schedules.preview(draft.id or 0, **draft.schedule).next
    except NotSignedIn:
        raise
    except Error as error:
        look.problem(error)
        return
    st.subheader(_("When it is sent"), anchor=False)
    st.write(" · ".join(formats.moment(one) for one in coming) or _("Never: the time is past."))


def _send(draft: Draft, found: Preflight) -> None:
    st.divider()
    if not session.may("campaigns.send"):
        st.info(_("It is saved. Somebody who may send has to start it."), icon=":material/lock:")
        _back(draft)
        return
    people = found.recipients
    if draft.when == "now":
        question = n_("{count} person will get this now.", "{count} people will get this now.", people)
        button = _("Send now")
    else:
        question = n_(
            "{count} person would get this when it is due.", "{count} people would get this when it is due.", people
        )
        button = _("Schedule it")
    if (before := page.kept().get(_GREW)) is not None:
        st.warning(
            _("There are more people now: {now}, not {before}.",
              now=formats.number(people), before=formats.number(before)),
            icon=":material/group_add:",
        )  # fmt: skip
    if look.confirmed(_ASK, question, button=button, of=draft.id):
        _answered(draft, people)
    if not look.is_asked(_ASK, of=draft.id):
        with st.container(horizontal=True):
            if st.button(_("Back"), key="wqd-back", icon=":material/arrow_back:"):
                draft.step -= 1
                st.rerun()
            if st.button(f"{button} …", key="wqd-ask", type="primary", icon=":material/send:", disabled=not people):
                look.ask(_ASK, of=draft.id)
                page.kept().pop(_GREW, None)
                draft.seen = None  # the question has the numbers of this moment
                st.rerun()
    if not people:
        st.warning(_("Nobody would get it. The table says why."), icon=":material/group_off:")


def _answered(draft: Draft, people: int) -> None:
    """Yes was said to so many; where it would be more by now, one is asked again."""
    found = _looked(draft)
    if found is None:
        return
    if found.recipients > people:
        page.kept()[_GREW] = people
        look.ask(_ASK, of=draft.id)
        st.rerun()
    _do(draft)


def _do(draft: Draft) -> None:
    client, campaign_id = session.client(), draft.id or 0
    if draft.when == "now":
        is_done = look.tried(lambda: client.campaigns.launch(campaign_id))
    else:
        again = draft.again if draft.when == "again" else None
        is_done = look.tried(lambda: client.schedules.set(campaign_id, **draft.schedule, include_earlier=again))
    if is_done:
        _leave(campaign_id)


def _leave(campaign_id: int) -> None:
    campaign_draft.drop()
    page.go("campaign", {"id": campaign_id})


def _back(draft: Draft) -> None:
    if st.button(_("Back"), key="wqd-back", icon=":material/arrow_back:"):
        draft.step -= 1
        st.rerun()

"""What an address was told and what it answered, down to each attempt."""

import json
from html import escape

import streamlit as st

from ui import formats, look, page, session
from ui.markdown import plain
from ui.words import _, later
from waqtor import Conflict
from waqtor.webhook_endpoints import Attempt, Delivery, Webhook, WholeDelivery

_A_PAGE = 20
_EVERY_S = 5
_STATES = {
    "waiting": later("waiting"),
    "sending": later("on its way"),
    "delivered": later("delivered"),
    "failed": later("failed for good"),
}
_COLOURS = {"waiting": "paused", "sending": "paused", "delivered": "delivered", "failed": "failed"}

_ERRORS = {
    "forbidden_address": later("the address leads into a private network, which is not allowed"),
    "not_resolved": later("no server is known under this name"),
    "connect_failed": later("nobody listens there"),
    "connect_timeout": later("no connection within the time"),
    "tls": later("its certificate is not good"),
    "timeout": later("no answer within the time"),
    "reset": later("it hung up"),
    "bad_answer": later("what came back is no answer of a web server"),
    "invalid_url": later("this is no address"),
}


def state(name: str) -> str:
    return look.chip(_COLOURS.get(name, name), _(_STATES[name]) if name in _STATES else name)


def why_not(error: str | None) -> str:
    return _(_ERRORS[error]) if error in _ERRORS else error or ""


def log(of: Webhook) -> None:
    st.subheader(_("What it was told"), anchor=False)
    wanted = st.segmented_control(
        _("Show"),
        ["", *_STATES],
        default="",
        format_func=lambda one: _(_STATES[one]) if one else _("all"),
        required=True,
        key=f"webhook-state-{of.id}",
    )
    _rows(of.id, wanted or None)


@look.live(_EVERY_S)
def _rows(webhook_id: int, wanted: str | None) -> None:
    at = look.cursor("deliveries-at", of=(webhook_id, wanted))
    found = session.client().webhooks.deliveries.page(at, webhook_id, state=wanted, limit=_A_PAGE)
    if not found.data:
        look.empty(_("Nothing here"), _("It stands here as soon as something happens that it is told of."))
    for delivery in found.data:
        _row(delivery)
    look.turn("deliveries-at", found.next_cursor)


def _row(delivery: Delivery) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        page.link("webhooks", delivery.type, icon=":material/receipt_long:", query={"delivery": delivery.id})
        st.html(state(delivery.state) + (look.chip("test", _("test")) if delivery.is_test else ""))
        st.caption(formats.moment(delivery.created_at), width="content")


def one(of: WholeDelivery) -> None:
    page.link("webhooks", _("Back to the address"), icon=":material/webhook:", query={"id": of.webhook_id})
    look.heading(of.type)
    st.html(state(of.state) + escape(of.reason or ""))
    if session.may("webhooks.manage") and not of.is_test and of.state in ("delivered", "failed"):
        if st.button(_("Post it again"), icon=":material/replay:", key="delivery-again"):
            look.ask("delivery-sure", of=of.id)
        question = _("It is posted once more, with the same number, so that a good receiver takes it once.")
        if look.confirmed("delivery-sure", question, button=_("Yes, post it"), of=of.id):
            try:
                session.client().webhooks.replay(of.id)
            except Conflict as error:
                look.problem(error)
            else:
                st.rerun()
    look.table(
        [_("What"), _("Is")],
        [
            ["webhook-id", look.number_of(of.event_id)],
            [_("Made"), formats.moment(of.created_at)],
            [_("Tried next"), formats.moment(of.next_at)],
        ],
    )
    st.subheader(_("What is posted"), anchor=False)
    if of.body is not None:
        st.code(_pretty(of.body), language="json")
    else:
        st.caption(_("Its text is not kept, or not for you to see. Its data:"))
        st.code(json.dumps(dict(of.data), indent=2, ensure_ascii=False), language="json")
    st.subheader(_("Attempts"), anchor=False)
    if not of.tried:
        st.caption(_("None yet."))
    for attempt in of.tried:
        _attempt(attempt)


def _attempt(tried: Attempt) -> None:
    came = str(tried.status) if tried.status is not None else why_not(tried.error)
    took = "" if tried.took_ms is None else _("{ms} ms", ms=formats.number(tried.took_ms))
    label = " · ".join(filter(None, (formats.moment(tried.started_at), plain(came), took)))
    with st.expander(label):
        if tried.detail:
            st.text(tried.detail)
        for name, headers in ((_("Sent headers"), tried.request_headers), (_("Its headers"), tried.response_headers)):
            if headers:
                st.caption(name)
                st.code("\n".join(f"{key}: {value}" for key, value in headers.items()), language=None)
        if tried.response_body:
            st.caption(_("Its answer"))
            st.code(tried.response_body, language=None)


def _pretty(body: str) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body

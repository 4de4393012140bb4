"""Addresses of other programs that are told what happens: all of them, how they do, and a new one."""

import streamlit as st

from ui import look, page, session
from ui.page import Page
from ui.pages import webhook, webhook_form, webhook_log
from ui.words import _, later
from waqtor import Conflict, Invalid
from waqtor.webhook_endpoints import Webhook

_A_PAGE = 20


def show() -> None:
    delivery, chosen = page.asked("delivery"), page.asked("id")
    if delivery is not None:
        webhook_log.one(session.client().webhooks.delivery(delivery))
    elif chosen is not None:
        webhook.one(session.client().webhooks.get(chosen))
    elif "new" in st.query_params:
        _add()
    else:
        _all()


def _all() -> None:
    look.heading(_("Webhooks"), _("Other programs of yours that are told what happens, the moment it happens."))
    manages = session.may("webhooks.manage")
    if manages and st.button(_("Add an address"), type="primary", icon=":material/add:", key="webhooks-new"):
        page.go("webhooks", {"new": 1})
    found = session.client().webhooks.list.page(look.cursor("webhooks-at"), limit=_A_PAGE)
    if not found.data:
        look.empty(
            _("Nobody is told yet"),
            _("Add the address of a program, such as your shop or CRM, to tell it of messages and campaigns.")
            if manages
            else _("An admin adds addresses."),
        )
        return
    webhook.figures(session.client().webhooks.statistics())
    for one in found.data:
        _row(one)
    look.turn("webhooks-at", found.next_cursor)


def _row(one: Webhook) -> None:
    with st.container(border=True, gap="xsmall"):
        page.link("webhooks", one.description or one.url, icon=":material/webhook:", query={"id": one.id})
        st.html(webhook.state(one) + f'<span class="wq-rows">{look.number_of(one.url)}</span>')


def _add() -> None:
    look.way_back("webhooks", _("All webhooks"))
    made: tuple[int, str] | None = st.session_state.get("webhook-secret")
    if made is not None:
        webhook.secret_once(*made)
        return
    look.heading(_("Add an address"))
    if not session.may("webhooks.manage"):
        st.info(_("Only an admin can add addresses."))
        return
    wanted = webhook_form.asked("webhook-new", _("Add"))
    if wanted is None:
        return
    try:
        new = session.client().webhooks.create(**wanted)
    except (Invalid, Conflict) as error:
        look.problem(error)
        return
    st.session_state["webhook-secret"] = new.id, new.secret
    st.rerun()


PAGE = Page(
    "webhooks", later("Webhooks"), ":material/webhook:", show, needs="webhooks.read", section="System", is_new=True
)

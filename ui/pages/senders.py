"""The numbers that messages leave from: how each does, how fast it may, and what protects what is said."""

import secrets

import streamlit as st

from ui import formats, look, page, session
from ui.markdown import plain
from ui.page import Page
from ui.pages import sender, sending_switch
from ui.words import _, later
from waqtor import Conflict, Invalid
from waqtor.senders import Sender

_A_PAGE = 20


def show() -> None:
    chosen = page.asked("id")
    if chosen is not None:
        sender.one(session.client().senders.get(chosen))
    elif "new" in st.query_params:
        _add()
    else:
        _all()


def _all() -> None:
    look.heading(_("Senders"), _("The WhatsApp numbers that your messages leave from."))
    sending_switch.show()
    if session.may("senders.manage") and st.button(
        _("Add a number"), type="primary", icon=":material/add:", key="senders-new"
    ):
        page.go("senders", {"new": 1})
    found = session.client().senders.list.page(look.cursor("senders-at"), limit=_A_PAGE)
    if not found.data:
        look.empty(
            _("No number yet"),
            _("Add the number of your business. You need its entry in Meta's App Dashboard.")
            if session.may("senders.manage")
            else _("An admin adds the number of your business."),
        )
    for one in found.data:
        _row(one)
    look.turn("senders-at", found.next_cursor)
    sender.encryption()


def _row(one: Sender) -> None:
    with st.container(border=True, gap="xsmall"):
        page.link("senders", one.name, icon=":material/phone_iphone:", query={"id": one.id})
        pace = _("{rate} messages a second", rate=formats.number(one.rate, digits=2))
        st.html(look.chip(one.state) + sender.quality(one.quality) + look.chip("pace", pace))
        if one.state != "active":
            st.caption(plain(sender.why(one)))


def _add() -> None:
    look.way_back("senders", _("All senders"))
    look.heading(_("Add a number"), _("All of this stands in Meta's App Dashboard, under WhatsApp."))
    if not session.may("senders.manage"):
        st.info(_("Only an admin can add numbers."))
        return
    verify = st.session_state.setdefault("sender-verify", secrets.token_urlsafe(12))
    with st.form("sender-new", width=620):
        name = st.text_input(_("Name"), max_chars=100, placeholder=_("Such as: Shop"))
        number_id = st.text_input(_("Phone number ID"), max_chars=40)
        account_id = st.text_input(_("WhatsApp Business account ID"), max_chars=40)
        token = st.text_input(
            _("Access token"), type="password", help=_("It is kept encrypted, and never shown again.")
        )
        app_secret = st.text_input(
            _("App secret"), type="password", help=_("It proves that messages come from WhatsApp.")
        )
        verify_token = st.text_input(_("Verify token"), verify, help=_("Any text; you give the same to Meta."))
        pressed = st.form_submit_button(_("Add"), type="primary")
    if not pressed:
        return
    try:
        made = session.client().senders.create(
            name.strip(),
            phone_number_id=number_id.strip(),
            waba_id=account_id.strip(),
            access_token=token.strip(),
            app_secret=app_secret.strip(),
            verify_token=verify_token.strip(),
        )
    except (Invalid, Conflict) as error:
        look.problem(error)
        return
    st.session_state.pop("sender-verify", None)
    st.session_state["sender-told"] = _(
        "Added. Now give Meta the address below, and this verify token: {token}", token=_to_copy(verify_token.strip())
    )
    page.go("senders", {"id": made.id})


def _to_copy(token: str) -> str:
    """As code: what `plain` puts between letters would be copied with them."""
    return plain(token) if "`" in token else f"`{token}`"


PAGE = Page(
    "senders", later("Senders"), ":material/phone_iphone:", show, needs="senders.read", section="Messages", is_new=True
)

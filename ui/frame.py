"""What is around every page: who is there, where one can go, the bell, and what a page that fails is shown as."""

from collections.abc import Callable
from html import escape
from pathlib import Path

import streamlit as st

from ui import formats, locked, look, page, pictures, session, words
from ui.markdown import plain
from ui.page import SECTIONS, Page
from ui.pages import PAGES
from ui.words import LANGUAGES, _
from waqtor import Error, NotSignedIn

_BELL_EVERY_S = 20
_ICON = Path(__file__).with_name("icon.svg")


def run() -> None:
    st.set_page_config(page_title="WaQtor", page_icon=str(_ICON), layout="wide")
    try:
        me = session.enter()
    except NotSignedIn:
        session.forget()
        words.choose(st.context.cookies.get("waqtor_language") or st.context.locale)
        look.leave("/auth/sign-in?ended")
        return
    except Error as error:
        look.dress()
        look.problem(error)
        return
    look.dress()
    look.mark_as_new([one.name for one in PAGES if one.is_new])
    seen = [one for one in PAGES if one.needs in me.permissions]
    made = {
        one.name: st.Page(
            guarded(one),
            title=_(one.title),
            icon=one.icon,
            url_path=one.name if one is not seen[0] else None,
            default=one is seen[0],
            visibility="visible" if one.is_listed else "hidden",
        )
        for one in seen
    }
    page.register(made)
    chosen = st.navigation(
        {
            _(section) if section else "": [made[one.name] for one in seen if one.section == section]
            for section in SECTIONS
        }
    )
    _bar()
    chosen.run()
    look.back_to_top()


def guarded(one: Page) -> Callable[[], None]:
    """What Streamlit calls for this page: it never ends in a trace, and asks for the codes that it takes."""

    def show() -> None:
        page.enter(one.name)
        page.kept().pop(look.LOCKED, None)
        try:
            if session.closed(name := one.area or one.name):
                locked.whole(name)
                return
            one.show()
        except NotSignedIn:
            session.forget()
            look.leave("/auth/sign-in?ended")
        except Error as error:
            look.problem(error)
        locked.refused()

    return show


# ---- at the top ---------------------------------------------------------------------------------------------


def _bar() -> None:
    me, face = session.me(), pictures.mine()
    if face:
        st.html(f'<style>.st-key-wq-me button::before {{ content: ""; background-image: url({face}); }}</style>')
    with st.container(key="wq-bar", horizontal=True, horizontal_alignment="right", wrap=False):
        if session.may("notifications.read"):
            _bell()
        elif session.could("notifications.read"):
            _locked_bell()
        icon = None if face else ":material/account_circle:"
        with st.popover(plain(me.name.split()[0] if me.name.strip() else me.email), icon=icon, key="wq-me"):
            if face:
                st.html(f'<img class="wq-face" alt="{escape(_("Your picture"))}" src="{face}">')
            st.html(
                f'<b dir="auto">{escape(me.name)}</b><br><span dir="ltr">{escape(me.email)}</span>'
                f"<br>{look.chip(me.role)}"
            )
            page.link("profile", _("Your account"), icon=":material/manage_accounts:")
            _language()
            if st.button(_("Sign out"), icon=":material/logout:", key="wq-out", width="stretch"):
                session.client().auth.sign_out()
                st.rerun()


@look.live(_BELL_EVERY_S)
def _bell() -> None:
    unread = session.client().notifications.count().unread
    label = formats.number(min(unread, 99)) + ("+" if unread > 99 else "")
    if st.button(
        label,
        icon=":material/notifications:",
        key="wq-bell",
        help=words.n_("{count} notification not read", "{count} notifications not read", unread),
        type="primary" if unread else "secondary",
    ):
        page.go("notifications")


def _locked_bell() -> None:
    """The way to where the code is given."""
    if st.button("", icon=":material/notifications_off:", key="wq-bell", help=_("Notifications")):
        page.go("notifications")


def _language() -> None:
    def keep() -> None:
        words.choose(st.session_state["wq-language"])
        session.client().auth.change_me(language=words.chosen())

    st.segmented_control(
        _("Language"),
        list(LANGUAGES),
        format_func=LANGUAGES.__getitem__,
        default=words.chosen(),
        required=True,
        key="wq-language",
        on_change=keep,
    )

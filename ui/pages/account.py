"""What belongs to who is signed in: name, picture, the way in, other devices, and keys for programs."""

from collections.abc import Callable
from functools import partial
from html import escape

import streamlit as st

from ui import formats, locked, look, pictures, session, words
from ui.page import Page
from ui.pages import account_keys, account_totp
from ui.words import LANGUAGES, _, later

_MOST_BYTES = 64 * 1024
# The first that a browser says of itself: many name themselves after others too.
_BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    *(("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad")),
    *(("Windows", "Windows"), ("Mac OS", "macOS"), ("Linux", "Linux")),
)


def show() -> None:
    me = session.me()
    look.heading(_("Your account"), me.email)
    names = [_("Profile"), _("Password and code"), _("Devices")]
    shown: list[Callable[[], None]] = [_profile, _ways_in, _devices]
    if session.could("keys.manage"):
        names.append(_("API keys"))
        shown.append(account_keys.show if session.may("keys.manage") else partial(locked.part, "keys"))
    for tab, draw in zip(st.tabs(names), shown, strict=True):
        with tab:
            draw()


# ---- profile ------------------------------------------------------------------------------------------------


def _profile() -> None:
    me = session.me()
    with st.form("profile", border=False, width=460):
        name = st.text_input(_("Your name"), me.name, max_chars=100, key="profile-name")
        language = st.selectbox(
            _("Language"),
            list(LANGUAGES),
            index=list(LANGUAGES).index(words.chosen()),
            format_func=LANGUAGES.__getitem__,
            key="profile-language",
        )
        if st.form_submit_button(_("Save"), type="primary", key="profile-save") and look.tried(
            lambda: session.client().auth.change_me(name=name.strip(), language=language)
        ):
            words.choose(language)
            st.rerun()
    _picture()


def _picture() -> None:
    st.subheader(_("Picture"), anchor=False)
    kept = pictures.mine()
    if kept:
        st.html(f'<img class="wq-face" alt="{escape(_("Your picture"))}" src="{kept}">')
    with st.form("picture", border=False, clear_on_submit=True, width=460):
        file = st.file_uploader(_("PNG or JPEG, at most 64 kB"), type=["png", "jpg", "jpeg"], key="profile-picture")
        if st.form_submit_button(_("Use this picture"), key="profile-picture-save"):
            if file is None:
                st.warning(_("Choose a file first."))
            elif file.size > _MOST_BYTES:
                st.error(_("This picture is too large. Make it smaller, 256 by 256 pixels are enough."))
            elif look.tried(lambda: pictures.use_as_mine(file.getvalue())):
                st.rerun()
    if kept and st.button(_("Take the picture away"), key="profile-picture-drop", type="tertiary"):
        pictures.use_as_mine(None)
        st.rerun()


# ---- the way in ---------------------------------------------------------------------------------------------


def _ways_in() -> None:
    with st.form("password", border=False, clear_on_submit=False, width=460):
        st.subheader(_("Password"), anchor=False)
        current = st.text_input(_("The password you have now"), type="password", key="password-now")
        new = st.text_input(_("New password, at least 10 characters"), type="password", key="password-new")
        again = st.text_input(_("The same again"), type="password", key="password-again")
        st.caption(_("Afterwards you sign in anew, on every device."))
        if st.form_submit_button(_("Change the password"), type="primary", key="password-save"):
            if new != again:
                st.error(_("The two passwords are not the same."))
            elif look.tried(lambda: session.client().auth.change_password(current, new)):
                st.rerun()
    account_totp.show()


# ---- devices ------------------------------------------------------------------------------------------------


def _devices() -> None:
    client, mine = session.client(), session.me().sign_in_id
    there = client.auth.sign_ins()
    for one in sorted(there, key=lambda one: (one.id != mine, -one.last_seen_at.timestamp())):
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            with st.container(gap="xsmall"):
                here = look.chip("active", _("This device")) if one.id == mine else ""
                st.html(f'<p class="wq">{look.words_of(_device(one.agent))} {here}</p>')
                seen = _("Last seen {when}", when=formats.ago(one.last_seen_at))
                st.html(f'<p class="wq wq-soft">{look.code(one.address)} · {seen}</p>')
            if one.id != mine and st.button(_("Sign out there"), key=f"device-{one.id}"):
                client.auth.end_sign_in(one.id)
                st.rerun()
    if len(there) > 1:
        if st.button(_("Sign out everywhere"), key="devices-end-ask", icon=":material/logout:"):
            look.ask("devices-end")
        question = words.n_(
            "You are signed out on {count} device, this one too.",
            "You are signed out on {count} devices, this one too.",
            len(there),
        )
        if look.confirmed("devices-end", question, button=_("Sign out everywhere")):
            client.auth.end_sign_ins()
            st.rerun()


def _device(agent: str) -> str:
    """Such as Chrome on Windows, of what a browser says of itself."""
    browser = next((name for mark, name in _BROWSERS if mark in agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    if browser and system:
        return _("{browser} on {system}", browser=browser, system=system)
    return browser or agent[:60] or _("Unknown device")


PAGE = Page("profile", later("Your account"), ":material/manage_accounts:", show, section="System", area="account")

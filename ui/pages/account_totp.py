"""The second factor: an app on the phone that shows a code, and recovery codes for the day it is lost."""

from html import escape

import segno
import streamlit as st

from ui import look, session
from ui.words import _, n_
from waqtor.auth import Totp

_BEGUN, _CODES = "totp-begun", "totp-codes"


def show() -> None:
    st.subheader(_("Second factor"), anchor=False)
    codes: list[str] | None = st.session_state.get(_CODES)
    if codes:
        _recovery(codes)
    elif session.me().has_second_factor:
        _in_force()
    elif begun := st.session_state.get(_BEGUN):
        _confirm(begun)
    else:
        _begin()


def _begin() -> None:
    st.write(_("A code from your phone besides the password: who learns your password still does not come in."))
    with st.form("totp", border=False, width=460):
        password = st.text_input(_("Your password"), type="password", key="totp-password")
        if st.form_submit_button(_("Set up"), key="totp-begin"):
            begun: list[Totp] = []
            if look.tried(lambda: begun.append(session.client().auth.begin_totp(password))):
                st.session_state[_BEGUN] = begun[0]
                st.rerun()


def _confirm(begun: Totp) -> None:
    st.write(_("1. In your authenticator app add an account, and point the camera at this:"))
    st.html(f'<img class="wq-qr" alt="{escape(_("The key as a QR code"))}" src="{_picture(begun.uri)}">')
    st.caption(_("Or type this key there:"))
    st.code(" ".join(begun.secret[at : at + 4] for at in range(0, len(begun.secret), 4)), language=None)
    st.link_button(_("Or open it on this phone"), begun.uri, icon=":material/smartphone:")
    with st.form("totp-confirm", border=False, width=460):
        code = st.text_input(_("2. The code that it shows"), max_chars=6, key="totp-code")
        if st.form_submit_button(_("Switch on"), type="primary", key="totp-confirm-go"):
            made: list[str] = []
            if look.tried(lambda: made.extend(session.client().auth.confirm_totp(code.strip()).recovery_codes)):
                del st.session_state[_BEGUN]
                st.session_state[_CODES] = made
                st.rerun()
    if st.button(_("Not now"), key="totp-stop", type="tertiary"):
        del st.session_state[_BEGUN]
        st.rerun()


def _picture(uri: str) -> str:
    """Black on white also where the page is dark: not every camera reads it the other way round."""
    return segno.make(uri, error="m").png_data_uri(scale=6, border=4)


def _recovery(codes: "list[str]") -> None:
    st.success(_("The second factor is on."), icon=":material/verified_user:")
    st.write(_("Keep these codes where your phone is not. Each lets you in once. They are shown only now."))
    st.code("\n".join(codes), language=None)
    with st.container(horizontal=True):
        st.download_button(_("As a file"), "\n".join(codes) + "\n", "waqtor-recovery-codes.txt", key="totp-file")
        if st.button(_("I have kept them"), type="primary", key="totp-kept"):
            del st.session_state[_CODES]
            st.rerun()


def _in_force() -> None:
    left = session.me().recovery_codes_left
    st.html(
        f'<p class="wq">{look.chip("active", _("On"))} '
        + n_("{count} recovery code is left", "{count} recovery codes are left", left)
        + "</p>"
    )
    with st.form("totp-off", border=False, width=460):
        password = st.text_input(_("Your password"), type="password", key="totp-off-password")
        st.caption(_("To get new recovery codes, switch it off and on again."))
        if st.form_submit_button(_("Switch off"), key="totp-off-go") and look.tried(
            lambda: session.client().auth.drop_totp(password)
        ):
            st.rerun()

"""Who looks. The sign-in is the API's own: the cookie names it, and each run asks whether it still counts."""

import os

import streamlit as st

from ui import words
from waqtor import Browser, Client, Me, NotSignedIn
from waqtor.auth import COOKIE

_CLIENT, _ME, _COOKIE = "_client", "_me", "_cookie"


def enter() -> Me:
    """Raises `NotSignedIn` from the moment the sign-in is ended, wherever it was."""
    cookie = st.context.cookies.get(COOKIE, "")
    if not cookie:
        raise NotSignedIn("No sign-in.", code="not_signed_in")
    known: Client | None = st.session_state.get(_CLIENT)
    if st.session_state.get(_COOKIE) != cookie:  # somebody else signed in in this browser meanwhile
        forget()
        known = None
    if known is None:
        with _speaking_for(Browser(cookie=cookie)) as asking:
            me = asking.auth.me()
        st.session_state[_COOKIE] = cookie
        st.session_state[_CLIENT] = _speaking_for(Browser(cookie=cookie, csrf_token=me.csrf_token or ""))
    else:
        me = known.auth.me()
    st.session_state[_ME] = me
    if "language" not in st.session_state:
        words.choose(me.language or words.nearest(st.context.cookies.get("waqtor_language"), st.context.locale))
    return me


def _speaking_for(browser: Browser) -> Client:
    return Client(browser=browser, retries=1, headers=forwarded(st.context.headers.to_dict(), st.context.ip_address))


def forwarded(headers: "dict[str, str]", address: str | None) -> "dict[str, str]":
    """Who asks us, for the API's list of sign-ins and its limits. It believes whom its settings name, and us by our
    credential (core/service_credentials.py)."""
    theirs = {name.lower(): value for name, value in headers.items()}
    chain = ", ".join(filter(None, (theirs.get("x-forwarded-for"), address)))
    told = {"User-Agent": theirs.get("user-agent", "")[:200]} | ({"X-Forwarded-For": chain} if chain else {})
    if credential := os.environ.get("WAQTOR_DASHBOARD_CREDENTIAL"):
        told["X-WaQtor-Dashboard"] = credential
    return {name: value.encode("ascii", "replace").decode() for name, value in told.items()}


def client() -> Client:
    """Of this session, with the rights of who is signed in."""
    found: Client = st.session_state[_CLIENT]
    return found


def me() -> Me:
    found: Me = st.session_state[_ME]
    return found


def may(permission: str) -> bool:
    """Now: what an area needs that is closed is left out of other pages."""
    return could(permission) and not closed(permission.partition(".")[0])


def could(permission: str) -> bool:
    """With a one-time code, where that is asked for. For what is shown in the place where the code is given."""
    return permission in me().permissions


def closed(page: str) -> bool:
    """Whether this page or area takes a one-time code that was not given yet."""
    return page in me().closed_pages


def forget() -> None:
    """Nothing of who was here stays in this session."""
    known: Client | None = st.session_state.get(_CLIENT)
    st.session_state.clear()
    if known is not None:
        known.close()

"""What a page says of itself, and how one page leads to another."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from ui.markdown import plain
from ui.words import later

SECTIONS = ("", later("Audience"), later("Messages"), later("System"))
_STREAMLIT, _HERE, _PLACE, _KEPT = "_streamlit_pages", "_here", "_place", "_kept_here"


@dataclass(frozen=True)
class Page:
    """`title` is marked with `later`. `needs`: the permission without which it is not shown. `area`: that of the API,
    or the page's own name, that an admin may put behind a one-time code. A page that is not `listed` is come to by a
    link, such as one campaign."""

    name: str
    title: str
    icon: str
    show: Callable[[], None]
    needs: str = "account.own"
    section: str = ""
    area: str = ""
    is_new: bool = False
    is_listed: bool = True


def link(name: str, label: str, *, icon: str | None = None, query: Mapping[str, Any] | None = None) -> None:
    """To another page; nothing where the reader may not see it. Within a page it is a button: Streamlit's own link to
    the page one is on forgets what it asks for with the next click."""
    if name == st.session_state.get(_HERE):
        key = f"to-{name}-{label}-{_texts(query)}"
        if st.button(plain(label), icon=icon, type="tertiary", key=key):
            go(name, query)  # the whole page: in a part that refreshes by itself a callback would draw that part only
    elif target := _of(name):
        st.page_link(target, label=plain(label), icon=icon, query_params=_texts(query))


def go(name: str, query: Mapping[str, Any] | None = None) -> None:
    """There, at once."""
    if name == st.session_state.get(_HERE):
        _turn(query)
        st.rerun()
    elif target := _of(name):
        st.switch_page(target, query_params=_texts(query))


def asked(name: str) -> int | None:
    """The number in the page's address: `?id=7`."""
    given = st.query_params.get(name, "")
    return int(given) if given.isdecimal() and len(given) < 19 else None


def enter(name: str) -> None:
    """This is the page that one is on. Another page, or another thing on it, begins without what was kept."""
    st.session_state[_HERE] = name
    if st.session_state.get(_PLACE) != (place := (name, st.query_params.to_dict())):
        st.session_state[_PLACE], st.session_state[_KEPT] = place, {}


def kept() -> dict[str, Any]:
    """What is forgotten with this page, or with what its address asks for: questions that stand open, looks taken."""
    found: dict[str, Any] = st.session_state.setdefault(_KEPT, {})
    return found


def stay(query: Mapping[str, Any]) -> None:
    """The address says from now on what was saved here; one is where one was, and nothing is forgotten."""
    _turn(query)
    st.session_state[_PLACE] = (st.session_state.get(_HERE), _texts(query))


def register(made: Mapping[str, Any]) -> None:
    st.session_state[_STREAMLIT] = made


def _turn(query: Mapping[str, Any] | None) -> None:
    st.query_params.from_dict(_texts(query) or {})


def _of(name: str) -> Any:
    return st.session_state.get(_STREAMLIT, {}).get(name)


def _texts(query: Mapping[str, Any] | None) -> dict[str, str] | None:
    return {key: str(value) for key, value in query.items()} if query else None

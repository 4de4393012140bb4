"""Tags are chosen from those there are; a new one is typed."""

import time
from collections.abc import Sequence

import streamlit as st

from ui import session
from ui.words import _

_KEPT, _FOR_S, _MOST = "_tags", 20.0, 500


def there_are() -> Sequence[str]:
    """Asked anew after a while: a page is drawn at every click."""
    known: tuple[float, Sequence[str]] | None = st.session_state.get(_KEPT)
    if known is None or known[0] + _FOR_S < time.monotonic():
        names = [one.name for one in session.client().tags.list.page(None, limit=_MOST).data]
        known = st.session_state[_KEPT] = (time.monotonic(), names)
    return known[1]


def one(key: str) -> str:
    """Empty where none is chosen. It may be one that is not in the list: there may be more than are shown."""
    if not st.session_state.get(key):
        st.session_state[key] = None
    chosen = st.selectbox(
        _("Tag"),
        _with(st.session_state.get(key)),
        None,
        key=key,
        placeholder=_("Choose a tag"),
        accept_new_options=True,
    )
    return (chosen or "").strip()


def several(key: str, has: Sequence[str] = (), *, label: str = "") -> list[str]:
    chosen = st.multiselect(
        label or _("Tags"),
        _with(*has),
        list(has),
        key=key,
        placeholder=_("Choose tags, or type a new one"),
        accept_new_options=True,
        select_all=False,
    )
    return [tag for tag in (one.strip() for one in chosen) if tag]


def _with(*more: str | None) -> list[str]:
    return list(dict.fromkeys([*there_are(), *filter(None, more)]))

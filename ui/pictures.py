"""Pictures of messages and of oneself, inside the page itself: no other address is asked for them."""

from base64 import b64decode, b64encode
from html import escape

import streamlit as st

from ui import session
from waqtor import Error

_KEPT, _MINE, _MOST = "pictures", "my-picture", 12
_BIG = 1024 * 1024
_TYPES = frozenset({"image/jpeg", "image/png", "image/webp"})


def of_media(media_id: int, *, said: str) -> str | None:
    """As HTML; None where it is too large for a page, not there yet, or not for this reader."""
    if not (session.may("messages.read") and session.may("numbers.read")):
        return None
    kept: dict[int, str] = st.session_state.setdefault(_KEPT, {})
    if media_id not in kept:
        try:
            media = session.client().media.get(media_id)
            if media.mime_type not in _TYPES or not 0 < (media.size or 0) <= _BIG or media.state != "stored":
                return None
            contents = session.client().media.content(media_id)
        except Error:  # the message can be read without it
            return None
        while len(kept) >= _MOST:
            kept.pop(next(iter(kept)))
        kept[media_id] = f"data:{media.mime_type};base64,{b64encode(contents).decode()}"
    return f'<img src="{kept[media_id]}" alt="{escape(said)}">'


def mine() -> str:
    """One's own, as an address; empty where there is none. It is asked for once."""
    if _MINE not in st.session_state:
        try:
            kept = session.client().auth.avatar().picture
        except Error:  # one is known by the name too
            return ""
        kind = "png" if kept and b64decode(kept).startswith(b"\x89PNG") else "jpeg"
        st.session_state[_MINE] = f"data:image/{kind};base64,{b64encode(b64decode(kept)).decode()}" if kept else ""
    found: str = st.session_state[_MINE]
    return found


def use_as_mine(picture: bytes | None) -> None:
    session.client().auth.set_avatar(picture)
    st.session_state.pop(_MINE, None)

"""The picture, video or document above a template's text."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from ui import refusals, session
from ui.markdown import plain
from ui.words import _, later
from waqtor import Error, Invalid, TooLarge

Header = Mapping[str, Any]
_KINDS = {"": later("none"), "image": later("Picture"), "video": later("Video"), "document": later("Document")}
_TYPES = {"image": ["jpg", "jpeg", "png"], "video": ["mp4", "3gp"]}
_KEPT = "template-uploaded"


def choose(key: str, header: Header | None, *, is_variant: bool = False) -> Header | None:
    """What is to stand above the text: a file of one's own, or one that WhatsApp fetches from an address."""
    kinds = list(_KINDS)
    none = _("as in the first language") if is_variant else _("none")
    kind: str = st.segmented_control(
        _("Above the text"),
        kinds,
        default=str(header["type"]) if header else "",
        format_func=lambda one: _(_KINDS[one]) if one else none,
        required=True,
        key=f"{key}header",
    )
    if not kind:
        return None
    same = header if header and header["type"] == kind else None
    found: Header | None = same
    file = st.file_uploader(_("A file of yours"), type=_TYPES.get(kind), key=f"{key}file-{kind}")
    if file is not None:
        found = _taken(kind, file.file_id, file.name, file.getvalue()) or found
    with st.expander(_("Or the address of a file on the web"), expanded=bool(same and same.get("link"))):
        link: str = st.text_input(
            _("Address"),
            str((same or {}).get("link") or ""),
            key=f"{key}link-{kind}",
            placeholder="https://shop.example/spring.png",
        )
    if file is None and link.strip():
        found = {"type": kind, "link": link.strip()}
    if found is None:
        st.caption(_("Choose a file, or give an address."))
        return same
    if kind == "document":
        title = st.text_input(_("Name that people see"), str(found.get("filename") or ""), key=f"{key}title")
        return {**found, "filename": title.strip()} if title.strip() else without_name(found)
    return found


def without_name(header: Header) -> Header:
    return {name: value for name, value in header.items() if name != "filename"}


def _taken(kind: str, file_id: str, name: str, contents: bytes) -> Header | None:
    """Uploaded once, however often the page is drawn."""
    known: dict[str, Header] = st.session_state.setdefault(_KEPT, {})
    if file_id not in known:
        try:
            media = session.client().media.upload(contents, filename=name)
        except (Invalid, TooLarge) as error:
            _refused(error)
            return None
        known[file_id] = {"type": kind, "media_id": media.id} | ({"filename": name} if kind == "document" else {})
        if kind != "document" and media.kind != kind:
            del known[file_id]
            st.error(_("This file is not of that kind."), icon=":material/error:")
            return None
    return known[file_id]


def _refused(error: Error) -> None:
    st.error(plain(" ".join(refusals.told(error))), icon=":material/error:")

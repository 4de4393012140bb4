"""Messages as WhatsApp shows them: its marks for bold and the like, pictures, buttons, times and ticks."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import streamlit as st

from ui.words import _, later

_MARKS = tuple(
    (re.compile(rf"(?<![\w{mark}]){mark}(?=\S)([^\n]+?)(?<=\S){mark}(?![\w{mark}])"), tag)
    for mark, tag in ((r"\*", "b"), ("_", "i"), ("~", "s"))
)
VARIABLE = re.compile(r"\{([^\W\d]\w{0,49})\}")
_KINDS: Mapping[str, tuple[str, str]] = {
    "image": ("🖼", later("Picture")),
    "video": ("🎬", later("Video")),
    "document": ("📄", later("Document")),
    "audio": ("🎤", later("Recording")),
    "sticker": ("🌟", later("Sticker")),
    "location": ("📍", later("Place")),
    "contacts": ("👤", later("Contact card")),
    "reaction": ("", later("Reaction")),
    "other": ("💬", later("Something that WaQtor cannot show")),
}


@dataclass(frozen=True)
class Bubble:
    """`body` is text of WhatsApp's, `over` and `note` are HTML of ours. `note` stands below, such as time and ticks."""

    body: str
    over: str = ""
    heading: str = ""
    buttons: Sequence[str] = ()
    note: str = ""
    missing: Sequence[str] = ()
    is_theirs: bool = False

    def html(self) -> str:
        heading = f'<b class="head" dir="auto">{escape(self.heading)}</b>' if self.heading else ""
        presses = "".join(f'<span class="press" dir="auto">{escape(one)}</span>' for one in self.buttons)
        note = f'<span class="at">{self.note}</span>' if self.note else ""
        side = "wq-bubble theirs" if self.is_theirs else "wq-bubble"
        said = f'<span dir="auto">{written(self.body, self.missing)}</span>' if self.body else ""
        return f'<div class="{side}">{self.over}{heading}{said}{note}{presses}</div>'


def show(*bubbles: Bubble) -> None:
    st.html(f'<div class="wq-chat">{"".join(one.html() for one in bubbles)}</div>')


def written(body: str, missing: Sequence[str] = ()) -> str:
    """As HTML. A variable without a value is marked."""
    shown = escape(body)
    for pattern, tag in _MARKS:
        shown = pattern.sub(rf"<{tag}>\1</{tag}>", shown)
    return VARIABLE.sub(lambda found: f"<mark>{found[0]}</mark>" if found[1] in missing else found[0], shown)


def plain(content: Mapping[str, Any]) -> str:
    """One line that says what a message is."""
    kind = str(content.get("type", "other"))
    said = str(content.get("body") or content.get("text") or content.get("caption") or "")
    if kind == "reaction":
        return f"{_(_KINDS[kind][1])} {content.get('emoji', '')}".strip()
    if said or kind not in _KINDS:
        return said
    name = content.get("filename") or content.get("name")
    return f"{_KINDS[kind][0]} {name or _(_KINDS[kind][1])}"


def card(kind: str, under: str = "") -> str:
    """In place of a picture that is not shown."""
    sign, word = _KINDS.get(kind, _KINDS["other"])
    more = f'<small dir="auto">{escape(under)}</small>' if under else ""
    return f'<span class="file"><span aria-hidden="true">{sign}</span> {escape(_(word))}{more}</span>'

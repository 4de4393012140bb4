"""Streamlit reads most of what it is given as Markdown; a name may be anybody's, such as that of a WhatsApp profile."""

import re

_MARKS = re.compile(r"([\\`*_\[\]<>$~#|&])")
_AT_FIRST = re.compile(r"^(\d*)([-+.)])")
# Found in the text after the marks are read, so no backslash helps: links, addresses, :icons: and arrows.
_FOUND_LATER = re.compile(r":(?=\S)|@(?=\w)|www(?=\.)|[-=](?=[->])|<(?=-)|[<>~](?==)", re.IGNORECASE)
_JOINER = "\u2060"  # is nothing to see, and no place to break a line


def plain(text: str) -> str:
    """The text itself, in one line: no link, no formula, no icon."""
    parted = _FOUND_LATER.sub(lambda found: found[0] + _JOINER, " ".join(text.split()))
    return _AT_FIRST.sub(r"\1\\\2", _MARKS.sub(r"\\\1", parted))

"""What the pages say, in the language of who looks. English is in the code; `locale/` has the other languages."""

import gettext
import io
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGES: Mapping[str, str] = {"en": "English", "ar": "العربية"}
_RIGHT_TO_LEFT = frozenset({"ar"})
_FOLDER = Path(__file__).parent / "locale"
_KEPT = "language"
# Not those of names such as UTF-8, user:3 and 2xx, nor of what is typed as it stands, such as a filter.
_DIGITS = re.compile(r"(?<![\w:+.-])\d+(?!\w|\.\d)")


def chosen() -> str:
    """The language of this session."""
    language: str = st.session_state.get(_KEPT, "en")
    return language


def choose(language: str | None) -> None:
    st.session_state[_KEPT] = nearest(language)


def nearest(*wanted: str | None) -> str:
    """The first of `wanted` that there is: `ar-SA` is `ar`."""
    known = (one.replace("_", "-").partition("-")[0].lower() for one in wanted if one)
    return next((one for one in known if one in LANGUAGES), "en")


def direction(language: str) -> str:
    return "rtl" if language in _RIGHT_TO_LEFT else "ltr"


def _(text: str, /, **filled: Any) -> str:
    """`text` in the language of this session, with `{name}` filled in, its own digits those of the locale."""
    said = _counted(catalogue(chosen()).gettext(text))
    return said.format(**filled) if filled else said


def n_(one: str, many: str, count: int, /, **filled: Any) -> str:
    """The form for `count`, of which a language may have several. `{count}` is written as the locale wants."""
    from ui.formats import number

    said = _counted(catalogue(chosen()).ngettext(one, many, count))
    return said.format(**{"count": number(count), **filled})


def _counted(said: str) -> str:
    from ui.formats import with_digits

    if chosen() == "en" or "=" in said:
        return said
    return _DIGITS.sub(lambda found: with_digits(found[0]), said)


def say(language: str, text: str, /, **filled: Any) -> str:
    said = catalogue(language).gettext(text)
    return said.format(**filled) if filled else said


def later(text: str) -> str:
    """Marks what is translated when it is shown."""
    return text


@cache
def catalogue(language: str) -> gettext.NullTranslations:
    file = _FOLDER / language / "dashboard.po"
    if not file.exists():
        return gettext.NullTranslations()
    compiled = io.BytesIO()
    with file.open("rb") as read:
        write_mo(compiled, read_po(read, locale=language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)

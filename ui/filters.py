"""Filters over people, written for those who do not write them."""

import re
import unicodedata

import streamlit as st

from ui import look
from ui.words import _, n_
from waqtor import Error, NotSignedIn
from waqtor.segments import Count

_NUMBER = re.compile(r"[+(]*\d[\d\s().\-\u2010-\u2015/]{5,}\d")


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def is_number(typed: str) -> bool:
    """Copied out of Arabic text a number has marks of direction around it."""
    return _NUMBER.fullmatch("".join(one for one in typed if unicodedata.category(one) != "Cf")) is not None


def all_of(*conditions: str) -> str:
    given = [one for one in conditions if one]
    return given[0] if len(given) == 1 else " and ".join(f"({one})" for one in given)


def examples() -> None:
    with st.expander(_("How a filter is written"), icon=":material/help:"):
        look.table(
            [_("You write"), _("You get")],
            [
                [look.code('tag = "vip"'), _("people with this tag")],
                [look.code('city in ("Riyadh", "جدة")'), _("people of these cities, if your file has a column city")],
                [look.code('created > "30 days ago"'), _("people added in the last 30 days")],
                [look.code('not last_seen > "90 days ago"'), _("people who have not written for 90 days")],
                [look.code("read(12) and not replied(12)"), _("who read campaign 12 and did not answer")],
                [look.code('tag = "vip" and not country = "EG"'), _("and, or, not and brackets join them")],
            ],
        )


def counted(count: Count) -> None:
    st.html('<p class="wq"><b>' + n_("{count} person now", "{count} people now", count.count) + "</b></p>")


def said_wrong(error: Error) -> None:
    """A mistake in a filter stays beside the filter."""
    if isinstance(error, NotSignedIn):
        raise error
    look.problem(error)

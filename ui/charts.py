"""Charts whose labels, dates and digits are those of who reads them. Vega would write them as in English."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import streamlit as st

from ui import formats, words

_WESTERN = "0123456789"


def bars(names: Sequence[str], counts: Mapping[str, Sequence[int]], *, colours: Sequence[str], height: int) -> None:
    """Beside each other for each of `names`; `counts` has the words of the legend."""
    values = [
        {"at": name, "of": of, "count": count, "said": formats.number(count)}
        for of, each in counts.items()
        for name, count in zip(names, each, strict=True)
    ]
    turned = -1 if words.direction(words.chosen()) == "rtl" else 1  # the first is where one begins to read
    across = {"field": "at", "type": "nominal", "sort": list(names)[::turned], "title": None, "axis": {"labelAngle": 0}}
    beside = {"xOffset": {"field": "of", "sort": list(counts)[::turned]}}
    tips = [{"field": name, "type": "nominal", "title": ""} for name in ("at", "of", "said")]
    _draw("bar", values, across, colour=_colour(list(counts), colours), tips=tips, height=height, more=beside)


def days(at: Sequence[datetime], counts: Mapping[str, Sequence[int]], *, colours: Sequence[str], height: int) -> None:
    """A line for each of `counts`, by the day."""
    values = [
        {
            "at": _local(day),
            "day": formats.day(day),
            "of": of,
            "count": each[place],
            "said": formats.number(each[place]),
        }
        for of, each in counts.items()
        for place, day in enumerate(at)
    ]
    months = list(formats.locale().months["stand-alone"]["abbreviated"].values())
    named = _digits(f"date(datum.value) + ' ' + {months!r}[month(datum.value)]")
    across = {"field": "at", "type": "temporal", "title": None, "axis": {"labelExpr": named, "tickMinStep": 86_400_000}}
    tips = [{"field": name, "type": "nominal", "title": ""} for name in ("day", "of", "said")]
    _draw("line", values, across, colour=_colour(list(counts), colours), tips=tips, height=height)


def minutes(at: Sequence[datetime], amounts: Sequence[float], *, height: int) -> None:
    """One amount, by the time of the day."""
    values = [
        {"at": _local(moment), "count": amount, "said": formats.number(amount, digits=1)}
        for moment, amount in zip(at, amounts, strict=True)
    ]
    named = _digits("timeFormat(datum.value, '%H:%M')")
    across = {"field": "at", "type": "temporal", "title": None, "axis": {"labelExpr": named}}
    tips = [{"field": "said", "type": "nominal", "title": ""}]
    _draw("area", values, across, colour={}, tips=tips, height=height)


def _draw(
    mark: Literal["bar", "line", "area"],
    values: Sequence[Mapping[str, Any]],
    across: Mapping[str, Any],
    *,
    colour: Mapping[str, Any],
    tips: Sequence[Mapping[str, Any]],
    height: int,
    more: Mapping[str, Any] | None = None,
) -> None:
    axis = {"labelExpr": _number("datum.label"), **({} if mark == "area" else {"tickMinStep": 1})}
    up = {"field": "count", "type": "quantitative", "title": None, "axis": axis}
    spec = {
        "data": {"values": list(values)},
        "mark": {"type": mark, **({"line": True, "opacity": 0.35} if mark == "area" else {"point": mark == "line"})},
        "encoding": {"x": across, "y": up, "tooltip": list(tips), **colour, **(more or {})},
        "height": height,
    }
    st.vega_lite_chart(spec=spec, width="stretch")


def _colour(names: Sequence[str], colours: Sequence[str]) -> Mapping[str, Any]:
    scale = {"domain": list(names), "range": list(colours)}
    return {"color": {"field": "of", "title": None, "scale": scale, "legend": {"orient": "bottom"}}}


def _local(at: datetime) -> str:
    """Without a zone: what the reader's clock shows is what is drawn."""
    return at.astimezone(formats.zone()).replace(tzinfo=None).isoformat(timespec="seconds")


def _number(expression: str) -> str:
    """Of Vega, which writes 1,234.5: the same as the locale has it."""
    theirs = formats.number(1234.5, digits=1)
    marked = f"replace(replace(replace({expression}, /,/g, '#'), /[.]/g, '{theirs[-2]}'), /#/g, '{theirs[1]}')"
    return _digits(marked)


def _digits(expression: str) -> str:
    """Of Vega: the same text, in the locale's digits."""
    said = f"({expression}) + ''"
    for western, theirs in zip(_WESTERN, formats.with_digits(_WESTERN), strict=True):
        if western != theirs:
            said = f"replace({said}, /{western}/g, '{theirs}')"
    return said

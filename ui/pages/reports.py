"""What came of campaigns, side by side and over time, and the same as a file."""

import csv
import io
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

import streamlit as st

from ui import charts, formats, look, session
from ui.look import Html
from ui.page import Page
from ui.words import _, later
from waqtor import Campaign, Progress

_OTHER = -1
_DAYS = {
    7: later("7 days"),
    30: later("30 days"),
    90: later("90 days"),
    365: later("a year"),
    _OTHER: later("Other days"),
}
_MOST_LISTED, _MOST, _AT_FIRST = 500, 50, 8
_STEPS = ("sent", "delivered", "read", "replied")
_STEP_COLOURS = ("#0b7a5b", "#2474d6", "#8a5cc9", "#d98a00")

Row = tuple[Campaign, Progress]


def show() -> None:
    look.heading(_("Reports"), _("What came of your campaigns, side by side and over time."))
    begins, ends = _span()
    listed = session.client().campaigns.list.page(None, order="newest", limit=_MOST_LISTED).data
    launched = [one for one in listed if one.launched_at is not None and begins <= one.launched_at < ends]
    within = launched[:_MOST]
    if not within:
        look.empty(
            _("No campaign was launched in this time"),
            _("Choose a longer time, or launch one: its figures are here from the first message on."),
            do=("campaigns", _("To the campaigns")),
        )
        return
    if len(launched) > _MOST:
        st.caption(_("The newest {count} campaigns are shown.", count=formats.number(_MOST)))
    names = {one.id: _unlike_others(one) for one in within}
    chosen = st.multiselect(_("Campaigns"), list(names), default=list(names)[:_AT_FIRST], format_func=names.__getitem__)
    with st.spinner(_("Adding it up …")):
        rows = [(one, _progress(one)) for one in within if one.id in chosen]
    if not rows:
        look.empty(_("No campaign is chosen"), _("Choose one or more above."))
        return
    _whole(rows)
    _side_by_side(rows)
    _over_time(rows)
    st.download_button(
        _("Download as CSV"),
        _file(rows),
        "waqtor-report.csv",
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
    )


def _span() -> tuple[datetime, datetime]:
    """From the first day on, and before the day after the last."""
    days = st.segmented_control(
        _("Launched in the last"),
        list(_DAYS),
        format_func=lambda one: _(_DAYS[one]),
        default=30,
        required=True,
        key="reports-days",
    )
    today = formats.today()
    if days != _OTHER:
        return today - timedelta(days=int(days or 30)), today + timedelta(days=1)
    with st.container(horizontal=True):
        first = st.date_input(
            _("First day"), today.date() - timedelta(days=30), max_value=today.date(), key="reports-from"
        )
        last = st.date_input(_("Last day"), today.date(), max_value=today.date(), key="reports-to")
    if first > last:
        st.warning(_("The first day is after the last."), icon=":material/date_range:")
    return _midnight(first), _midnight(last + timedelta(days=1))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), formats.zone())


def _progress(one: Campaign) -> Progress:
    return session.client().campaigns.progress(one.id, occurrence="all")


def _whole(rows: Sequence[Row]) -> None:
    st.subheader(_("All of them together"), anchor=False)
    planned = sum(progress.total for _one, progress in rows)
    counts = [(_named(step), sum(getattr(progress, step) for _one, progress in rows), "") for step in _STEPS]
    lost = [
        (look.state(state), sum(sum(getattr(progress, state).values()) for _one, progress in rows), kind)
        for state, kind in (("failed", "bad"), ("skipped", "warn"), ("unknown", "warn"))
    ]
    look.funnel([(_("planned"), planned, ""), *counts, *lost], planned)


def _side_by_side(rows: Sequence[Row]) -> None:
    st.subheader(_("Side by side"), anchor=False)
    st.caption(_("Delivered, read and replied are shares of what was sent."))
    heads = [
        _("Campaign"),
        _("State"),
        _("Launched"),
        *map(_named, _STEPS),
        look.state("failed"),
        look.state("unknown"),
    ]
    look.table(
        heads,
        [
            [
                one.name,
                Html(look.chip(one.state)),
                formats.day(one.launched_at),
                progress.sent,
                *(_share(getattr(progress, step), progress.sent) for step in _STEPS[1:]),
                sum(progress.failed.values()),
                sum(progress.unknown.values()),
            ]
            for one, progress in rows
        ],
        numeric=range(3, 9),
    )
    names = [_unlike_others(one) for one, _progress in rows]
    counts = {_named(step): [getattr(progress, step) for _one, progress in rows] for step in _STEPS}
    charts.bars(names, counts, colours=_STEP_COLOURS, height=280)


def _over_time(rows: Sequence[Row]) -> None:
    """By the day of the launch: receipts count for the campaign they belong to, whenever they come."""
    days: dict[datetime, list[int]] = {}
    for one, progress in rows:
        if one.launched_at is not None:
            at = one.launched_at.astimezone(formats.zone()).replace(hour=0, minute=0, second=0, microsecond=0)
            counts = days.setdefault(at, [0] * len(_STEPS))
            for number, step in enumerate(_STEPS):
                counts[number] += getattr(progress, step)
    if len(days) < 2:
        return
    st.subheader(_("By the day of the launch"), anchor=False)
    order = sorted(days)
    counted = {_named(step): [days[at][number] for at in order] for number, step in enumerate(_STEPS)}
    charts.days(order, counted, colours=_STEP_COLOURS, height=240)


def _file(rows: Sequence[Row]) -> bytes:
    """For spreadsheets: with the mark by which they know UTF-8, and no cell that they would work out."""
    text = io.StringIO()
    writer = csv.writer(text)
    lost = ("failed", "skipped", "unknown")
    writer.writerow(["id", "name", "state", "launched_at", "finished_at", "total", *_STEPS, *lost])
    for one, progress in rows:
        name = f"'{one.name}" if one.name.startswith(("=", "+", "-", "@", "\t", "\r")) else one.name
        at = [moment.isoformat(timespec="seconds") if moment else "" for moment in (one.launched_at, one.finished_at)]
        writer.writerow(
            [one.id, name, one.state, *at, progress.total]
            + [getattr(progress, step) for step in _STEPS]
            + [sum(getattr(progress, state).values()) for state in lost]
        )
    return text.getvalue().encode("utf-8-sig")


def _unlike_others(one: Campaign) -> str:
    """Several may have one name."""
    return f"{one.name} · {formats.with_digits(str(one.id))}"


def _share(count: int, whole: int) -> str:
    return formats.percent(count / whole) if whole else "–"


def _named(step: str) -> str:
    return look.state(step)


PAGE = Page(
    "reports",
    later("Reports"),
    ":material/bar_chart:",
    show,
    needs="campaigns.read",
    area="campaigns",
    section="Messages",
)

"""Due at the right moment, also where the clock changes; and a clear word where a rule is none."""

from datetime import UTC, datetime, timedelta

import pytest

from core import recurrence
from core.errors import Invalid
from core.recurrence import Times

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BEFORE_SPRING, BEFORE_AUTUMN = datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)


def _cron(rule: str, zone: str = "Europe/Berlin") -> Times:
    return recurrence.cron(rule, zone, now=NOW)


def _rrule(rule: str, zone: str = "Europe/Berlin") -> Times:
    return recurrence.recurring(rule, zone, now=NOW)


def _coming(times: Times, after: datetime, count: int = 3) -> list[str]:
    return [f"{moment:%m-%d %H:%M}" for moment in times.coming(after, count=count)]


@pytest.mark.parametrize("times", [_cron("0 9 * * *"), _rrule("FREQ=DAILY;BYHOUR=9;BYMINUTE=0")])
def test_nine_stays_nine_when_the_clock_changes(times: Times) -> None:
    assert _coming(times, BEFORE_SPRING) == ["03-29 07:00", "03-30 07:00", "03-31 07:00"]
    assert _coming(times, BEFORE_AUTUMN) == ["10-25 08:00", "10-26 08:00", "10-27 08:00"]


def test_a_time_that_the_clock_leaves_out_is_not_left_out() -> None:
    assert _coming(_cron("30 2 * * *"), BEFORE_SPRING, 2) == ["03-29 01:00", "03-30 00:30"]
    assert _coming(_rrule("FREQ=DAILY;BYHOUR=2;BYMINUTE=30"), BEFORE_SPRING, 2) == ["03-29 01:30", "03-30 00:30"]


@pytest.mark.parametrize("times", [_cron("30 2 * * *"), _rrule("FREQ=DAILY;BYHOUR=2;BYMINUTE=30")])
def test_a_time_that_comes_twice_counts_once(times: Times) -> None:
    assert _coming(times, BEFORE_AUTUMN, 2) == ["10-25 00:30", "10-26 01:30"]
    between = datetime(2026, 10, 25, 1, 0, tzinfo=UTC)  # the first half past two is over, the second is to come
    assert _coming(times, between, 1) == ["10-26 01:30"]


def test_it_goes_forward_whatever_moment_is_asked_for() -> None:
    for times in (_cron("15 */3 * * *"), _rrule("FREQ=DAILY;BYHOUR=1,2,3;BYMINUTE=15")):
        moment = BEFORE_AUTUMN
        while moment < BEFORE_AUTUMN + timedelta(days=2):
            due = times.after(moment)
            assert due is not None
            assert due > moment
            moment += timedelta(minutes=20)


def test_an_rrule_ends() -> None:
    three = _rrule("DTSTART:20260302T090000\nRRULE:FREQ=WEEKLY;COUNT=3")
    assert _coming(three, NOW, 5) == ["03-02 08:00", "03-09 08:00", "03-16 08:00"]
    assert three.after(datetime(2026, 3, 16, 8, tzinfo=UTC)) is None
    assert len(_rrule("FREQ=DAILY;UNTIL=20260304T115959Z").coming(NOW)) == 2
    assert len(_rrule("FREQ=DAILY;UNTIL=20260304").coming(NOW)) == 3


def test_the_first_monday_of_a_month_in_riyadh() -> None:
    times = _rrule("freq=monthly;byday=1mo;byhour=9;byminute=0", "Asia/Riyadh")
    assert _coming(times, NOW) == ["03-02 06:00", "04-06 06:00", "05-04 06:00"]


def test_once_is_a_clock_there_or_a_moment() -> None:
    there = recurrence.once(datetime(2026, 7, 1, 9), "Europe/Berlin", now=NOW)  # noqa: DTZ001  its zone is beside it
    assert there.start == datetime(2026, 7, 1, 7, tzinfo=UTC)
    assert (there.after(NOW), there.after(there.start)) == (there.start, None)
    assert recurrence.once(datetime(2026, 7, 1, 9, tzinfo=UTC), "Asia/Riyadh", now=NOW).start.hour == 9


@pytest.mark.parametrize(
    ("at", "field"),
    [
        ((datetime(2026, 3, 1, 11, tzinfo=UTC), "Asia/Riyadh"), "at"),
        ((datetime(2026, 3, 29, 2, 30), "Europe/Berlin"), "at"),  # noqa: DTZ001  there is no such time
        ((datetime(2026, 7, 1, 9, tzinfo=UTC), "Berlin"), "timezone"),
        ((datetime(9999, 12, 31, tzinfo=UTC), "Asia/Riyadh"), "at"),
    ],
)
def test_a_once_that_cannot_be(at: tuple[datetime, str], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        recurrence.once(*at, now=NOW)
    assert refused.value.field == field


@pytest.mark.parametrize("rule", ["", "0 9 * *", "a b c d e", "0 25 * * *", "0 0 30 2 *", "* * * * *", "0 0 9 * * *"])
def test_a_cron_that_cannot_be(rule: str) -> None:
    with pytest.raises(Invalid) as refused:
        _cron(rule)
    assert refused.value.field == "cron"


@pytest.mark.parametrize(
    "rule",
    [
        "", "x", "FREQ=HOURLY", "FREQ=DAILY;FREQ=DAILY", "FREQ=DAILY;BYHOUR=99", "FREQ=DAILY;BYDAY=XX",
        "FREQ=DAILY;COUNT=2;UNTIL=20270101", "FREQ=DAILY;COUNT=0", "FREQ=DAILY;UNTIL=soon", "FREQ=DAILY;INTERVAL=1.5",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "FREQ=DAILY;BYMONTHDAY=32", "FREQ=DAILY;BYSETPOS=2",
        "FREQ=DAILY;BYMINUTE=0,30", "FREQ=DAILY;UNTIL=20200101", "FREQ=DAILY;INTERVAL=7;BYDAY=TU;BYMONTHDAY=1;X=1",
        "DTSTART:20269901T090000 FREQ=DAILY", "FREQ=DAILY;UNTIL=20269999T000000Z", "FREQ=DAILY;BYHOUR=١",
        "DTSTART:00010101T090000 FREQ=DAILY",
    ],
)  # fmt: skip
def test_an_rrule_that_cannot_be(rule: str) -> None:
    with pytest.raises(Invalid) as refused:
        _rrule(rule)
    assert refused.value.field == "rrule"

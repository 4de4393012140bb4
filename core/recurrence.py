"""When a schedule is due: once, by cron or by RRULE (RFC 5545), in a time zone and right over changes of its clock.

A local time that a change of the clock leaves out: cron runs as soon as the clock goes on (as Debian's does), an RRULE
by the offset of before the change (as RFC 5545 says). One that comes twice counts the first time.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from dateutil.rrule import rrule, rrulestr

from core import quiet
from core.errors import Invalid

Kind = Literal["once", "cron", "rrule"]
_LEAST_APART = timedelta(hours=1)
_LOOKED_AT = 50  # times, to find two that are too close
_MOST = 10_000
_YEARS = 100  # ahead; and ten back for what a rule counts from, which is gone through from there each time
_CRON_HINT = "minute hour day month weekday, for example: 0 9 * * MON"
_RRULE_HINT = "For example: FREQ=WEEKLY;BYDAY=MO,TH;BYHOUR=9;BYMINUTE=0"
_PARTS = frozenset("FREQ INTERVAL COUNT UNTIL WKST BYDAY BYMONTH BYMONTHDAY BYSETPOS BYHOUR BYMINUTE".split())
_FREQUENCIES = frozenset("DAILY WEEKLY MONTHLY YEARLY".split())
_LONGEST = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
_START = re.compile(r"DTSTART:(\d{8}T\d{6})(Z?)\s+(?:RRULE:)?", re.ASCII)
_UNTIL = re.compile(r"(\d{8})(?:T(\d{6})(Z?))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Times:
    """`start` is the moment of a `once`, and what an RRULE counts from. `rule` is the text of a rule."""

    kind: Kind
    rule: str
    zone: str
    start: datetime

    @property
    def recurs(self) -> bool:
        return self.kind != "once"

    def after(self, moment: datetime) -> datetime | None:
        """The first time later than `moment`, in UTC; None when there is none any more."""
        return next((due for due in self._from(moment) if due > moment), None)

    def coming(self, moment: datetime, *, count: int = 5) -> list[datetime]:
        """At most `count` times later than `moment`."""
        found: list[datetime] = []
        for due in self._from(moment):
            if due > (found[-1] if found else moment):
                found.append(due)
            if len(found) == count:
                break
        return found

    def _from(self, moment: datetime) -> Iterator[datetime]:
        """Times in order from about `moment` on; a few may be earlier."""
        place = ZoneInfo(self.zone)
        match self.kind:
            case "once":
                return iter([self.start])
            case "cron":
                return (due.astimezone(UTC) for due in CronSim(self.rule, moment.astimezone(place)))
            case "rrule":
                local = moment.astimezone(place).replace(tzinfo=None) - timedelta(hours=3)
                due = _rule(self.rule, self.start, place).xafter(local, inc=True)
                return (one.replace(tzinfo=place).astimezone(UTC) for one in due)


def once(at: datetime, zone: str, *, now: datetime) -> Times:
    """`at` with an offset, or as a clock in the zone shows it. Raises `Invalid`, as the other two do."""
    place = ZoneInfo(quiet.zone(zone))
    if not now.year - 1 <= at.year <= now.year + _YEARS:
        raise Invalid(f"The year {at.year} has passed, or is too far off.", field="at")
    if at.tzinfo is None:
        there = at.replace(tzinfo=place)
        if there.astimezone(UTC).astimezone(place).replace(tzinfo=None) != at:
            raise Invalid(f"There is no {at:%H:%M} on {at:%Y-%m-%d} in {zone}: the clock goes forward.", field="at")
        at = there
    moment = at.astimezone(UTC).replace(microsecond=0)
    if moment <= now:
        raise Invalid(f"{moment:%Y-%m-%d %H:%M} UTC has passed.", field="at", hint="To send now, launch the campaign.")
    return Times("once", "", zone, moment)


def cron(expression: str, zone: str, *, now: datetime) -> Times:
    text = " ".join(expression.split())
    quiet.zone(zone)
    if text.count(" ") != 4:
        raise Invalid("A cron expression has five fields.", field="cron", hint=_CRON_HINT)
    try:
        CronSim(text, now)
    except CronSimError as error:
        raise Invalid(f"{text!r} is no cron expression: {error}.", field="cron", hint=_CRON_HINT) from None
    return _checked(Times("cron", text, zone, now), now=now)


def recurring(text: str, zone: str, *, now: datetime) -> Times:
    """An RRULE. It counts from a line `DTSTART:20261201T090000` before it, else from this minute."""
    place = ZoneInfo(quiet.zone(zone))
    text, start = text.strip(), now
    if found := _START.match(text):
        start = _moment(found[1], found[2], place)
        if not now.year - 10 <= start.year <= now.year + _YEARS:
            raise Invalid(f"The year {start.year} is too far off to count from.", field="rrule")
        text = text[found.end() :]
    text = _normal(text.removeprefix("RRULE:"))
    made = Times("rrule", text, zone, start.replace(second=0, microsecond=0))
    try:
        _rule(text, made.start, place)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise Invalid(f"This RRULE cannot be read: {error}.", field="rrule", hint=_RRULE_HINT) from None
    return _checked(made, now=now)


def _checked(times: Times, *, now: datetime) -> Times:
    coming = times.coming(now, count=_LOOKED_AT)
    if not coming:
        raise Invalid("This is never due.", field=times.kind)
    if any(later - sooner < _LEAST_APART for sooner, later in pairwise(coming)):
        raise Invalid("A campaign is due at most once an hour.", field=times.kind)
    return times


def _normal(text: str) -> str:
    """Upper case, checked part by part: what dateutil takes beyond that can search for ever or be no date at all."""
    parts: dict[str, str] = {}
    for part in text.upper().strip(" ;").split(";"):
        name, _, value = part.strip().partition("=")
        if name not in _PARTS or not value.isascii() or not value or name in parts:
            raise Invalid(
                f"{part.strip() or 'Nothing'!r} is no part of an RRULE here, or is there twice.",
                field="rrule",
                hint=f"{_RRULE_HINT}. Parts: {', '.join(sorted(_PARTS))}",
            )
        parts[name] = value
    if parts.get("FREQ") not in _FREQUENCIES:
        raise Invalid(f"FREQ is one of {', '.join(sorted(_FREQUENCIES))}.", field="rrule", hint=_RRULE_HINT)
    if "COUNT" in parts and "UNTIL" in parts:
        raise Invalid("An RRULE ends by COUNT or by UNTIL, not by both.", field="rrule")
    for name in ("INTERVAL", "COUNT"):
        if name in parts and not (parts[name].isascii() and parts[name].isdigit() and 1 <= int(parts[name]) <= _MOST):
            raise Invalid(f"{name} is a number from 1 to {_MOST:,}.", field="rrule")
    if "UNTIL" in parts and not _UNTIL.fullmatch(parts["UNTIL"]):
        raise Invalid("UNTIL is a day or a moment.", field="rrule", hint="UNTIL=20271231 or UNTIL=20271231T180000Z")
    if "BYSETPOS" in parts and parts["FREQ"] not in ("MONTHLY", "YEARLY"):
        raise Invalid("BYSETPOS goes with FREQ=MONTHLY or FREQ=YEARLY.", field="rrule")
    days, months = _numbers(parts, "BYMONTHDAY", 31), _numbers(parts, "BYMONTH", 12)
    if days and min(days) > max(_LONGEST.get(month, 31) for month in months or [1]):
        raise Invalid("None of these months has such a day.", field="rrule")
    return ";".join(f"{name}={value}" for name, value in parts.items())


def _numbers(parts: dict[str, str], name: str, most: int) -> list[int]:
    if name not in parts:
        return []
    found = parts[name].split(",")
    if not all(re.fullmatch(r"-?[0-9]{1,2}", one) and 1 <= abs(int(one)) <= most for one in found):
        raise Invalid(f"{name} has numbers from 1 to {most}.", field="rrule", hint=_RRULE_HINT)
    return [abs(int(one)) for one in found]


def _rule(text: str, start: datetime, place: ZoneInfo) -> rrule:
    """On the clock of the place, without a zone: "each day at nine" is nine there, in summer and in winter."""
    local = start.astimezone(place).replace(tzinfo=None)

    def until(found: re.Match[str]) -> str:
        day, clock, utc = _UNTIL.fullmatch(found[1]).groups()  # type: ignore[union-attr]  # checked when it was set
        moment = _moment(f"{day}T{clock or '235959'}", utc or "", place).astimezone(place)
        return f"UNTIL={moment:%Y%m%dT%H%M%S}"

    made: rrule = rrulestr(re.sub(r"UNTIL=(\w+)", until, text), dtstart=local)
    return made


def _moment(text: str, utc: str, place: ZoneInfo) -> datetime:
    try:
        local = datetime.strptime(text, "%Y%m%dT%H%M%S")  # noqa: DTZ007  its zone comes next
    except ValueError:
        raise Invalid(f"{text} is no moment.", field="rrule") from None
    return local.replace(tzinfo=UTC if utc else place)

"""Quiet hours, in the person's own time: who sleeps now, and until when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from phonenumbers import NumberParseException, parse
from phonenumbers.timezone import time_zones_for_number

from core import bulk
from core.database import Tx
from core.errors import Invalid
from core.models import Campaign
from core.ports import Address

_NOWHERE = "Etc/Unknown"


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `start` to `end` of the local day; over midnight where `start` is later."""

    start: time
    end: time

    def until(self, now: datetime, zone: str) -> datetime | None:
        """The end of the quiet time that `now` lies in, there; None when nobody sleeps."""
        place = ZoneInfo(zone)
        local = now.astimezone(place)
        clock = local.time()
        if self.start <= self.end:
            sleeps = self.start <= clock < self.end
            day = local.date()
        else:
            sleeps = clock >= self.start or clock < self.end
            day = local.date() + timedelta(days=1) if clock >= self.start else local.date()
        return datetime.combine(day, self.end, place).astimezone(UTC) if sleeps else None


@dataclass(frozen=True, slots=True)
class Sleep:
    """`basis` says whose clock it was: the contact's own zone, those of the number, or the campaign's."""

    until: datetime
    zone: str
    basis: str

    def evidence(self) -> Mapping[str, object]:
        return {"zone": self.zone, "basis": self.basis, "until": self.until.isoformat()}


def parsed(hours: Mapping[str, str]) -> QuietHours:
    """`{"from": "21:00", "to": "09:00"}`; raises `Invalid`."""
    try:
        start, end = time.fromisoformat(hours["from"]), time.fromisoformat(hours["to"])
    except (KeyError, TypeError, ValueError):
        raise Invalid(
            "Quiet hours are two times of the day.", field="quiet_hours", hint='{"from": "21:00", "to": "09:00"}'
        ) from None
    if start == end or start.tzinfo or end.tzinfo:
        raise Invalid("Quiet hours need two different times without a zone.", field="quiet_hours")
    return QuietHours(start, end)


def zone(name: str, field: str = "timezone") -> str:
    """An IANA time zone; raises `Invalid`."""
    if name not in _zones():
        raise Invalid(f"{name!r} is no time zone.", field=field, hint="Example: Asia/Riyadh")
    return name


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


@lru_cache(maxsize=65_536)
def zones_of_number(phone: str) -> tuple[str, ...]:
    """All zones a number may be in: a mobile of a wide country can be in several."""
    try:
        found = time_zones_for_number(parse(phone))
    except NumberParseException:
        return ()
    return tuple(one for one in found if one != _NOWHERE and one in _zones())


def sleep(
    hours: QuietHours, *, now: datetime, own: str | None, phone: str | None, campaign: str | None
) -> Sleep | None:
    """Quiet in the contact's own zone, else while it is quiet in any zone of the number, else in the campaign's
    (UTC where it has none). A number whose zones go round the world, so that it is always night in one, says
    nothing."""
    minute = now.replace(second=0, microsecond=0)  # hours change by the minute: all of this minute are one case
    if own is not None:
        return _night(hours, (own,), minute, "contact")
    if phone is not None and (zones := zones_of_number(phone)):
        try:
            return _night(hours, zones, minute, "number")
        except _NoDay:
            pass
    return _night(hours, (campaign or "UTC",), minute, "campaign")


class _NoDay(Exception):
    """It is quiet in one of these zones at any time."""


@lru_cache(maxsize=4_096)
def _night(hours: QuietHours, zones: tuple[str, ...], now: datetime, basis: str) -> Sleep | None:
    """Until nobody sleeps in any of these zones."""
    night: Sleep | None = None
    moment = now
    while asleep := [(until, zone) for zone in zones if (until := hours.until(moment, zone)) is not None]:
        moment, zone = max(asleep)
        if moment - now > timedelta(days=1):
            raise _NoDay
        night = Sleep(moment, zone, basis)
    return night


async def put_to_sleep(
    tx: Tx, campaign: Campaign, people: Sequence[tuple[int, int, Address]], *, now: datetime, arrives_by: datetime
) -> set[int]:
    """Of these claimed recipients (id, contact id, address) put those whose night it is, or will be before the
    message arrives, back into the queue until it is over; returns their ids."""
    if campaign.quiet_hours is None or not people:
        return set()
    hours = parsed(campaign.quiet_hours)
    rows = await bulk.run(
        tx,
        f"SELECT id, timezone FROM contacts WHERE timezone IS NOT NULL AND id {bulk.in_ids(tx)}",
        ids=bulk.ids(contact_id for _, contact_id, _ in people),
    )
    own = {row.id: row.timezone for row in rows}
    asleep: dict[int, Sleep] = {}
    for recipient_id, contact_id, to in people:
        phone = to.value if to.kind == "phone" else None
        for moment in (now, arrives_by):
            night = sleep(hours, now=moment, own=own.get(contact_id), phone=phone, campaign=campaign.timezone)
            if night is not None:
                asleep[recipient_id] = night
                break
    if asleep:
        await bulk.run(
            tx,
            f"""
            UPDATE recipients SET state = 'queued', reason = 'quiet_hours', not_before = r.until,
                evidence = r.evidence, claim_token = NULL, claimed_until = NULL
            FROM {bulk.table(tx, id="bigint", until="timestamptz", evidence="jsonb")}
            WHERE recipients.id = r.id {bulk.few(tx, "recipients.id", bulk.in_ids(tx))}
            AND recipients.state = 'claimed'
            """,
            (
                {"id": recipient_id, "until": bulk.stamp(night.until), "evidence": night.evidence()}
                for recipient_id, night in asleep.items()
            ),
            ids=bulk.ids(asleep),
        )
    return set(asleep)

"""Nobody is written to in their own night."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text, update

import scenes
from core import quiet
from core.bootstrap import Platform
from core.errors import Invalid
from core.models import Contact, Recipient
from fakes import FakeClock, FakeConnector

NIGHT = {"from": "21:00", "to": "09:00"}
NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("clock", "zone", "until"),
    [
        ("2026-06-01T20:59", "UTC", None),
        ("2026-06-01T21:00", "UTC", "2026-06-02T09:00"),
        ("2026-06-02T08:59", "UTC", "2026-06-02T09:00"),
        ("2026-06-02T09:00", "UTC", None),
        ("2026-06-01T18:30", "Asia/Riyadh", "2026-06-02T06:00"),
        ("2026-03-28T22:00", "Europe/Berlin", "2026-03-29T07:00"),  # the clocks go forward in that night
        ("2026-10-24T22:00", "Europe/Berlin", "2026-10-25T08:00"),  # and back in that
    ],
)
def test_a_night_ends_by_the_clock_on_the_wall(clock: str, zone: str, until: str | None) -> None:
    now = datetime.fromisoformat(clock).replace(tzinfo=UTC)
    expected = None if until is None else datetime.fromisoformat(until).replace(tzinfo=UTC)
    assert quiet.parsed(NIGHT).until(now, zone) == expected


def test_a_siesta_is_quiet_hours_too() -> None:
    siesta = quiet.parsed({"from": "13:00", "to": "16:00"})
    assert siesta.until(NOON, "UTC") is None
    assert siesta.until(NOON + timedelta(hours=2), "UTC") == NOON + timedelta(hours=4)


@pytest.mark.parametrize(
    ("own", "phone", "campaign", "basis", "zone"),
    [
        ("Asia/Tokyo", "+966500000001", "UTC", "contact", "Asia/Tokyo"),  # 21:30 there
        (None, "+81312345678", "UTC", "number", "Asia/Tokyo"),
        (None, "+61412345678", "UTC", "number", "Indian/Cocos"),  # a mobile of Australia: till the last one is up
        (None, None, "Asia/Tokyo", "campaign", "Asia/Tokyo"),
        (None, "+9999", "Asia/Tokyo", "campaign", "Asia/Tokyo"),
    ],
)
def test_whose_clock_it_is(own: str | None, phone: str | None, campaign: str, basis: str, zone: str) -> None:
    night = quiet.sleep(quiet.parsed(NIGHT), now=NOON + timedelta(minutes=30), own=own, phone=phone, campaign=campaign)
    assert night is not None
    assert (night.basis, night.zone) == (basis, zone)


def test_a_number_that_may_be_anywhere_says_nothing() -> None:
    """Somewhere between Guam and Bermuda it is always quiet: the person would never be written to."""
    hours = quiet.parsed({"from": "18:00", "to": "12:00"})
    night = quiet.sleep(hours, now=NOON, own=None, phone="+18005550123", campaign="Asia/Tokyo")
    assert night is not None
    assert (night.basis, night.zone) == ("campaign", "Asia/Tokyo")


@pytest.mark.parametrize(
    "hours", [{}, {"from": "21:00"}, {"from": "x", "to": "09:00"}, {"from": "09:00", "to": "09:00"}]
)
async def test_what_is_no_night_is_told(platform: Platform, hours: Mapping[str, str]) -> None:
    sender = await scenes.a_sender(platform)
    with pytest.raises(Invalid) as refused:
        await scenes.a_campaign(platform, sender, quiet_hours=hours)
    assert refused.value.field == "quiet_hours"
    with pytest.raises(Invalid) as refused:
        await scenes.a_campaign(platform, sender, timezone="Mars/Olympus")
    assert refused.value.field == "timezone"


async def test_nobody_is_written_to_who_sleeps_by_the_time_it_arrives(
    platform: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    await scenes.people(platform, 1)  # in Riyadh
    clock.ahead = datetime(2027, 6, 1, 17, 59, 50, tzinfo=UTC) - datetime.now(UTC)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform), quiet_hours=NIGHT)
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    assert connector.effects == []
    async with platform.database.reading() as tx:
        due = (await tx.execute(select(Recipient.not_before))).scalar()
    assert due == datetime(2027, 6, 2, 6, tzinfo=UTC)


async def test_who_sleeps_is_written_to_in_the_morning_and_the_reason_says_why(
    platform: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    await scenes.people(platform, 3)  # Saudi numbers
    async with platform.database.transaction() as tx:
        await tx.execute(update(Contact).where(Contact.id == 1).values(timezone="America/New_York"))
    midnight_in_riyadh = datetime(2027, 6, 1, 21, 0, tzinfo=UTC)
    clock.ahead = midnight_in_riyadh - datetime.now(UTC)
    sender = await scenes.a_sender(platform)
    campaign = await scenes.a_campaign(platform, sender, quiet_hours=NIGHT)
    await scenes.launched(platform, campaign.id)
    rest = await scenes.dispatched(platform, connector, campaign.id)
    assert rest.why == "queue_empty"
    assert len(connector.effects) == 1  # it is afternoon in New York
    async with platform.database.reading() as tx:
        waiting = (await tx.execute(select(Recipient).where(Recipient.state == "queued"))).scalars().all()
        morning = midnight_in_riyadh.replace(hour=6) + timedelta(days=1)
        for one in waiting:
            assert (one.reason, one.not_before) == ("quiet_hours", morning)
            assert one.evidence == {"zone": "Asia/Riyadh", "basis": "number", "until": morning.isoformat()}
    clock.advance(hours=9, minutes=1)
    await scenes.dispatched(platform, connector, campaign.id)
    assert len(connector.effects) == 3
    async with platform.database.reading() as tx:
        left = await tx.execute(
            text("SELECT count(*) FROM recipients WHERE reason IS NOT NULL OR evidence IS NOT NULL")
        )
        assert left.scalar() == 0

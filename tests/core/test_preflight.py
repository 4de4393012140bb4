"""What the preflight says is what happens then."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select, update

import scenes
from conftest import with_settings
from core import campaigns, consents, contacts, preflight, rates
from core.bootstrap import Platform
from core.contacts import NewContact
from core.errors import Invalid
from core.forecast import Budgets, forecast
from core.models import Consent, Contact, Identity
from fakes import FakeClock, FakeConnector

_NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
_NO_LIMIT = Budgets(10, 0, None, None, None, None)


async def _crowd(platform: Platform) -> None:
    """Twelve people of every kind: who agreed, who did not, who stopped, who has no city, who has no number."""
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        people = [
            NewContact(phone=f"+96650000000{n}", name=f"P{n}", attributes={"city": "جدة"} if n % 4 else {})
            for n in range(8)
        ] + [NewContact(phone=f"+1415555010{n}", name=f"U{n}", attributes={"city": "SF"}) for n in range(4)]
        await contacts.save(tx, platform.key, people, at=now)
        hashes = dict((await tx.execute(select(Identity.contact_id, Identity.value_hash))).tuples().all())
        line = {"purpose": "marketing", "action": "granted", "source": "form", "wording": "yes", "recorded_at": now}
        await tx.execute(
            insert(Consent), [{"identity_hash": one, **line} for contact_id, one in hashes.items() if contact_id != 3]
        )
        await consents.opt_out(tx, 2, reason="stop_word", source="whatsapp", at=now)
        await tx.execute(
            Contact.__table__.insert().values(name="nobody", attributes={}, created_at=now, updated_at=now)
        )


@pytest.mark.parametrize("purpose", ["marketing", "service"])
async def test_what_it_says_is_what_happens(platform: Platform, connector: FakeConnector, purpose: str) -> None:
    await _crowd(platform)
    sender = await scenes.a_sender(platform)
    campaign = await scenes.a_campaign(platform, sender, body="Hello {name} in {city}", purpose=purpose)
    said = await preflight.check(platform, campaign.id)
    assert said.people == 13 == said.recipients + sum(said.excluded.values())
    assert said.excluded["missing_variable"] == said.missing["city"]
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    progress = await scenes.progress(platform, campaign.id)
    assert progress.sent == said.recipients
    happened: dict[str, int] = {}
    for reason, count in progress.skipped.items():
        happened[reason.partition(":")[0]] = happened.get(reason.partition(":")[0], 0) + count
    assert happened == said.excluded
    texts = {str(getattr(one.content, "text", "")) for one in connector.effects}
    assert set(said.examples) <= texts
    async with platform.database.reading() as tx:
        kept = (await campaigns.get(tx, campaign.id)).forecast
    assert kept is not None
    assert kept["recipients"] == said.recipients


async def test_it_knows_the_night_the_week_and_what_it_costs(
    platform: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    platform = with_settings(platform, marketing_per_week=1)
    await _crowd(platform)
    clock.ahead = datetime(2027, 6, 1, 20, tzinfo=UTC) - datetime.now(UTC)  # 23:00 in Riyadh, midday in California
    sender = await scenes.a_sender(platform)
    night = {"from": "21:00", "to": "09:00"}
    campaign = await scenes.a_campaign(platform, sender, purpose="marketing", quiet_hours=night)
    (platform.settings.data_dir / rates.FILE).write_text(
        "valid_from,country,category,price,currency\n2026-01-01,SA,marketing,0.04,USD\n2027-01-01,SA,marketing,0.05,USD\n"
        "2028-01-01,SA,marketing,9,USD\n"
    )
    said = await preflight.check(platform, campaign.id)
    assert (said.recipients, said.asleep, said.us_marketing) == (10, 6, 4)
    assert (said.costs["SA"].each, said.costs["SA"].total) == (Decimal("0.05"), Decimal("0.30"))
    assert said.costs["US"].total is None
    assert said.forecast.finishes_at is not None
    assert said.forecast.finishes_at.replace(microsecond=0) == datetime(2027, 6, 2, 6, tzinfo=UTC)
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    assert len(connector.effects) == 4
    clock.advance(hours=11)
    await scenes.dispatched(platform, connector, campaign.id)
    assert len(connector.effects) == 10
    again = await scenes.a_campaign(platform, sender, name="again", purpose="marketing")
    assert (await preflight.check(platform, again.id)).excluded["weekly_cap"] == 10


@pytest.mark.parametrize(
    ("budgets", "opening", "hours", "limited_by"),
    [
        (_NO_LIMIT, 0, 0.1, "rate"),
        (Budgets(1, 0, None, None, None, None), 0, 1, "rate"),
        (Budgets(10, 36_000, None, None, None, None), 0, 1.1, "rate"),  # behind another campaign
        (Budgets(10, 0, 1_800, 1_800, None, None), 0, 24.05, "daily_cap"),
        (Budgets(10, 0, None, None, 900, 900), 3_600, 72.025, "conversations"),
        (Budgets(10, 0, None, None, 900, 900), 1_800, 24.05, "conversations"),  # half of them talk with us already
    ],
)
def test_a_forecast_keeps_to_the_budgets(budgets: Budgets, opening: int, hours: float, limited_by: str) -> None:
    found = forecast({_NOW: 3_600}, opening=opening, budgets=budgets, now=_NOW)
    assert found.finishes_at is not None
    assert (found.finishes_at - _NOW) / timedelta(hours=1) == pytest.approx(hours, abs=0.02)
    assert found.limited_by == limited_by


@given(
    people=st.integers(0, 100_000),
    rate=st.floats(0.1, 1000),
    cap=st.one_of(st.none(), st.integers(1, 10_000)),
    later=st.integers(0, 48),
)
def test_a_forecast_is_never_before_what_is_possible(people: int, rate: float, cap: int | None, later: int) -> None:
    wakes = {_NOW + timedelta(hours=later): people} if people else {}
    found = forecast(wakes, opening=people, budgets=Budgets(rate, 0, cap, cap, None, None), now=_NOW)
    if found.finishes_at is None:
        assert people / rate > 86_400 * 300 or (cap and people / cap > 300)
        return
    took = (found.finishes_at - _NOW).total_seconds()
    assert took >= people / rate * 0.99 - 1
    if people:
        assert took >= later * 3600
    if cap is not None and people > cap:
        assert took >= (people - 1) // cap * 86_400 - 1


def test_a_broken_rate_file_is_told_by_its_line(tmp_path: Path) -> None:
    file = tmp_path / rates.FILE
    assert rates.read(file, on=date(2026, 1, 1)) == {}
    file.write_text("country,price\nSA,1\n")
    with pytest.raises(Invalid, match="valid_from"):
        rates.read(file, on=date(2026, 1, 1))
    file.write_text("valid_from,country,category,price,currency\n2026-01-01,SA,marketing,cheap,USD\n")
    with pytest.raises(Invalid, match="line 2"):
        rates.read(file, on=date(2026, 1, 1))


async def test_a_launched_campaigns_forecast_stays_what_it_was(platform: Platform) -> None:
    await scenes.people(platform, 1)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    await preflight.check(platform, campaign.id)
    async with platform.database.transaction() as tx:
        await tx.execute(update(Contact).values(name="x"))
        assert (await campaigns.get(tx, campaign.id)).forecast is None

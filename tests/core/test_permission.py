"""Who may be written to for marketing: who agreed, and not too often."""

from datetime import timedelta

import pytest
from sqlalchemy import insert, select

import scenes
from conftest import with_settings
from core import consents, messages
from core.bootstrap import Platform
from core.content import Text
from core.database import Tx
from core.errors import Invalid
from core.models import Consent, Identity, Recipient, Suppression
from core.permission import Rules
from core.ports import Address, Inbound
from fakes import FakeClock, FakeConnector


async def _say(tx: Tx, platform: Platform, contact_id: int, action: str, purpose: str = "marketing") -> None:
    hashes = (await tx.execute(select(Identity.value_hash).where(Identity.contact_id == contact_id))).scalars().all()
    now = await platform.clock.now(tx)
    line = {"purpose": purpose, "action": action, "source": "form", "wording": "yes, please", "recorded_at": now}
    await tx.execute(insert(Consent), [{"identity_hash": one, **line} for one in hashes])


async def _outcomes(platform: Platform) -> dict[int, tuple[str, str | None]]:
    async with platform.database.reading() as tx:
        rows = await tx.execute(select(Recipient.contact_id, Recipient.state, Recipient.reason))
        return {row.contact_id: (row.state, row.reason) for row in rows}


async def _sent(platform: Platform, connector: FakeConnector, *, name: str = "spring", purpose: str) -> int:
    sender = await scenes.a_sender(platform, name=name)
    campaign = await scenes.a_campaign(platform, sender, name=name, purpose=purpose)
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    return campaign.id


async def test_marketing_goes_only_to_those_whose_last_word_was_yes(
    platform: Platform, connector: FakeConnector
) -> None:
    await scenes.people(platform, 4)
    async with platform.database.transaction() as tx:
        await _say(tx, platform, 1, "granted")
        await _say(tx, platform, 2, "granted")
        await _say(tx, platform, 2, "withdrawn")
        await _say(tx, platform, 3, "granted", purpose="newsletter")
    await _sent(platform, connector, purpose="marketing")
    unverified = ("skipped", "unverified")
    assert await _outcomes(platform) == {1: ("sent", None), 2: unverified, 3: unverified, 4: unverified}


@pytest.mark.parametrize(("purpose", "sent"), [("newsletter", 1), ("service", 2), ("utility", 2)])
async def test_each_purpose_for_itself(platform: Platform, connector: FakeConnector, purpose: str, sent: int) -> None:
    await scenes.people(platform, 2)
    async with platform.database.transaction() as tx:
        await _say(tx, platform, 1, "granted", purpose="newsletter")
    await _sent(platform, connector, purpose=purpose)
    assert len(connector.effects) == sent


@pytest.mark.parametrize("purpose", ["", "Marketing", "two words", "x" * 41])
async def test_a_purpose_is_a_plain_word(platform: Platform, purpose: str) -> None:
    sender = await scenes.a_sender(platform)
    with pytest.raises(Invalid) as refused:
        await scenes.a_campaign(platform, sender, purpose=purpose)
    assert refused.value.field == "purpose"


async def test_a_yes_that_is_taken_back_after_planning_still_counts(
    platform: Platform, connector: FakeConnector
) -> None:
    await scenes.people(platform, 2)
    async with platform.database.transaction() as tx:
        await _say(tx, platform, 1, "granted")
        await _say(tx, platform, 2, "granted")
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform), purpose="marketing")
    await scenes.launched(platform, campaign.id)
    async with platform.database.transaction() as tx:
        await _say(tx, platform, 2, "withdrawn")
    await scenes.dispatched(platform, connector, campaign.id)
    assert await _outcomes(platform) == {1: ("sent", None), 2: ("skipped", "unverified")}
    async with platform.database.reading() as tx:
        evidence = (await tx.execute(select(Recipient.evidence).where(Recipient.contact_id == 2))).scalar()
    assert evidence == {"purpose": "marketing"}


async def test_nobody_gets_more_than_the_week_allows(
    platform: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    platform = with_settings(platform, marketing_per_week=2)
    await scenes.people(platform, 1)
    async with platform.database.transaction() as tx:
        await _say(tx, platform, 1, "granted")
    for name in ("one", "two", "three"):
        await _sent(platform, connector, name=name, purpose="marketing")
        clock.advance(hours=1)
    assert len(connector.effects) == 2
    await _sent(platform, connector, name="not marketing", purpose="service")
    assert len(connector.effects) == 3
    clock.advance(days=7)
    await _sent(platform, connector, name="a week later", purpose="marketing")
    assert len(connector.effects) == 4
    async with platform.database.reading() as tx:
        left_out = (await tx.execute(select(Recipient).where(Recipient.state == "skipped"))).scalars().all()
    assert [(one.reason, one.evidence) for one in left_out] == [("weekly_cap", {"cap": 2, "days": 7})]


async def test_the_week_is_counted_from_when_a_message_can_have_arrived(
    platform: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    platform = with_settings(platform, marketing_per_week=1)
    await scenes.people(platform, 1)
    async with platform.database.transaction() as tx:
        await _say(tx, platform, 1, "granted")
    arrived = scenes.arrivals(connector, clock, after_s=15)
    await _sent(platform, connector, name="one", purpose="marketing")
    clock.ahead = timedelta(days=7, seconds=5)  # a week since we meant to send, not since they got it
    await _sent(platform, connector, name="two", purpose="marketing")
    assert len(arrived) == 1
    clock.advance(minutes=1)
    await _sent(platform, connector, name="three", purpose="marketing")
    assert len(arrived) == 2
    assert arrived[1] - arrived[0] > timedelta(days=7)


@pytest.mark.parametrize("word", ["START", "unstop", "اشتراك", "ابدأ"])
async def test_only_the_person_comes_back_and_their_word_is_kept(platform: Platform, word: str) -> None:
    await scenes.people(platform, 1)
    await scenes.a_sender(platform)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await consents.opt_out(tx, 1, reason="stop_word", source="whatsapp", wording="STOP", at=now)
        phone = (await tx.execute(select(Identity.value))).scalar_one()
        for place, said in enumerate(("start of something", word)):
            inbound = Inbound(
                provider_id=f"in{place}",
                sender_phone_number_id="id-shop",
                addresses=[Address("phone", phone)],
                profile_name=None,
                content=Text(body=said),
                reply_to=None,
                at=now + timedelta(seconds=place),
            )
            await messages.receive(tx, platform.key, inbound, at=now)
            left = (await tx.execute(select(Suppression))).all()
            assert bool(left) == (said != word)
        last = (await tx.execute(select(Consent).order_by(Consent.id.desc()).limit(1))).scalar_one()
        assert (last.action, last.purpose, last.wording) == ("granted", "marketing", word)


async def test_a_start_without_a_stop_is_no_consent(platform: Platform) -> None:
    await scenes.people(platform, 1)
    async with platform.database.transaction() as tx:
        assert not await consents.opt_in(tx, 1, source="whatsapp", wording="start", at=await platform.clock.now(tx))
        assert not (await tx.execute(select(Consent))).all()


def test_a_person_erased_between_claim_and_intent_is_skipped() -> None:
    assert Rules("service", None, timedelta(), free_form_anytime=True).bar(None, Text(body="x")) == "erased"

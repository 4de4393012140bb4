"""The budget of a sender: its rate over any stretch of time, its caps over any 24 hours."""

import asyncio
import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

import scenes
from conftest import with_settings
from core import health, pacing, senders
from core.bootstrap import Platform
from core.errors import Invalid
from core.models import Recipient, Sender
from core.ports import SenderHealth
from fakes import FakeClock, FakeConnector

_BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)


@given(
    rate=st.sampled_from([0.1, 0.5, 1, 7, 80, 333.3, 1000, 10_000]),
    ahead_s=st.sampled_from([0.01, 0.25, 1.0]),
    asks=st.lists(st.tuples(st.floats(0, 3), st.integers(0, 300)), max_size=60),
)
def test_never_faster_than_the_rate_nor_further_ahead_than_allowed(
    rate: float, ahead_s: float, asks: list[tuple[float, int]]
) -> None:
    sender = Sender(rate=rate, next_slot=0.0)
    now, slots = 0.0, []
    for passed, wanted in asks:
        now += passed
        got = pacing.reserve(sender, wanted, now=_BEGAN + timedelta(seconds=now), ahead_s=ahead_s)
        assert got.count <= wanted
        assert got.wait_s >= 0
        moments = [now + got.wait_s + place * got.step_s for place in range(got.count)]
        assert all(moment <= now + max(ahead_s, 1 / rate) + 1e-5 for moment in moments)
        slots += moments
    assert slots == sorted(slots)
    assert all(later - earlier >= 1 / rate - 1e-5 for earlier, later in pairwise(slots))


@given(rate=st.sampled_from([0.1, 1, 80, 1000, 10_000]), wanted=st.integers(1, 50))
def test_a_patient_sender_gets_its_whole_rate(rate: float, wanted: int) -> None:
    """Whoever waits as long as it is told gets slots: no rounding leaves it waiting for ever."""
    sender = Sender(rate=rate, next_slot=0.0)
    now, got = 0.0, 0
    for _ in range(200):
        slots = pacing.reserve(sender, wanted, now=_BEGAN + timedelta(seconds=now), ahead_s=0.25)
        got += slots.count
        now += slots.wait_s if not slots.count else slots.count * slots.step_s
    assert got >= 0.4 * rate * now


def test_slots_nobody_used_are_gone() -> None:
    sender = Sender(rate=10, next_slot=0.0)
    pacing.reserve(sender, 1, now=_BEGAN, ahead_s=1)
    later = pacing.reserve(sender, 1_000, now=_BEGAN + timedelta(minutes=10), ahead_s=1)
    assert later.count == 10
    assert later.wait_s == 0


def test_a_rest_shuts_every_slot_before_its_end() -> None:
    sender = Sender(rate=10, next_slot=0.0)
    pacing.rest(sender, until=_BEGAN + timedelta(seconds=30))
    assert pacing.reserve(sender, 5, now=_BEGAN, ahead_s=1) == pacing.Slots(count=0, wait_s=30, step_s=0.1)
    pacing.rest(sender, until=_BEGAN)
    assert pacing.reserve(sender, 5, now=_BEGAN, ahead_s=1).wait_s == 30
    assert pacing.reserve(sender, 5, now=_BEGAN + timedelta(seconds=30), ahead_s=1).count == 5


async def test_two_campaigns_of_one_sender_share_its_rate(platform: Platform, connector: FakeConnector) -> None:
    await scenes.people(platform, 60)
    sender = await scenes.a_sender(platform, rate=60)
    campaigns = [await scenes.a_campaign(platform, sender, name=name) for name in ("one", "two")]
    for campaign in campaigns:
        await scenes.launched(platform, campaign.id)
    began = asyncio.get_running_loop().time()
    while len(connector.effects) < 90:  # of 120, however slow the machine is
        await asyncio.gather(*(scenes.dispatched(platform, connector, one.id, seconds=0.5) for one in campaigns))
    took = asyncio.get_running_loop().time() - began
    assert len(connector.effects) <= 60 * (took + platform.settings.pace_ahead_s) + 1
    assert len({one.client_id for one in connector.effects}) == len(connector.effects)


async def test_a_cap_counts_a_moving_day(platform: Platform, connector: FakeConnector, clock: FakeClock) -> None:
    await scenes.people(platform, 15)
    sender = await scenes.a_sender(platform, daily_cap=10)
    campaign = await scenes.a_campaign(platform, sender)
    await scenes.launched(platform, campaign.id)
    sent: list[tuple[timedelta, int]] = []
    patient = with_settings(platform, silence_window_s=1)
    for _ in range(4):
        before = len(connector.effects)
        await scenes.dispatched(patient, connector, campaign.id)
        if len(connector.effects) > before:
            sent.append((clock.ahead, len(connector.effects) - before))
        clock.advance(hours=13)
    assert sum(count for _, count in sent) == 15
    for start, _ in sent:
        within = sum(count for at, count in sent if start <= at < start + timedelta(hours=24))
        assert within <= 10
    assert sent[-1][0] <= timedelta(hours=26)


async def test_a_cap_is_not_free_again_before_24_hours(platform: Platform, clock: FakeClock) -> None:
    """Spent in the last minute of an hour, it comes back no sooner than a day after that minute."""
    sender = await scenes.a_sender(platform, daily_cap=3)
    async with platform.database.transaction() as tx:
        now = (await clock.now(tx)).replace(minute=59, second=30)
        await pacing.count(tx, sender.id, messages=3, conversations=0, arrives_by=now)
        left = [
            (await pacing.allowance(tx, sender, now=now + timedelta(minutes=minutes))).messages
            for minutes in (0, 1, 23 * 60 + 1, 24 * 60 - 1, 25 * 60)
        ]
    assert left == [0, 0, 0, 0, 3]


async def test_the_moving_day_is_kept_by_when_messages_arrive(
    platform: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    """Meant for the last seconds of an hour, a message arrives in the next one."""
    await scenes.people(platform, 2)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform, daily_cap=1, conversation_cap=1))
    clock.ahead = _BEGAN.replace(year=2030, minute=59, second=50) - datetime.now(UTC)
    began = clock.ahead
    await scenes.launched(platform, campaign.id)
    arrived = scenes.arrivals(connector, clock, after_s=15)
    await scenes.dispatched(platform, connector, campaign.id)
    clock.ahead = began + timedelta(days=1, seconds=11)  # the first second of the same hour, a day later
    await scenes.dispatched(platform, connector, campaign.id)
    assert len(arrived) == 1
    clock.advance(hours=1)
    await scenes.dispatched(platform, connector, campaign.id)
    assert len(arrived) == 2
    assert arrived[1] - arrived[0] >= timedelta(days=1)


async def test_a_conversation_is_counted_once_in_a_day(platform: Platform, connector: FakeConnector) -> None:
    await scenes.people(platform, 4)
    sender = await scenes.a_sender(platform, conversation_cap=4)
    for name in ("one", "two"):
        campaign = await scenes.a_campaign(platform, sender, name=name)
        await scenes.launched(platform, campaign.id)
        await scenes.dispatched(platform, connector, campaign.id)
    assert len(connector.effects) == 8


async def test_new_conversations_stop_at_their_cap(platform: Platform, connector: FakeConnector) -> None:
    await scenes.people(platform, 6)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform, conversation_cap=4))
    await scenes.launched(platform, campaign.id)
    rest = await scenes.dispatched(platform, connector, campaign.id)
    assert rest.why == "queue_empty"
    assert len(connector.effects) == 4
    assert (await scenes.progress(platform, campaign.id)).queued == 2
    async with platform.database.reading() as tx:
        waiting = (await tx.execute(select(Recipient).where(Recipient.state == "queued"))).scalars().all()
        soonest = pacing.next_hour(await platform.clock.now(tx))
    assert {(one.reason, one.not_before) for one in waiting} == {("conversation_cap", soonest)}


async def test_at_the_cap_of_new_conversations_those_with_an_open_one_go_on(
    platform: Platform, connector: FakeConnector
) -> None:
    await scenes.people(platform, 5)
    sender = await scenes.a_sender(platform, conversation_cap=2)
    await scenes.a_message(platform, sender, contact_id=4)
    await scenes.let_out(platform)
    campaign = await scenes.a_campaign(platform, sender)
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    to = [effect.to.value[-1] for effect in connector.effects]
    assert to == ["3", "0", "3"]
    answer = await scenes.a_message(platform, sender, contact_id=1)
    await scenes.let_out(platform)
    assert (await scenes.reread(platform, answer)).state == "sent"


@pytest.mark.parametrize(
    ("conversations", "opens", "too_many"),
    [
        (None, [True, False, True], [False, False, False]),
        (1, [True, False, True], [False, False, True]),
        (0, [True, False, True], [True, False, True]),
        (1, [True, True, False], [False, True, False]),
        (5, [], []),
    ],
)
def test_only_who_opens_a_conversation_can_be_one_too_many(
    conversations: int | None, opens: list[bool], too_many: list[bool]
) -> None:
    assert pacing.too_many(opens, pacing.Allowance(None, conversations)) == too_many


async def test_a_slow_senders_run_waits_for_its_next_slot(
    platform: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    await scenes.people(platform, 3)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform, rate=0.1))
    await scenes.launched(platform, campaign.id)
    run = asyncio.create_task(scenes.dispatched(platform, connector, campaign.id))
    while not run.done():  # ten times as fast as the clock on the wall
        await asyncio.sleep(0.1)
        clock.advance(seconds=1)
    assert (run.result().why, len(connector.effects)) == ("queue_empty", 3)
    assert clock.ahead >= timedelta(seconds=18)


def test_the_next_hour_is_a_whole_one() -> None:
    assert pacing.next_hour(_BEGAN + timedelta(minutes=59, seconds=59)) == _BEGAN + timedelta(hours=1)
    assert pacing.next_hour(_BEGAN) == _BEGAN + timedelta(hours=1)
    assert math.isclose(_BEGAN.timestamp() % 3600, 0)


# ---- what WhatsApp allows, and what a young number should --------------------------------------------------


@pytest.mark.parametrize(
    ("tier", "cap"),
    [
        ("TIER_50", 50),
        ("TIER_250", 250),
        ("TIER_2K", 2_000),
        ("TIER_100K", 100_000),
        ("TIER_UNLIMITED", None),
        ("TIER_NOT_SET", None),
        (None, None),
    ],
)
def test_a_tier_is_a_cap_on_new_conversations(tier: str | None, cap: int | None) -> None:
    assert pacing.tier_cap(tier) == cap


@pytest.mark.parametrize(
    ("day", "own_cap", "tier", "most"),
    [
        (0, None, None, 50),
        (1, None, None, 100),
        (2, None, None, 200),
        (3, None, None, None),  # grown up
        (3, None, "TIER_250", 250),
        (1, 70, "TIER_250", 70),
        (-1, None, None, 50),  # made in the evening, in a zone further east
    ],
)
def test_the_least_of_all_caps_counts(day: int, own_cap: int | None, tier: str | None, most: int | None) -> None:
    ramp = pacing.warm_up(_BEGAN.date(), [50, 100, 200])
    sender = Sender(conversation_cap=own_cap, tier=tier, warm_up=ramp)
    assert pacing.most_conversations(sender, now=_BEGAN + timedelta(days=day)) == most


@pytest.mark.parametrize("per_day", [[], [0], [100, 50], [1] * 91])
def test_a_warm_up_never_cools_down(per_day: list[int]) -> None:
    with pytest.raises(Invalid):
        pacing.warm_up(_BEGAN.date(), per_day)


async def test_a_warm_up_lets_more_go_each_day(platform: Platform, connector: FakeConnector, clock: FakeClock) -> None:
    await scenes.people(platform, 60)
    sender = await scenes.a_sender(platform)
    async with platform.database.transaction() as tx:
        clock.advance(hours=(12 - (await platform.clock.now(tx)).hour) % 24)  # 25 hours later is the next day
        await senders.change(tx, sender.id, {"warm_up": [10, 20]}, at=await platform.clock.now(tx))
    campaign = await scenes.a_campaign(platform, sender)
    await scenes.launched(platform, campaign.id)
    sent = []
    for _ in range(3):
        await scenes.dispatched(platform, connector, campaign.id)
        sent.append(len(connector.effects))
        clock.advance(hours=25)
    assert sent == [10, 30, 60]


def test_jitter_delays_within_the_step_and_no_more() -> None:
    steps = [pacing.jitter_s(Sender(jitter=0.5), 2.0) for _ in range(500)]
    assert 0 <= min(steps) < 0.2
    assert 0.4 < max(steps) <= 0.5, "a committed intent is not held back for longer"
    assert max(pacing.jitter_s(Sender(jitter=0.5), 0.2) for _ in range(500)) <= 0.1
    assert pacing.jitter_s(Sender(jitter=0.0), 2.0) == 0


async def test_a_check_keeps_what_whatsapp_says(platform: Platform, connector: FakeConnector) -> None:
    connector.says = SenderHealth(ok=True, detail="connected", tier="TIER_250", quality="GREEN")
    sender = await scenes.a_sender(platform)
    assert (await health.check(platform, sender.id)).ok
    async with platform.database.reading() as tx:
        now = await platform.clock.now(tx)
        kept = await senders.get(tx, sender.id)
        left = await health.budget(tx, kept, now=now)
    assert (kept.tier, kept.quality, kept.checked_at is not None) == ("TIER_250", "GREEN", True)
    assert (left.messages_left, left.conversations_left) == (None, 250)
    connector.says = SenderHealth(ok=False, detail="token_expired")
    assert await health.check_all(platform) == [sender.id]
    async with platform.database.reading() as tx:
        assert (await senders.get(tx, sender.id)).tier == "TIER_250"  # silence says nothing about the tier

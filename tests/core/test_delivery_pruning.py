"""What is known of deliveries is forgotten in time, and nothing that still has to be delivered before its own."""

from datetime import timedelta

from sqlalchemy import select, update

import scenes
from conftest import with_settings
from core import delivery_pruning, replays, webhooks
from core.bootstrap import Platform
from core.models import Delivery, DeliveryAttempt
from core.ports import Posted
from core.replays import Wanted
from fakes import FakeClock, FakePoster


async def _prune(platform: Platform) -> int:
    async with platform.database.reading() as tx:
        now = await platform.clock.now(tx)
    return await delivery_pruning.prune(platform, now=now)


async def test_old_ones_are_forgotten_bodies_first_and_what_waited_too_long_is_given_up(
    platform: Platform, clock: FakeClock
) -> None:
    await scenes.people(platform, 3)
    await scenes.a_webhook(platform, events=["contact.opted_out"])
    removed = await scenes.a_webhook(platform, events=["contact.opted_out"])
    await scenes.opted_out(platform, 1)
    await scenes.couriered(platform, FakePoster())
    await scenes.opted_out(platform, 2)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await webhooks.remove(tx, removed.id, at=now)
    assert await delivery_pruning.prune(platform, now=now) == 2, "those of the removed endpoint"
    assert [(row.state, row.body is not None) for row in await scenes.deliveries(platform)] == [
        ("delivered", True),
        ("waiting", False),
    ]
    clock.advance(days=31)
    async with platform.database.reading() as tx:
        now = await platform.clock.now(tx)
    assert await delivery_pruning.prune(with_settings(platform, webhook_log_days=60), now=now) == 0
    kept = [(row.state, row.reason, row.body) for row in await scenes.deliveries(platform)]
    assert kept == [("delivered", None, None), ("failed", "expired", None)]
    async with platform.database.reading() as tx:
        assert (await tx.execute(select(DeliveryAttempt.response_body))).scalars().all() == [None]
    assert await delivery_pruning.prune(platform, now=now + timedelta(days=60)) == 2
    assert not await scenes.deliveries(platform)


async def test_what_is_made_again_after_its_time_is_delivered(platform: Platform, clock: FakeClock) -> None:
    webhook = await scenes.a_webhook(platform, events=["contact.opted_out"], schedule=[])
    await scenes.told(platform, webhook, 1, 2)
    bad = FakePoster(lambda _: Posted(500, {}, b"", 0.0))
    assert await scenes.couriered(platform, bad) == 2
    clock.advance(days=80)
    await _prune(platform)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await replays.one(tx, (await scenes.deliveries(platform))[0].id, at=now)
        replay = await replays.ask(tx, Wanted(webhook.id), at=now)
    await replays.step(platform, replay.id)
    await _prune(platform)
    assert [row.state for row in await scenes.deliveries(platform)] == ["waiting", "waiting"]
    good = FakePoster()
    clock.advance(seconds=1)
    assert await scenes.couriered(platform, good) == 2
    clock.advance(days=20)
    assert await _prune(platform) == 0, "90 days from then on"
    clock.advance(days=71)
    assert await _prune(platform) == 2


async def test_what_is_made_again_and_waits_keeps_its_body_and_is_given_up_30_days_later(
    platform: Platform, clock: FakeClock
) -> None:
    webhook = await scenes.a_webhook(platform, events=["contact.opted_out"], schedule=[7 * 86_400.0] * 9)
    await scenes.told(platform, webhook, 1)
    await scenes.couriered(platform, FakePoster())
    clock.advance(days=40)
    await _prune(platform)
    async with platform.database.transaction() as tx:
        await replays.one(tx, (await scenes.deliveries(platform))[0].id, at=await platform.clock.now(tx))
    await scenes.couriered(platform, FakePoster(lambda _: Posted(500, {}, b"", 0.0)))
    await _prune(platform)
    (row,) = await scenes.deliveries(platform)
    assert (row.state, row.body is not None) == ("waiting", True), "the next attempt has the same"
    clock.advance(days=31)
    await _prune(platform)
    (row,) = await scenes.deliveries(platform)
    assert (row.state, row.reason, row.body) == ("failed", "expired", None)


async def test_one_that_waited_too_long_wakes_the_next_of_its_chat(platform: Platform, clock: FakeClock) -> None:
    webhook = await scenes.a_webhook(platform, events=["contact.opted_out"], is_ordered=True)
    await scenes.told(platform, webhook, 1)
    await scenes.couriered(platform, FakePoster(lambda _: Posted(500, {}, b"", 0.0)))
    async with platform.database.transaction() as tx:
        later = await platform.clock.now(tx) + timedelta(days=35)
        await tx.execute(update(Delivery).values(next_at=later))
    clock.advance(days=29)
    await scenes.told(platform, webhook, 1)
    assert await scenes.couriered(platform, FakePoster()) == 0, "it is parked"
    clock.advance(days=2)
    await _prune(platform)
    assert await scenes.couriered(platform, FakePoster()) == 1
    assert [row.state for row in await scenes.deliveries(platform)] == ["failed", "delivered"]


async def test_the_log_is_forgotten_on_request_but_not_what_is_to_be_delivered(
    platform: Platform, clock: FakeClock
) -> None:
    one, other = [
        await scenes.a_webhook(platform, url=f"https://example.com/{one}", events=["contact.opted_out"]) for one in "ab"
    ]
    for webhook in (one, other):
        await scenes.told(platform, webhook, *range(1, 6))
        await scenes.couriered(platform, FakePoster())
    clock.advance(hours=1)
    await scenes.told(platform, one, 6)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        assert await delivery_pruning.purge(tx, until=now - timedelta(hours=2)) == 0
        done = [await delivery_pruning.purge(tx, until=now, webhook_id=one.id, most=3) for _ in range(3)]
        assert done == [3, 2, 0]
        assert len((await tx.execute(select(DeliveryAttempt.id))).all()) == 5
    assert [(row.webhook_id, row.state) for row in await scenes.deliveries(platform)] == [
        (other.id, "delivered")
    ] * 5 + [(one.id, "waiting")]

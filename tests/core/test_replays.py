"""Deliveries are made again with the id they had, at a pace, and each once also when the one who does it is killed."""

from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import select

import scenes
from core import consents, replays
from core.bootstrap import Platform
from core.errors import Conflict
from core.models import Delivery
from core.ports import Posted
from core.replays import Wanted
from fakes import FakeClock, FakePoster


async def test_what_failed_is_made_again_at_a_pace_and_goes_on_after_a_death(
    platform: Platform, clock: FakeClock
) -> None:
    await scenes.people(platform, 12)
    webhook = await scenes.a_webhook(platform, events=["contact.*"], schedule=[])
    for contact_id in range(1, 13):
        async with platform.database.transaction() as tx:
            await consents.opt_out(tx, contact_id, reason="asked", source="x", at=await platform.clock.now(tx))
    bad = FakePoster(lambda _: Posted(500, {}, b"", 0.0))
    assert await scenes.couriered(platform, bad) == 12
    wanted = Wanted(webhook.id, types=["contact.opted_out"])
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        assert await replays.count(tx, wanted) == 12
        assert await replays.count(tx, Wanted(webhook.id, until=now - timedelta(days=1))) == 0
        replay = await replays.ask(tx, wanted, per_s=1, at=now)
        assert (replay.total, replay.state) == (12, "running")
    assert await replays.step(platform, replay.id) == 5.0
    assert 0 < (await replays.step(platform, replay.id) or 0) <= 5, "not before its time"
    good = FakePoster()
    assert 1 <= await scenes.couriered(platform, good) < 5, "one each second"
    clock.advance(seconds=70)  # whoever did it was killed
    async with platform.database.reading() as tx:
        assert await replays.forgotten(tx, at=await platform.clock.now(tx)) == [replay.id]
    for _ in range(3):
        await replays.step(platform, replay.id)
        clock.advance(seconds=6)
        await scenes.couriered(platform, good)
    assert await replays.step(platform, replay.id) is None
    async with platform.database.transaction() as tx:
        done = await replays.get(tx, replay.id)
        assert (done.state, done.done) == ("finished", 12)
        rows = (await tx.execute(select(Delivery).order_by(Delivery.id))).scalars().all()
        assert {(row.state, row.attempts) for row in rows} == {("delivered", 2)}
        again = await replays.one(tx, rows[0].id, at=await platform.clock.now(tx))
        with pytest.raises(Conflict):
            await replays.one(tx, again.id, at=now)
    await scenes.couriered(platform, good)
    arrived = Counter(one.headers["webhook-id"] for one in good.letters)
    assert arrived == {row.event_id: 2 if row.id == rows[0].id else 1 for row in rows}
    assert {one.headers["webhook-id"] for one in bad.letters} == set(arrived)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        stopped = await replays.ask(tx, Wanted(webhook.id, states=["delivered"]), at=now)
        assert (await replays.cancel(tx, stopped.id, at=now)).state == "cancelled"
    assert await replays.step(platform, stopped.id) is None

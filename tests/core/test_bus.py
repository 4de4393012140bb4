"""The event log: every committed event, once, in one order, whoever wrote it and however late it committed."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text

import scenes
from core import bus
from core.bootstrap import Platform
from core.bus import Logged
from core.database import Database, connect
from core.events import TemplateSaved, publish
from core.models import Event, Recipient
from core.settings import Settings
from fakes import FakeClock, FakeConnector


class Refused(Exception):
    """What a transaction that gives up raises."""


async def _publish(platform: Platform, *marks: int) -> None:
    async with platform.database.transaction() as tx:
        for mark in marks:
            await publish(tx, TemplateSaved(template_id=mark), at=await platform.clock.now(tx))


async def _read(database: Database, seq: int, until: int) -> list[Logged]:
    """Follow from `seq` until the event marked `until`."""
    seen = []
    async for logged in bus.follow(database, seq, poll_s=0.01):
        seen.append(logged)
        if logged.data.get("template_id") == until:
            break
    return seen


def _marks(seen: Sequence[Logged]) -> list[int]:
    return [one.data["template_id"] for one in seen]


async def test_events_come_in_the_order_they_were_written(platform: Platform) -> None:
    await _publish(platform, 1, 2)
    await _publish(platform, 3)
    await _publish(platform, 4, 5)
    seen = await _read(platform.database, 0, 5)
    assert _marks(seen) == [1, 2, 3, 4, 5]
    assert [one.seq for one in seen] == [1, 2, 3, 4, 5]


async def test_what_was_rolled_back_leaves_neither_event_nor_hole(platform: Platform) -> None:
    async def give_up() -> None:
        async with platform.database.transaction() as tx:
            await publish(tx, TemplateSaved(template_id=99), at=await platform.clock.now(tx))
            raise Refused

    await _publish(platform, 1)
    with pytest.raises(Refused):
        await give_up()
    await _publish(platform, 2)
    seen = await _read(platform.database, 0, 2)
    assert [(one.seq, one.data["template_id"]) for one in seen] == [(1, 1), (2, 2)]


@pytest.mark.parametrize("start", [0, 1, 3, 6])
async def test_a_follower_goes_on_from_wherever_it_was(platform: Platform, start: int) -> None:
    await _publish(platform, *range(1, 8))
    assert _marks(await _read(platform.database, start, 7)) == list(range(start + 1, 8))


async def test_a_follower_that_waits_sees_what_comes(platform: Platform) -> None:
    follower = asyncio.create_task(_read(platform.database, 0, 3))
    for mark in (1, 2, 3):
        await asyncio.sleep(0.05)
        await _publish(platform, mark)
    assert _marks(await asyncio.wait_for(follower, 10)) == [1, 2, 3]


async def test_writers_that_commit_in_any_order_lose_no_event(platform: Platform, settings: Settings) -> None:
    """One inserts first and commits last; some give up; two followers with relays of their own compete."""
    database = platform.database
    chance = random.Random(5)
    committed: list[int] = []
    last = 10_000

    async def write(writer: int) -> None:
        for turn in range(12):
            marks = [writer * 1_000 + turn * 10 + place for place in range(chance.randint(1, 3))]
            try:
                async with database.transaction() as tx:
                    for mark in marks:
                        await publish(tx, TemplateSaved(template_id=mark), at=await platform.clock.now(tx))
                        if database.is_postgres:
                            await asyncio.sleep(chance.random() * 0.01)
                    if chance.random() < 0.2:
                        raise Refused
            except Refused:
                continue
            committed.extend(marks)

    async def write_first_and_commit_last() -> None:
        async with database.transaction() as tx:
            await publish(tx, TemplateSaved(template_id=9_999), at=await platform.clock.now(tx))
            await asyncio.sleep(0.5 if database.is_postgres else 0)
        committed.append(9_999)

    other = connect(settings)
    followers = [asyncio.create_task(_read(one, 0, last)) for one in (database, other)]
    slow = asyncio.create_task(write_first_and_commit_last())
    await asyncio.sleep(0.02)
    await asyncio.gather(*(write(writer) for writer in range(6)), slow)
    await _publish(platform, last)
    for seen in await asyncio.wait_for(asyncio.gather(*followers), 30):
        assert [one.seq for one in seen] == list(range(1, len(seen) + 1))
        assert sorted(_marks(seen)) == sorted([*committed, last])
    await other.close()


async def test_who_waits_hears_of_what_others_commit_and_of_nothing_else(
    platform: Platform, settings: Settings
) -> None:
    elsewhere = connect(settings)  # as another process has it
    try:
        async with bus.calls(platform.database, at_least_each_s=30) as more:
            with suppress(TimeoutError):
                await asyncio.wait_for(more(), 0.3)  # whatever was before
            for number in (1, 2):
                waiting = asyncio.create_task(more())
                await asyncio.sleep(0.2)
                assert not waiting.done(), "nothing was written"
                async with elsewhere.transaction() as tx:
                    await tx.execute(text("UPDATE switches SET reason = 'no event'"))
                await asyncio.sleep(0.1)
                assert not waiting.done(), "nothing was told"
                async with elsewhere.transaction() as tx:
                    await publish(tx, TemplateSaved(template_id=number), at=await platform.clock.now(tx))
                await asyncio.wait_for(waiting, 5)
    finally:
        await elsewhere.close()


@pytest.mark.only_on("postgres")  # only PostgreSQL has a relay
async def test_an_idle_relay_writes_nothing(platform: Platform) -> None:
    await _publish(platform, 1)
    async with platform.database.transaction() as tx:
        assert await bus.number(tx) == 1
    version = text("SELECT xmin::text FROM event_log")
    async with platform.database.reading() as tx:
        before = (await tx.execute(version)).scalar_one()
    for _ in range(3):
        async with platform.database.transaction() as tx:
            assert await bus.number(tx) == 0
    async with platform.database.reading() as tx:
        assert (await tx.execute(version)).scalar_one() == before


@pytest.mark.only_on("postgres")  # only PostgreSQL has a relay
async def test_of_two_relays_one_numbers_and_the_other_passes_by(platform: Platform) -> None:
    await _publish(platform, 1)
    async with platform.database.transaction() as one, platform.database.transaction() as two:
        assert await bus.number(one) == 1
        assert await bus.number(two) == 0


@pytest.mark.only_on("postgres")  # only PostgreSQL has a relay
async def test_a_relay_that_dies_half_way_numbers_nothing(platform: Platform) -> None:
    await _publish(platform, 1, 2)
    async with platform.database.reading() as tx:  # never commits
        assert await bus.number(tx) == 2
    assert [(one.seq, one.data["template_id"]) for one in await _read(platform.database, 0, 2)] == [(1, 1), (2, 2)]


async def test_pruning_forgets_the_old_and_says_up_to_where(platform: Platform, clock: FakeClock) -> None:
    await _publish(platform, 1, 2, 3)
    await _read(platform.database, 0, 3)
    clock.advance(days=10)
    await _publish(platform, 4, 5)
    await _read(platform.database, 3, 5)
    async with platform.database.reading() as tx:
        before = await clock.now(tx) - timedelta(days=5)
    assert await bus.prune(platform.database, before=before) == 3
    assert await bus.prune(platform.database, before=before) == 0
    async with platform.database.reading() as tx:
        assert await bus.reach(tx) == bus.Reach(pruned=3, head=5)
        assert _marks(await bus.since(tx, 0)) == [4, 5]


async def test_pruning_never_takes_a_young_event_that_stands_before_an_old_one(
    platform: Platform, clock: FakeClock
) -> None:
    """A transaction that began long ago commits late: its event has an old time and a high number."""
    await _publish(platform, 1)
    clock.advance(days=10)
    await _publish(platform, 2)
    clock.advance(days=-10)
    await _publish(platform, 3)
    await _read(platform.database, 0, 3)
    clock.advance(days=10)
    async with platform.database.reading() as tx:
        before = await clock.now(tx) - timedelta(days=5)
    assert await bus.prune(platform.database, before=before) == 1
    async with platform.database.reading() as tx:
        assert _marks(await bus.since(tx, 0)) == [2, 3]


async def test_two_that_prune_at_once_agree(platform: Platform, clock: FakeClock) -> None:
    await _publish(platform, *range(1, 50))
    await _read(platform.database, 0, 49)
    clock.advance(days=1)
    async with platform.database.reading() as tx:
        before = await clock.now(tx)
    await asyncio.gather(*(bus.prune(platform.database, before=before) for _ in range(2)))
    async with platform.database.reading() as tx:
        assert await bus.reach(tx) == bus.Reach(pruned=49, head=49)


async def test_outcomes_outlive_the_events_that_told_of_them(
    platform: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    await scenes.people(platform, 5)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    async with platform.database.transaction() as tx:
        await bus.number(tx)
    clock.advance(days=30)
    async with platform.database.reading() as tx:
        before = await clock.now(tx)
    await bus.prune(platform.database, before=before)
    async with platform.database.reading() as tx:
        assert (await tx.execute(select(func.count()).select_from(Event))).scalar_one() == 0
        assert (await tx.execute(select(Recipient.state))).scalars().all() == ["sent"] * 5


async def test_events_name_nobody(platform: Platform, connector: FakeConnector) -> None:
    await scenes.people(platform, 3)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    async with platform.database.reading() as tx:
        written = str((await tx.execute(select(Event.type, Event.topic, Event.data))).all())
    assert "Person" not in written
    assert "+966" not in written
    assert "Hello" not in written

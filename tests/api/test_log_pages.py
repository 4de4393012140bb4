"""The log in pages: whoever comes back finds the same as in the table, and a crowd of them reads it once."""

import asyncio

from api.log_pages import PAGE, LogPages
from core import bus
from core.bootstrap import Platform
from core.events import TemplateMoved, TemplateSaved, publish
from fakes import FakeClock


async def _publish(platform: Platform, *marks: int, bytes_of_each: int = 0) -> None:
    async with platform.database.transaction() as tx:
        for mark in marks:
            moved = TemplateMoved(template_id=mark, what="noted", language="x" * bytes_of_each)
            event = moved if bytes_of_each else TemplateSaved(template_id=mark)
            await publish(tx, event, at=await platform.clock.now(tx))
    await bus.number_all(platform.database)


async def _read(pages: LogPages, after: int, up_to: int) -> list[int]:
    found = []
    while after < up_to:
        for one in await pages.after(after, up_to=up_to):
            found.append(one.data["template_id"])
            after = one.seq
    return found


async def test_from_anywhere_all_that_comes_after_also_what_came_since(platform: Platform) -> None:
    count = 2 * PAGE + 30
    await _publish(platform, *range(1, count + 1))
    pages = LogPages(platform.database)
    for after in (0, 1, PAGE - 1, PAGE, PAGE + 1, count - 1, count):
        assert await _read(pages, after, count) == list(range(after + 1, count + 1))
    await _publish(platform, *range(count + 1, count + PAGE + 1))
    assert await pages.after(count, up_to=count) == [], "up to there it is known, and nothing is read again"
    assert await _read(pages, count - 5, count + PAGE) == list(range(count - 4, count + PAGE + 1))


async def test_a_crowd_is_given_the_very_same(platform: Platform) -> None:
    await _publish(platform, *range(1, 11))
    pages = LogPages(platform.database)
    answers = await asyncio.gather(*(pages.after(3, up_to=10) for _ in range(20)))
    assert {tuple(map(id, one)) for one in answers} == {tuple(map(id, answers[0]))}


async def test_what_is_large_is_not_kept_for_long(platform: Platform) -> None:
    pages = LogPages(platform.database, most_kept=400_000)
    for number in range(2):
        await _publish(platform, *range(number * PAGE + 1, (number + 1) * PAGE + 1), bytes_of_each=1_000)
    first = (await pages.after(0, up_to=2 * PAGE))[0]
    assert (await pages.after(0, up_to=2 * PAGE))[0] is first
    await pages.after(PAGE, up_to=2 * PAGE)
    assert (await pages.after(0, up_to=2 * PAGE))[0] is not first


async def test_where_it_was_pruned_it_begins_later(platform: Platform, clock: FakeClock) -> None:
    await _publish(platform, *range(1, 6))
    clock.advance(days=1)
    async with platform.database.reading() as tx:
        before = await clock.now(tx)
    await _publish(platform, *range(6, 9))
    await bus.prune(platform.database, before=before)
    pages = LogPages(platform.database)
    assert [one.seq for one in await pages.after(2, up_to=8)] == [6, 7, 8]
    assert [one.seq for one in await pages.after(6, up_to=8)] == [7, 8]

"""So many tries and no more, whoever restarts what."""

import asyncio

from core import throttles
from core.bootstrap import Platform
from core.errors import TooMany
from core.throttles import ACCOUNT
from fakes import FakeClock


async def _try(platform: Platform, whom: str = "a@b.co") -> int | None:
    """Seconds to wait, or None: it was let through."""
    try:
        async with platform.database.transaction() as tx:
            await throttles.take(tx, platform.key, ACCOUNT, whom, at=await platform.clock.now(tx))
    except TooMany as refused:
        return refused.retry_after_s
    return None


async def test_five_are_free_then_the_wait_doubles_up_to_a_quarter_of_an_hour(
    platform: Platform, clock: FakeClock
) -> None:
    assert [await _try(platform) for _ in range(6)] == [None] * 5 + [1]
    waits = []
    for _ in range(12):
        wait = await _try(platform)
        assert wait is not None
        waits.append(wait)
        clock.advance(seconds=wait + 1)
        assert await _try(platform) is None
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == 900
    assert await _try(platform, "c@d.co") is None, "of somebody else"
    clock.advance(hours=2)
    assert [await _try(platform) for _ in range(5)] == [None] * 5


async def test_many_at_once_get_no_more_than_their_share(platform: Platform) -> None:
    outcomes = await asyncio.gather(*(_try(platform) for _ in range(20)))
    assert outcomes.count(None) == 5


async def test_nothing_kept_names_the_account_and_it_is_forgotten(platform: Platform, clock: FakeClock) -> None:
    await _try(platform)
    async with platform.database.reading() as tx:
        now = await platform.clock.now(tx)
    assert await throttles.purge(platform.database, at=now) == 0
    clock.advance(hours=2)
    async with platform.database.reading() as tx:
        now = await platform.clock.now(tx)
    assert await throttles.purge(platform.database, at=now) == 1

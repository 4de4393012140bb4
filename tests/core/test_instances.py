"""One API process by itself, or several that say that they know of each other."""

import asyncio

import pytest
from sqlalchemy import text

from core.bootstrap import Platform
from core.instances import AnotherInstance, Place, place


async def test_one_by_itself_or_several_that_share(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.instances._PATIENCE_S", 0.1)
    for first, second in ((False, False), (False, True), (True, False)):
        async with place(platform.database, shared=first):
            with pytest.raises(AnotherInstance) as refused:
                async with place(platform.database, shared=second):
                    pass
            assert (refused.value.code, "WAQTOR_REDIS_URL" in (refused.value.hint or "")) == ("another_instance", True)
    async with place(platform.database, shared=True) as one, place(platform.database, shared=True) as two:
        assert (one.is_held, two.is_held) == (True, True)


@pytest.mark.only_on("postgres")
async def test_a_place_lost_with_the_database_is_taken_again_unless_another_has_it(platform: Platform) -> None:
    async with place(platform.database, shared=False) as first:
        await _cut(platform)
        async with place(platform.database, shared=False) as second:
            await _until(first, is_held=False)
            assert second.is_held
            await asyncio.sleep(1.2)
            assert not first.is_held
        await _until(first, is_held=True)


async def _cut(platform: Platform) -> None:
    """As when the server restarts."""
    holders = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 7726020 AND granted"
    async with platform.database.transaction() as tx:
        mine = "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        await tx.execute(text(f"SELECT pg_terminate_backend(pid) FROM ({holders} {mine}) AS holder"))


async def _until(held: Place, *, is_held: bool) -> None:
    async with asyncio.timeout(10):
        while held.is_held is not is_held:  # noqa: ASYNC110  it looks once a second
            await asyncio.sleep(0.05)

"""Answers that are kept with the change they answer for."""

import asyncio
from datetime import timedelta

import pytest

from core import idempotency, keys
from core.bootstrap import Platform
from core.errors import KeyReused
from core.idempotency import Answer, Ask

ASK = Ask("api_key:1", "POST /x", "k", "hash")
DONE = Answer(201, '{"key": "shown once"}')


async def test_an_answer_is_there_only_if_its_change_was_committed(platform: Platform) -> None:
    async def fail() -> None:
        async with platform.database.transaction() as tx:
            await idempotency.remember(tx, platform.key, ASK, DONE, at=await platform.clock.now(tx))
            raise RuntimeError("the change did not work")

    with pytest.raises(RuntimeError):
        await fail()
    async with platform.database.transaction() as tx:
        assert await idempotency.recall(tx, platform.key, ASK) is None
        await idempotency.remember(tx, platform.key, ASK, DONE, at=await platform.clock.now(tx))
    async with platform.database.transaction() as tx:
        assert await idempotency.recall(tx, platform.key, ASK) == DONE
        with pytest.raises(KeyReused):
            await idempotency.recall(tx, platform.key, Ask("api_key:1", "POST /x", "k", "other"))


async def test_the_second_waits_for_the_first(platform: Platform) -> None:
    effects = 0

    async def once() -> Answer:
        nonlocal effects
        async with platform.database.transaction() as tx:
            if answer := await idempotency.recall(tx, platform.key, ASK):
                return answer
            await asyncio.sleep(0.05)
            effects += 1
            await idempotency.remember(tx, platform.key, ASK, DONE, at=await platform.clock.now(tx))
            return DONE

    assert await asyncio.gather(*(once() for _ in range(6))) == [DONE] * 6
    assert effects == 1


async def test_an_answer_given_too_early_can_be_forgotten(platform: Platform) -> None:
    async with platform.database.transaction() as tx:
        await idempotency.remember(tx, platform.key, ASK, DONE, at=await platform.clock.now(tx))
    async with platform.database.transaction() as tx:
        await idempotency.forget(tx, ASK)
        assert await idempotency.recall(tx, platform.key, ASK) is None


async def test_answers_are_sealed_and_outlive_a_new_key(platform: Platform) -> None:
    async with platform.database.transaction() as tx:
        await idempotency.remember(tx, platform.key, ASK, DONE, at=await platform.clock.now(tx))
    path = platform.settings.key_file
    both = keys.with_new_encryption_key(path)
    async with platform.database.transaction() as tx:
        assert await idempotency.reseal(tx, both) == 1
    newest = keys.without_old_encryption_keys(path)
    async with platform.database.transaction() as tx:
        assert await idempotency.recall(tx, newest, ASK) == DONE


async def test_purging_takes_the_old_and_leaves_the_young(platform: Platform) -> None:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        for days in range(5):
            ask = Ask("p", "r", str(days), "hash")
            await idempotency.remember(tx, platform.key, ask, DONE, at=now - timedelta(days=days))
    before = now - timedelta(days=2, minutes=1)
    assert await idempotency.purge(platform.database, before=before) == 2
    assert await idempotency.purge(platform.database, before=before) == 0

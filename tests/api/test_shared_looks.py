"""A question that many ask at the same moment is asked once; nobody gets the refusal of another."""

import asyncio

import pytest

from api.shared_looks import SharedLooks


async def test_those_who_ask_together_or_soon_after_share_one_look() -> None:
    looks: SharedLooks[int] = SharedLooks(lasts_s=0.2)
    asked: list[str] = []

    async def ask() -> int:
        asked.append("again")
        await asyncio.sleep(0.01)
        return len(asked)

    assert await asyncio.gather(*(looks.get("a", ask) for _ in range(5))) == [1] * 5
    assert await looks.get("a", ask) == 1
    assert await looks.get("b", ask) == 2
    await asyncio.sleep(0.3)
    assert await looks.get("a", ask) == 3


async def test_who_is_refused_is_refused_for_itself_and_who_gives_up_takes_nobody_along() -> None:
    looks: SharedLooks[int] = SharedLooks(lasts_s=60)
    refused = 0

    async def refuse() -> int:
        nonlocal refused
        refused += 1
        await asyncio.sleep(0.01)
        raise PermissionError

    for result in await asyncio.gather(*(looks.get("a", refuse) for _ in range(3)), return_exceptions=True):
        assert isinstance(result, PermissionError)
    assert refused == 3
    assert len(looks) == 0, "what failed is not kept"
    going = asyncio.Event()

    async def slow() -> int:
        going.set()
        await asyncio.sleep(0.05)
        return 7

    first = asyncio.create_task(looks.get("b", slow))
    await going.wait()
    second = asyncio.create_task(looks.get("b", slow))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == 7
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_old_answers_are_forgotten() -> None:
    looks: SharedLooks[int] = SharedLooks(lasts_s=0)

    async def ask() -> int:
        return 1

    for number in range(2500):
        await looks.get(number, ask)
    assert len(looks) <= 1000

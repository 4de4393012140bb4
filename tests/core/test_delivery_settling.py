"""One receiver's answer, whatever it is, is written down or counts as a bad one, and keeps no other waiting."""

import asyncio
import math

from sqlalchemy import select

import scenes
from core.bootstrap import Platform
from core.courier import Courier
from core.models import Delivery, DeliveryAttempt
from core.ports import Letter, Posted
from fakes import FakePoster

_FOR_EVER = "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"


async def test_an_answer_that_cannot_be_written_down_keeps_no_other_endpoint_waiting(platform: Platform) -> None:
    good, hostile, broken = [
        await scenes.a_webhook(platform, url=f"https://{one}.example.com/", events=["contact.opted_out"])
        for one in ("good", "hostile", "broken")
    ]
    for webhook in (good, hostile, broken):
        await scenes.told(platform, webhook, *range(1, 6))

    def answer(letter: Letter) -> Posted:
        if "hostile" in letter.url:
            return Posted(503, {"retry-after": _FOR_EVER}, b"", 0.0)
        return Posted(200, {}, b"", math.inf if "broken" in letter.url else 0.0)

    runner = asyncio.create_task(Courier(platform, FakePoster(answer)).run())
    async with asyncio.timeout(20):
        while not await _is_settled(platform, good.id, hostile.id, broken.id):  # noqa: ASYNC110  it is in the database
            await asyncio.sleep(0.02)
    runner.cancel()
    await asyncio.gather(runner, return_exceptions=True)
    async with platform.database.reading() as tx:
        rows = (await tx.execute(select(DeliveryAttempt))).scalars().all()
    assert {(one.webhook_id, one.status, one.error) for one in rows} == {
        (good.id, 200, None),
        (hostile.id, 503, None),
        (broken.id, None, "bad_answer"),
    }


async def _is_settled(platform: Platform, good: int, *bad: int) -> bool:
    async with platform.database.reading() as tx:
        rows = (await tx.execute(select(Delivery))).scalars().all()
    tried = {row.webhook_id for row in rows if row.attempts and row.state == "waiting"}
    return all(row.state == "delivered" for row in rows if row.webhook_id == good) and tried >= set(bad)


async def test_who_ends_writes_down_what_it_can(platform: Platform) -> None:
    webhook = await scenes.a_webhook(platform, events=["contact.opted_out"])
    await scenes.told(platform, webhook, 1, 2)
    poster = FakePoster(lambda _: Posted(200, {}, b"", 0.0 if len(poster.letters) else math.inf))
    poster.held = {webhook.url: asyncio.Event()}
    runner = asyncio.create_task(Courier(platform, poster).run())
    async with asyncio.timeout(20):
        while poster.most_at_once < 2:  # noqa: ASYNC110  it is another's
            await asyncio.sleep(0.02)
    runner.cancel()
    await asyncio.sleep(0)
    poster.held[webhook.url].set()
    await asyncio.gather(runner, return_exceptions=True)
    async with platform.database.reading() as tx:
        rows = (await tx.execute(select(DeliveryAttempt.status, DeliveryAttempt.error))).tuples().all()
    assert sorted(rows, key=str) == [(200, None), (None, "bad_answer")]

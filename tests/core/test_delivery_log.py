"""What is shown of deliveries. Only what should have been attempted by now is late."""

from datetime import timedelta

from sqlalchemy import update

import scenes
from core import delivery_log, figures, webhooks
from core.bootstrap import Platform
from core.models import Webhook
from core.ports import Posted
from fakes import FakeClock, FakePoster


async def _lag(platform: Platform, webhook: Webhook | None = None) -> timedelta | None:
    async with platform.database.reading() as tx:
        now = await platform.clock.now(tx)
        found = await delivery_log.statistics(tx, webhook and webhook.id, since=now - timedelta(days=1), now=now)
        if webhook is None:
            told = (await figures.look(tx, at=now)).deliveries_lag_s
            assert (now - found.oldest_waiting_at).total_seconds() == told if found.oldest_waiting_at else told == 0
    return found.oldest_waiting_at and now - found.oldest_waiting_at


def _is_about(lag: timedelta | None, **expected: float) -> bool:
    return lag is not None and abs(lag - timedelta(**expected)) < timedelta(seconds=5)


async def test_what_waits_for_its_time_or_for_a_dead_or_disabled_endpoint_is_not_late(
    platform: Platform, clock: FakeClock
) -> None:
    failing, disabled, resting, late = [
        await scenes.a_webhook(platform, url=f"https://example.com/{one}", events=["contact.opted_out"])
        for one in ("failing", "disabled", "resting", "late")
    ]
    assert await _lag(platform) is None
    for webhook in (failing, disabled, resting):
        await scenes.told(platform, webhook, 1)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await webhooks.disable(tx, disabled.id, at=now)
        rests = update(Webhook).where(Webhook.id == resting.id)
        await tx.execute(rests.values(paused_until=now + timedelta(hours=1)))
    await scenes.couriered(platform, FakePoster(lambda _: Posted(500, {}, b"", 0.0)))
    clock.advance(seconds=2)
    assert await _lag(platform) is None
    await scenes.told(platform, late, 1)
    clock.advance(minutes=10)
    assert _is_about(await _lag(platform), minutes=10)
    assert _is_about(await _lag(platform, late), minutes=10)
    assert _is_about(await _lag(platform, failing), minutes=9, seconds=57), "since its next time came"
    for webhook in (disabled, resting):
        assert await _lag(platform, webhook) is None

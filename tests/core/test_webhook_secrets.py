"""Of a secret that ends somebody is told in time."""

from datetime import timedelta

from sqlalchemy import select

import scenes
from core import webhook_secrets, webhooks
from core.bootstrap import Platform
from core.models import Event, Notification, Webhook
from fakes import FakeClock


async def _rotate(platform: Platform, webhook: Webhook, *, overlap: timedelta) -> None:
    async with platform.database.transaction() as tx:
        at = await platform.clock.now(tx)
        await webhooks.rotate(tx, platform.key, webhook.id, overlap=overlap, at=at)


async def test_an_old_secret_that_ends_soon_is_told_of_once(platform: Platform, clock: FakeClock) -> None:
    resting, webhook = [await scenes.a_webhook(platform, f"https://example.com/{one}") for one in "ab"]
    for one in (resting, webhook):
        await _rotate(platform, one, overlap=timedelta(hours=48))
    async with platform.database.transaction() as tx:
        await webhooks.disable(tx, resting.id, at=await platform.clock.now(tx))
    assert await webhook_secrets.tell_of_ends(platform) == 0, "there are two days yet"
    clock.advance(hours=37)
    assert [await webhook_secrets.tell_of_ends(platform) for _ in range(2)] == [1, 0]
    clock.advance(hours=12)
    assert await webhook_secrets.tell_of_ends(platform) == 0
    async with platform.database.reading() as tx:
        (notice,) = (await tx.execute(select(Notification))).scalars()
        (event,) = (await tx.execute(select(Event.data).where(Event.type == "webhook.secret_expiring"))).scalars()
    assert notice.about == f"webhook:{webhook.id}"
    assert event == {"webhook_id": webhook.id, "what": "secret_expiring", "reason": notice.params["ends_at"]}

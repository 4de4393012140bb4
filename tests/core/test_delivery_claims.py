"""What cannot be signed or written out for one endpoint keeps no other waiting."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import select, update

import scenes
from core import courier, webhook_secrets, webhooks
from core.bootstrap import Platform
from core.errors import Conflict
from core.models import Delivery, Webhook
from core.webhook_secrets import Secret
from fakes import FakeClock, FakePoster


async def _states(platform: Platform, webhook: Webhook) -> Sequence[tuple[str, int]]:
    query = select(Delivery.state, Delivery.attempts).where(Delivery.webhook_id == webhook.id).order_by(Delivery.id)
    async with platform.database.reading() as tx:
        return (await tx.execute(query)).tuples().all()


async def test_an_endpoint_whose_secret_does_not_sign_waits_alone_until_it_has_another(
    platform: Platform, clock: FakeClock
) -> None:
    good, unsigned, strange = [
        await scenes.a_webhook(platform, url=f"https://example.com/{one}", events=["contact.opted_out"])
        for one in ("good", "unsigned", "strange")
    ]
    of_2_3_0 = webhook_secrets.sealed(platform.key, [Secret("whsec_my-secret")])
    async with platform.database.transaction() as tx:
        for webhook, sealed in ((unsigned, of_2_3_0), (strange, b"of another key")):
            await tx.execute(update(Webhook).where(Webhook.id == webhook.id).values(secrets=sealed))
    for webhook in (good, unsigned, strange):
        await scenes.told(platform, webhook, 1, 2)
    assert await scenes.couriered(platform, FakePoster()) == 2
    assert await _states(platform, good) == [("delivered", 1)] * 2
    assert await _states(platform, unsigned) == await _states(platform, strange) == [("waiting", 0)] * 2
    with pytest.raises(Conflict):
        await courier.test(platform, FakePoster(), strange.id)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await webhooks.rotate(tx, platform.key, unsigned.id, overlap=timedelta(), at=now)
        sealed = webhook_secrets.sealed(platform.key, [Secret("a text that both sides know")])
        await tx.execute(update(Webhook).where(Webhook.id == strange.id).values(secrets=sealed))
    clock.advance(seconds=61)
    assert await scenes.couriered(platform, FakePoster()) == 4
    assert await _states(platform, unsigned) == await _states(platform, strange) == [("delivered", 1)] * 2

"""What cannot be signed or written out for one endpoint keeps no other waiting."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import select, update

import scenes
from core import courier, delivery_claims, delivery_rows, webhook_secrets, webhooks
from core.bootstrap import Platform
from core.delivery_claims import Room
from core.errors import Conflict
from core.models import Delivery, Webhook
from core.webhook_events import Fact
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


async def _died_over(platform: Platform, webhook: Webhook, clock: FakeClock) -> int:
    """How many a process took that was killed at once."""
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        taken = await delivery_claims.claim(tx, platform, {webhook.id: Room(1)}, now=now)
    clock.advance(seconds=31)
    return len(taken)


async def test_a_killed_process_costs_a_delivery_no_try(platform: Platform, clock: FakeClock) -> None:
    webhook = await scenes.a_webhook(platform, events=["contact.opted_out"], schedule=[])
    await scenes.told(platform, webhook, 1)
    for _ in range(5):
        assert await _died_over(platform, webhook, clock) == 1
    await scenes.couriered(platform, FakePoster())
    async with platform.database.reading() as tx:
        (row,) = (await tx.execute(select(Delivery))).scalars()
    assert (row.state, row.attempts, row.tries) == ("delivered", 6, 1)


async def test_what_processes_die_over_again_and_again_waits_in_between(platform: Platform, clock: FakeClock) -> None:
    webhook = await scenes.a_webhook(platform, events=["contact.opted_out"])
    await scenes.told(platform, webhook, 1)
    assert [await _died_over(platform, webhook, clock) for _ in range(12)] == [1] * 11 + [0]
    clock.advance(hours=1)
    assert await _died_over(platform, webhook, clock) == 1


async def test_one_that_cannot_be_written_out_wakes_the_next_of_its_chat(platform: Platform) -> None:
    webhook = await scenes.a_webhook(platform, events=["*"], is_ordered=True)
    async with platform.database.transaction() as tx:
        broken = Fact("message_received", {}, contact_id=1, chat="1:1")
        now = await platform.clock.now(tx)
        await delivery_rows.insert(tx, [delivery_rows.row(webhook.id, broken, in_order=True)], at=now)
    await scenes.told(platform, webhook, 1)
    for _ in range(2):
        await scenes.couriered(platform, FakePoster())
    assert await _states(platform, webhook) == [("failed", 0), ("delivered", 1)]

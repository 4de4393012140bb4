"""Which endpoints are told of an event: rows in its transaction, of every event committed after the endpoint was."""

import asyncio
from collections import Counter

import pytest
from sqlalchemy import event, text

import scenes
from core import consents, webhooks
from core.bootstrap import Platform
from core.models import Webhook
from fakes import FakeConnector


async def test_a_campaign_is_told_to_who_asked_for_it_and_without_endpoints_costs_nothing(
    platform: Platform, connector: FakeConnector
) -> None:
    statements: Counter[str] = Counter()

    def count(_: object, __: object, statement: str, *___: object) -> None:
        statements["all"] += 1
        statements["about webhooks"] += "FROM webhooks" in statement or "deliveries" in statement

    event.listen(platform.database.engine.sync_engine, "before_cursor_execute", count)
    await scenes.people(platform, 6)
    sender = await scenes.a_sender(platform)
    one, other = [await scenes.a_campaign(platform, sender, name=name) for name in ("one", "other")]
    await scenes.launched(platform, one.id)
    await scenes.dispatched(platform, connector, one.id)
    assert statements["about webhooks"] == 0, "nobody asks, and nothing was asked of the database"
    assert not await scenes.deliveries(platform)
    all_of_one = await scenes.a_webhook(platform, events=["message.sent"], campaign_ids=[one.id])
    both = await scenes.a_webhook(platform, events=["message.sent", "campaign.*"])
    nobody = await scenes.a_webhook(platform, sender_ids=[99])
    await scenes.launched(platform, other.id)
    statements.clear()
    await scenes.dispatched(platform, connector, other.id)
    assert statements["about webhooks"] <= 4, "a statement for each bulk event, and none for each message"
    told = Counter(
        (row.webhook_id, row.type) for row in await scenes.deliveries(platform) if not row.type.startswith("webhook.")
    )
    assert told[(both.id, "message.sent")] == 6
    assert told[(both.id, "campaign.launched")] == 1
    assert all(webhook_id not in (all_of_one.id, nobody.id) for webhook_id, _ in told)


async def test_an_event_that_is_rolled_back_is_told_to_nobody(platform: Platform) -> None:
    await scenes.people(platform, 2)
    await scenes.a_webhook(platform, events=["contact.opted_out"])

    async def broken() -> None:
        async with platform.database.transaction() as tx:
            await consents.opt_out(tx, 1, reason="asked", source="test", at=await platform.clock.now(tx))
            raise RuntimeError("the power goes here")

    with pytest.raises(RuntimeError):
        await broken()
    assert not await scenes.deliveries(platform)
    await scenes.opted_out(platform, 2)
    assert [(row.type, row.contact_id) for row in await scenes.deliveries(platform)] == [("contact.opted_out", 2)]


async def test_what_is_committed_after_the_endpoint_is_told_also_by_who_began_before(platform: Platform) -> None:
    """On PostgreSQL, where transactions overlap: who has published keeps the endpoint from being committed, and who
    publishes while it is being made waits for it."""
    await scenes.people(platform, 3)
    made: asyncio.Task[Webhook]
    if platform.database.is_postgres:
        async with platform.database.transaction() as began_before:
            now = await platform.clock.now(began_before)
            async with platform.database.transaction() as early:
                await consents.opt_out(early, 1, reason="asked", source="test", at=now)
                made = asyncio.create_task(scenes.a_webhook(platform, events=["contact.opted_out"]))
                await asyncio.sleep(0.2)
                assert not made.done(), "there would be an event that is committed after it and does not know it"
            await made
            await consents.opt_out(began_before, 2, reason="asked", source="test", at=now)
    else:
        await scenes.opted_out(platform, 1)
        await scenes.a_webhook(platform, events=["contact.opted_out"])
        await scenes.opted_out(platform, 2)
    await scenes.opted_out(platform, 3)
    assert [row.contact_id for row in await scenes.deliveries(platform)] == [2, 3]


async def test_another_process_knows_at_once_who_is_told(platform: Platform) -> None:
    """What a process remembers of the endpoints goes by the name of their set, which changes with each change."""
    await scenes.people(platform, 4)
    webhook = await scenes.a_webhook(platform, events=["contact.opted_out"])
    await scenes.opted_out(platform, 1)
    async with platform.database.transaction() as tx:
        await webhooks.disable(tx, webhook.id, at=await platform.clock.now(tx))
    await scenes.opted_out(platform, 2)
    async with platform.database.transaction() as tx:
        await webhooks.enable(tx, webhook.id, at=await platform.clock.now(tx))
    await scenes.opted_out(platform, 3)
    async with platform.database.transaction() as tx:
        await webhooks.remove(tx, webhook.id, at=await platform.clock.now(tx))
        assert (await tx.execute(text("SELECT webhooks FROM event_log"))).scalar_one() is None
    await scenes.opted_out(platform, 4)
    assert [row.contact_id for row in await scenes.deliveries(platform)] == [1, 3]

"""A sender that is not heard of any more rests, and goes to work by itself when it is."""

from datetime import UTC, datetime

import orjson
import pytest
from sqlalchemy import select

import scenes
from conftest import with_settings
from core import inbox, runs, senders, watchdog
from core.bootstrap import Platform
from core.models import Event, Message, Sender
from core.ports import ParsedWebhook, Receipt
from fakes import FakeClock, FakeConnector


def _parse(body: bytes) -> ParsedWebhook:
    number, *names = orjson.loads(body)
    at = datetime.now(UTC)
    return ParsedWebhook(
        receipts=[Receipt(f"wamid.{name}", name, "sent", at, sender_phone_number_id=number) for name in names]
    )


async def _receipts(platform: Platform, number: str, *names: str | None) -> None:
    async with platform.database.transaction() as tx:
        await inbox.store(tx, orjson.dumps([number, *names]), at=await platform.clock.now(tx))
    await inbox.apply_waiting(platform, _parse)


async def _state(platform: Platform, sender: Sender) -> str:
    async with platform.database.reading() as tx:
        return (await senders.get(tx, sender.id)).state


@pytest.fixture
async def watched(platform: Platform) -> Platform:
    await scenes.people(platform, 12)
    return with_settings(platform, suspect_after_messages=10, suspect_after_s=900)


async def _sent(platform: Platform, sender: Sender, count: int = 10) -> list[Message]:
    sent = [await scenes.a_message(platform, sender, contact_id=1 + number) for number in range(count)]
    await scenes.let_out(platform)
    return sent


async def test_silence_makes_it_suspect_and_parks_its_queue(
    watched: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    sender, other = [await scenes.a_sender(watched, name=name) for name in ("a", "b")]
    sent = await _sent(watched, sender)
    await _sent(watched, other, 9)
    assert await watchdog.look(watched) == [], "receipts may still come"
    clock.advance(minutes=16)
    await runs.sweep(watched)
    assert [await _state(watched, one) for one in (sender, other)] == ["suspect", "active"]
    waits = await scenes.a_message(watched, sender)
    assert await scenes.let_out(watched) == []
    assert (await scenes.reread(watched, waits)).state == "queued"
    await _receipts(watched, "id-b")
    assert await _state(watched, sender) == "suspect", "nobody speaks for another number"
    await _receipts(watched, "id-a", sent[0].client_id)
    assert await _state(watched, sender) == "active"
    await scenes.let_out(watched)
    assert (await scenes.reread(watched, waits)).state == "sent"
    await runs.sweep(watched)
    assert await _state(watched, sender) == "active"
    async with watched.database.reading() as tx:
        events = (await tx.execute(select(Event).where(Event.type == "sender.moved").order_by(Event.id))).scalars()
        told = [(one.data["state"], one.data["reason"]) for one in events if one.data["sender_id"] == sender.id]
    assert told == [("active", ""), ("suspect", "no_receipts"), ("active", "")]


async def test_a_running_campaign_stops_at_a_suspect_sender(
    watched: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    sender = await scenes.a_sender(watched, rate=1000)
    campaign = await scenes.a_campaign(watched, sender)
    await scenes.launched(watched, campaign.id)
    await scenes.dispatched(watched, connector, campaign.id)
    clock.advance(minutes=16)
    assert await watchdog.look(watched) == [sender.id]
    assert (await scenes.dispatched(watched, connector, campaign.id)).why == "sender_suspect"
    assert await watchdog.look(watched) == []


async def test_any_receipt_since_is_enough(watched: Platform, clock: FakeClock) -> None:
    sender = await scenes.a_sender(watched)
    first = await _sent(watched, sender, 1)
    await _sent(watched, sender, 12)
    clock.advance(minutes=10)
    await _receipts(watched, "id-shop", first[0].client_id)
    clock.advance(hours=2)
    assert await watchdog.look(watched) == []
    await _sent(watched, sender, 10)
    clock.advance(minutes=16)
    assert await watchdog.look(watched) == [sender.id]


async def test_a_person_may_resume_it_and_it_is_not_parked_at_once(watched: Platform, clock: FakeClock) -> None:
    sender = await scenes.a_sender(watched)
    await _sent(watched, sender)
    clock.advance(minutes=16)
    assert await watchdog.look(watched) == [sender.id]
    async with watched.database.transaction() as tx:
        await watchdog.resume(tx, sender.id, at=await watched.clock.now(tx))
    assert await watchdog.look(watched) == []
    assert await _state(watched, sender) == "active"


async def test_one_paused_by_a_person_stays_paused(watched: Platform, clock: FakeClock) -> None:
    sender = await scenes.a_sender(watched)
    sent = await _sent(watched, sender)
    clock.advance(minutes=16)
    async with watched.database.transaction() as tx:
        now = await watched.clock.now(tx)
        await senders.move(tx, await senders.get(tx, sender.id, lock=True), senders.PAUSED, reason="", at=now)
    assert await watchdog.look(watched) == []
    await _receipts(watched, "id-shop", sent[0].client_id)
    assert await _state(watched, sender) == "paused"

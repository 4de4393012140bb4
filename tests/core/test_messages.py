"""Messages from people, and receipts that are not ours."""

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select

import scenes
from core import consents, messages
from core.bootstrap import Platform
from core.content import Other, Text
from core.models import Chat, Consent, Contact, Event, Identity, Message, Recipient
from core.ports import Address, Ambiguous, Inbound, PermanentRecipient, PreferenceChanged, Receipt
from fakes import FakeClock, FakeConnector

PHONE = Address("phone", "+966500000000")


async def _receive(
    platform: Platform,
    body: str = "hello",
    *,
    provider_id: str = "wamid.in",
    addresses: tuple[Address, ...] = (PHONE,),
    number: str = "id-shop",
    at: datetime | None = None,
) -> int | None:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        inbound = Inbound(provider_id, number, addresses, "Sara", Text(body=body), None, at or now)
        return await messages.receive(tx, platform.key, inbound, at=now)


async def _sent(platform: Platform, connector: FakeConnector, count: int = 1) -> int:
    await scenes.people(platform, count)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    return int(campaign.id)


async def test_a_stranger_who_writes_becomes_a_contact(platform: Platform) -> None:
    await scenes.a_sender(platform)
    assert await _receive(platform) is not None
    async with platform.database.reading() as tx:
        contact = (await tx.execute(select(Contact))).scalar_one()
        message = (await tx.execute(select(Message))).scalar_one()
        (told,) = (await tx.execute(select(Event.data).where(Event.type == "message.received"))).scalars()
    assert (contact.name, message.direction, message.state, message.contact_id) == ("Sara", "in", "received", 1)
    assert message.content == {"type": "text", "body": "hello"}
    assert told == {"message_id": message.id, "sender_id": 1, "contact_id": contact.id}


async def test_the_same_message_is_taken_once_however_often_and_at_once(platform: Platform) -> None:
    await scenes.a_sender(platform)
    taken = await asyncio.gather(*(_receive(platform) for _ in range(5)))
    assert sorted(one is not None for one in taken) == [False] * 4 + [True]
    assert await _receive(platform) is None
    async with platform.database.reading() as tx:
        for table in (Message, Contact, Identity):
            assert (await tx.execute(select(func.count()).select_from(table))).scalar_one() == 1


async def test_a_message_to_a_number_that_is_not_ours_is_left_alone(platform: Platform) -> None:
    await scenes.a_sender(platform)
    assert await _receive(platform, number="another") is None
    async with platform.database.reading() as tx:
        assert (await tx.execute(select(func.count()).select_from(Contact))).scalar_one() == 0


async def test_a_person_known_by_one_address_is_known_by_the_others_after(platform: Platform) -> None:
    await scenes.a_sender(platform)
    await _receive(platform, provider_id="1")
    await _receive(platform, provider_id="2", addresses=(PHONE, Address("bsuid", "SA.1")))
    await _receive(platform, provider_id="3", addresses=(Address("bsuid", "SA.1"),))
    async with platform.database.reading() as tx:
        assert set((await tx.execute(select(Message.contact_id))).scalars()) == {1}


@pytest.mark.parametrize("word", ["STOP", "توقّف"])
async def test_stop_suppresses_with_the_wording_kept(platform: Platform, connector: FakeConnector, word: str) -> None:
    await _sent(platform, connector)
    await _receive(platform, word)
    await _receive(platform, word, provider_id="wamid.again")
    async with platform.database.reading() as tx:
        assert await consents.suppressed(tx, [1]) == {1}
        (line,) = (await tx.execute(select(Consent))).scalars()
    assert (line.action, line.source, line.wording) == ("withdrawn", "whatsapp", word)


async def test_a_stop_in_whatsapps_menu_suppresses_and_a_resume_lifts_nothing(platform: Platform) -> None:
    await scenes.people(platform, 1)
    await scenes.a_sender(platform)
    for stop in (True, False):
        async with platform.database.transaction() as tx:
            now = await platform.clock.now(tx)
            change = PreferenceChanged("id-shop", [PHONE], stop, now)
            await messages.apply_preference(tx, platform.key, change, at=now)
    async with platform.database.reading() as tx:
        assert await consents.suppressed(tx, [1]) == {1}


async def test_a_reply_counts_for_the_campaign_once(platform: Platform, connector: FakeConnector) -> None:
    campaign_id = await _sent(platform, connector, 3)
    await _receive(platform)
    async with platform.database.reading() as tx:
        first = (await tx.execute(select(Recipient.replied_at).where(Recipient.contact_id == 1))).scalar_one()
    await _receive(platform, provider_id="wamid.more")
    assert (await scenes.progress(platform, campaign_id)).replied == 1
    async with platform.database.reading() as tx:
        assert (await tx.execute(select(Recipient.replied_at).where(Recipient.contact_id == 1))).scalar_one() == first


async def test_who_was_never_reached_has_not_replied(platform: Platform, connector: FakeConnector) -> None:
    connector.answering = lambda message: PermanentRecipient("not_on_whatsapp")
    campaign_id = await _sent(platform, connector)
    await _receive(platform)
    progress = await scenes.progress(platform, campaign_id)
    assert (progress.failed, progress.replied) == ({"not_on_whatsapp": 1}, 0)


async def test_the_window_counts_from_the_newest_message_in_whatever_order_they_come(
    platform: Platform, clock: FakeClock
) -> None:
    await scenes.a_sender(platform)
    async with platform.database.reading() as tx:
        now = await clock.now(tx)
    await _receive(platform, provider_id="new", at=now)
    await _receive(platform, provider_id="old", at=now - timedelta(hours=30))
    async with platform.database.reading() as tx:
        found = (await tx.execute(select(Chat.last_in_at))).scalar_one()
    assert found is not None
    assert abs(found - now) < timedelta(seconds=1)


async def test_receipts_of_messages_that_are_not_ours_change_and_tell_nothing(platform: Platform) -> None:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        receipts = [Receipt("wamid.x", "3EB0NOTOURS", "sent", now), Receipt("wamid.y", None, "read", now)]
        assert await messages.apply_receipts(tx, receipts, at=now) == 0
        assert await messages.apply_receipts(tx, [], at=now) == 0
        assert (await tx.execute(select(func.count()).select_from(Event))).scalar_one() == 0


async def test_a_receipt_without_our_id_is_matched_by_whatsapps(platform: Platform, connector: FakeConnector) -> None:
    campaign_id = await _sent(platform, connector)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        provider_id = (await tx.execute(select(Message.provider_id))).scalar_one()
        assert provider_id is not None
        assert await messages.apply_receipts(tx, [Receipt(provider_id, None, "read", now)], at=now) == 1
        (told,) = (await tx.execute(select(Event.data).where(Event.type == "messages.receipts"))).scalars()
    assert (await scenes.progress(platform, campaign_id)).read == 1
    assert told == {"sent": [], "delivered": [], "read": [1], "failed": []}


async def test_a_failure_told_by_a_receipt_is_no_doubt_whatever_its_code_says_of_an_answer(
    platform: Platform, connector: FakeConnector
) -> None:
    await _sent(platform, connector)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        name = connector.effects[0].client_id
        failed = Receipt(f"wamid.{name}", name, "failed", now, Ambiguous("in_doubt", provider_code=131000))
        await messages.apply_receipts(tx, [failed], at=now)
        recipient = (await tx.execute(select(Recipient))).scalar_one()
    assert (recipient.state, recipient.reason) == ("failed", "failed_at_whatsapp")


async def test_an_opt_out_told_by_a_receipt_is_honoured(platform: Platform, connector: FakeConnector) -> None:
    campaign_id = await _sent(platform, connector, 2)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        client_id = (await tx.execute(select(Message.client_id).where(Message.contact_id == 2))).scalar_one()
        error = PermanentRecipient("opted_out", opted_out=True)
        await messages.apply_receipts(tx, [Receipt(f"wamid.{client_id}", client_id, "failed", now, error)], at=now)
        assert await consents.suppressed(tx, [1, 2]) == {2}
    assert (await scenes.progress(platform, campaign_id)).failed == {"opted_out": 1}


async def test_an_opt_out_counts_also_where_the_failure_is_of_an_earlier_attempt(
    platform: Platform, connector: FakeConnector
) -> None:
    campaign_id = await _sent(platform, connector)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        client_id = (await tx.execute(select(Message.client_id))).scalar_one()
        error = PermanentRecipient("opted_out", opted_out=True)
        await messages.apply_receipts(tx, [Receipt("wamid.earlier", client_id, "failed", now, error)], at=now)
        assert await consents.suppressed(tx, [1]) == {1}
    assert (await scenes.progress(platform, campaign_id)).sent == 1


async def test_the_chat_shows_both_sides_newest_first(platform: Platform, connector: FakeConnector) -> None:
    await _sent(platform, connector)
    await _receive(platform, "thanks")
    async with platform.database.reading() as tx:
        talk = await messages.chat(tx, 1, before=None, limit=10)
        older = await messages.chat(tx, 1, before=talk[0].id, limit=10)
    assert [one.direction for one in talk] == ["in", "out"]
    assert [one.direction for one in older] == ["out"]


async def test_what_we_cannot_read_is_kept_all_the_same(platform: Platform) -> None:
    await scenes.a_sender(platform)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        inbound = Inbound("wamid.odd", "id-shop", [PHONE], None, Other(kind="hologram"), None, now)
        assert await messages.receive(tx, platform.key, inbound, at=now) is not None

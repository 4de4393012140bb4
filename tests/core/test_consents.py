"""Who said stop is not written to again, from the moment it is committed."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

import scenes
from core import consents, contacts
from core.bootstrap import Platform
from core.consents import is_stop
from core.contacts import NewContact
from core.database import Tx
from core.models import Consent, Event, Identity, Message, Recipient, Suppression
from core.ports import Address
from fakes import FakeConnector


@pytest.mark.parametrize(
    "text",
    [
        "STOP", "stop", "Stop.", " stop \n", "stop!!!", "\"Stop\"", "STOP ALL", "un-subscribe", "opt-out", "Opt out",
        "🛑 STOP 🛑", "stop🙏🏽", "Ｓｔｏｐ", "ARRÊT", "*stop*", "s.t.o.p", "\u200fstop\u200e",
        "توقف", "توقّف", "تَوَقَّفْ", "تـوقـف", "توقف!", "توقف 🛑", "قف", "إيقاف", "ايقاف", "أوقف", "اوقف", "ٱوقف",
        "إلغاء", "الغاء", "إلغاء الاشتراك", "الغاء الإشتراك", "ایقاف", "إيقاف الرسائل", "كفاية", "كفايه", "،توقف،",
        "\u202bتوقف\u202c", "ا\u0654وقف",
    ],
)  # fmt: skip
def test_a_word_for_stopping_is_heard(text: str) -> None:
    assert is_stop(text)


@pytest.mark.parametrize(
    "text",
    [
        "please stop by tomorrow", "stopped", "don't stop", "non-stop", "stop it", "weekend", "at the end", "I quit",
        "bus stop?", "", " ", "🛑", "...", "1", "توقفت السيارة", "لا توقف", "متى يتوقف", "وقف", "موقف", "قفا",
        "الغاء الموعد", "لماذا توقف الطلب", "إيقاف السيارة هنا", "توقفوا", "cancel my order",
    ],
)  # fmt: skip
def test_a_sentence_with_such_a_word_is_not(text: str) -> None:
    assert not is_stop(text)


@given(st.text())
def test_any_text_can_be_asked_about(text: str) -> None:
    is_stop(text)


@given(st.sampled_from(["stop", "توقف", "إيقاف"]), st.text(alphabet="!.،؟ \u064b\u064e\u0651ـ🛑\ufe0f\u200f"))
def test_marks_around_the_word_change_nothing(word: str, marks: str) -> None:
    assert is_stop(marks + word + marks)


async def _out(platform: Platform, contact_id: int) -> bool:
    async with platform.database.transaction() as tx:
        return await consents.opt_out(
            tx, contact_id, reason="asked", source="test", wording="stop", at=await platform.clock.now(tx)
        )


async def _count(tx: Tx, table: type[Suppression | Consent]) -> int:
    return (await tx.execute(select(func.count()).select_from(table))).scalar_one()


async def test_opting_out_twice_is_as_once(platform: Platform) -> None:
    await scenes.people(platform, 2)
    assert await _out(platform, 1)
    assert not await _out(platform, 1)
    async with platform.database.reading() as tx:
        assert await consents.suppressed(tx, [1, 2]) == {1}
        assert await _count(tx, Suppression) == await _count(tx, Consent) == 1
        told = (await tx.execute(select(Event.data).where(Event.type == "contact.opted_out"))).scalars().all()
    assert told == [{"contact_id": 1, "source": "test"}]


async def test_opting_out_many_times_at_once_is_as_once(platform: Platform) -> None:
    await scenes.people(platform, 1)
    assert sorted(await asyncio.gather(*(_out(platform, 1) for _ in range(6)))) == [False] * 5 + [True]
    async with platform.database.reading() as tx:
        assert await _count(tx, Suppression) == await _count(tx, Consent) == 1


async def test_every_way_to_reach_the_person_is_shut(platform: Platform) -> None:
    addresses = [Address("phone", "+966500000000"), Address("lid", "77"), Address("bsuid", "SA.1")]
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        contact_id = await contacts.who(tx, platform.key, addresses, name="Sara", at=now)
    await _out(platform, contact_id)
    async with platform.database.reading() as tx:
        hashes = set((await tx.execute(select(Identity.value_hash))).scalars())
        assert set((await tx.execute(select(Suppression.identity_hash))).scalars()) == hashes
        assert len(hashes) == 3


async def test_a_way_learnt_later_does_not_open_again(platform: Platform) -> None:
    await scenes.people(platform, 1)
    await _out(platform, 1)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        addresses = [Address("phone", "+966500000000"), Address("lid", "77")]
        assert await contacts.who(tx, platform.key, addresses, name="", at=now) == 1
        assert await consents.suppressed(tx, [1]) == {1}


async def test_the_opt_out_survives_the_person_and_meets_them_again(platform: Platform) -> None:
    """Erased and imported anew: the keyed hash knows the number."""
    await scenes.people(platform, 1)
    await _out(platform, 1)
    async with platform.database.transaction() as tx:
        await tx.delete(await contacts.get(tx, 1))
    await scenes.people(platform, 1)
    async with platform.database.reading() as tx:
        contact_id = (await tx.execute(select(Identity.contact_id))).scalar_one()
        assert await consents.suppressed(tx, [contact_id]) == {contact_id}


async def test_an_opt_out_in_a_file_counts_whichever_row_it_is_in(platform: Platform) -> None:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        rows = [NewContact(phone="+966500000000", opted_out=True), NewContact(phone="+966500000000")]
        await contacts.save(tx, platform.key, rows, at=now)
        assert await consents.suppressed(tx, [1]) == {1}
        await contacts.save(tx, platform.key, rows[1:], at=now)
        assert await consents.suppressed(tx, [1]) == {1}


async def test_nobody_is_written_to_after_the_opt_out_commits(platform: Platform, connector: FakeConnector) -> None:
    """The opt-out holds the person's row, sees whether there is an intent, commits: from then on none may come."""
    chance = random.Random(7)
    people = 240
    await scenes.people(platform, people)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform, rate=500))
    await scenes.launched(platform, campaign.id)
    sending = asyncio.create_task(scenes.dispatched(platform, connector, campaign.id))
    had_intent: dict[int, bool] = {}

    async def opt_out(contact_id: int) -> None:
        async with platform.database.transaction() as tx:
            await consents.opt_out(tx, contact_id, reason="asked", source="test", at=await platform.clock.now(tx))
            intent = select(Message.id).where(Message.contact_id == contact_id)
            had_intent[contact_id] = (await tx.execute(intent)).first() is not None
            await asyncio.sleep(chance.random() * 0.004)

    async def opt_some_out(contact_ids: list[int]) -> None:
        for contact_id in contact_ids:
            await opt_out(contact_id)

    order = chance.sample(range(1, people + 1), 60)
    await asyncio.gather(*(opt_some_out(order[part::3]) for part in range(3)))
    assert (await sending).why == "queue_empty"
    async with platform.database.reading() as tx:
        rows = await tx.execute(
            select(Recipient.contact_id, Recipient.state, Recipient.reason, Message.id).outerjoin(
                Message, Message.recipient_id == Recipient.id
            )
        )
        outcomes = {row.contact_id: (row.state, row.reason, row.id is not None) for row in rows}
    for contact_id, was_intended in had_intent.items():
        assert outcomes[contact_id] == (("sent", None, True) if was_intended else ("skipped", "opted_out", False))
    assert True in had_intent.values()
    assert False in had_intent.values()
    assert len(connector.effects) == people - list(had_intent.values()).count(False)

"""People, one by one: told apart by their numbers, however those are written."""

import pytest

import scenes
from core import contacts
from core.bootstrap import Platform
from core.contacts import NewContact, e164
from core.errors import Invalid, NotFound


@pytest.mark.parametrize(
    "raw",
    [
        "0501234567",
        "501234567",
        "966501234567",
        "00966501234567",
        "+966 50-123 4567",
        "٠٥٠١٢٣٤٥٦٧",
        "+٩٦٦ ٥٠ ١٢٣ ٤٥٦٧",
        "۰۵۰۱۲۳۴۵۶۷",
        "\u202a+966 50 123 4567\u202c",
        "\u200f٠٥٠\u200e١٢٣٤٥٦٧",
    ],
)
def test_a_number_is_read_however_it_is_written(raw: str) -> None:
    assert e164(raw, "SA") == "+966501234567"


@pytest.mark.parametrize("raw", ["", "hello", "12", "+96650123456789", "+" + "9" * 300, "\u202a\u202c"])
def test_what_is_no_number_is_refused(raw: str) -> None:
    with pytest.raises(Invalid) as refused:
        e164(raw, "SA")
    assert refused.value.field == "phone"


async def test_a_contact_that_is_not_there_is_said_so(platform: Platform) -> None:
    async with platform.database.reading() as tx:
        with pytest.raises(NotFound):
            await contacts.card(tx, 5)


async def test_cards_come_page_by_page(platform: Platform) -> None:
    await scenes.people(platform, 7, tags=["vip"])
    async with platform.database.transaction() as tx:
        other = NewContact(phone="+966511111111", name="Other")
        await contacts.add(tx, platform.key, other, at=await platform.clock.now(tx))
    async with platform.database.reading() as tx:
        first = await contacts.cards(tx, after=0, limit=5)
        then = await contacts.cards(tx, after=first[-1].contact.id, limit=5)
        tagged = await contacts.cards(tx, after=0, limit=50, tag="vip")
    assert [len(first), len(then), len(tagged)] == [5, 3, 7]

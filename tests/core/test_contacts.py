"""People from files: every row is taken or told about, and giving the file again changes nothing."""

import asyncio
import io
import random
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import func, select

from core import contacts
from core.bootstrap import Platform
from core.contacts import NewContact, Rejected, read_csv
from core.errors import Invalid, NotFound
from core.models import Contact, ContactTag, Event, Identity, Import, Suppression
from core.ports import Address

ONE = NewContact(phone="+966501234567", name="سارة")


def _read(body: str | bytes) -> list[NewContact | Rejected]:
    return list(read_csv(io.BytesIO(body.encode() if isinstance(body, str) else body), country="SA"))


@pytest.mark.parametrize(
    "body",
    [
        "phone,name\n+966501234567,سارة\n",
        "\ufeffphone,name\n+966501234567,سارة\n",
        "phone;name\r\n+966501234567;سارة\r\n",
        "phone\tname\n+966501234567\tسارة",
        "name,phone\nسارة,0501234567\n",
        "phone,name\n٠٥٠١٢٣٤٥٦٧,سارة\n",
        "phone,name\n+٩٦٦ ٥٠ ١٢٣ ٤٥٦٧,سارة\n",
        "phone,name\n\n+966 50 123 4567, سارة \n\n",
        'phone,name\n"+966-50-123-4567","سارة"\n',
        " phone , name \n00966501234567,سارة\n",
    ],
)
def test_files_of_many_programs_are_understood(body: str) -> None:
    assert _read(body) == [ONE]


def test_every_column_finds_its_place() -> None:
    assert _read("phone,name,language,tags,opted_out,city,\n+966501234567,Sara,ar,vip; new ;,نعم,Riyadh,ignored\n") == [
        NewContact(
            phone="+966501234567",
            name="Sara",
            language="ar",
            tags=("vip", "new"),
            attributes={"city": "Riyadh"},
            opted_out=True,
        )
    ]


def test_a_value_in_quotes_may_hold_lines_and_delimiters() -> None:
    (row,) = _read('phone,name,note\n+966501234567,"Al, Sara","one\r\ntwo;three"\n')
    assert isinstance(row, NewContact)
    assert (row.name, row.attributes) == ("Al, Sara", {"note": "one\r\ntwo;three"})


@pytest.mark.parametrize(
    ("row", "field", "says"),
    [
        ("+966501234567", "row", "1 values for 3 columns"),
        ("+966501234567,a,,d", "row", "4 values for 3 columns"),
        ("hello,Sara,", "phone", "not a phone number"),
        (",Sara,", "phone", "not a phone number"),
        ("+9665012345,Sara,", "phone", "No such number"),
        ("+966501234567," + "x" * 1_001 + ",", "name", "Longer than 1000"),
        ("+966501234567,Sa\0ra,", "row", "null character"),
        ("+966501234567,Sara,maybe", "opted_out", "neither yes nor no"),
    ],
)
def test_a_row_that_cannot_be_taken_says_why(row: str, field: str, says: str) -> None:
    good = "+966501234567,سارة,"
    rows = _read(f"phone,name,opted_out\n{good}\n{row}\n{good}\n")
    assert rows[0] == rows[2] == ONE
    assert isinstance(rows[1], Rejected)
    assert (rows[1].row, rows[1].field) == (2, field)
    assert says in rows[1].message


@pytest.mark.parametrize("said", ["yes", "YES", "1", "true", "y", "نعم"])
def test_an_opt_out_is_read_in_any_writing(said: str) -> None:
    (row,) = _read(f"phone,opted_out\n+966501234567,{said}\n")
    assert isinstance(row, NewContact)
    assert row.opted_out


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "no column 'phone'"),
        (b"\n\n", "no column 'phone'"),
        (b"name,city\nSara,Riyadh\n", "no column 'phone'"),
        (b"phone,name,name\n", "twice"),
        (b"phone,na\0me\n", "null character"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe", "UTF-8"),
        (b"PK\x03\x04\x14\x00\x06\x00\x08\x00\x00\x00!\x00\xff\xa4", "UTF-8"),
        ("phone,name\n+966501234567,سارة\n".encode("utf-16"), "UTF-8"),
        ("phone,name\n+966501234567,سارة\n".encode("cp1256"), "UTF-8"),
        (b"phone,name\n+966501234567," + b"x" * 200_000 + b"\n", "not CSV"),
        (b"x" * 300_000, "not CSV"),
    ],
)
def test_a_file_that_is_none_is_refused(body: bytes, says: str) -> None:
    with pytest.raises(Invalid, match=says) as refused:
        _read(body)
    assert refused.value.field == "file"


@given(
    st.one_of(
        st.binary(max_size=400),
        st.text(max_size=400).map(lambda text: text.encode("utf-8", "ignore")),
        st.text(alphabet='phone,;\t"\r\n+96650123٠١٢\0\ufeff', max_size=200).map(
            lambda text: b"phone," + text.encode()
        ),
    )
)
@example(b'phone,"\n')
@example(b'phone\n"\n\n\n')
@example(b"phone\n+" + b"9" * 300)
def test_whatever_the_bytes_the_answer_is_rows_or_invalid(body: bytes) -> None:
    try:
        rows = _read(body)
    except Invalid:
        return
    assert all(isinstance(row, NewContact | Rejected) for row in rows)


# ---- importing ----------------------------------------------------------------------------------------------


async def _import(platform: Platform, body: str) -> Import:
    rows = read_csv(io.BytesIO(body.encode()), country="SA")
    return await contacts.import_rows(platform.database, platform.clock, platform.key, rows, filename="people.csv")


def _file(numbers: Iterator[int] | range) -> str:
    return "phone,name,tags\n" + "".join(f"+9665{one:08d},Person {one},vip\n" for one in numbers)


async def _people(platform: Platform) -> list[tuple[str, str]]:
    async with platform.database.reading() as tx:
        rows = await tx.execute(
            select(Identity.value, Contact.name)
            .join(Contact, Contact.id == Identity.contact_id)
            .order_by(Identity.value)
        )
        found = [(row.value, row.name) for row in rows]
        assert (await tx.execute(select(func.count()).select_from(Contact))).scalar_one() == len(found)
    return found


async def test_the_report_tells_of_every_row(platform: Platform) -> None:
    job = await _import(
        platform,
        "phone,name\n+966501234567,Sara\nwrong,Ali\n+966501234567,Sara again\n+966501234568,Omar\nshort\n",
    )
    assert (job.state, job.rows, job.created, job.updated, job.rejected) == ("finished", 5, 2, 1, 2)
    assert [(one["row"], one["field"]) for one in job.report] == [(2, "phone"), (5, "row")]
    assert job.finished_at is not None
    assert await _people(platform) == [("+966501234567", "Sara again"), ("+966501234568", "Omar")]


async def test_giving_the_file_again_changes_nothing(platform: Platform) -> None:
    body = _file(range(700))
    first, again = await _import(platform, body), await _import(platform, body)
    assert (first.created, first.updated) == (700, 0)
    assert (again.created, again.updated) == (0, 700)
    assert len(await _people(platform)) == 700
    async with platform.database.reading() as tx:
        assert (await tx.execute(select(func.count()).select_from(ContactTag))).scalar_one() == 700


async def test_what_is_known_of_a_person_is_added_to(platform: Platform) -> None:
    await _import(platform, "phone,name,tags,city\n+966501234567,Sara,vip,Riyadh\n")
    await _import(platform, "phone,name,tags,size\n+966501234567,,new,M\n")
    async with platform.database.reading() as tx:
        card = await contacts.card(tx, 1)
    assert card.contact.name == "Sara"
    assert card.contact.attributes == {"city": "Riyadh", "size": "M"}
    assert list(card.tags) == ["new", "vip"]
    assert list(card.identities) == [Address("phone", "+966501234567")]
    assert not card.suppressed


async def test_two_rows_of_one_person_add_up_wherever_they_stand(platform: Platform) -> None:
    twice = "+966501234567,Sara,vip,Riyadh,yes\n+966501234567,,new,,\n"
    await _import(platform, "phone,name,tags,city,opted_out\n" + twice)
    async with platform.database.reading() as tx:
        card = await contacts.card(tx, 1)
    assert (card.contact.name, card.contact.attributes, list(card.tags)) == ("Sara", {"city": "Riyadh"}, ["new", "vip"])
    assert card.suppressed


async def test_an_opt_out_in_the_file_is_kept_when_a_later_file_is_silent(platform: Platform) -> None:
    await _import(platform, "phone,opted_out\n+966501234567,yes\n")
    await _import(platform, "phone,opted_out\n+966501234567,no\n")
    async with platform.database.reading() as tx:
        assert (await contacts.card(tx, 1)).suppressed
        assert (await tx.execute(select(func.count()).select_from(Suppression))).scalar_one() == 1


async def test_a_process_that_died_between_chunks_is_made_good_by_importing_again(platform: Platform) -> None:
    class Died(BaseException):
        pass

    def dying() -> Iterator[NewContact | Rejected]:
        for place, row in enumerate(read_csv(io.BytesIO(_file(range(1_200)).encode()), country="SA")):
            if place == 700:
                raise Died
            yield row

    with pytest.raises(Died):
        await contacts.import_rows(platform.database, platform.clock, platform.key, dying(), filename="people.csv")
    assert len(await _people(platform)) == 500
    job = await _import(platform, _file(range(1_200)))
    assert (job.created, job.updated) == (700, 500)
    assert len(await _people(platform)) == 1_200


async def test_a_file_that_ends_in_rubbish_keeps_what_was_taken_and_says_so(platform: Platform) -> None:
    body = _file(range(600)).encode() + b"\xff\xfe\xff" + b"\n" * 20_000
    rows = read_csv(io.BytesIO(body), country="SA")
    with pytest.raises(Invalid):
        await contacts.import_rows(platform.database, platform.clock, platform.key, rows, filename="people.csv")
    async with platform.database.reading() as tx:
        job = (await tx.execute(select(Import))).scalar_one()
    assert (job.state, job.rows) == ("failed", 500)
    assert job.finished_at is not None


async def test_one_event_per_chunk_that_names_nobody(platform: Platform) -> None:
    await _import(platform, _file(range(600)))
    async with platform.database.reading() as tx:
        told = (await tx.execute(select(Event.data).order_by(Event.id))).scalars().all()
    assert told == [
        {"import_id": 1, "created": 500, "updated": 0, "rejected": 0},
        {"import_id": 1, "created": 100, "updated": 0, "rejected": 0},
    ]


async def test_the_same_numbers_from_many_sides_make_one_person_each(platform: Platform) -> None:
    chance = random.Random(3)
    numbers = list(range(300))

    async def bring() -> None:
        mine = chance.sample(numbers, 250)
        await _import(platform, _file(iter(mine)))

    async def write_in() -> None:
        for one in chance.sample(numbers, 40):
            async with platform.database.transaction() as tx:
                await contacts.who(
                    tx,
                    platform.key,
                    [Address("phone", f"+9665{one:08d}"), Address("lid", str(one))],
                    name="",
                    at=await platform.clock.now(tx),
                )

    await asyncio.gather(bring(), bring(), bring(), write_in(), write_in())
    async with platform.database.reading() as tx:
        per_number = await tx.execute(select(func.count()).where(Identity.kind == "phone").group_by(Identity.value))
        assert set(per_number.scalars()) == {1}
        people = (await tx.execute(select(func.count()).select_from(Contact))).scalar_one()
        owners = (await tx.execute(select(func.count(func.distinct(Identity.contact_id))))).scalar_one()
    assert people == owners <= 300


async def test_a_contact_that_is_not_there_is_said_so(platform: Platform) -> None:
    async with platform.database.reading() as tx:
        with pytest.raises(NotFound):
            await contacts.card(tx, 5)


async def test_cards_come_page_by_page(platform: Platform) -> None:
    await _import(platform, _file(range(7)) + "+966511111111,Other,\n")
    async with platform.database.reading() as tx:
        first = await contacts.cards(tx, after=0, limit=5)
        then = await contacts.cards(tx, after=first[-1].contact.id, limit=5)
        tagged = await contacts.cards(tx, after=0, limit=50, tag="vip")
    assert [len(first), len(then), len(tagged)] == [5, 3, 7]

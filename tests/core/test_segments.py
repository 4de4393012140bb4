"""Segments: kept as text, counted live, and not deleted under a campaign."""

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import sqlite

import scenes
from core import attributes, audiences, campaigns, contacts, profiles, segments
from core.bootstrap import Platform
from core.contacts import NewContact
from core.database import is_postgres
from core.errors import Conflict, Invalid, NotFound
from core.filters_text import parse
from core.profiles import Changes


async def _segment(platform: Platform, text: str = "TAG='vip'", name: str = "VIPs") -> int:
    async with platform.database.transaction() as tx:
        return (await segments.create(tx, name=name, filter=parse(text), at=await platform.clock.now(tx))).id


async def test_a_segment_is_asked_anew_each_time(platform: Platform) -> None:
    segment_id = await _segment(platform)
    for total in (3, 5):
        await scenes.people(platform, total, tags=["vip"])
        async with platform.database.reading() as tx:
            segment = await segments.get(tx, segment_id)
            assert segment.filter == 'tag = "vip"'
            now = await platform.clock.now(tx)
            assert await segments.count(tx, segments.structure(segment), at=now) == total
            sample = await segments.sample(tx, segments.structure(segment), at=now)
            assert list(sample) == list(range(total, 0, -1))


@pytest.mark.parametrize(
    "wanted",
    [
        'tag = "vip"',
        'not tag = "vip"',
        'tag in ("vip", "new")',
        'tag contains "i"',
        'tag = "new" or name = "Person 3"',
    ],
)
async def test_a_count_is_of_those_who_are_chosen(platform: Platform, wanted: str) -> None:
    await scenes.people(platform, 4, tags=["vip", "old"])
    await scenes.people(platform, 3, tags=["new"], start=4)
    await scenes.people(platform, 2, start=7)
    async with platform.database.reading() as tx:
        now = await platform.clock.now(tx)
        who = (await tx.execute(await audiences.chosen(tx, parse(wanted), at=now))).scalars().all()
        assert 0 < len(who) < 9
        assert await segments.count(tx, parse(wanted), at=now) == len(who)


async def test_a_count_by_a_tag_reads_who_has_it_and_not_everybody(platform: Platform) -> None:
    async with platform.database.reading() as tx:
        if is_postgres(tx):
            return  # which finds that way by itself, where it is the shorter one
        who = await audiences.chosen(tx, parse('tag = "vip"'), at=await platform.clock.now(tx), reads_all=True)
        sql = str(who.compile(compile_kwargs={"literal_binds": True}, dialect=sqlite.dialect()))
        rows = (await tx.execute(text(f"EXPLAIN QUERY PLAN {sql}"))).all()
        assert not [row for row in rows if row[3].startswith("SCAN contact")]


async def test_a_name_is_one_segments(platform: Platform) -> None:
    segment_id = await _segment(platform)
    with pytest.raises(Conflict, match="named 'VIPs' already"):
        await _segment(platform)
    with pytest.raises(Invalid):
        await _segment(platform, name=" ")
    with pytest.raises(Invalid, match="in quotes"):
        await _segment(platform, "tag = 5", name="other")
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        changed = await segments.change(tx, segment_id, name="Very", filter=parse("has tag"), at=now)
        assert (changed.name, changed.filter) == ("Very", "has tag")
        assert [one.name for one in await segments.listed(tx, after=0, limit=5)] == ["Very"]


async def test_a_segment_in_use_is_not_deleted(platform: Platform) -> None:
    segment_id = await _segment(platform)
    async with platform.database.transaction() as tx:
        await audiences.check(tx, {"segment": segment_id})
        with pytest.raises(Invalid, match="no segment 99"):
            await audiences.check(tx, {"segment": 99})
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    async with platform.database.transaction() as tx:
        (await campaigns.get(tx, campaign.id)).audience = {"segment": segment_id}
    async with platform.database.transaction() as tx:
        with pytest.raises(Conflict, match="is draft"):
            await segments.delete(tx, segment_id, at=await platform.clock.now(tx))
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await campaigns.cancel(tx, campaign.id, at=now)
        await segments.delete(tx, segment_id, at=now)
        with pytest.raises(NotFound):
            await segments.get(tx, segment_id)


@pytest.mark.parametrize("audience", [{}, {"all": 1}, {"tag": " "}, {"tag": "a", "all": True}, {"segment": True}])
async def test_an_audience_that_is_none(platform: Platform, audience: dict[str, object]) -> None:
    async with platform.database.reading() as tx:
        with pytest.raises(Invalid, match="An audience is"):
            await audiences.check(tx, audience)


@pytest.mark.parametrize(
    ("kind", "given", "kept"),
    [
        ("text", "٥", "٥"), ("text", 5, "5"), ("text", True, "true"), ("number", " ٠١٨٫٥٠ ", "18.5"),
        ("number", -0.0, "0"), ("number", 7, "7"), ("date", "2026-01-31", "2026-01-31"),
        ("date", "20260131", "2026-01-31"),
        ("boolean", "Yes", "true"), ("boolean", "لا", "false"), ("boolean", False, "false"), ("date", "", ""),
    ],
)  # fmt: skip
def test_one_writing_for_each_value(kind: str, given: object, kept: str) -> None:
    assert attributes.convert(kind, given, name="x") == kept


@pytest.mark.parametrize(
    ("kind", "given"),
    [("number", "many"), ("number", "1e5"), ("number", "1" * 16), ("date", "31/01/2026"), ("date", 5),
     ("boolean", "maybe")],
)  # fmt: skip
def test_a_value_of_another_kind_is_refused(kind: str, given: object) -> None:
    with pytest.raises(Invalid) as refused:
        attributes.convert(kind, given, name="x")
    assert refused.value.field == "attributes.x"


async def test_a_profile_is_changed_by_hand(platform: Platform) -> None:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await attributes.declare(tx, "age", "number")
        one = NewContact("+966501234567", "Sara", "ar", ("a", "b"), {"city": "Riyadh", "x": "1"})
        contact_id, _ = await contacts.add(tx, platform.key, one, at=now)
        changes = Changes(
            name="Nora",
            language="",
            timezone="Asia/Riyadh",
            attributes={"age": "٣٠", "x": None, "shoe size": 40},
            tags=["b", "c"],
        )
        await profiles.change(tx, contact_id, changes, at=now)
        card = await contacts.card(tx, contact_id)
        assert (card.contact.name, card.contact.language, card.contact.timezone) == ("Nora", None, "Asia/Riyadh")
        assert card.contact.attributes == {"city": "Riyadh", "age": "30", "shoe size": "40"}
        assert list(card.tags) == ["b", "c"]
        assert await attributes.listed(tx) == {"age": "number", "shoe size": "text"}
        for wrong in (
            Changes(timezone="Mars/Base"),
            Changes(timezone="../etc/passwd"),
            Changes(attributes={"age": "x"}),
        ):
            with pytest.raises(Invalid):
                await profiles.change(tx, contact_id, wrong, at=now)

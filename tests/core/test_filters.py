"""Filters: read, written, and the same people on both databases as in plain Python."""

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import phonenumbers
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from sqlalchemy import insert

import scenes
from core import attributes, audiences, contacts, countries, filters
from core.bootstrap import Platform
from core.contacts import NewContact
from core.errors import Invalid
from core.filters import And, Compare, Filter, Has, InCampaign, Not, Or, from_json, to_json
from core.filters_text import parse, write
from core.models import Chat, Recipient

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)

# ---- text and structure -------------------------------------------------------------------------------------

EXAMPLE = (
    'tag = "vip" and not tag = "staff" and city in ("Riyadh", "جدة") and age >= 18 and created > "2026-01-01"'
    ' and (country = "SA" or has email)'
)


def test_the_example_is_understood_and_written_back() -> None:
    found = parse(EXAMPLE)
    assert write(found) == EXAMPLE
    assert isinstance(found, And)
    assert found.parts[1] == Not(Compare("tag", "=", ("staff",)))
    assert found.parts[2] == Compare("city", "in", ("Riyadh", "جدة"), is_attribute=True)
    assert found.parts[5] == Or((Compare("country", "=", ("SA",)), Has("email", is_attribute=True)))


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("TAG='a' AND Age>=1.50", 'tag = "a" and Age >= 1.5'),
        ('((tag = "a")) and (tag = "b" and tag = "c")', 'tag = "a" and tag = "b" and tag = "c"'),
        ('city not in ("a")', 'not city in ("a")'),
        ("not not has `first name`", "not not has `first name`"),
        ("`tag` = true or received( 12 )", "`tag` = true or received(12)"),
        (r'name contains "say \"hi\" \\"', r'name contains "say \"hi\" \\"'),
        ("a = 1 or b = 2 and c = 3", "a = 1 or (b = 2 and c = 3)"),
    ],
)
def test_one_writing_for_what_means_the_same(text: str, canonical: str) -> None:
    assert write(parse(text)) == canonical
    assert parse(canonical) == parse(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Expected a condition at character 1, found the end."),
        ("tag", "Expected =, !=, <, <=, >, >=, in or contains at character 4, found the end."),
        ("tag = vip", "at character 7, found 'vip'."),
        ('(tag = "a"', "Expected ) at character 11, found the end."),
        ('tag = "a" tag = "b"', "Expected and, or, or the end at character 11, found 'tag'."),
        ('tag = "a"; DROP TABLE contacts', "at character 10, found ';'."),
        ("city in ()", "at character 10, found ')'."),
        ("received(x)", "Expected the id of a campaign at character 10, found 'x'."),
        ("received(99999999999999999999)", "id of a campaign at character 10"),
        ("age > 1234567890123456", "at most 15 digits"),
        ('name = "a\0b"', "without null characters"),
        ("(" * 11 + "has a" + ")" * 11, "nested more than 10 deep"),
        ("not " * 400 + "has a", "nested more than 10 deep"),
        (" and ".join(["has a"] * 51), "more than 50 conditions"),
        ("x" * 2_001, "2001 characters; 2000 are allowed"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, says: str) -> None:
    with pytest.raises(Invalid, match=re.escape(says)) as refused:
        parse(text)
    assert refused.value.field == "filter"


@pytest.mark.parametrize(
    "given",
    [
        None, [], "tag", {}, {"all": []}, {"all": {}}, {"field": "city", "op": "=", "value": "x"},
        {"field": "tag", "op": "like", "value": "x"}, {"field": "tag", "op": "=", "value": None},
        {"field": "tag", "op": "=", "value": ["x"]}, {"field": "tag", "op": "in", "value": "x"},
        {"attribute": "a`b", "op": "has"}, {"attribute": "a", "op": "=", "value": float("nan")},
        {"attribute": "a", "op": "=", "value": 10**20}, {"attribute": "a", "op": "=", "value": 0.1234567},
        {"campaign": True, "op": "read"}, {"campaign": 0, "op": "read"}, {"campaign": 1, "op": "seen"},
        {"not": {"field": "tag", "op": "has"}, "and": 1},
        {"field": "tag", "attribute": "x", "op": "has"},
    ],
)  # fmt: skip
def test_a_structure_that_is_none_is_refused(given: object) -> None:
    with pytest.raises(Invalid):
        from_json(given)


_names = st.sampled_from(["city", "age", "born", "member", "note", "tag", "first name", "and", "read", "مدينة"])
_texts = st.sampled_from(
    [
        "vip",
        "staff",
        "",
        "a",
        "A",
        "Riyadh",
        "جدة",
        "18",
        "2026-01-01",
        "true",
        "SA",
        "CA",
        "ar",
        "Asia/Riyadh",
        "é",
        "%_",
    ]
)
_numbers = st.sampled_from([0, 1, 18, -3, 18.5, 0.1, 999999999999999, 0.000001])
_times = st.sampled_from(
    ["2026-01-01", "2026-11-22", "today", "10 days ago", "2026-11-20T10:00:00Z", "soon", "0001-01-01"]
)
_ops = st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "contains"])
_values = st.one_of(_texts, _numbers, st.booleans(), _times)
_leaves: st.SearchStrategy[Filter] = st.one_of(
    st.builds(lambda f, op, v: Compare(f, op, (v,)), st.sampled_from(filters.FIELDS), _ops, _values),
    st.builds(lambda f, op, v: Compare(f, op, (v,)), st.sampled_from(["created", "last_seen"]), _ops, _times),
    st.builds(
        lambda f, v: Compare(f, "in", tuple(v)),
        st.sampled_from(filters.FIELDS),
        st.lists(_texts, min_size=1, max_size=3),
    ),
    st.builds(lambda f, op, v: Compare(f, op, (v,), is_attribute=True), _names, _ops, _values),
    st.builds(
        lambda f, v: Compare(f, "in", tuple(v), is_attribute=True), _names, st.lists(_values, min_size=1, max_size=3)
    ),
    st.builds(Has, st.sampled_from(filters.FIELDS)),
    st.builds(lambda f: Has(f, is_attribute=True), _names),
    st.builds(InCampaign, st.sampled_from(["sent", "received", "read", "replied"]), st.integers(1, 3)),
)
_filters: st.SearchStrategy[Filter] = st.recursive(
    _leaves,
    lambda some: st.one_of(
        st.builds(Not, some),
        st.lists(some, min_size=1, max_size=3).map(lambda parts: filters.joined(And, parts)),
        st.lists(some, min_size=1, max_size=3).map(lambda parts: filters.joined(Or, parts)),
    ),
    max_leaves=6,
)


@given(_filters)
def test_text_and_structure_both_give_the_same_filter_back(one: Filter) -> None:
    try:
        filters.check(one)
    except Invalid:
        return
    assert parse(write(one)) == one
    assert from_json(to_json(one)) == one


# ---- countries ----------------------------------------------------------------------------------------------


def test_a_number_belongs_to_its_country_and_to_no_other() -> None:
    shown = 0
    for region in phonenumbers.SUPPORTED_REGIONS:
        try:
            begins = countries.prefixes(region)
        except Invalid:
            assert region != phonenumbers.region_codes_for_country_code(phonenumbers.country_code_for_region(region))[0]
            continue
        for kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE):
            if number := phonenumbers.example_number_for_type(region, kind):
                text = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
                assert text.startswith(begins)
                others = {other for other in ("US", "CA", "KZ", "RU", "SA", "EG", "GB") if other != region}
                assert not any(text.startswith(countries.prefixes(other)) for other in others)
                shown += 1
    assert shown > 400


@pytest.mark.parametrize("country", ["SA", "US", "CA", "JM", "KZ", "RU"])
def test_the_spans_of_a_country_hold_its_numbers_and_no_others(country: str) -> None:
    begins = countries.prefixes(country)
    spans = countries.spans(begins)
    assert all(spans[place][1] < spans[place + 1][0] for place in range(len(spans) - 1))
    for first in ("+1", "+7", "+96"):
        for digits in range(1000):
            text = f"{first}{digits:03}5550123"
            assert any(start <= text < after for start, after in spans) == text.startswith(begins), text


@pytest.mark.parametrize("country", ["XX", "", "JE", "966"])
def test_a_country_that_cannot_be_told_is_refused(country: str) -> None:
    with pytest.raises(Invalid):
        countries.prefixes(country)


# ---- the same people everywhere -----------------------------------------------------------------------------

KINDS = {"city": "text", "age": "number", "born": "date", "member": "boolean"}


@dataclass
class Person:
    id: int = 0
    phone: str = ""
    name: str = ""
    language: str | None = None
    tags: tuple[str, ...] = ()
    attributes: dict[str, str] = field(default_factory=dict)
    created: datetime = NOW
    seen: list[datetime] = field(default_factory=list)
    campaigns: dict[int, tuple[str, int, bool]] = field(default_factory=dict)


def _world() -> list[Person]:
    day = timedelta(days=1)
    return [
        Person(phone="+966501234567", name="نورة", language="ar", tags=("vip",),
               attributes={"city": "Riyadh", "age": "18"}),
        Person(phone="+966501234568", name="Sara", tags=("vip", "staff"),
               attributes={"city": "جدة", "age": "18.5"}),
        Person(phone="+12042345678", name="A", language="a",
               attributes={"age": "x", "born": "2026-01-01", "note": "18"}),
        Person(phone="+12012345678", name="a",
               attributes={"member": "true", "note": "-3", "first name": "a", "tag": "18"}),
        Person(phone="+77012345678", created=NOW - 400 * day,
               attributes={"age": "1.2.3", "note": "999999999999999"}),
        Person(phone="+79012345678", created=datetime(2026, 1, 1, tzinfo=UTC),
               attributes={"age": "-", "born": "2026-1-1"}),
        Person(phone="+447911123456", created=datetime(2026, 1, 2, tzinfo=UTC),
               attributes={"مدينة": "vip", "and": "a"}),
        Person(phone="+966501234569", seen=[NOW - 10 * day, NOW - 30 * day],
               attributes={"age": "1\n", "note": "%_"}),
        Person(phone="+966501234560", seen=[datetime(2026, 11, 20, 10, tzinfo=UTC)], campaigns={1: ("sent", 2, True)}),
        Person(phone="+966501234561", seen=[NOW], campaigns={1: ("sent", 1, False), 2: ("skipped", 0, False)}),
        Person(phone="+966501234562", tags=("A",), campaigns={2: ("sent", 3, False)},
               attributes={"note": "0.1", "read": "true"}),
        Person(phone="+966501234563", tags=("é",),
               attributes={"age": "0000000000000018", "note": "A", "member": "yes"}),
    ]  # fmt: skip


async def _peopled(platform: Platform) -> list[Person]:
    world = _world()
    senders = [await scenes.a_sender(platform, name=name) for name in ("one", "two")]
    for number in (1, 2):
        await scenes.a_campaign(platform, senders[0], name=f"campaign {number}")
    async with platform.database.transaction() as tx:
        for name, kind in KINDS.items():
            await attributes.declare(tx, name, kind)
        for one in world:
            new = NewContact(one.phone, one.name, one.language, one.tags, one.attributes)
            one.id, _ = await contacts.add(tx, platform.key, new, at=one.created)
            for sender, seen in zip(senders, one.seen, strict=False):
                await tx.execute(insert(Chat).values(sender_id=sender.id, contact_id=one.id, last_in_at=seen))
            for campaign_id, (state, receipt, replied) in one.campaigns.items():
                row = {"campaign_id": campaign_id, "contact_id": one.id, "state": state, "receipt": receipt}
                row |= {"occurrence": 0, "attempts": 0, "replied_at": NOW if replied else None}
                await tx.execute(insert(Recipient).values(**row))
    return world


async def _chosen(platform: Platform, one: Filter) -> set[int] | None:
    async with platform.database.reading() as tx:
        try:
            query = await audiences.chosen(tx, one, at=NOW)
        except Invalid:
            return None
        return set((await tx.execute(query)).scalars())


def _day(value: Any) -> date | None:
    if value == "today":
        return NOW.date()
    if value == "10 days ago":
        return NOW.date() - timedelta(days=10)
    return date.fromisoformat(value) if value in ("2026-01-01", "2026-11-22") else None


def _holds(one: Filter, person: Person) -> bool:
    """What a filter means, said once more without SQL."""
    match one:
        case And(parts):
            return all(_holds(part, person) for part in parts)
        case Or(parts):
            return any(_holds(part, person) for part in parts)
        case Not(part):
            return not _holds(part, person)
        case InCampaign(how, campaign_id):
            state, receipt, replied = person.campaigns.get(campaign_id, ("", 0, False))
            return {"sent": state == "sent", "received": receipt >= 2, "read": receipt >= 3, "replied": replied}[how]
        case Has(name, True):
            return bool(person.attributes.get(name))
        case Has(name):
            return bool(_known(name, person))
        case Compare(name, "!=", values, is_attribute):
            return not _holds(Compare(name, "=", values, is_attribute), person)
        case Compare("created" | "last_seen" as name, op, values):
            return any(_in_time(moment, op, value) for moment in _known(name, person) for value in values)
        case Compare("country", _, values):
            return any(person.phone.startswith(countries.prefixes(value)) for value in values)
        case Compare(name, op, values, is_attribute):
            known = [person.attributes[name]] if is_attribute and name in person.attributes else []
            known = known if is_attribute else _known(name, person)
            return any(
                _fits(text, op, value, KINDS.get(name) if is_attribute else "") for text in known for value in values
            )
    raise AssertionError(one)


def _known(name: str, person: Person) -> list[Any]:
    known: dict[str, list[Any]] = {
        "tag": list(person.tags),
        "name": [person.name] if person.name else [],
        "language": [person.language] if person.language else [],
        "timezone": [],
        "country": [person.phone],
        "created": [person.created],
        "last_seen": [max(person.seen)] if person.seen else [],
    }
    if name == "name" and not person.name:
        return []
    return known[name]


def _compared(left: Any, op: str, right: Any) -> bool:
    return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}.get(op, left == right))


def _in_time(moment: datetime, op: str, value: Any) -> bool:
    if day := _day(value):
        return _compared(moment.date(), op, day)
    return _compared(moment, op, datetime.fromisoformat(value))


def _fits(text: str, op: str, value: Any, kind: str | None) -> bool:
    if isinstance(value, bool):
        return text == ("true" if value else "false")
    if isinstance(value, int | float):
        is_number = re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text) and len(re.sub("[-.]", "", text)) <= 15
        return bool(is_number) and _compared(float(text), op, float(value))
    if op == "contains":
        return value in text
    if kind == "date" or op not in ("=", "in"):
        return bool(re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text)) and _compared(text, op, str(_day(value)))
    return text == value


_SLOWLY = effort(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
def filters_seen() -> list[bool]:
    return []


async def test_the_database_chooses_whom_plain_python_does(platform: Platform) -> None:
    world = await _peopled(platform)
    tried: list[Filter] = []

    @effort(max_examples=250, deadline=None, database=None)
    @given(_filters)
    def collect(one: Filter) -> None:
        tried.append(one)

    collect()
    compared = 0
    for one in [parse(EXAMPLE), *tried]:
        found = await _chosen(platform, one)
        if found is not None:
            assert found == {person.id for person in world if _holds(one, person)}, write(one)
            compared += 1
    assert compared > 40


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tag = 5", "has to be in quotes"),
        ('tag > "a"', "compares texts by"),
        ('name contains ""', "at least one character"),
        ('created > "soon"', "is a time"),
        ("born = 5", "is a date"),
        ('age = "old"', "is a number"),
        ("member > true", "true or false"),
        ('city > "a"', "compared with a date"),
        ('age in (1, "x")', "different kinds"),
        ('country = "XX"', "no country"),
    ],
)
async def test_a_value_that_does_not_fit_is_told(platform: Platform, text: str, says: str) -> None:
    async with platform.database.transaction() as tx:
        for name, kind in KINDS.items():
            await attributes.declare(tx, name, kind)
        with pytest.raises(Invalid, match=says):
            await audiences.check(tx, {"filter": text})


_WORDS = """
    tag city created `x` = != >= in not and or has ( ) , "a" ' " 1 -1.5 true read (1) "2026-01-01" contains ; -- % جدة
    \\ country "SA" born "today" "1 day ago" last_seen
"""
_SOUP = st.lists(st.sampled_from([*_WORDS.split(), "\0"]), max_size=12).map(" ".join)


async def test_any_text_is_refused_or_runs(platform: Platform) -> None:
    tried: list[str] = []

    @effort(max_examples=300, deadline=None, database=None)
    @given(st.one_of(_SOUP, st.text(max_size=60)))
    @example('tag = "\'); DROP TABLE contacts; --"')
    def collect(text: str) -> None:
        tried.append(text)

    collect()
    for text in tried:
        async with platform.database.reading() as tx:
            try:
                query = await audiences.members(tx, {"filter": text})
            except Invalid:
                continue
            await tx.execute(query)

"""A filter as a condition on `contacts`. Only SQLAlchemy expressions and bound values: text never becomes SQL.

Every condition is true or false, never unknown: a person without a value fits no comparison but `!=`, which is the
same as `not … =`. Letters count as they are written on both databases; days are those of UTC.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Double,
    Integer,
    SQLColumnExpression,
    Text,
    and_,
    case,
    cast,
    collate,
    exists,
    false,
    func,
    literal,
    not_,
    null,
    or_,
    select,
    true,
)

from core import countries
from core.errors import Invalid
from core.filters import MAX_DIGITS, And, Compare, Filter, Has, InCampaign, Not, Or, Reached, Value
from core.models import Chat, Contact, ContactTag, Identity, Recipient, Sender

Condition = ColumnElement[bool]
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_GLOB_DAY = "-".join(("[0-9]" * 4, "[0-9]" * 2, "[0-9]" * 2))
_DAYS_AGO = re.compile(r"([0-9]{1,5}) days? ago")
_MAX_SPANS = 16  # each is compared with, row by row
_RECEIPT = {"received": 2, "read": 3}
_TEXTS = {"name": Contact.name, "language": Contact.language, "timezone": Contact.timezone}


@dataclass(frozen=True, slots=True)
class About:
    """What compiling has to know: the database, the kinds of attributes, and what `"30 days ago"` counts from.
    `reads_all`: everybody whom it chooses is read at once, not some of them in order."""

    is_postgres: bool
    kinds: Mapping[str, str]
    now: datetime
    sees_numbers: bool = True
    """False: a text that answers show masked counts as not there, since comparing it again and again would tell it."""
    reads_all: bool = False


def condition(one: Filter, about: About) -> Condition:
    """Raises `Invalid` where a value does not fit its field."""
    match one:
        case And(parts):
            return and_(*(condition(part, about) for part in parts))
        case Or(parts):
            return or_(*(condition(part, about) for part in parts))
        case Not(part):
            return not_(condition(part, about))
        case InCampaign(how, campaign_id):
            return _in_campaign(how, campaign_id)
        case Has(field, is_attribute):
            return _has_attribute(field) if is_attribute else _has(field)
        case Compare(op="!="):
            return not_(_compare(Compare(one.field, "=", one.values, one.is_attribute), about))
        case Compare():
            return _compare(one, about)


def _compare(one: Compare, about: About) -> Condition:
    if one.is_attribute:
        return _attribute(one, about)
    match one.field:
        case "tag":
            return _belongs(ContactTag.tag, ContactTag.contact_id, one, about)
        case "country":
            is_of = [_is_of(value, about) for value in _equal_texts(one)]
            return _there_is(Identity.contact_id == Contact.id, Identity.kind == "phone", or_(false(), *is_of))
        case "created":
            return _in_time(one, about.now, since=lambda moment: Contact.created_at >= moment)
        case "last_seen":
            return and_(_seen(), _in_time(one, about.now, since=lambda moment: _seen(Chat.last_in_at >= moment)))
        case _:
            return _text(_TEXTS[one.field], one, about)


def _is_of(country: str, about: About) -> Condition:
    """By the span in which its numbers lie: the database knows how many that are, and so how to join. The many areas
    of a country within +1 are looked up in one list, within one span around them."""
    begins = countries.prefixes(country)
    spans = countries.spans(begins)
    number = collate(Identity.value, "C") if about.is_postgres else Identity.value
    if len(spans) <= _MAX_SPANS:
        return or_(false(), *(and_(number >= first, number < after) for first, after in spans))
    areas = func.substr(Identity.value, 1, len(begins[0])).in_(begins)
    return and_(number >= spans[0][0], number < spans[-1][1], areas)


def _there_is(*conditions: ColumnElement[bool]) -> Condition:
    """The query around it may read the same tables; what is looked for belongs to the person only."""
    return exists().where(*conditions).correlate(Contact)


def _has(field: str) -> Condition:
    match field:
        case "tag":
            return _there_is(ContactTag.contact_id == Contact.id)
        case "country":
            return _there_is(Identity.contact_id == Contact.id, Identity.kind == "phone")
        case "created":
            return Contact.created_at.is_not(None)
        case "last_seen":
            return _seen()
        case _:
            return _known(_TEXTS[field] != "")


def _known(comparison: ColumnElement[bool]) -> Condition:
    return case((comparison, true()), else_=false())


# ---- texts --------------------------------------------------------------------------------------------------


def _text(value: SQLColumnExpression[Any], one: Compare, about: About) -> Condition:
    return _known(_compared(value, one, about))


def _compared(value: SQLColumnExpression[Any], one: Compare, about: About) -> ColumnElement[bool]:
    value = _shown(value, about)
    if one.op == "contains":
        return _position(value, _part(one), about) > 0
    return value.in_(_equal_texts(one))


def _shown(value: SQLColumnExpression[Any], about: About) -> SQLColumnExpression[Any]:
    """Null for what has a phone number in it, or may have (api/masking.py), where those are hidden."""
    if about.sees_numbers:
        return value
    if about.is_postgres:
        has_number = value.regexp_match(r"\+([^0-9]*[0-9]){8}|^[0-9]{9,}$|[0-9]@c\.us")
    else:
        has_number = or_(
            func.glob("*+" + "*[0-9]" * 8 + "*", value) == 1,
            and_(func.glob("*[^0-9]*", value) == 0, func.length(value) >= 9),
            func.glob("*[0-9]@c.us*", value) == 1,
        )
    return case((has_number, null()), else_=value)


def _position(value: SQLColumnExpression[Any], part: str, about: About) -> ColumnElement[int]:
    """Not LIKE: that takes a and A for the same on SQLite only."""
    return func.strpos(value, part, type_=Integer) if about.is_postgres else func.instr(value, part, type_=Integer)


def _belongs(value: SQLColumnExpression[Any], owner: SQLColumnExpression[Any], one: Compare, about: About) -> Condition:
    if about.reads_all and not about.is_postgres:  # SQLite would ask of each person; a tag is asked once who has it
        return Contact.id.in_(select(owner).where(_compared(value, one, about)))
    return _there_is(owner == Contact.id, _text(value, one, about))


def _equal_texts(one: Compare) -> list[str]:
    if one.op not in ("=", "in"):
        raise _unfit(one, "compares texts by =, !=, in and contains")
    if strange := [value for value in one.values if not isinstance(value, str)]:
        raise _unfit(one, f"is a text; {strange[0]!r} has to be in quotes")
    if "" in one.values:
        raise _unfit(one, "is compared with an empty text; say: not has …")
    return [str(value) for value in one.values]


def _part(one: Compare) -> str:
    if not isinstance(one.values[0], str) or not one.values[0]:
        raise _unfit(one, "contains a text of at least one character")
    return one.values[0]


# ---- moments ------------------------------------------------------------------------------------------------


def _in_time(one: Compare, now: datetime, *, since: Callable[[datetime], Condition]) -> Condition:
    """By "at or after" alone. A day is an interval: after it means from the next one on."""
    if one.op == "contains":
        raise _unfit(one, "is a time, which contains nothing")
    found = []
    for value in one.values:
        first, after = _interval(one, value, now)
        match one.op:
            case ">=":
                found.append(since(first))
            case ">":
                found.append(since(after))
            case "<":
                found.append(not_(since(first)))
            case "<=":
                found.append(not_(since(after)))
            case _:
                found.append(and_(since(first), not_(since(after))))
    return or_(*found)


def _interval(one: Compare, value: Value, now: datetime) -> tuple[datetime, datetime]:
    """The first moment that is meant, and the first after it."""
    if day := _day(value, now):
        first = datetime.combine(day, time(), UTC)
        return first, first + timedelta(days=1)
    try:
        moment = datetime.fromisoformat(str(value))
        if moment.tzinfo is not None and moment.year in range(2, 9999):
            return moment.astimezone(UTC), moment.astimezone(UTC) + timedelta(microseconds=1)
    except ValueError:
        pass
    raise _unfit(one, 'is a time: "2026-01-31", "2026-01-31T09:00:00Z", "today" or "30 days ago"')


def _day(value: Value, now: datetime) -> date | None:
    text = str(value)
    if text == "today":
        return now.date()
    try:
        if ago := _DAYS_AGO.fullmatch(text):
            return now.date() - timedelta(days=int(ago.group(1)))
        found = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except (ValueError, OverflowError):
        return None
    return found if found and found.year in range(2, 9999) else None


def _seen(*and_also: Condition) -> Condition:
    # By sender too: that is how the key of `chats` begins.
    return _there_is(
        Chat.sender_id.in_(select(Sender.id)), Chat.contact_id == Contact.id, Chat.last_in_at.is_not(None), *and_also
    )


def _in_campaign(how: Reached, campaign_id: int) -> Condition:
    found = select(Recipient.id).where(Recipient.contact_id == Contact.id, Recipient.campaign_id == campaign_id)
    if how == "replied":
        found = found.where(Recipient.replied_at.is_not(None))
    elif how == "sent":
        found = found.where(Recipient.state == "sent")
    else:
        found = found.where(Recipient.receipt >= _RECEIPT[how])
    # Without statistics SQLite may as well look through the whole campaign for each person.
    found = found.with_hint(Recipient, "INDEXED BY ix_recipients_contact_id", dialect_name="sqlite")
    return found.correlate(Contact).exists()


# ---- attributes ---------------------------------------------------------------------------------------------


def _has_attribute(name: str) -> Condition:
    return _known(_attribute_text(name) != "")


def _attribute_text(name: str) -> SQLColumnExpression[Any]:
    return cast(Contact.attributes[name].as_string(), Text)


def _attribute(one: Compare, about: About) -> Condition:
    """Compared as what the literal is, unless the attribute is declared to be something else."""
    text, kind = _shown(_attribute_text(one.field), about), about.kinds.get(one.field, "text")
    literals = {_kind(value) for value in one.values}
    if len(literals) > 1:
        raise _unfit(one, "is compared with values of different kinds")
    said = literals.pop()
    if said == "text" and (kind == "date" or (kind == "text" and one.op in ("<", "<=", ">", ">="))):
        return _dates(text, one, about)
    if kind not in ("text", said):
        raise _unfit(one, f"is a {kind}")
    if said == "text":
        return _text(text, one, about)
    if said == "boolean":
        if one.op not in ("=", "in"):
            raise _unfit(one, "is true or false, and compares by = and !=")
        return _known(text.in_(["true" if value else "false" for value in one.values]))
    number = _number(text, about)
    match one.op:
        case "contains":
            raise _unfit(one, "is a number, which contains nothing")
        case "in" | "=":
            return _known(number.in_([literal(float(value), Double) for value in one.values]))
        case _:
            return _known(number.bool_op(one.op)(literal(float(one.values[0]), Double)))


def _kind(value: Value) -> str:
    return "text" if isinstance(value, str) else "boolean" if isinstance(value, bool) else "number"


def _number(text: SQLColumnExpression[Any], about: About) -> ColumnElement[float]:
    """Null for what is none: `-1.5` in plain digits, no more of them than both databases count alike."""
    if about.is_postgres:
        is_number = and_(
            text.regexp_match(r"^-?[0-9]+(\.[0-9]+)?$"),
            func.length(func.translate(text, "-.", "")) <= MAX_DIGITS,
        )
    else:
        body = case((func.substr(text, 1, 1) == "-", func.substr(text, 2)), else_=text)
        is_number = and_(
            func.glob("[0-9]*", body) == 1,
            func.glob("*[0-9]", body) == 1,
            func.glob("*[^0-9.]*", body) == 0,
            func.glob("*.*.*", body) == 0,
            func.length(func.replace(body, ".", "")) <= MAX_DIGITS,
        )
    return case((is_number, cast(text, Double)))


def _dates(text: SQLColumnExpression[Any], one: Compare, about: About) -> Condition:
    """Written as 2026-01-31, dates compare as texts, byte by byte."""
    days = [_day(value, about.now) for value in one.values]
    if one.op == "contains" or None in days:
        raise _unfit(one, 'is compared with a date: "2026-01-31", "today" or "30 days ago"; or with a number')
    values = [str(day) for day in days]
    shape = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
    is_date = text.regexp_match(shape) if about.is_postgres else func.glob(_GLOB_DAY, text) == 1
    day = collate(text, "C") if about.is_postgres else text
    fits = text.in_(values) if one.op in ("=", "in") else day.bool_op(one.op)(values[0])
    return _known(and_(is_date, fits))


def _unfit(one: Compare, why: str) -> Invalid:
    return Invalid(f"{one.field} {why}.", field="filter")

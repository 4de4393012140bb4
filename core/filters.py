"""A filter over people, as a small structure; its text is in `filters_text.py`, its SQL in `filters_sql.py`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from core.errors import Invalid

Op = Literal["=", "!=", "<", "<=", ">", ">=", "in", "contains"]
Reached = Literal["sent", "received", "read", "replied"]
Value: TypeAlias = str | int | float | bool

OPS: tuple[str, ...] = get_args(Op)
REACHED: tuple[str, ...] = get_args(Reached)
FIELDS = ("tag", "name", "language", "timezone", "country", "created", "last_seen")
MAX_TEXT, MAX_CONDITIONS, MAX_DEPTH = 2_000, 50, 10
MAX_NAME, MAX_DIGITS, MAX_PLACES = 50, 15, 6
_NAME = re.compile(r'[^"`\\\0\ud800-\udfff\x00-\x1f]{1,50}')


@dataclass(frozen=True, slots=True)
class Compare:
    """`values` are several for `in` only. An attribute may have the name of a field, so that it is said which."""

    field: str
    op: Op
    values: tuple[Value, ...]
    is_attribute: bool = False


@dataclass(frozen=True, slots=True)
class Has:
    """There is any value."""

    field: str
    is_attribute: bool = False


@dataclass(frozen=True, slots=True)
class InCampaign:
    """What became of a campaign for the person: it was sent, received (delivered), read, or replied to."""

    how: Reached
    campaign_id: int


@dataclass(frozen=True, slots=True)
class Not:
    part: "Filter"


@dataclass(frozen=True, slots=True)
class And:
    parts: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class Or:
    parts: "tuple[Filter, ...]"


Filter: TypeAlias = And | Or | Not | Compare | Has | InCampaign


def joined(kind: type[And] | type[Or], parts: "list[Filter]") -> Filter:
    """One node for `a and b and c`, however it was bracketed; none at all around a single part."""
    flat: list[Filter] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, And | Or) and type(part) is kind else (part,))
    return kind(tuple(flat)) if len(flat) > 1 else flat[0]


def check(one: Filter) -> Filter:
    """The same filter; raises `Invalid` where it is larger than it may be."""
    if _depth(one) > MAX_DEPTH:
        raise Invalid(f"The filter is nested more than {MAX_DEPTH} deep.", field="filter")
    if (count := _conditions(one)) > MAX_CONDITIONS:
        raise Invalid(f"The filter has {count} conditions; {MAX_CONDITIONS} are allowed.", field="filter")
    return one


def _depth(one: Filter) -> int:
    match one:
        case And(parts) | Or(parts):
            return 1 + max(_depth(part) for part in parts)
        case Not(part):
            return 1 + _depth(part)
        case _:
            return 1


def _conditions(one: Filter) -> int:
    match one:
        case And(parts) | Or(parts):
            return sum(_conditions(part) for part in parts)
        case Not(part):
            return _conditions(part)
        case _:
            return 1


# ---- the structure as JSON ----------------------------------------------------------------------------------


def to_json(one: Filter) -> dict[str, Any]:
    """`from_json` gives the same filter back."""
    match one:
        case And(parts):
            return {"all": [to_json(part) for part in parts]}
        case Or(parts):
            return {"any": [to_json(part) for part in parts]}
        case Not(part):
            return {"not": to_json(part)}
        case InCampaign(how, campaign_id):
            return {"campaign": campaign_id, "op": how}
        case Has(field, is_attribute):
            return {"attribute" if is_attribute else "field": field, "op": "has"}
        case Compare(field, op, values, is_attribute):
            value = list(values) if op == "in" else values[0]
            return {"attribute" if is_attribute else "field": field, "op": op, "value": value}


def from_json(given: object) -> Filter:
    """Raises `Invalid`, which names the place: `filter.all[1].not.op`."""
    return check(_read(given, "filter", MAX_DEPTH))


def _read(given: object, at: str, room: int) -> Filter:
    if room < 1:
        raise Invalid(f"The filter is nested more than {MAX_DEPTH} deep.", field="filter")
    if not isinstance(given, Mapping):
        raise _wrong("an object", at)
    match dict(given):
        case {"all": list(parts), **rest} if parts and not rest:
            return joined(And, [_read(part, f"{at}.all[{n}]", room - 1) for n, part in enumerate(parts)])
        case {"any": list(parts), **rest} if parts and not rest:
            return joined(Or, [_read(part, f"{at}.any[{n}]", room - 1) for n, part in enumerate(parts)])
        case {"not": part, **rest} if not rest:
            return Not(_read(part, f"{at}.not", room - 1))
        case {"campaign": int(campaign_id), "op": how, **rest} if how in REACHED and not rest:
            return InCampaign(how, known_campaign(campaign_id, at))
        case {"op": "has", **rest} if len(rest) == 1:
            return Has(*_field(rest, at))
        case {"op": "in", "value": list(values), **rest} if values and len(rest) == 1:
            name, is_attribute = _field(rest, at)
            return Compare(name, "in", tuple(known_value(value, f"{at}.value") for value in values), is_attribute)
        case {"op": op, "value": value, **rest} if op in OPS and op != "in" and len(rest) == 1:
            name, is_attribute = _field(rest, at)
            return Compare(name, op, (known_value(value, f"{at}.value"),), is_attribute)
    raise _wrong('{"all": […]}, {"any": […]}, {"not": {…}} or {"field": "tag", "op": "=", "value": "vip"}', at)


def _field(given: Mapping[Any, object], at: str) -> tuple[str, bool]:
    match given:
        case {"field": str(name)} if name in FIELDS:
            return name, False
        case {"attribute": str(name)} if _NAME.fullmatch(name):
            return name, True
        case _:
            raise _wrong(f'"field" (one of {", ".join(FIELDS)}) or "attribute"', at)


def known_campaign(campaign_id: int, at: str) -> int:
    if isinstance(campaign_id, bool) or not 0 < campaign_id < 2**63:
        raise _wrong("the id of a campaign", at)
    return campaign_id


def known_value(value: object, at: str) -> Value:
    """The value as it is compared: a number has at most 15 digits, so that every database counts alike."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if len(value) > MAX_TEXT or re.search("[\0\ud800-\udfff]", value):
            raise _wrong("a text without null characters", at)
        return value
    if isinstance(value, int) and len(str(abs(value) if abs(value) < 10**MAX_DIGITS else 10**MAX_DIGITS)) <= MAX_DIGITS:
        return value
    if isinstance(value, float) and abs(value) < 10**MAX_DIGITS:  # neither infinite nor no number
        written = number_text(value)
        if float(written) == value and len(re.sub("[-.]", "", written)) <= MAX_DIGITS:
            return int(value) if value == int(value) else value
    raise _wrong(f"a text, true, false, or a number of at most {MAX_DIGITS} digits, {MAX_PLACES} after the point", at)


def number_text(value: float) -> str:
    return f"{value:.{MAX_PLACES}f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def is_name(text: str) -> bool:
    """Whether an attribute may be called so in a filter."""
    return bool(_NAME.fullmatch(text))


def _wrong(expected: str, at: str) -> Invalid:
    return Invalid(f"Expected {expected} at {at}.", field="filter")

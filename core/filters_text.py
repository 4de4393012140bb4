"""The text of a filter: `tag = "vip" and not city in ("Riyadh", "جدة") and age >= 18`. Read and written here."""

import re
from dataclasses import dataclass
from typing import Any, NoReturn, cast

from core.errors import Invalid
from core.filters import (
    FIELDS,
    MAX_CONDITIONS,
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_TEXT,
    REACHED,
    And,
    Compare,
    Filter,
    Has,
    InCampaign,
    Not,
    Op,
    Or,
    Value,
    check,
    is_name,
    joined,
    known_campaign,
    known_value,
    number_text,
)

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<quoted>`[^`]*`)|(?P<number>-?[0-9]+(?:\.[0-9]+)?)(?!\w)"""
    r"""|(?P<word>[^\W\d]\w*)|(?P<sign><=|>=|!=|=|<|>|\(|\)|,)|(?P<end>\Z)|(?P<stray>.))""",
    re.DOTALL,
)
_KEYWORDS = frozenset({"and", "or", "not", "in", "contains", "has", "true", "false"})
_SIGNS = ("=", "!=", "<", "<=", ">", ">=")
_EXAMPLE = 'tag = "vip" and not city in ("Riyadh", "Jeddah") and age >= 18'


def parse(text: str) -> Filter:
    """Raises `Invalid`, which says at which character what was expected."""
    if len(text) > MAX_TEXT:
        raise Invalid(f"The filter has {len(text)} characters; {MAX_TEXT} are allowed.", field="filter")
    return check(_Parser(_tokens(text)).whole())


@dataclass(frozen=True, slots=True)
class _Token:
    """`text` is what a person typed; a keyword in any case is the same keyword."""

    kind: str
    text: str
    column: int

    @property
    def keyword(self) -> str:
        folded = self.text.lower()
        return folded if self.kind == "word" and folded in _KEYWORDS else self.text if self.kind == "sign" else ""


def _tokens(text: str) -> list[_Token]:
    found, place = [], 0
    while True:
        match = cast("re.Match[str]", _TOKEN.match(text, place))  # `stray` takes whatever is left
        kind = cast(str, match.lastgroup)
        found.append(_Token(kind, match.group(kind), match.start(kind) + 1))
        place = match.end()
        if kind == "end":
            return found


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._place = 0
        self._deep = 0
        self._conditions = 0

    def whole(self) -> Filter:
        found = self._any()
        if self._next.kind != "end":
            self._expected("and, or, or the end")
        return found

    @property
    def _next(self) -> _Token:
        return self._tokens[self._place]

    def _take(self, *keywords: str) -> str | None:
        keyword = self._next.keyword
        if keyword and keyword in keywords:
            self._place += 1
            return keyword
        return None

    def _need(self, keyword: str) -> None:
        if not self._take(keyword):
            self._expected(keyword)

    def _expected(self, what: str) -> NoReturn:
        token = self._next
        seen = "the end" if token.kind == "end" else repr(token.text[:20])
        raise Invalid(
            f"Expected {what} at character {token.column}, found {seen}.", field="filter", hint=f"Example: {_EXAMPLE}"
        )

    def _any(self) -> Filter:
        parts = [self._all()]
        while self._take("or"):
            parts.append(self._all())
        return joined(Or, parts)

    def _all(self) -> Filter:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return joined(And, parts)

    def _one(self) -> Filter:
        if not (opened := self._take("not", "(")):
            return self._condition()
        self._deep += 1
        if self._deep > MAX_DEPTH:
            raise Invalid(f"The filter is nested more than {MAX_DEPTH} deep.", field="filter")
        if opened == "not":
            found: Filter = Not(self._one())
        else:
            found = self._any()
            self._need(")")
        self._deep -= 1
        return found

    def _condition(self) -> Filter:
        if self._take("has"):
            return Has(*self._field())
        if (
            self._next.kind == "word"
            and self._next.text.lower() in REACHED
            and self._tokens[self._place + 1].text == "("
        ):
            how = cast(Any, self._next.text.lower())
            self._place += 2
            if self._next.kind != "number" or not self._next.text.isdecimal():
                self._expected("the id of a campaign")
            campaign_id = known_campaign(int(self._next.text), f"character {self._next.column}")
            self._place += 1
            self._need(")")
            return InCampaign(how, campaign_id)
        field, is_attribute = self._field()
        if self._take("not"):
            self._need("in")
            return Not(Compare(field, "in", self._list(), is_attribute))
        if self._take("in"):
            return Compare(field, "in", self._list(), is_attribute)
        op = self._take(*_SIGNS, "contains")
        if not op:
            self._expected("=, !=, <, <=, >, >=, in or contains")
        return Compare(field, cast(Op, op), (self._value(),), is_attribute)

    def _field(self) -> tuple[str, bool]:
        """Between backticks it is an attribute whatever it is called."""
        token = self._next
        if token.kind == "quoted" and is_name(token.text[1:-1]):
            name, is_attribute = token.text[1:-1], True
        elif token.kind == "word" and not token.keyword and is_name(token.text):
            is_attribute = token.text.lower() not in FIELDS
            name = token.text if is_attribute else token.text.lower()
        else:
            self._expected("a condition" if self._place == 0 else "a field or an attribute")
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise Invalid(f"The filter has more than {MAX_CONDITIONS} conditions.", field="filter")
        self._place += 1
        return name, is_attribute

    def _list(self) -> tuple[Value, ...]:
        self._need("(")
        values = [self._value()]
        while self._take(","):
            values.append(self._value())
        self._need(")")
        return tuple(values)

    def _value(self) -> Value:
        token = self._next
        at = f"character {token.column}"
        value: Value
        if token.kind == "string":
            value = known_value(re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL), at)
        elif token.kind == "number" and len(token.text) <= MAX_DIGITS + 2:
            value = known_value(float(token.text) if "." in token.text else int(token.text), at)
        elif token.keyword in ("true", "false"):
            value = token.keyword == "true"
        elif token.kind == "number":
            self._expected(f"a number of at most {MAX_DIGITS} digits")
        else:
            self._expected('a value: "text" in quotes, a number, true or false')
        self._place += 1
        return value


def write(one: Filter) -> str:
    """The canonical text; `parse` gives the same filter back."""
    match one:
        case And(parts):
            return " and ".join(_bracketed(part, Or) for part in parts)
        case Or(parts):
            return " or ".join(_bracketed(part, And) for part in parts)
        case Not(part):
            return f"not {_bracketed(part, And, Or)}"
        case InCampaign(how, campaign_id):
            return f"{how}({campaign_id})"
        case Has(field, is_attribute):
            return f"has {_named(field, is_attribute)}"
        case Compare(field, "in", values, is_attribute):
            return f"{_named(field, is_attribute)} in ({', '.join(_valued(value) for value in values)})"
        case Compare(field, op, (value, *_), is_attribute):
            return f"{_named(field, is_attribute)} {op} {_valued(value)}"
    raise AssertionError(one)


def _bracketed(part: Filter, *kinds: type[And] | type[Or]) -> str:
    return f"({write(part)})" if isinstance(part, kinds) else write(part)


def _named(field: str, is_attribute: bool) -> str:
    is_plain = re.fullmatch(r"[^\W\d]\w*", field) and field.lower() not in _KEYWORDS.union(REACHED)
    return f"`{field}`" if is_attribute and (field.lower() in FIELDS or not is_plain) else field


def _valued(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return number_text(value)

"""Which column of a file goes where, and what a row of it says about a person."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core import quiet
from core.attributes import convert
from core.contacts import NewContact, e164
from core.errors import Invalid
from core.import_files import MAX_COLUMNS, UNKEEPABLE, Row

FIELDS = ("phone", "name", "language", "timezone", "tags", "opted_out")
ATTRIBUTE = "attributes."  # before the name of one
LEFT_OUT = ""
_ALSO_CALLED = {
    "phone": "mobile|mobile number|phone number|telephone|whatsapp|cell|رقم الجوال|الجوال|جوال|رقم الهاتف|الهاتف|هاتف"
    "|رقم الموبايل|موبايل|واتساب|رقم الواتساب",
    "name": "full name|customer name|contact name|الاسم|اسم|الاسم الكامل|اسم العميل",
    "language": "lang|اللغة|لغة",
    "timezone": "time zone|tz|المنطقة الزمنية|التوقيت",
    "tags": "tag|groups|group|المجموعات|المجموعة|الوسوم|وسوم|الوسم|وسم|التصنيف|التصنيفات|تصنيف",
    "opted_out": "opted out|opt out|unsubscribed|ألغى الاشتراك|إلغاء الاشتراك",
}
_FIELD_BY_NAME = {field.replace("_", " "): field for field in FIELDS} | {
    name: field for field, names in _ALSO_CALLED.items() for name in names.split("|")
}
_MAX_VALUE, _MAX_NAME, _MAX_ATTRIBUTE, _MAX_TAG, _MAX_LANGUAGE = 1_000, 200, 100, 80, 20
_YES = frozenset({"1", "yes", "true", "y", "نعم"})
_NO = frozenset({"", "0", "no", "false", "n", "لا"})
_ROUNDED = re.compile(r"\d(?:[.,]\d+)?[eE]\+?\d+")  # 9.66501E+11: the last digits are lost


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that was not taken. `row` counts from 1 below the heading."""

    row: int
    field: str
    message: str


class Columns:
    """`mapping` says of columns where they go: a field, `attributes.<name>`, or "" for nowhere. Of the others those
    named like a field, in English or Arabic, go there, and each further one becomes an attribute of its name.
    `country` is that of numbers without a +; `kinds` are those of attributes; `tags` everybody gets. Raises
    `Invalid`."""

    def __init__(
        self,
        heading: Sequence[str],
        mapping: Mapping[str, str],
        *,
        country: str,
        kinds: Mapping[str, str],
        tags: Sequence[str] = (),
    ) -> None:
        check_mapping(mapping)
        if unknown := [name for name in mapping if name not in heading]:
            raise Invalid(f"The file has no column {unknown[0]!r}.", field="mapping", hint=_named(heading))
        self.country = country
        self._tags = tuple(tags)
        self._kinds = {name: kind for name, kind in kinds.items() if kind != "text"}
        self.places = {name: mapping[name] for name in heading if name in mapping}
        for name in (*FIELDS, *heading):  # one named exactly like a field comes before one of a similar name
            if name in heading and name and name not in self.places:
                self.places[name] = self._place(name)
        self.places = {name: self.places[name] for name in heading if name}
        _refuse_twice(self.places)
        if "phone" not in self.places.values():
            raise Invalid(
                "No column is 'phone'.",
                field="file",
                hint=f'{_named(heading)} Say which is it with mapping, for example {{"Tel": "phone"}}.',
            )

    def _place(self, name: str) -> str:
        field = _FIELD_BY_NAME.get(" ".join(name.casefold().replace("_", " ").split()))
        if field and field not in self.places.values():
            return field
        return name if name.startswith(ATTRIBUTE) and len(name) > len(ATTRIBUTE) else f"{ATTRIBUTE}{name}"

    def read(self, row: Row) -> NewContact | Rejected:
        if row.problem:
            return Rejected(row.number, "row", row.problem)
        if len(row.values) > MAX_COLUMNS:
            return Rejected(row.number, "row", f"More than {MAX_COLUMNS} values.")
        if any(UNKEEPABLE.search(text) for pair in row.values.items() for text in pair):
            return Rejected(row.number, "row", "Contains a null character or half a character.")
        said: dict[str, str] = {}
        for name, value in row.values.items():
            if len(value) > _MAX_VALUE:
                return Rejected(row.number, name, f"Longer than {_MAX_VALUE} characters.")
            place = self.places.get(name)
            said[self._place(name) if place is None else place] = value
        try:
            phone = _phone(said.get("phone", ""), self.country)
            opted_out = _flag(said.get("opted_out", ""))
            timezone = said.get("timezone", "").strip()
            attributes = {
                place.removeprefix(ATTRIBUTE): self._of_its_kind(place.removeprefix(ATTRIBUTE), value)
                for place, value in said.items()
                if value and place.startswith(ATTRIBUTE)
            }
            if timezone:
                quiet.zone(timezone)
        except Invalid as error:
            return Rejected(row.number, error.field or "row", error.message)
        return NewContact(
            phone=phone,
            name=said.get("name", "")[:_MAX_NAME],
            language=said.get("language", "")[:_MAX_LANGUAGE] or None,
            tags=tuple(dict.fromkeys((*tags_in(said.get("tags", "")), *self._tags))),
            timezone=timezone or None,
            opted_out=opted_out,
            attributes=attributes,
        )

    def _of_its_kind(self, name: str, value: str) -> str:
        kind = self._kinds.get(name)
        return value if kind is None else convert(kind, value, name=name)


def tags_in(text: str) -> list[str]:
    """As they are written in a field, with a semicolon between two."""
    return list(dict.fromkeys(tag.strip()[:_MAX_TAG] for tag in re.split("[;؛]", text) if tag.strip()))


def check_mapping(mapping: Mapping[str, str]) -> None:
    """As far as that can be done without the file."""
    for name, place in mapping.items():
        is_attribute = place.startswith(ATTRIBUTE) and 0 < len(place) - len(ATTRIBUTE) <= _MAX_ATTRIBUTE
        if not (is_attribute or place in (*FIELDS, LEFT_OUT)) or UNKEEPABLE.search(name + place):
            raise Invalid(
                f"The column {name!r} cannot go to {place!r}.",
                field="mapping",
                hint=f"A column goes to {', '.join(FIELDS)}, attributes.<name>, or to nothing ('').",
            )
    _refuse_twice(mapping)


def _refuse_twice(places: Mapping[str, str]) -> None:
    found = Counter(place for place in places.values() if place != LEFT_OUT)
    if twice := [place for place, times in found.items() if times > 1]:
        raise Invalid(f"Two columns cannot both be {twice[0]!r}.", field="mapping")


def _named(heading: Sequence[str]) -> str:
    return f"It has: {', '.join(filter(None, heading))[:200] or 'none'}."


def _phone(raw: str, country: str) -> str:
    if _ROUNDED.fullmatch(raw):
        raise Invalid("A spreadsheet has rounded this number: make its column text there.", field="phone")
    return e164(raw, country)


def _flag(value: str) -> bool:
    """What is neither yes nor no is refused: an opt-out misread as none would be written to."""
    folded = value.casefold()
    if folded not in _YES | _NO:
        raise Invalid("This is neither yes nor no.", field="opted_out")
    return folded in _YES

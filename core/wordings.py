"""What a template says in each of its languages, prepared once and filled in for each person."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core import template_slots
from core.content import Content, Header, Media, Parameter, Text
from core.content import Template as TemplateContent
from core.errors import Invalid
from core.models import Template, TemplateVariant
from core.template_slots import PLACEHOLDER, Slot, kind_of

VARIABLE = re.compile(r"\{([^\W\d]\w{0,49})\}")
_BRACE = re.compile(r"[{}]")


class MissingVariable(Exception):
    """A person has no value for a variable that has no default; `args[0]` is its name."""


def variables(body: str) -> list[str]:
    """The variables in order of first use. A brace that belongs to none is a mistake worth telling."""
    if stray := _BRACE.search(VARIABLE.sub("", body)):
        raise Invalid(
            f"There is a {stray.group()!r} that does not belong to a variable.",
            field="body",
            hint="Variables are written {name}: letters, digits and _, not starting with a digit.",
        )
    return list(dict.fromkeys(VARIABLE.findall(body)))


def text_of(components: Sequence[Mapping[str, Any]]) -> str:
    """The text of Meta's template, with its placeholders; empty where it has none."""
    return next((str(part.get("text") or "") for part in components if kind_of(part) == "BODY"), "")


def media_of(components: Sequence[Mapping[str, Any]]) -> str | None:
    """`image`, `video` or `document` where Meta's template demands one above its text."""
    formats = [str(part.get("format", "")).lower() for part in components if kind_of(part) == "HEADER"]
    return next((one for one in formats if one in ("image", "video", "document")), None)


def mapping(body: str, components: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Meta's placeholders with our variables, by standing in the same places of the same text. Raises `Invalid`
    where `body` is not Meta's text."""
    theirs, ours = PLACEHOLDER.split(text_of(components)), VARIABLE.split(body)
    if theirs[0::2] != ours[0::2]:
        raise Invalid(
            "This template's text is Meta's: only the names of its variables can be changed here.",
            field="body",
            hint=f"At Meta it says: {text_of(components)}",
        )
    found: dict[str, str] = {}
    for placeholder, name in zip(theirs[1::2], ours[1::2], strict=True):
        if found.setdefault(placeholder, name) != name:
            raise Invalid(
                f"{{{{{placeholder}}}}} is both {{{found[placeholder]}}} and {{{name}}}; it can have one value only.",
                field="body",
            )
    return found


def in_order(placeholders: Sequence[str]) -> tuple[list[str], bool]:
    """The placeholders as Meta wants their values, and whether it wants them by name."""
    is_named = not all(one.isdecimal() for one in placeholders)
    return (list(placeholders) if is_named else sorted(placeholders, key=int)), is_named


@dataclass(frozen=True, slots=True)
class Wording:
    """One language. `parts` are text and variable by turns; `order` the variables of Meta's parameters; `slots` what
    Meta's template wants outside its text, each with the variable that fills it."""

    language: str
    parts: tuple[str, ...]
    defaults: Mapping[str, str]
    cloud_name: str | None = None
    order: tuple[str, ...] = ()
    parameter_names: tuple[str, ...] = ()
    header: Header | None = None
    slots: tuple[tuple[Slot, str], ...] = ()
    components: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def of(cls, row: Template | TemplateVariant, cloud_name: str | None, header: Mapping[str, Any] | None) -> "Wording":
        order = list(dict.fromkeys(VARIABLE.findall(row.body)))
        names: tuple[str, ...] = ()
        named = template_slots.variables(row.components, row.slots)
        if row.components:
            mapped = mapping(row.body, row.components)
            placeholders, is_named = in_order(list(mapped))
            order = [mapped[one] for one in placeholders]
            names = tuple(placeholders) if is_named else ()
            header = header if media_of(row.components) else None
        return cls(
            language=row.language,
            parts=tuple(VARIABLE.split(row.body)),
            defaults=row.defaults,
            cloud_name=cloud_name,
            order=tuple(order),
            parameter_names=names,
            header=None if header is None else Header.model_validate(header),
            slots=tuple((slot, named[slot.key]) for slot in template_slots.slots(row.components or ())),
            components=row.components or (),
        )

    @classmethod
    def plain(cls, body: str, defaults: Mapping[str, str]) -> "Wording":
        """Of a text that is not saved."""
        return cls(language="", parts=tuple(VARIABLE.split(body)), defaults=defaults)

    @property
    def variables(self) -> list[str]:
        return list(dict.fromkeys((*self.parts[1::2], *(name for _, name in self.slots))))

    def fill(self, values: Mapping[str, Any]) -> Content:
        """The message for one person; raises `MissingVariable`."""
        filled: dict[str, str] = {}

        def filling(name: str) -> str:
            value = filled.get(name)
            if value is None:
                value = _worded(values.get(name)) or self.defaults.get(name)
                if not value:
                    raise MissingVariable(name)
                filled[name] = value
            return value

        said = list(self.parts)
        for place in range(1, len(said), 2):
            said[place] = filling(said[place])
        text = "".join(said)
        if self.cloud_name is not None:
            return TemplateContent.model_construct(
                name=self.cloud_name,
                language=self.language,
                parameters=tuple([filled[name] for name in self.order]),
                parameter_names=self.parameter_names,
                header=self.header,
                slots=tuple(
                    [
                        Parameter.model_construct(
                            place=slot.place, index=slot.index, name=slot.parameter_name, value=filling(name)
                        )
                        for slot, name in self.slots
                    ]
                ),
                text=text,
            )
        if self.header is not None:
            return Media.model_construct(caption=text, **self.header.model_dump())
        return Text.model_construct(body=text)


def _worded(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Family:
    """A template in all its languages. `by_language` has them in lower case with `_`."""

    own: Wording
    by_language: Mapping[str, Wording]

    @classmethod
    def of(cls, template: Template, variants: Sequence[TemplateVariant] = ()) -> "Family":
        """A variant that Meta has not approved is left out: its people get the template itself."""
        own = Wording.of(template, template.cloud_name, template.header)
        others = [
            Wording.of(one, template.cloud_name, one.header or template.header)
            for one in variants
            if one.status in (None, "approved")
        ]
        return cls(own, {tag(one.language): one for one in (*others, own)})

    def with_defaults(self, defaults: Mapping[str, str]) -> "Family":
        """The same with these before its own."""
        if not defaults:
            return self
        filled = {one: replace(said, defaults={**said.defaults, **defaults}) for one, said in self.by_language.items()}
        return Family(filled[tag(self.own.language)], filled)

    @property
    def media_ids(self) -> frozenset[int]:
        """Of the files in its headers."""
        headers = (one.header for one in (self.own, *self.by_language.values()))
        return frozenset(one.media_id for one in headers if one is not None and one.media_id is not None)

    def wording(self, language: str | None) -> Wording:
        """Of exactly this language, else of the language without its country, else the template itself."""
        if not language or len(self.by_language) == 1:
            return self.own
        wanted = tag(language)
        return self.by_language.get(wanted) or self.by_language.get(wanted.partition("_")[0]) or self.own


def tag(language: str) -> str:
    """`ar-SA` and `ar_sa` are one language."""
    return language.strip().lower().replace("-", "_")

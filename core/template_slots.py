"""What Meta's template wants filled in outside its text: in its heading, in a button's address, a code to be copied."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from core.errors import Invalid

PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")
"""Meta's: `{{1}}` or `{{first_name}}`."""
_NAME = re.compile(r"[^\W\d]\w{0,49}")
_NOT_FILLED = ("OTP", "CATALOG", "MPM", "FLOW")


@dataclass(frozen=True, slots=True)
class Slot:
    """`key` is how people call it, and the variable that fills it as long as nobody names another: `header`,
    `button_1`, or the name that it has at Meta. `index` counts a template's buttons from 0."""

    key: str
    place: Literal["header", "url", "copy_code"]
    index: int = 0
    parameter_name: str | None = None


def slots(components: Sequence[Mapping[str, Any]]) -> list[Slot]:
    found: list[Slot] = []
    for part in components:
        for placeholder in PLACEHOLDER.findall(str(part.get("text") or "")) if kind_of(part) == "HEADER" else ():
            name = None if placeholder.isdecimal() else placeholder
            found.append(Slot(name or "header", "header", parameter_name=name))
        for index, button in enumerate(_buttons(part)):
            if PLACEHOLDER.search(str(button.get("url") or "")):
                found.append(Slot(f"button_{index + 1}", "url", index))
            elif kind_of(button) == "COPY_CODE":
                found.append(Slot(f"button_{index + 1}", "copy_code", index))
    return found


def unfillable(components: Sequence[Mapping[str, Any]]) -> str | None:
    """What of Meta's template demands values that we cannot give yet."""
    for part in components:
        kind, form = kind_of(part), str(part.get("format", "TEXT")).upper()
        if kind == "HEADER" and form == "LOCATION":
            return "a location above its text"
        if kind in ("CAROUSEL", "LIMITED_TIME_OFFER"):
            return f"a {kind.lower().replace('_', ' ')}"
        for button in _buttons(part):
            if kind_of(button) in _NOT_FILLED:
                return f"a button of the kind {kind_of(button).lower()}"
    return None


def variables(components: Sequence[Mapping[str, Any]] | None, chosen: Mapping[str, str] | None) -> dict[str, str]:
    """The variable of each slot, by its key."""
    return {slot.key: (chosen or {}).get(slot.key, slot.key) for slot in slots(components or ())}


def chosen(components: Sequence[Mapping[str, Any]] | None, names: Mapping[str, str]) -> dict[str, str]:
    """Those of `names` that say something; raises `Invalid` for what is no slot, or no variable."""
    known = [slot.key for slot in slots(components or ())]
    for key, variable in names.items():
        if key not in known:
            there = ", ".join(known) or "none; they come with the templates of the WhatsApp account"
            raise Invalid(f"The template has no slot {key[:60]!r}.", field="slots", hint=f"Slots of it: {there}.")
        if not _NAME.fullmatch(variable):
            raise Invalid(
                f"No variable can be called {variable[:60]!r}.",
                field="slots",
                hint="Letters, digits and _, not starting with a digit.",
            )
    return {key: variable for key, variable in names.items() if key != variable}


@dataclass(frozen=True, slots=True)
class Shown:
    """What stands around the text, for the eye: the heading, and each button with where it leads or what it copies."""

    heading: str
    buttons: tuple[str, ...]


def shown(components: Sequence[Mapping[str, Any]], values: Mapping[str, str]) -> Shown:
    """`values` by the key of their slots."""
    heading, buttons = "", []
    keys = {(slot.place, slot.index): slot.key for slot in slots(components)}
    for part in components:
        if kind_of(part) == "HEADER":
            heading = _filled(str(part.get("text") or ""), values.get(keys.get(("header", 0), ""), ""))
        for index, button in enumerate(_buttons(part)):
            more = ""
            if kind_of(button) == "COPY_CODE":
                more = values.get(keys["copy_code", index], "")
            elif kind_of(button) == "URL":
                more = _filled(str(button.get("url") or ""), values.get(keys.get(("url", index), ""), ""))
            elif kind_of(button) == "PHONE_NUMBER":
                more = str(button.get("phone_number") or "")
            buttons.append(": ".join(filter(None, (str(button.get("text") or ""), more))))
    return Shown(heading, tuple(buttons))


def _filled(text: str, value: str) -> str:
    return PLACEHOLDER.sub(lambda _: value, text)


def kind_of(part: Mapping[str, Any]) -> str:
    return str(part.get("type", "")).upper()


def _buttons(part: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return part.get("buttons") or () if kind_of(part) == "BUTTONS" else ()

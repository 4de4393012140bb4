"""Attributes of contacts have a kind. They are kept as text, in one writing per kind, as templates need them."""

import re
from collections.abc import Mapping
from datetime import date

from sqlalchemy import select

from core import bulk, filters_sql
from core.database import DatabaseClock, Tx, is_postgres
from core.errors import Conflict, Invalid
from core.filters import MAX_DIGITS, is_name
from core.filters_text import parse
from core.models import Attribute, Campaign, Segment

KINDS = ("text", "number", "date", "boolean")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_YES, _NO = frozenset({"true", "yes", "y", "1", "نعم"}), frozenset({"false", "no", "n", "0", "لا"})
_LATIN = str.maketrans("٠١٢٣٤٥٦٧٨٩٫", "0123456789.")


async def kinds(tx: Tx) -> Mapping[str, str]:
    """Of every attribute that is known, by name."""
    rows = await tx.execute(select(Attribute.name, Attribute.kind))
    return {row.name: row.kind for row in rows}


async def listed(tx: Tx) -> Mapping[str, str]:
    return dict(sorted((await kinds(tx)).items()))


async def declare(tx: Tx, name: str, kind: str) -> None:
    """From now on values written under this name are of this kind. Those there are stay as they are; one that is
    not of the kind counts as none. Raises `Conflict` where a filter in use could not be read any more."""
    _check(name)
    if kind not in KINDS:
        raise Invalid(f"There is no kind {kind!r}.", field="kind", hint=f"One of {', '.join(KINDS)}.")
    await _refuse_unread(tx, name, kind)
    await bulk.run(
        tx,
        "INSERT INTO attributes (name, kind) VALUES (:name, :kind) "
        "ON CONFLICT (name) DO UPDATE SET kind = excluded.kind",
        name=name,
        kind=kind,
    )


async def _refuse_unread(tx: Tx, name: str, kind: str) -> None:
    known = await kinds(tx)
    if known.get(name, "text") == kind:
        return
    now = await DatabaseClock().now(tx)
    before = filters_sql.About(is_postgres(tx), known, now)
    after = filters_sql.About(is_postgres(tx), {**known, name: kind}, now)
    rows = await tx.execute(select(Segment.id, Segment.name, Segment.filter).order_by(Segment.id))
    used = [(f"segment {row.id} ({row.name})", row.filter) for row in rows]
    waiting = select(Campaign.id, Campaign.audience).where(Campaign.state.not_in(("cancelled", "finished")))
    for row in await tx.execute(waiting.order_by(Campaign.id)):
        if "filter" in row.audience:
            used.append((f"the audience of campaign {row.id}", row.audience["filter"]))
    for where, text in used:
        if _is_read(text, before) and not _is_read(text, after):
            raise Conflict(
                f"{name} cannot become a {kind}: {where} compares it as something else.",
                field="kind",
                hint=f"Change this first: {text[:200]}",
            )


def _is_read(text: str, about: filters_sql.About) -> bool:
    try:
        filters_sql.condition(parse(text), about)
    except Invalid:
        return False
    return True


async def checked(tx: Tx, values: Mapping[str, object]) -> dict[str, str]:
    """The values as they are kept; raises `Invalid` for one that is not of its kind. A new name becomes text."""
    known = await kinds(tx)
    found = {name: convert(known.get(name, "text"), value, name=name) for name, value in values.items()}
    if new := sorted(set(values) - set(known)):
        for name in new:
            _check(name)
        await bulk.run(
            tx,
            f"INSERT INTO attributes (name, kind) SELECT r.name, 'text' FROM {bulk.table(tx, name='text')} "
            "WHERE true ON CONFLICT DO NOTHING",
            [{"name": name} for name in new],
        )
    return found


def convert(kind: str, value: object, *, name: str) -> str:
    """The one writing of this value; an empty text is none, whatever the kind."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if kind == "text" or not text.strip():
        return text
    text = text.strip().translate(_LATIN)
    match kind:
        case "number" if _NUMBER.fullmatch(text) and len(re.sub("[-.]", "", text)) <= MAX_DIGITS:
            return _short(text)
        case "date":
            try:
                return date.fromisoformat(text).isoformat()
            except ValueError:
                pass
        case "boolean" if text.casefold() in _YES | _NO:
            return "true" if text.casefold() in _YES else "false"
    example = {"number": "18.5", "date": "2026-01-31", "boolean": "true"}[kind]
    raise Invalid(
        f"{name} is a {kind}, which this value is not.", field=f"attributes.{name}", hint=f"Such as {example}"
    )


def _short(number: str) -> str:
    sign, digits = ("-", number[1:]) if number.startswith("-") else ("", number)
    whole, _, part = digits.partition(".")
    short = (whole.lstrip("0") or "0") + (f".{part.rstrip('0')}" if part.rstrip("0") else "")
    return sign + short if short != "0" else short


def _check(name: str) -> None:
    if not is_name(name):
        raise Invalid(
            f"No attribute can be called {name[:60]!r}.",
            field="attributes",
            hint="1 to 50 characters, without quotes, backticks, backslashes and line ends.",
        )

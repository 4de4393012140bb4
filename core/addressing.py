"""What one person would get, and where: used by the real send and by the preflight, so that they cannot differ."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from core import templates
from core.content import Content
from core.ports import Address, AddressKind
from core.variants import Families

PREFERRED: Mapping[str, int] = {"phone": 0, "bsuid": 1, "lid": 2}


@dataclass(frozen=True, slots=True)
class Row:
    """A person with one of their identities (or none); `key` is the recipient or the contact, as the caller likes.
    `variant` is the number of what they get; 0 where the campaign has one message for all."""

    key: int
    contact_id: int
    name: str | None
    language: str | None
    attributes: Mapping[str, Any] | None
    kind: str | None
    value: str | None
    variant: int = 0


@dataclass(slots=True)
class Addressed:
    """`letters` by key: contact, address and content. `barred` by key: why there is no message for this person."""

    letters: dict[int, tuple[int, Address, Content]] = field(default_factory=dict)
    barred: dict[int, str] = field(default_factory=dict)


def addressed(rows: Iterable[Row], families: Families) -> Addressed:
    """The best identity of each person with the message for them, in their language where there is one."""
    found = Addressed()
    ranks: dict[int, int] = {}
    for row in rows:
        rank = PREFERRED.get(row.kind or "", 9)
        if row.key in ranks and ranks[row.key] <= rank:
            continue
        if row.value is None or row.kind is None:
            found.barred[row.key] = "no_address"
            continue
        try:
            content = (
                families[row.variant].wording(row.language).fill({"name": row.name or "", **(row.attributes or {})})
            )
        except templates.MissingVariable as missing:
            found.barred[row.key] = f"missing_variable:{missing.args[0]}"[:80]
            continue
        if templates.is_too_long(content):
            found.barred[row.key] = "text_too_long"
            continue
        ranks[row.key] = rank
        kind: AddressKind = row.kind  # type: ignore[assignment]  # a constraint of the table says so
        found.letters[row.key] = (row.contact_id, Address(kind, row.value), content)
    return found

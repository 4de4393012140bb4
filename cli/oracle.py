"""Holds our books against WhatsApp's: for each recipient, is what we say true?"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

CALLBACK_PREFIX = "wq1:"


@dataclass(frozen=True)
class Book:
    """What we say of one recipient: its message's client id (None when never handed over) and its state."""

    client_id: str | None
    state: str


@dataclass
class Verdict:
    """Everything the ledger contradicts, as lists of client ids; all empty is the promise kept.

    The unknowns are no contradiction; they are split by what the ledger knows of them.
    """

    recipients: int = 0
    effects: int = 0
    twice: list[str] = field(default_factory=list)
    sent_without_effect: list[str] = field(default_factory=list)
    failed_with_effect: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    unknown_though_told: list[str] = field(default_factory=list)
    unknown_with_effect: int = 0
    unknown_without_effect: int = 0

    @property
    def agrees(self) -> bool:
        return not (
            self.twice
            or self.sent_without_effect
            or self.failed_with_effect
            or self.unfinished
            or self.unknown_though_told
        )

    def contradictions(self) -> dict[str, int]:
        return {
            "recipients with two effects": len(self.twice),
            "sent without an effect": len(self.sent_without_effect),
            "failed or skipped with an effect": len(self.failed_with_effect),
            "without an outcome": len(self.unfinished),
            "unknown although WhatsApp told us": len(self.unknown_though_told),
        }


def compare(
    books: Iterable[Book], requests: Sequence[Mapping[str, Any]], statuses: Sequence[Mapping[str, Any]]
) -> Verdict:
    """`requests` and `statuses` are rows of the simulator's ledger for the same campaign."""
    effects: dict[str, int] = {}
    accepted: dict[str, int] = {}
    for row in requests:
        name = str(row["callback"]).removeprefix(CALLBACK_PREFIX)
        effects[name] = effects.get(name, 0) + bool(row["effect"])
        accepted[name] = accepted.get(name, 0) + bool(row["accepted"])
    told: dict[str, set[str]] = {}
    for row in statuses:
        if row["answered_200"]:
            told.setdefault(str(row["callback"]).removeprefix(CALLBACK_PREFIX), set()).add(str(row["status"]))
    verdict = Verdict(effects=sum(effects.values()))
    for book in books:
        verdict.recipients += 1
        name = book.client_id or ""
        effect = effects.get(name, 0)
        if effect > 1 or accepted.get(name, 0) > 1:
            verdict.twice.append(name)
        match book.state:
            # WhatsApp accepts a message and may report later that it failed; before it did, `sent` is all one
            # can know.
            case "sent" if not accepted.get(name) or (not effect and "failed" in told.get(name, ())):
                verdict.sent_without_effect.append(name)
            case "failed" | "skipped" if effect:
                verdict.failed_with_effect.append(name)
            case "queued" | "claimed" | "sending":
                verdict.unfinished.append(name)
            case "unknown":
                verdict.unknown_with_effect += effect > 0
                verdict.unknown_without_effect += effect == 0
                if name in told:
                    verdict.unknown_though_told.append(name)
            case _:
                pass
    return verdict


def ledger(
    simulator_url: str, kind: str, *, callback_prefix: str = CALLBACK_PREFIX, phone_number_id: str | None = None
) -> list[dict[str, Any]]:
    """All rows of `requests` or `statuses` of the simulator's ledger."""
    rows: list[dict[str, Any]] = []
    after = 0
    with httpx.Client(base_url=simulator_url, timeout=30) as client:
        while True:
            query: dict[str, str | int] = {"after": after, "limit": 10_000, "callback_prefix": callback_prefix}
            if phone_number_id is not None:
                query["phone_number_id"] = phone_number_id
            answer = client.get(f"/_sim/ledger/{kind}", params=query).raise_for_status().json()
            rows += answer["data"]
            if not answer["data"] or answer["next_after"] is None:
                return rows
            after = answer["next_after"]

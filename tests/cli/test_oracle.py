"""What decides the demo's and chaos' verdict finds each contradiction, and only those."""

from collections.abc import Mapping, Sequence

import pytest

from cli.oracle import Book, compare

_Row = Mapping[str, object]


def _request(*, accepted: bool = True, effect: bool = True) -> _Row:
    return {"callback": "wq1:a", "accepted": accepted, "effect": effect}


def _told(status: str, *, answered_200: bool = True) -> _Row:
    return {"callback": "wq1:a", "status": status, "answered_200": answered_200}


_ARRIVED, _REFUSED = _request(), _request(accepted=False, effect=False)
_TAKEN_IN_VAIN = _request(effect=False)  # accepted; that it fails, WhatsApp reports later
TWICE, SENT, FAILED, UNFINISHED, TOLD = (
    "recipients with two effects",
    "sent without an effect",
    "failed or skipped with an effect",
    "without an outcome",
    "unknown although WhatsApp told us",
)


@pytest.mark.parametrize(
    ("state", "requests", "statuses", "found"),
    [
        ("sent", [_ARRIVED], [], None),
        ("sent", [_ARRIVED], [_told("read")], None),
        ("sent", [_REFUSED, _ARRIVED], [], None),
        ("sent", [_TAKEN_IN_VAIN], [], None),
        ("sent", [_TAKEN_IN_VAIN], [_told("failed", answered_200=False)], None),
        ("sent", [_TAKEN_IN_VAIN], [_told("failed")], SENT),
        ("sent", [_REFUSED], [], SENT),
        ("sent", [], [], SENT),
        ("sent", [_ARRIVED, _ARRIVED], [], TWICE),
        ("sent", [_ARRIVED, _TAKEN_IN_VAIN], [], TWICE),
        ("failed", [], [], None),
        ("failed", [_REFUSED, _REFUSED], [], None),
        ("failed", [_TAKEN_IN_VAIN], [_told("failed")], None),
        ("failed", [_ARRIVED], [], FAILED),
        ("skipped", [], [], None),
        ("skipped", [_ARRIVED], [], FAILED),
        ("queued", [], [], UNFINISHED),
        ("claimed", [], [], UNFINISHED),
        ("sending", [_ARRIVED], [], UNFINISHED),
        ("unknown", [], [], None),
        ("unknown", [_ARRIVED], [], None),
        ("unknown", [_ARRIVED], [_told("sent", answered_200=False)], None),
        ("unknown", [_ARRIVED], [_told("sent")], TOLD),
        ("unknown", [_TAKEN_IN_VAIN], [_told("failed")], TOLD),
    ],
)
def test_each_contradiction_is_found_and_nothing_else(
    state: str, requests: Sequence[_Row], statuses: Sequence[_Row], found: str | None
) -> None:
    verdict = compare([Book("a", state)], requests, statuses)
    assert verdict.contradictions() == {one: int(one == found) for one in (TWICE, SENT, FAILED, UNFINISHED, TOLD)}
    assert verdict.agrees == (found is None)


def test_it_counts_what_the_ledger_knows_of_the_unknowns() -> None:
    rows = [_ARRIVED, {"callback": "wq1:b", "accepted": False, "effect": False}]
    verdict = compare([Book("a", "unknown"), Book("b", "unknown"), Book(None, "skipped")], rows, [])
    assert (verdict.recipients, verdict.effects) == (3, 1)
    assert (verdict.unknown_with_effect, verdict.unknown_without_effect) == (1, 1)
    assert verdict.agrees


def test_one_recipient_may_contradict_in_two_ways() -> None:
    verdict = compare([Book("a", "failed")], [_ARRIVED, _ARRIVED], [])
    assert (verdict.twice, verdict.failed_with_effect) == (["a"], ["a"])

"""What of the gateway's figures somebody should know, why, and what to do about it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from api.counting import quantile
from api.sampling import Sample, since

Level = Literal["warning", "critical"]
_MANY_PER_MINUTE = 20
_SLOW_MS, _VERY_SLOW_MS = 500.0, 2000.0
_FEW = 50
_BEHIND, _FAR_BEHIND = 500, 5_000
_NEARLY_FULL = 0.8


@dataclass(frozen=True, slots=True)
class Alert:
    """`code` is stable, for programs."""

    level: Level
    code: str
    title: str
    reason: str
    do: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What alerts are told from. `refused` is of the last minute, by why; `errors` of the last ten, by code."""

    now: Sample
    a_minute_ago: Sample
    refused: Mapping[str, int]
    errors: Mapping[str, int]
    sent_away: int
    most: int
    is_closing: bool
    is_database_away: bool


_REFUSALS: Mapping[str, tuple[str, str]] = {
    "bad_signature": (
        "Wrong signatures or tickets",
        "If it is a program of yours: is its key right, and is a nonce used twice? If not, somebody tries to come in: "
        "refuse the address (live_addresses_refused).",
    ),
    "expired_signature": (
        "Signatures that are too old",
        "The clock of a client is more than 5 minutes off, or somebody repeats what was recorded. Set the clock.",
    ),
    "unauthorized": (
        "Unknown keys",
        "A program may still use a key that was revoked. Else refuse the address (live_addresses_refused).",
    ),
    "bad_origin": (
        "Pages of other sites",
        "Is it a page of yours? Then name its origin in live_origins.",
    ),
    "bad_address": (
        "Connections from refused addresses",
        "They stay outside. Should they come in: live_addresses, live_addresses_refused.",
    ),
    "too_many_of_address": (
        "Too many connections from one address",
        "Many people behind one proxy? Name it in trusted_proxies, or raise live_per_address.",
    ),
    "too_many_of_principal": (
        "Too many connections of one key or person",
        "A program may open connections and not close them. If it needs so many: live_per_principal.",
    ),
}


def alerts(seen: Seen) -> Iterator[Alert]:
    """The worst first."""
    yield from sorted(_all(seen), key=lambda one: one.level)


def _all(seen: Seen) -> Iterator[Alert]:
    if seen.is_closing:
        yield Alert(
            "warning",
            "draining",
            "This process ends",
            "Nobody new is let in, and who is connected is told when to come back.",
            "Nothing, if you restart it. Clients resume where they were.",
        )
    if seen.is_database_away:
        yield Alert(
            "critical",
            "database_away",
            "The database does not answer",
            "Events cannot be read and keys cannot be looked up. Connections stay open meanwhile.",
            "Look at the database. Nothing is lost: what happened comes when it is back.",
        )
    yield from _about_delivery(seen)
    yield from _about_room(seen)
    yield from _about_readers(seen)
    for why, (title, do) in _REFUSALS.items():
        if seen.refused.get(why, 0) >= _MANY_PER_MINUTE:
            yield Alert("warning", why, title, f"{seen.refused[why]:,} were refused in the last minute.", do)
    if failed := seen.errors.get("internal", 0):
        yield Alert(
            "critical",
            "internal",
            "Something fails here",
            f"{failed:,} connections were ended by a mistake of ours in the last ten minutes (1011).",
            "The log has the trace: look for live_failed and websocket_failed.",
        )


def _about_delivery(seen: Seen) -> Iterator[Alert]:
    behind = seen.now.behind
    if behind >= _BEHIND:
        yield Alert(
            "critical" if behind >= _FAR_BEHIND else "warning",
            "behind",
            "Events come late",
            f"{behind:,} events of the log have not been told yet.",
            "A large campaign catches up by itself. If the number grows: is the database slow, or one core full?",
        )
    delivered = since(seen.a_minute_ago.delivery, seen.now.delivery)
    p99 = quantile(delivered, 0.99)
    if p99 is not None and p99 > _SLOW_MS and sum(delivered) >= _FEW:
        yield Alert(
            "critical" if p99 > _VERY_SLOW_MS else "warning",
            "slow_delivery",
            "Deliveries are slow",
            f"Of a hundred in the last minute one took {p99:,.0f} ms or more; under 100 ms is usual.",
            "Look at CPU below: near 100 % a second process helps. Else the database answers slowly.",
        )


def _about_room(seen: Seen) -> Iterator[Alert]:
    here = seen.now.connections
    if here >= seen.most or seen.refused.get("full"):
        yield Alert(
            "critical",
            "full",
            "No room for more connections",
            f"{here:,} of {seen.most:,} are in use, and others are refused.",
            "Raise live_connections if memory allows, or run a second process.",
        )
    elif here >= _NEARLY_FULL * seen.most:
        yield Alert(
            "warning",
            "nearly_full",
            "Nearly full",
            f"{here:,} of {seen.most:,} connections are in use.",
            "Raise live_connections if memory allows, or run a second process.",
        )


def _about_readers(seen: Seen) -> Iterator[Alert]:
    if seen.now.full:
        yield Alert(
            "warning",
            "slow_readers",
            "Somebody does not keep up",
            f"{seen.now.full:,} connections read slower than they are told. The others do not wait for them.",
            "They are in the table, with what waits for them. After 20 s they are sent away (1013) and resume.",
        )
    elif seen.sent_away:
        yield Alert(
            "warning",
            "sent_away",
            "Slow readers were sent away",
            f"{seen.sent_away:,} in the last ten minutes (1013).",
            "Clients that resume lose nothing. If it is always the same one, it may follow less.",
        )

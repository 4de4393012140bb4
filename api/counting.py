"""What is counted about the WebSocket, for as long as the process lives. Nothing here is looked up or locked: it is
counted on the way of every message."""

import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

BOUNDS_MS = (1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0)


@dataclass(slots=True)
class Durations:
    """How long something took: so many times up to each of `BOUNDS_MS`, and above the last."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_MS) + 1))
    total_ms: float = 0.0

    def add(self, ms: float, times: int = 1) -> None:
        self.counts[bisect_left(BOUNDS_MS, ms)] += times
        self.total_ms += ms * times


def quantile(counts: Sequence[int], share: float) -> float | None:
    """In milliseconds, straight between two bounds; None where nothing was counted."""
    total = sum(counts)
    if not total:
        return None
    wanted, below = share * total, 0
    for place, number in enumerate(counts):
        if below + number >= wanted and number:
            lower = BOUNDS_MS[place - 1] if place else 0.0
            upper = BOUNDS_MS[place] if place < len(BOUNDS_MS) else lower
            return lower + (upper - lower) * (wanted - below) / number
        below += number
    return BOUNDS_MS[-1]


@dataclass(frozen=True, slots=True)
class Mistake:
    """The last thing that went wrong."""

    at_ms: int
    kind: str
    message: str


@dataclass(slots=True)
class Counts:
    """Since the process started. `bytes_out` are frames as they were written, `bytes_in` what was said, inflated."""

    connected: int = 0
    disconnected: int = 0
    most: int = 0
    """So many were connected at once."""
    received: int = 0
    sent: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    broadcasts: int = 0
    missed: int = 0
    coalesced: int = 0
    sent_away: int = 0
    unanswered: int = 0
    rate_limited: int = 0
    resumed: int = 0
    replayed: int = 0
    not_recovered: int = 0
    compressed: int = 0
    """Messages, once for however many got them; `compressed_sent` says how many."""
    compressed_sent: int = 0
    compressed_from: int = 0
    compressed_to: int = 0
    last_broadcast_ms: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    """By why, before there was a connection."""
    errors: dict[str, int] = field(default_factory=dict)
    """By code: of error frames, and of what failed here."""
    closed: dict[int, int] = field(default_factory=dict)
    """By the code with which we ended a connection."""
    left: int = 0
    """The other side said goodbye, or was gone."""
    delivery: Durations = field(default_factory=Durations)
    """From when an event is dated until its frame was given to the operating system, for each who got it. It is dated
    before its transaction commits: that the transaction was long counts too."""
    lag: Durations = field(default_factory=Durations)
    """From when an event is dated until we had read it."""
    last_mistake: Mistake | None = None

    def refuse(self, why: str) -> None:
        self.refused[why] = self.refused.get(why, 0) + 1

    def fail(self, code: str, message: str) -> None:
        self.errors[code] = self.errors.get(code, 0) + 1
        self.last_mistake = Mistake(int(time.time() * 1000), code, message)

    def close(self, code: int) -> None:
        self.closed[code] = self.closed.get(code, 0) + 1

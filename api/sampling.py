"""The gateway's figures every two seconds, for the last ten minutes: what charts and rates are made of."""

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from api.connections import Connections
from api.counting import quantile

EACH_S = 2.0
KEPT = 300


@dataclass(frozen=True, slots=True)
class Sample:
    """Everything but `connections`, `behind`, `full` and `memory` is since the process started. `at_s` never goes
    back, `at_ms` is for people."""

    at_ms: int
    at_s: float
    connections: int
    full: int
    received: int
    sent: int
    bytes_in: int
    bytes_out: int
    missed: int
    errors: int
    refused: int
    delivery: tuple[int, ...]
    behind: int
    memory: int
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Point:
    """What happened between two samples, by the second where that makes sense."""

    at_ms: int
    connections: int
    sent_per_s: float
    received_per_s: float
    bytes_out_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    errors: int
    refused: int
    behind: int
    memory: int
    cpu_percent: float


class Samples:
    def __init__(self) -> None:
        self._kept: deque[Sample] = deque(maxlen=KEPT + 1)

    def add(self, sample: Sample) -> None:
        self._kept.append(sample)

    def before(self, seconds: float) -> Sample:
        """The newest that is so old; the oldest there is where none is."""
        until = self._kept[-1].at_s - seconds
        return next((one for one in reversed(self._kept) if one.at_s <= until), self._kept[0])

    @property
    def last(self) -> Sample:
        return self._kept[-1]

    def points(self, *, after_ms: int = 0) -> Iterator[Point]:
        for old, new in zip(self._kept, islice(self._kept, 1, None), strict=False):
            if new.at_ms > after_ms:
                yield _between(old, new)


def since(old: Sequence[int], new: Sequence[int]) -> tuple[int, ...]:
    """Deliveries between the two, as `Durations` has them."""
    return tuple(after - before for before, after in zip(old, new, strict=True))


def _between(old: Sample, new: Sample) -> Point:
    seconds = max(new.at_s - old.at_s, 0.001)
    delivery = since(old.delivery, new.delivery)
    return Point(
        at_ms=new.at_ms,
        connections=new.connections,
        sent_per_s=round((new.sent - old.sent) / seconds, 1),
        received_per_s=round((new.received - old.received) / seconds, 1),
        bytes_out_per_s=round((new.bytes_out - old.bytes_out) / seconds, 1),
        p50_ms=rounded(quantile(delivery, 0.5)),
        p99_ms=rounded(quantile(delivery, 0.99)),
        errors=new.errors - old.errors,
        refused=new.refused - old.refused,
        behind=new.behind,
        memory=new.memory,
        cpu_percent=round(100 * (new.cpu_s - old.cpu_s) / seconds, 1),
    )


def rounded(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 1)


def sample(connections: Connections, *, behind: int) -> Sample:
    counts = connections.counts
    return Sample(
        at_ms=int(time.time() * 1000),
        at_s=time.monotonic(),
        connections=len(connections.clients),
        full=sum(1 for one in connections.clients if one.full_since is not None),
        received=counts.received,
        sent=counts.sent,
        bytes_in=counts.bytes_in,
        bytes_out=counts.bytes_out,
        missed=counts.missed,
        errors=sum(counts.errors.values()),
        refused=sum(counts.refused.values()),
        delivery=tuple(counts.delivery.counts),
        behind=behind,
        memory=resident_bytes(),
        cpu_s=time.process_time(),
    )


def resident_bytes() -> int:
    """Of this process; 0 where the machine does not tell."""
    with suppress(OSError, ValueError, IndexError, AttributeError), open("/proc/self/statm", "rb") as told:
        return int(told.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0

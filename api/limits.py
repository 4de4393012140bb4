"""How often somebody may ask: token buckets in the memory of this process, so that none costs a write. Of several
processes each hears what the others let through (api/cluster.py), and pays it back."""

import hashlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from core.errors import TooMany
from core.settings import Settings
from core.signins import neighbourhood

_BURST_S = 5.0
_MOST = 20_000


@dataclass
class Buckets:
    """Each fills by `per_s` and holds `at_once`, five seconds' worth where not given; one that is full is forgotten
    when there are too many."""

    per_s: float
    clock: Callable[[], float] = time.monotonic
    at_once: float = 0.0
    is_shared: bool = False
    """Whether others with the same buckets are to hear what is taken here."""
    _left: dict[str, tuple[float, float]] = field(default_factory=dict)
    _taken: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._full = max(1.0, self.at_once or self.per_s * _BURST_S)

    def take(self, whom: str, *, tokens: float = 1.0) -> None:
        """Raises `TooMany` where there is none left, and takes none then. `tokens=0` only looks."""
        if wait_s := self.draw(whom, tokens=tokens):
            raise TooMany("Too many requests.", retry_after_s=max(1, math.ceil(wait_s)))

    def draw(self, whom: str, *, tokens: float = 1.0) -> float:
        """0 where they were taken; else nothing was, and so many seconds later there is one."""
        now = self.clock()
        known = self._left.get(whom)
        left = self._full if known is None else min(self._full, known[0] + (now - known[1]) * self.per_s)
        if left < 1.0:
            return (1.0 - left) / self.per_s
        if tokens:
            if known is None:
                self._make_room(now)
            self._left[whom] = left - tokens, now
            if self.is_shared:
                self._taken[whom] = self._taken.get(whom, 0.0) + tokens
        return 0.0

    def taken(self) -> dict[str, float]:
        """What the others have not heard yet."""
        told, self._taken = self._taken, {}
        return told

    def others_took(self, taken: Mapping[str, float]) -> None:
        """Below nothing too: what was taken in two places at the same moment is waited for afterwards."""
        now = self.clock()
        for whom, tokens in taken.items():
            self._make_room(now)
            self._left[whom] = self._now(whom, now) - tokens, now

    def _make_room(self, now: float) -> None:
        if len(self._left) >= _MOST:
            self._forget(now)

    def _now(self, whom: str, now: float) -> float:
        left, at = self._left.get(whom, (self._full, now))
        return min(self._full, left + (now - at) * self.per_s)

    def _forget(self, now: float) -> None:
        """The full ones; where all are in use, the half that was used longest ago."""
        self._left = {whom: one for whom, one in self._left.items() if self._now(whom, now) < self._full}
        if len(self._left) >= _MOST:
            newest = sorted(self._left.items(), key=lambda one: one[1][1])[_MOST // 2 :]
            self._left = dict(newest)


def _mark(credential: str) -> bytes:
    """To know it again by, without keeping it."""
    return hashlib.sha256(credential.encode("utf-8", "surrogateescape")).digest()


class Limits:
    """By key or person; and by address for who is neither, where each request that turns out nobody's counts. Where
    those were too many, who was let in before is looked up all the same: what they bring cannot be guessed. `said`:
    messages over the WebSocket, by both."""

    def __init__(self, settings: Settings) -> None:
        self._known = Buckets(settings.requests_per_s)
        self._strangers = Buckets(settings.strangers_per_s)
        self.said = Buckets(settings.live_messages_per_s, at_once=settings.live_messages_at_once)
        self._good: dict[bytes, None] = {}
        self._all = {"known": self._known, "strangers": self._strangers, "said": self.said}

    def known(self, ref: str, credential: str = "") -> None:
        """Who came in with `credential`, where that is good for more than once."""
        if credential:
            self._good.pop(mark := _mark(credential), None)
            self._good[mark] = None
            if len(self._good) > _MOST:
                del self._good[next(iter(self._good))]
        self._known.take(ref)

    def was_good(self, credential: str) -> bool:
        """Not long ago, in this process."""
        return bool(credential) and _mark(credential) in self._good

    def no_longer_good(self, credential: str) -> None:
        self._good.pop(_mark(credential), None)

    def stranger(self, address: str) -> None:
        self._strangers.take(neighbourhood(address))

    def look(self, address: str) -> None:
        """Raises `TooMany` from where too many came that were nobody: the next is not even looked up."""
        self._strangers.take(neighbourhood(address), tokens=0)

    def share(self, *, is_shared: bool) -> None:
        for buckets in self._all.values():
            buckets.is_shared = is_shared
            buckets.taken()

    def taken(self) -> dict[str, dict[str, float]]:
        """What the other processes have not heard yet."""
        return {kind: taken for kind, buckets in self._all.items() if (taken := buckets.taken())}

    def others_took(self, taken: Mapping[str, Mapping[str, float]]) -> None:
        for kind, buckets in self._all.items():
            buckets.others_took(taken.get(kind, {}))

"""How often somebody may ask: token buckets in the memory of this process, so that none costs a write."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from core.errors import TooMany
from core.settings import Settings
from core.signins import neighbourhood

_BURST_S = 5.0
_MOST = 20_000


@dataclass
class Buckets:
    """Each holds `per_s` times 5 and fills by `per_s`; one that is full is forgotten when there are too many."""

    per_s: float
    clock: Callable[[], float] = time.monotonic
    _left: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, whom: str, *, tokens: float = 1.0) -> None:
        """Raises `TooMany` where there is none left, and takes none then. `tokens=0` only looks."""
        now = self.clock()
        left = self._now(whom, now)
        if left < 1.0:
            raise TooMany("Too many requests.", retry_after_s=max(1, math.ceil((1.0 - left) / self.per_s)))
        if tokens:
            if len(self._left) >= _MOST:
                self._forget(now)
            self._left[whom] = left - tokens, now

    def _now(self, whom: str, now: float) -> float:
        full = max(1.0, self.per_s * _BURST_S)
        left, at = self._left.get(whom, (full, now))
        return min(full, left + (now - at) * self.per_s)

    def _forget(self, now: float) -> None:
        """The full ones; where all are in use, the half that was used longest ago."""
        self._left = {whom: one for whom, one in self._left.items() if now - one[1] < _BURST_S}
        if len(self._left) >= _MOST:
            newest = sorted(self._left.items(), key=lambda one: one[1][1])[_MOST // 2 :]
            self._left = dict(newest)


class Limits:
    """By key or person; and by address for who is neither, where each request that turns out nobody's counts."""

    def __init__(self, settings: Settings) -> None:
        self._known = Buckets(settings.requests_per_s)
        self._strangers = Buckets(settings.strangers_per_s)

    def known(self, ref: str) -> None:
        self._known.take(ref)

    def stranger(self, address: str) -> None:
        self._strangers.take(neighbourhood(address))

    def look(self, address: str) -> None:
        """Raises `TooMany` from where too many came that were nobody: the next is not even looked up."""
        self._strangers.take(neighbourhood(address), tokens=0)

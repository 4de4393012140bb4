"""The simulator's time, and the one heap of everything that is due later."""

import asyncio
import heapq
import time
from collections.abc import Callable
from itertools import count

# Timers that fall into the same slice fire together: thousands of receipts a second need few wake-ups.
SLICE_S = 0.005
# A long run of due timers gives way to the sockets after this long.
TURN_S = 0.02


class Clock:
    """Real time times `speed`, or frozen; `advance` jumps and lets everything fall due that lies between."""

    def __init__(self, *, speed: float = 1.0, offset_s: float = 0.0) -> None:
        self.speed = speed
        self.frozen = False
        self._real = time.monotonic()
        self._then = time.time() + offset_s
        self._heap: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._order = count()
        self._handle: asyncio.TimerHandle | None = None
        self._wake_at = 0.0

    def now(self) -> float:
        """Unix time as the simulated world sees it."""
        if self.frozen:
            return self._then
        return self._then + (time.monotonic() - self._real) * self.speed

    @property
    def offset_s(self) -> float:
        """How far simulated time is ahead of the machine's."""
        return self.now() - time.time()

    @property
    def waiting(self) -> int:
        """Number of timers not yet fired."""
        return len(self._heap)

    def next_due_s(self) -> float | None:
        """Simulated seconds until the next timer, None when there is none."""
        return max(0.0, self._heap[0][0] - self.now()) if self._heap else None

    def at(self, due: float, call: Callable[..., None], *args: object) -> None:
        """Call at simulated time `due`, never inside this call."""
        heapq.heappush(self._heap, (due, next(self._order), call, args))
        if self._handle is None or due < self._wake_at:
            self._arm()

    def set(self, *, speed: float | None = None, frozen: bool | None = None, advance_s: float = 0.0) -> None:
        """Change how time runs. What falls due through an advance fires in order of its time."""
        self._then, self._real = self.now() + advance_s, time.monotonic()
        if speed is not None:
            self.speed = speed
        if frozen is not None:
            self.frozen = frozen
        self._arm(at_once=advance_s > 0)

    def clear(self) -> None:
        """Forget all timers."""
        self._heap.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _arm(self, *, at_once: bool = False) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if not self._heap or (self.frozen and not at_once):
            return
        self._wake_at = self._heap[0][0]
        wait = 0.0 if at_once else max(SLICE_S, (self._wake_at - self.now()) / self.speed)
        self._handle = asyncio.get_running_loop().call_later(wait, self._fire)

    def _fire(self) -> None:
        self._handle = None
        heap, now = self._heap, self.now()
        give_way = time.monotonic() + TURN_S
        while heap and heap[0][0] <= now:
            _, _, call, args = heapq.heappop(heap)
            call(*args)
            if time.monotonic() > give_way:
                break
        self._arm(at_once=bool(heap) and heap[0][0] <= now)

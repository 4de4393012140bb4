"""A question that many ask at the same moment is asked once."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

_MOST = 1000


@dataclass(frozen=True, slots=True)
class _Look(Generic[T]):
    task: "asyncio.Task[T]"
    until: float


class SharedLooks(Generic[T]):
    """An answer is good for `lasts_s` after it was asked for. One that failed is nobody else's: each asks anew."""

    def __init__(self, *, lasts_s: float) -> None:
        self._lasts_s = lasts_s
        self._looks: dict[Hashable, _Look[T]] = {}

    def __len__(self) -> int:
        return len(self._looks)

    async def get(self, question: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        """What `ask` returns, or returned for somebody else a moment ago. Raises what it raises."""
        now = asyncio.get_running_loop().time()
        found = self._looks.get(question)
        if found is not None and now < found.until:
            try:
                return found.task.result() if found.task.done() else await asyncio.shield(found.task)
            except Exception:  # noqa: BLE001, S110  whoever asked first is told
                pass
        if len(self._looks) >= _MOST:
            self._looks = {one: look for one, look in self._looks.items() if now < look.until}
        mine = self._looks[question] = _Look(asyncio.ensure_future(_run(ask)), now + self._lasts_s)
        try:
            return await asyncio.shield(mine.task)
        except Exception:  # it would keep all that failed with it: who guesses would fill our memory
            if self._looks.get(question) is mine:
                del self._looks[question]
            raise


async def _run(ask: Callable[[], Awaitable[T]]) -> T:
    return await ask()

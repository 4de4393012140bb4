"""The event log in pages, each read once for all who come back at the same moment."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from core import bus
from core.bus import Logged
from core.database import Database

PAGE = 100
"""Events. Page 0 has those numbered 1 to 100."""
_MOST_KEPT = 32 * 2**20
_COST_OF_ONE = 1_500  # of an event however short it is, in this process


@dataclass(frozen=True, slots=True)
class _Page:
    events: Sequence[Logged]
    cost: int

    @property
    def last(self) -> int:
        return self.events[-1].seq if self.events else 0


class LogPages:
    """One page is read at a time, so that a crowd costs no more memory than one of it: when a process ends,
    its clients come to another one and all ask for the same. `most_kept`: bytes, roughly."""

    def __init__(self, database: Database, *, most_kept: int = _MOST_KEPT) -> None:
        self._database = database
        self._most_kept = most_kept
        self._kept: OrderedDict[int, _Page] = OrderedDict()
        self._cost = 0
        self._turn = asyncio.Lock()

    async def after(self, seq: int, *, up_to: int) -> Sequence[Logged]:
        """What comes next after `seq`, in order, as far as its page goes; all of it up to `up_to`, which the caller
        knows to be numbered. Begins later than at `seq + 1` where the log was pruned behind it."""
        number = seq // PAGE
        page = self._found(number, up_to)
        if page is None:
            async with self._turn:
                page = self._found(number, up_to) or await self._read(number)
        passed = seq + 1 - page.events[0].seq if page.events else 0  # numbers have no gaps
        return page.events[max(0, passed) :]

    def _found(self, number: int, up_to: int) -> _Page | None:
        page = self._kept.get(number)
        if page is None or page.last < min(up_to, (number + 1) * PAGE):
            return None
        self._kept.move_to_end(number)
        return page

    async def _read(self, number: int) -> _Page:
        async with self._database.reading() as tx:
            events = await bus.since(tx, number * PAGE, limit=PAGE)
        events = [one for one in events if one.seq <= (number + 1) * PAGE]
        page = _Page(events, sum(_COST_OF_ONE + len(orjson.dumps(one.data)) for one in events))
        self._forget(number)
        self._kept[number] = page
        self._cost += page.cost
        while self._cost > self._most_kept and len(self._kept) > 1:  # the last, however large: a crowd asks for it
            self._forget(next(iter(self._kept)))
        return page

    def _forget(self, number: int) -> None:
        if page := self._kept.pop(number, None):
            self._cost -= page.cost

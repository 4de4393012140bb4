"""What a client follows with: iterate it, or hang functions on it and run it."""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any, Generic, Self, TypeVar

from waqtor import lines
from waqtor.asking import Sleep
from waqtor.errors import Error, Gap
from waqtor.following import Broken, Hear, LiveEvent, Open, Say, Stream
from waqtor.lines import AsyncLine, Line

L = TypeVar("L")


class _Followed(Generic[L]):
    def __init__(self, stream: Stream, opened: Callable[[Open], L]) -> None:
        self._stream = stream
        self._opened = opened
        self._handlers: list[tuple[str, Callable[[LiveEvent], Any]]] = []

    @property
    def seq(self) -> int | None:
        """Everything up to here has been handed over: `since` of another time."""
        return self._stream.seq

    def on(self, event_type: str, do: Callable[[LiveEvent], Any]) -> Self:
        """`do` is called with each event of the type: `campaign.paused`, `campaign.*`, `*`. Then `run`."""
        self._handlers.append((event_type, do))
        return self

    def _handlers_of(self, event: LiveEvent) -> list[Callable[[LiveEvent], Any]]:
        return [do for wanted, do in self._handlers if fnmatchcase(event.type, wanted)]


class Following(_Followed[Line]):
    """Iterating connects, and comes back by itself where the connection breaks. Iterated again, it goes on where it
    was. Raises `Gap` where the log no longer reaches back; iterate again to go on behind it."""

    def __iter__(self) -> Iterator[LiveEvent]:
        line: Line | None = None
        steps, answer = self._stream.run(), None
        failed: Broken | Error | None = None
        try:
            while True:
                act = steps.throw(failed) if failed is not None else steps.send(answer)
                answer, failed = None, None
                try:
                    match act:
                        case LiveEvent():
                            yield act
                        case Hear():
                            answer = lines.there(line).hear(act.within_s)
                        case Say():
                            lines.there(line).say(act.said)
                        case Sleep():
                            time.sleep(act.seconds)
                        case Open():
                            if line is not None:
                                line.close()
                            line = self._opened(act)
                            line.open()
                        case Gap():
                            if self._stream.on_gap is None:
                                raise act
                            self._stream.on_gap(act)
                except (Broken, Error) as failure:
                    if isinstance(act, Gap | LiveEvent):
                        raise  # the caller's own
                    failed = failure
        finally:
            if line is not None:
                line.close()

    def run(self) -> None:
        """Calls what was hung on it, for ever: until one of them raises, or an error that coming back cannot mend."""
        for event in self:
            for do in self._handlers_of(event):
                do(event)


class AsyncFollowing(_Followed[AsyncLine]):
    """The same with `async for`. Functions hung on it may be coroutines."""

    async def __aiter__(self) -> AsyncIterator[LiveEvent]:
        line: AsyncLine | None = None
        steps, answer = self._stream.run(), None
        failed: Broken | Error | None = None
        try:
            while True:
                act = steps.throw(failed) if failed is not None else steps.send(answer)
                answer, failed = None, None
                try:
                    match act:
                        case LiveEvent():
                            yield act
                        case Hear():
                            answer = await lines.there(line).hear(act.within_s)
                        case Say():
                            await lines.there(line).say(act.said)
                        case Sleep():
                            await asyncio.sleep(act.seconds)
                        case Open():
                            if line is not None:
                                await line.close()
                            line = self._opened(act)
                            await line.open()
                        case Gap():
                            if self._stream.on_gap is None:
                                raise act
                            await _done(self._stream.on_gap(act))
                except (Broken, Error) as failure:
                    if isinstance(act, Gap | LiveEvent):
                        raise  # the caller's own
                    failed = failure
        finally:
            if line is not None:
                await line.close()

    async def run(self) -> None:
        """Calls what was hung on it, for ever: until one of them raises, or an error that coming back cannot mend."""
        async for event in self:
            for do in self._handlers_of(event):
                await _done(do(event))


async def _done(result: Any) -> None:
    if inspect.isawaitable(result):
        await result

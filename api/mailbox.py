"""What a connection has to tell its ASGI app, until the app asks for it."""

import asyncio
from collections.abc import Callable
from typing import Any

Event = dict[str, Any]


class Mailbox:
    """For one reader. Once that has left a callback instead, nothing is kept here any more."""

    __slots__ = ("_events", "_is_told_of_end", "_loop", "_told", "_waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._events: list[Event] = []
        self._waiter: asyncio.Future[None] | None = None
        self._told: Callable[[Event], None] | None = None
        self._is_told_of_end = False

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: Event) -> None:
        """After the one disconnect that a callback is told of, nothing more."""
        if (told := self._told) is not None:
            if event["type"] == "websocket.disconnect":
                self._told = None
                self._is_told_of_end = True
            told(event)
        elif not self._is_told_of_end:
            self._events.append(event)
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)

    async def get(self) -> Event:
        while not self._events:
            self._waiter = self._loop.create_future()
            await self._waiter
        return self._events.pop(0)

    def leave_to(self, told: Callable[[Event], None]) -> None:
        """From here on `told` gets what comes, what waits first, up to one disconnect."""
        self._told = told
        waiting, self._events = self._events, []
        for event in waiting:
            self.put(event)

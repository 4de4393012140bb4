"""The event log as it goes on, to everybody who follows a topic."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from typing import Any

import orjson

from api import topics
from api.connections import Connections
from api.frames import Prepared
from core import bus, campaigns, outcomes
from core.bootstrap import Platform
from core.bus import Logged

_LOOK_S = 0.025  # how late an event of another process may be seen on SQLite
_PROGRESS_S = 0.5
_PROGRESS_SHARE = 20  # counting a large campaign takes long: it may take a twentieth of the time
_RETRY_S = 1.0
_BATCH = 500
_TELLS_OF_PROGRESS = ("messages", "recipients", "campaign", "occurrence")
logger = logging.getLogger(__name__)


def milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def envelope(event: Logged, topic: str) -> dict[str, Any]:
    """The event as who follows `topic` sees it."""
    return {
        "type": event.type,
        "topic": topic,
        "seq": event.seq,
        "data": event.data,
        "timestamp": milliseconds(event.at),
    }


def told(event: Logged, topic: str, *, prev: int) -> Prepared:
    """Over the WebSocket, where it also says which event of this topic was the one before it."""
    return Prepared(orjson.dumps({**envelope(event, topic), "prev": prev}))


class Following:
    """Reads the log in order while anybody is connected. What is above `position` nobody here has been told yet."""

    def __init__(self, platform: Platform, connections: Connections) -> None:
        self._platform = platform
        self._connections = connections
        self._last: dict[str, int] = {}
        self._wanted = asyncio.Event()
        self._is_stale = True
        self._has_moved = False
        self._entering = 0
        self._moved = asyncio.Event()
        self.position = 0

    @asynccontextmanager
    async def entering(self) -> AsyncIterator[None]:
        """While somebody comes in: from here on nothing is passed over."""
        self._entering += 1
        try:
            if self._is_stale:
                async with self._platform.database.reading() as tx:
                    head = (await bus.reach(tx)).head
                if self._is_stale:  # nobody else was faster
                    self.position, self._is_stale = head, False
            self._wanted.set()
            yield
        finally:
            self._entering -= 1

    def begin(self, topic: str, last: int) -> None:
        """`last` is an event of `topic`, the newest up to `position`: what follows names it as the one before. Where
        none is known, `prev` is 0, which nobody takes for a gap."""
        self._last.setdefault(topic, last)

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._wanted.wait()
            try:
                async with self._calls() as more:
                    while not self._is_stale:
                        if not await self._pass_on():
                            await more()
                        if not self._connections.clients and not self._entering:
                            self._rest()
            except Exception:  # the database may be restarting; the log waits for us
                logger.exception("following_stalled")
                await asyncio.sleep(_RETRY_S)

    def _rest(self) -> None:
        """Nobody is there: the next one begins where the log is then."""
        self._wanted.clear()
        self._last.clear()
        self._is_stale = True

    async def _pass_on(self) -> bool:
        batch = await bus.next_batch(self._platform.database, self.position, limit=_BATCH)
        for event in batch:
            self._publish(event)
            self.position = event.seq
        if batch:
            self._moved.set()
            self._moved = asyncio.Event()
        return bool(batch)

    async def beyond(self, seq: int, *, within_s: float) -> None:
        """Returns when `position` is above `seq`, or the time is up."""
        if self.position <= seq:
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._moved.wait()

    def _publish(self, event: Logged) -> None:
        self._has_moved |= event.type.partition(".")[0] in _TELLS_OF_PROGRESS
        for topic in topics.of(event):
            if self._connections.is_followed(topic):
                prev = self._last.get(topic, 0)
                self._connections.publish(topic, told(event, topic, prev=prev), seq=event.seq)
                self._last[topic] = event.seq
            else:
                self._last.pop(topic, None)

    @asynccontextmanager
    async def _calls(self) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """To wait until there may be more. PostgreSQL calls; on SQLite one has to look."""
        if not self._platform.database.is_postgres:

            async def look() -> None:
                await asyncio.sleep(_LOOK_S)

            yield look
            return
        async with bus.calls(self._platform.database, at_least_each_s=_RETRY_S) as called:
            yield called

    async def show_progress(self) -> None:
        """At most twice a second, to who follows a campaign that moves. For ever."""
        pause_s = _PROGRESS_S
        while True:
            await asyncio.sleep(pause_s)
            if not self._has_moved:
                continue
            self._has_moved = False
            begun = time.monotonic()
            try:
                await self._publish_progress()
            except Exception:  # the database may be restarting; the next look is soon
                logger.exception("progress_stalled")
            pause_s = max(_PROGRESS_S, (time.monotonic() - begun) * _PROGRESS_SHARE)

    async def _publish_progress(self) -> None:
        wanted = self._followed_campaigns()
        is_any = self._connections.is_followed("campaigns")
        if not wanted and not is_any:
            return
        async with self._platform.database.reading() as tx:
            now = await self._platform.clock.now(tx)
            for campaign in await campaigns.to_watch(tx, wanted, all_running=is_any):
                counted = await outcomes.progress(tx, campaign.id, occurrence=campaign.occurrence)
                data = {"campaign_id": campaign.id, "state": campaign.state, **asdict(counted)}
                for topic in ("campaigns", f"campaign:{campaign.id}"):
                    state = {
                        "type": "campaign.progress",
                        "topic": topic,
                        "data": data,
                        "timestamp": milliseconds(now),
                    }
                    self._connections.publish(topic, Prepared(orjson.dumps(state)))

    def _followed_campaigns(self) -> Collection[int]:
        return {
            int(topic.removeprefix("campaign:"))
            for topic in self._connections.followed()
            if topic.startswith("campaign:")
        }

"""The event log as it goes on, to everybody who follows a topic."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict

import orjson

from api import topics
from api.bell import TOPIC as NOTIFICATIONS
from api.bell import Bell, Rows, milliseconds, told
from api.connections import Connections
from api.frames import Prepared
from core import bus, campaigns, outcomes
from core.bootstrap import Platform
from core.bus import Logged
from core.principals import Principal

_PROGRESS_S = 0.5
_PROGRESS_SHARE = 20  # counting a large campaign takes long: it may take a twentieth of the time
_RETRY_S = 1.0
_BATCH = 500
_TELLS_OF_PROGRESS = ("messages", "recipients", "campaign", "occurrence")
logger = logging.getLogger(__name__)


class Following:
    """Reads the log in order while anybody is connected. What is above `position` nobody here has been told yet."""

    def __init__(self, platform: Platform, connections: Connections, bell: Bell) -> None:
        self._platform = platform
        self._connections = connections
        self._bell = bell
        self._last: dict[str, int] = {}
        self._wanted = asyncio.Event()
        self._is_stale = True
        self._has_moved = False
        self._entering = 0
        self._moved = asyncio.Event()
        self.position = 0
        self.ahead_s = 0.0
        """So much the database's clock, by which events are dated, is ahead of this machine's."""

    @asynccontextmanager
    async def entering(self) -> AsyncIterator[None]:
        """While somebody comes in: from here on nothing is passed over."""
        self._entering += 1
        try:
            if self._is_stale:
                head = (await self.look()).head
                if self._is_stale:  # nobody else was faster
                    self.position, self._is_stale = head, False
            self._wanted.set()
            yield
        finally:
            self._entering -= 1

    async def look(self) -> bus.Reach:
        """Where the log is now, and with it what time it is there. What was committed before is not told as new."""
        await bus.number_all(self._platform.database)
        async with self._platform.database.reading() as tx:
            self.ahead_s = (await self._platform.clock.now(tx)).timestamp() - time.time()
            return await bus.reach(tx)

    @property
    def streams(self) -> int:
        """Who follows over plain HTTP, and who is coming in."""
        return self._entering

    @property
    def is_resting(self) -> bool:
        """Nobody follows."""
        return self._is_stale

    def begin(self, topic: str, last: int, *, principal: Principal) -> None:
        """`last` is an event of `topic`, the newest up to `position`: what follows names it as the one before. Where
        none is known, `prev` is 0, which nobody takes for a gap."""
        if topic == NOTIFICATIONS:
            self._bell.begin(principal, last)
        else:
            self._last.setdefault(topic, last)

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._wanted.wait()
            try:
                async with bus.calls(self._platform.database, at_least_each_s=_RETRY_S) as more:
                    while not self._is_stale:
                        if not await self._pass_on():
                            await more()
                        if not self._connections.clients and not self._entering:
                            self._rest()
            except Exception:  # the database may be restarting; the log waits for us
                logger.exception("following_stalled")
                self._connections.counts.fail("stalled", "The event log could not be read.")
                await asyncio.sleep(_RETRY_S)

    def _rest(self) -> None:
        """Nobody is there: the next one begins where the log is then."""
        self._wanted.clear()
        self._last.clear()
        self._bell.rest()
        self._is_stale = True

    async def _pass_on(self) -> bool:
        batch = await bus.next_batch(self._platform.database, self.position, limit=_BATCH)
        rows = await self._bell.rows(batch)
        for event in batch:
            self._publish(event, rows)
            self.position = event.seq
        if batch:
            self.wake()
        return bool(batch)

    def wake(self) -> None:
        """Whoever waits in `beyond` looks again."""
        self._moved.set()
        self._moved = asyncio.Event()

    @property
    def is_wanted(self) -> bool:
        """Somebody follows, in whatever way."""
        return self._wanted.is_set()

    async def beyond(self, seq: int, *, within_s: float) -> None:
        """Returns when `position` is above `seq`, or the time is up."""
        if self.position <= seq:
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._moved.wait()

    def _publish(self, event: Logged, rows: Rows) -> None:
        self._has_moved |= event.type.partition(".")[0] in _TELLS_OF_PROGRESS
        age_s = max(0.0, time.time() + self.ahead_s - event.at.timestamp())
        self._connections.counts.lag.add(age_s * 1000)
        for topic in topics.of(event):
            if topic == NOTIFICATIONS:
                self._bell.publish(event, rows, age_s=age_s)
            elif self._connections.is_followed(topic):
                prev = self._last.get(topic, 0)
                self._connections.publish(topic, told(event, topic, prev=prev), seq=event.seq, age_s=age_s)
                self._last[topic] = event.seq
            else:
                self._last.pop(topic, None)

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
                self._connections.counts.fail("stalled", "Progress could not be counted.")
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

"""Notifications as they are told live: to each only their own, whole, in the shape of version 2.3.0."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import orjson

from api.auth import allows
from api.connections import Client, Connections
from api.frames import Prepared
from api.live_bodies import NotificationCountData, NotificationData
from api.masking import masked, sees_numbers
from api.notifications_v2 import show
from core import notices, notifications
from core.bootstrap import Platform
from core.bus import Logged
from core.events import NotificationRaised, NotificationWithdrawn
from core.models import Notification
from core.notifications import Seen
from core.principals import Principal

TOPIC = "notifications"
NEW, COUNT = "notification:new", "notification:count"
_COUNT_S = 0.1
_COUNT_SHARE = 5  # counting for many takes long: it may take a fifth of the time
_RETRY_S = 1.0
logger = logging.getLogger(__name__)

Rows = Mapping[int, Notification]


def milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def envelope(event: Logged, topic: str, principal: Principal | None = None, rows: Rows | None = None) -> dict[str, Any]:
    """The event as who follows `topic` sees it; a notification as `principal` does."""
    said = {"type": event.type, "topic": topic, "seq": event.seq, "data": event.data}
    if event.type == NotificationRaised.TYPE and principal is not None and rows is not None:
        said |= {"type": NEW, "data": _shown(rows[event.data["notification_id"]], principal)}
    return {**said, "timestamp": milliseconds(event.at)}


def told(
    event: Logged, topic: str, *, prev: int, principal: Principal | None = None, rows: Rows | None = None
) -> Prepared:
    """Over the WebSocket, where it also says which event of this topic was the one before it."""
    return Prepared(orjson.dumps({**envelope(event, topic, principal, rows), "prev": prev}))


def is_for(principal: Principal, event: Logged, rows: Rows) -> bool:
    """A notification is told to whom it is for, while it is there; what somebody did with theirs only to them."""
    if event.topic != TOPIC:
        return True
    if event.type == NotificationRaised.TYPE:
        return event.data["notification_id"] in rows and allows(principal, event.data["permission"])
    if event.type == NotificationWithdrawn.TYPE:
        return allows(principal, event.data["permission"])
    return bool(event.data["principal"] == principal.ref)


def _shown(row: Notification, principal: Principal) -> orjson.Fragment:
    data = NotificationData(
        **show(Seen(row, None), principal).model_dump(),
        kind=row.kind,
        wording=row.wording,
        params=row.params,
        about=row.about,
        path=notices.path(row.about),
    ).model_dump_json()
    return orjson.Fragment(data if sees_numbers(principal) else masked(data))


class Bell:
    """What is new for each of those who follow, and how many they have not read."""

    def __init__(self, platform: Platform, connections: Connections) -> None:
        self._platform = platform
        self._connections = connections
        self._last: dict[Principal, int] = {}
        self._uncounted: set[Principal] = set()
        self._wanted = asyncio.Event()

    async def rows(self, events: Iterable[Logged]) -> Rows:
        """The notifications that these events tell of, as far as they are still there."""
        ids = [one.data["notification_id"] for one in events if one.type == NotificationRaised.TYPE]
        if not ids:
            return {}
        async with self._platform.database.reading() as tx:
            return await notifications.by_ids(tx, ids)

    def begin(self, principal: Principal, last: int) -> None:
        """`last` is the newest event that was told to this one."""
        self._last.setdefault(principal, last)

    def rest(self) -> None:
        """Nobody is there."""
        self._last.clear()

    def publish(self, event: Logged, rows: Rows, *, age_s: float) -> None:
        """To each who follows and whom it concerns. The one before it is of what was told to them, not to others."""
        last: dict[Principal, int] = {}
        for who, clients in self._followers().items():
            if who in self._last:
                last[who] = self._last[who]
            if is_for(who, event, rows):
                message = told(event, TOPIC, prev=last.get(who, 0), principal=who, rows=rows)
                self._connections.publish(TOPIC, message, seq=event.seq, age_s=age_s, to=clients)
                last[who] = event.seq
                self.count_for(who)
        self._last = last

    def count_for(self, principal: Principal) -> None:
        """Soon, to wherever they follow."""
        self._uncounted.add(principal)
        self._wanted.set()

    async def show_counts(self) -> None:
        """After what changes them, together. For ever."""
        while True:
            await self._wanted.wait()
            begun = time.monotonic()
            asked, self._uncounted = self._uncounted, set()
            self._wanted.clear()
            try:
                await self._publish_counts(asked)
            except Exception:  # the database may be restarting; the next look is soon
                logger.exception("counting_stalled")
                self._connections.counts.fail("stalled", "Notifications could not be counted.")
                self._uncounted |= asked
                self._wanted.set()
                await asyncio.sleep(_RETRY_S)
            await asyncio.sleep(max(_COUNT_S, (time.monotonic() - begun) * _COUNT_SHARE))

    async def _publish_counts(self, asked: set[Principal]) -> None:
        async with self._platform.database.reading() as tx:
            now = await self._platform.clock.now(tx)
            counted = {who: await notifications.count(tx, who) for who in asked & self._followers().keys()}
        for who, clients in self._followers().items():
            if (count := counted.get(who)) is not None:
                data = NotificationCountData(userId=who.ref, unread=count.unread, total=count.total)
                state = {"type": COUNT, "topic": TOPIC, "data": data.model_dump(), "timestamp": milliseconds(now)}
                self._connections.publish(TOPIC, Prepared(orjson.dumps(state)), to=clients)

    def _followers(self) -> Mapping[Principal, list[Client]]:
        found: defaultdict[Principal, list[Client]] = defaultdict(list)
        for client in self._connections.followers(TOPIC):
            found[client.principal].append(client)
        return found

"""The log of what happened, in order and without a gap."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from waqtor.asking import Ask, C, Model, Resource, call, get
from waqtor.errors import Gap
from waqtor.following import Backoff, Stream, Transport, followed


class Event(Model):
    seq: int
    type: str
    topic: str
    data: dict[str, Any]
    at: datetime


class Events(Model):
    """Part of the log, which holds `pruned + 1` to `head`."""

    data: list[Event]
    head: int
    pruned: int


class EventLog(Resource[C]):
    @call
    def since(self, seq: int = 0, *, limit: int = 100) -> Ask[Events]:
        """What happened after `seq`; raises `LogPruned` where that has been forgotten."""
        return get("/events", Events, since=seq, limit=limit)

    @followed
    def follow(
        self,
        *topics: str,
        since: int | None = None,
        transport: Transport = "websocket",
        attempts: int | None = 5,
        on_gap: Callable[[Gap], Any] | None = None,
        backoff: Backoff | None = None,
    ) -> Stream:
        """What happens, as it happens: `for event in waqtor.events.follow("campaigns")`. No topic: all you may follow.

        Every event once and in order, also where two of your topics show it, whatever breaks in between: it comes back
        by itself, `attempts` times in a row (None: for ever), after growing random pauses or when the server says.
        `since`: the last `seq` you have dealt with; left out, from now on. Where the log no longer reaches back,
        `on_gap` is called, or else `Gap` raised. `transport="sse"`: plain HTTP, where something in between blocks
        WebSockets; without states such as `campaign.progress`.
        """
        return Stream(topics, since, transport, attempts, on_gap, backoff or Backoff())

"""The log of what happened, in order and without a gap."""

from datetime import datetime
from typing import Any

from waqtor.asking import Ask, C, Model, Resource, call, get


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

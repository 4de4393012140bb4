"""How the installation does: its parts, and who follows live events. Takes the permission system.read, but `ready`."""

from collections.abc import Mapping, Sequence

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from waqtor.asking import Ask, C, Model, Resource, call, get, given


class Ready(Model):
    """Whether the parts that requests need are there. `inbox_lag_s`: how long the oldest webhook has waited.
    `inbox_set_aside`: how many could not be applied."""

    ok: bool
    database: str
    revision: str
    redis: str
    instance: str
    suspect_senders: list[int]
    inbox_lag_s: float | None
    inbox_set_aside: int | None


class Connected(Model):
    """Somebody who is connected now, and the API processes they are at."""

    principal: str
    connections: int
    instances: list[str]


class Presence(Model):
    """Over all API processes; `is_whole` is false while these cannot tell each other."""

    data: list[Connected]
    instances: list[str]
    is_whole: bool


class Told(Model):
    """Version 2.3.0's names on the wire. Moments are milliseconds since 1970."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


class LiveConnections(Told):
    current: int
    total: int
    disconnections: int
    alive: int
    dead: int
    peak: int
    streams: int
    most: int


class LiveMessages(Told):
    received: int
    sent: int
    broadcasts: int
    bytes_in: int
    bytes_out: int
    last_broadcast: int | None


class LiveDelivery(Told):
    """Of the last minute, in milliseconds, from when an event is dated until it was written out."""

    p50: float | None
    p99: float | None
    count: int
    lag_ms: float | None
    behind: int


class LiveRates(Told):
    """By the second, over the last ten."""

    sent: float
    received: float
    bytes_out: float


class LiveClient(Told):
    """One connection."""

    id: int
    name: str
    principal: str
    ip: str
    connected: int
    is_full: bool
    buffered: int
    sent: int
    received: int
    subscriptions: list[str]


class LiveAlert(Told):
    """What somebody should know, and do. `level` is ok, warning or critical."""

    level: str
    code: str
    title: str
    reason: str
    do: str
    since: int


class LivePoint(Told):
    """Two seconds of the last ten minutes."""

    at: int
    connections: int
    sent_per_s: float
    received_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    errors: int
    behind: int
    memory: int
    cpu_percent: float


class LiveMonitor(Told):
    """Of the API process that answers. `status` is ok, degraded, critical or draining."""

    status: str
    connections: LiveConnections
    messages: LiveMessages
    rates: LiveRates
    delivery: LiveDelivery
    topics: Mapping[str, int]
    clients: Sequence[LiveClient]
    alerts: Sequence[LiveAlert]
    history: Sequence[LivePoint]


class LiveNow(Told):
    """Who is connected. `alive`: heard of since they were last asked."""

    total: int
    alive: int
    peak: int
    since_start: int
    disconnections: int


class LiveErrors(Told):
    total: int


class LiveBuffer(Told):
    """Bytes that wait for readers; `overloaded` get no more until they read."""

    clients: int
    total_buffered: int
    overloaded: int


class LiveStats(Told):
    """A few figures, since the process started."""

    connections: LiveNow
    messages: LiveMessages
    errors: LiveErrors
    buffer: LiveBuffer
    uptime: float = Field(description="Seconds.")
    timestamp: int


class LiveMetrics(Told):
    """All figures that programs want. `errors` are by code, `closed` by close code, `topics` by followers."""

    websocket: Mapping[str, int]
    security: Mapping[str, int | Mapping[str, int]]
    messages: LiveMessages
    errors: Mapping[str, int]
    closed: Mapping[int, int]
    delivery: LiveDelivery
    readers: Mapping[str, int]
    compression: Mapping[str, int]
    topics: Mapping[str, int]
    timestamp: int


class Monitor(Resource[C]):
    @call
    def ready(self) -> Ask[Ready]:
        """An answer also where something is missing: look at `ok`."""
        return Ask("GET", "/readyz", Ready.model_validate, under="", answers=frozenset({503}))

    @call
    def presence(self) -> Ask[Presence]:
        """Who is connected at this moment."""
        return get("/presence", Presence)

    @call
    def stats(self) -> Ask[LiveStats]:
        return Ask("GET", "/ws-stats", LiveStats.model_validate, under="/api")

    @call
    def metrics(self) -> Ask[LiveMetrics]:
        return Ask("GET", "/ws-metrics", LiveMetrics.model_validate, under="/api")

    @call
    def live(self, *, since: int | None = None, limit: int | None = None) -> Ask[LiveMonitor]:
        """What a page shows: figures, alerts, at most `limit` connections, and history after `since`."""
        asked = given(since=since, limit=limit)
        return Ask("GET", "/ws-monitor", LiveMonitor.model_validate, params=asked, under="/api")

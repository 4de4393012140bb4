"""What `/api/ws-stats`, `/api/ws-metrics` and `/api/ws-monitor` say, under the names that 2.3.0 had for it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from api.alerts import Level

Status = Literal["ok", "degraded", "critical", "draining"]


class Told(BaseModel):
    """Under 2.3.0's names."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, from_attributes=True)


class HereOut(Told):
    """Who is connected. `authenticated` is the same as `total`: nobody else is let in."""

    total: int = Field(examples=[30])
    authenticated: int = Field(examples=[30])
    alive: int = Field(description="Heard of since they were last asked.", examples=[30])
    dead: int = Field(description="They did not answer yet; ended when they do not by the next time.", examples=[0])
    peak: int = Field(description="The most at once since the process started.", examples=[41])
    since_start: int = Field(examples=[128])
    disconnections: int = Field(examples=[98])


class SaidOut(Told):
    """Messages and bytes each way, since the process started."""

    received: int = Field(examples=[210])
    sent: int = Field(examples=[40321])
    broadcasts: int = Field(description="Events and states that were published.", examples=[1400])
    bytes_in: int = Field(description="Of what clients said, inflated.", examples=[15230])
    bytes_out: int = Field(description="Of frames as they were written.", examples=[8123111])
    last_broadcast: int | None = Field(description="Milliseconds since 1970.", examples=[1793448000000])


class BufferOut(Told):
    """What waits for readers, in bytes."""

    clients: int = Field(description="For how many something waits.", examples=[1])
    total_buffered: int = Field(examples=[12000])
    max_buffered: int = Field(examples=[12000])
    avg_buffered: int = Field(examples=[400])
    overloaded: int = Field(description="They are full: they get no more until they read.", examples=[0])


class ErrorsOut(Told):
    """What went wrong, since the process started."""

    total: int = Field(examples=[3])


class StatsOut(Told):
    """The WebSocket in a few figures."""

    connections: HereOut
    messages: SaidOut
    errors: ErrorsOut
    buffer: BufferOut
    uptime: float = Field(description="Seconds.", examples=[86400.5])
    timestamp: int = Field(description="Milliseconds since 1970.", examples=[1793448000000])


class TotalsOut(Told):
    """Since the process started."""

    connections: int = Field(examples=[128])
    disconnections: int = Field(examples=[98])
    messages: int = Field(description="Both ways.", examples=[40531])
    errors: int = Field(examples=[3])
    broadcasts: int = Field(examples=[1400])
    uptime: float = Field(description="Seconds.", examples=[86400.5])
    uptime_formatted: str = Field(examples=["1d 0h 0m 0s"])


class WebsocketOut(Told):
    """Who is connected now."""

    clients: int = Field(examples=[30])
    authenticated: int = Field(examples=[30])
    alive: int = Field(examples=[30])
    dead: int = Field(examples=[0])


class SecurityOut(Told):
    """Who was not let in, or said too much."""

    unauthorized_attempts: int = Field(examples=[0])
    rate_limit_violations: int = Field(examples=[0])
    invalid_origins: int = Field(examples=[0])
    expired_handshakes: int = Field(examples=[0])
    invalid_signatures: int = Field(examples=[0])
    oversized_messages: int = Field(examples=[0])
    blocked_connections: int = Field(description="From addresses that may not come in.", examples=[0])
    refused: dict[str, int] = Field(description="All refusals, by why.", examples=[{"bad_origin": 2}])


class DeliveryOut(Told):
    """From when an event is dated until its frame was given to the operating system, in milliseconds, of the last
    minute; null where nothing was delivered. `lag` ends where the gateway had read the event."""

    p50: float | None = Field(examples=[14.2])
    p99: float | None = Field(examples=[27.9])
    count: int = Field(description="Deliveries of the last minute.", examples=[1200])
    lag_ms: float | None = Field(description="On the average since the process started.", examples=[13.5])
    behind: int = Field(description="Events of the log that nobody here was told yet.", examples=[0])


class CompressionOut(Told):
    """Messages compressed once, and to how many they went so. Bytes are counted where they are compressed."""

    clients: int = Field(description="Who inflates.", examples=[28])
    compressed: int = Field(examples=[1400])
    deliveries: int = Field(examples=[39200])
    bytes_before: int = Field(examples=[1540000])
    bytes_after: int = Field(examples=[380000])


class ReadersOut(Told):
    """Those who do not keep up, and those who come back."""

    slow: int = Field(description="Full now.", examples=[0])
    coalesced: int = Field(description="States of which they got only the newest.", examples=[0])
    gaps: int = Field(description="Events they have to ask for again.", examples=[0])
    sent_away: int = Field(description="Closed with 1013.", examples=[0])
    unanswered: int = Field(description="Ended, since they did not answer a ping.", examples=[0])
    resumed: int = Field(description="Subscriptions with `since`.", examples=[4])
    replayed: int = Field(description="Events told again for them.", examples=[311])
    not_recovered: int = Field(description="The log did not reach back so far.", examples=[0])


class MetricsOut(Told):
    """All the figures of the WebSocket."""

    metrics: TotalsOut
    websocket: WebsocketOut
    topics: dict[str, int] = Field(description="How many follow each.", examples=[{"campaigns": 30}])
    buffer: BufferOut
    security: SecurityOut
    messages: SaidOut
    errors: dict[str, int] = Field(description="By code.", examples=[{"invalid": 3}])
    closed: dict[int, int] = Field(description="Connections we ended, by close code.", examples=[{"1008": 1}])
    delivery: DeliveryOut
    compression: CompressionOut
    readers: ReadersOut
    timestamp: int = Field(description="Milliseconds since 1970.", examples=[1793448000000])


class ServerOut(Told):
    """This process."""

    uptime: float = Field(description="Seconds.", examples=[86400.5])
    uptime_formatted: str = Field(examples=["1d 0h 0m 0s"])
    start_time: int = Field(description="Milliseconds since 1970.", examples=[1793361600000])
    timestamp: int = Field(description="Milliseconds since 1970.", examples=[1793448000000])


class CountOut(Told):
    """Who is connected."""

    current: int = Field(examples=[30])
    total: int = Field(description="Since the process started.", examples=[128])
    disconnections: int = Field(examples=[98])
    alive: int = Field(examples=[30])
    dead: int = Field(examples=[0])
    peak: int = Field(examples=[41])
    streams: int = Field(description="Who follows over plain HTTP.", examples=[0])
    most: int = Field(description="live_connections: more are refused.", examples=[10000])


class LastErrorOut(Told):
    """The last thing that went wrong."""

    time: int = Field(description="Milliseconds since 1970.", examples=[1793448000000])
    source: str = Field(description="Its code.", examples=["invalid"])
    message: str = Field(examples=["Input should be greater than or equal to 0"])


class MonitorErrorsOut(Told):
    """What went wrong, since the process started."""

    total: int = Field(examples=[3])
    lately: int = Field(description="In the last ten minutes.", examples=[1])
    by_code: dict[str, int] = Field(examples=[{"invalid": 3}])
    last: LastErrorOut | None


class MemoryOut(Told):
    """In megabytes; 0 where the machine does not tell."""

    rss: float = Field(examples=[142.3])


class CpuOut(Told):
    """The machine's load, and this process in percent of one core."""

    load_avg: list[float] = Field(examples=[[0.4, 0.3, 0.2]])
    cores: int = Field(examples=[2])
    process: float = Field(examples=[3.2])


class SystemOut(Told):
    """What the process uses."""

    memory: MemoryOut
    cpu: CpuOut


class KilobytesOut(Told):
    """What waits for readers, in kilobytes."""

    total: float = Field(examples=[11.7])
    average: float = Field(examples=[0.4])
    max: float = Field(examples=[11.7])


class RatesOut(Told):
    """By the second, over the last ten."""

    sent: float = Field(examples=[300.0])
    received: float = Field(examples=[2.1])
    bytes_out: float = Field(examples=[65000.0])


class ClientOut(Told):
    """One connection."""

    id: int = Field(description="Since the process started.", examples=[17])
    name: str = Field(description="Of the key or person.", examples=["nightly import"])
    principal: str = Field(examples=["api_key:3"])
    ip: str = Field(description="Whole for who may read the audit log, else its beginning.", examples=["203.0.113.7"])
    connected: int = Field(description="Milliseconds since 1970.", examples=[1793448000000])
    last_ping: int | None = Field(description="When it was last asked. Milliseconds since 1970.")
    last_heard: int = Field(description="Its last message or pong. Milliseconds since 1970.", examples=[1793448000000])
    is_alive: bool
    buffered: int = Field(description="Bytes that wait for it.", examples=[0])
    is_full: bool
    is_compressed: bool
    missed: int = Field(description="Messages that found it full.", examples=[0])
    sent: int = Field(examples=[1400])
    received: int = Field(examples=[7])
    subscriptions: list[str] = Field(examples=[["campaign:7", "campaigns"]])


class PointOut(Told):
    """Two seconds of the last ten minutes."""

    at_ms: int = Field(serialization_alias="at", examples=[1793448000000])
    connections: int = Field(examples=[30])
    sent_per_s: float = Field(examples=[300.0])
    received_per_s: float = Field(examples=[2.0])
    bytes_out_per_s: float = Field(examples=[65000.0])
    p50_ms: float | None = Field(examples=[14.2])
    p99_ms: float | None = Field(examples=[27.9])
    errors: int = Field(examples=[0])
    refused: int = Field(examples=[0])
    behind: int = Field(examples=[0])
    memory: int = Field(description="Bytes.", examples=[149212345])
    cpu_percent: float = Field(examples=[3.2])


class AlertOut(Told):
    """What somebody should know, and do."""

    level: Level
    code: str = Field(examples=["slow_readers"])
    title: str = Field(examples=["Somebody does not keep up"])
    reason: str = Field(examples=["1 connections read slower than they are told. The others do not wait for them."])
    do: str = Field(examples=["They are in the table, with what waits for them."])
    since: int = Field(description="Milliseconds since 1970.", examples=[1793448000000])


class LineOut(Told):
    """A line of the gateway's log, without secrets and numbers."""

    at_ms: int = Field(serialization_alias="at", examples=[1793448000000])
    level: str = Field(examples=["info"])
    source: str = Field(examples=["gateway"])
    text: str = Field(examples=["websocket_refused why=bad_origin from=203.0.113.7"])


class MonitorOut(Told):
    """What the monitor's page shows."""

    status: Status
    server: ServerOut
    connections: CountOut
    messages: SaidOut
    rates: RatesOut
    delivery: DeliveryOut
    errors: MonitorErrorsOut
    security: SecurityOut
    compression: CompressionOut
    readers: ReadersOut
    system: SystemOut
    buffer: KilobytesOut
    topics: dict[str, int] = Field(examples=[{"campaigns": 30}])
    clients: list[ClientOut] = Field(description="Those for whom most waits, then the newest; `limit` at most.")
    alerts: list[AlertOut]
    history: list[PointOut] = Field(description="After `since`, or of the last ten minutes.")
    log: list[LineOut] = Field(description="The last 100 lines, the newest last.")

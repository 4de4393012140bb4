"""The gateway's figures put into the answers of api/monitor.py."""

import asyncio
import heapq
import os
import re
import time
from collections import Counter
from ipaddress import ip_address

from api import monitor_bodies as out
from api.connections import Client
from api.counting import quantile
from api.gateway_log import Line
from api.monitoring import Monitor
from api.sampling import rounded, since

_ANSWERS_WITHIN_S = 5.0
_RATES_S = 10.0
_FROM = re.compile(r"(?<=from=)\S+")


class View:
    """One look at the monitor; what several answers share is computed once."""

    def __init__(self, monitor: Monitor, *, sees_addresses: bool) -> None:
        self._monitor = monitor
        self._connections = monitor.live.connections
        self._counts = monitor.live.connections.counts
        self._sees_addresses = sees_addresses
        self._loop_now = asyncio.get_running_loop().time()
        self._now_ms = int(time.time() * 1000)
        clients = self._connections.clients
        self._waiting = {one: one.socket.waiting() for one in clients if one.socket.is_open}
        self._alive = sum(1 for one in clients if self._is_alive(one))
        self._full = sum(1 for one in self._waiting if not one.socket.room())

    def stats(self) -> out.StatsOut:
        total = len(self._connections.clients)
        return out.StatsOut(
            connections=out.HereOut(
                total=total,
                authenticated=total,
                alive=self._alive,
                dead=total - self._alive,
                peak=self._counts.most,
                since_start=self._counts.connected,
                disconnections=self._counts.disconnected,
            ),
            messages=self._said(),
            errors=out.ErrorsOut(total=sum(self._counts.errors.values())),
            buffer=self._buffer(),
            uptime=round(self._monitor.uptime_s, 1),
            timestamp=self._now_ms,
        )

    def metrics(self) -> out.MetricsOut:
        counts, total = self._counts, len(self._connections.clients)
        return out.MetricsOut(
            metrics=out.TotalsOut(
                connections=counts.connected,
                disconnections=counts.disconnected,
                messages=counts.received + counts.sent,
                errors=sum(counts.errors.values()),
                broadcasts=counts.broadcasts,
                uptime=round(self._monitor.uptime_s, 1),
                uptime_formatted=_formatted(self._monitor.uptime_s),
            ),
            websocket=out.WebsocketOut(clients=total, authenticated=total, alive=self._alive, dead=total - self._alive),
            topics=self._topics(),
            buffer=self._buffer(),
            security=self._security(),
            messages=self._said(),
            errors=dict(counts.errors),
            closed=dict(counts.closed),
            delivery=self._delivery(),
            compression=self._compression(),
            readers=self._readers(),
            timestamp=self._now_ms,
        )

    def monitor(self, *, since_ms: int, limit: int) -> out.MonitorOut:
        monitor, counts, total = self._monitor, self._counts, len(self._connections.clients)
        buffer = self._buffer()
        last = counts.last_mistake
        return out.MonitorOut(
            status=self._status(),
            server=out.ServerOut(
                uptime=round(monitor.uptime_s, 1),
                uptime_formatted=_formatted(monitor.uptime_s),
                start_time=monitor.started_ms,
                timestamp=self._now_ms,
            ),
            connections=out.CountOut(
                current=total,
                total=counts.connected,
                disconnections=counts.disconnected,
                alive=self._alive,
                dead=total - self._alive,
                peak=counts.most,
                streams=monitor.live.following.streams,
                most=monitor.most,
            ),
            messages=self._said(),
            rates=self._rates(),
            delivery=self._delivery(),
            errors=out.MonitorErrorsOut(
                total=sum(counts.errors.values()),
                lately=sum(monitor.lately(600).errors.values()),
                by_code=dict(counts.errors),
                last=out.LastErrorOut(time=last.at_ms, source=last.kind, message=last.message) if last else None,
            ),
            security=self._security(),
            compression=self._compression(),
            readers=self._readers(),
            system=self._system(),
            buffer=out.KilobytesOut(
                total=_kilo(buffer.total_buffered), average=_kilo(buffer.avg_buffered), max=_kilo(buffer.max_buffered)
            ),
            topics=self._topics(),
            clients=[self._client(one) for one in self._shown(limit)],
            alerts=[
                out.AlertOut(
                    level=one.alert.level,
                    code=one.alert.code,
                    title=one.alert.title,
                    reason=one.alert.reason,
                    do=one.alert.do,
                    since=one.since_ms,
                )
                for one in monitor.raised
            ],
            history=[out.PointOut.model_validate(one) for one in monitor.samples.points(after_ms=since_ms)],
            log=[self._line(one) for one in tuple(monitor.lines.lines)],
        )

    def _status(self) -> out.Status:
        if self._monitor.live.entrance.is_closing:
            return "draining"
        levels = {one.alert.level for one in self._monitor.raised}
        return "critical" if "critical" in levels else "degraded" if levels else "ok"

    def _said(self) -> out.SaidOut:
        counts = self._counts
        return out.SaidOut(
            received=counts.received,
            sent=counts.sent,
            broadcasts=counts.broadcasts,
            bytes_in=counts.bytes_in,
            bytes_out=counts.bytes_out,
            last_broadcast=counts.last_broadcast_ms or None,
        )

    def _buffer(self) -> out.BufferOut:
        sizes = self._waiting.values()
        return out.BufferOut(
            clients=sum(1 for size in sizes if size),
            total_buffered=sum(sizes),
            max_buffered=max(sizes, default=0),
            avg_buffered=sum(sizes) // max(1, len(sizes)),
            overloaded=self._full,
        )

    def _security(self) -> out.SecurityOut:
        refused = self._counts.refused
        return out.SecurityOut(
            unauthorized_attempts=refused.get("unauthorized", 0),
            rate_limit_violations=self._counts.rate_limited,
            invalid_origins=refused.get("bad_origin", 0),
            expired_handshakes=refused.get("expired_signature", 0),
            invalid_signatures=refused.get("bad_signature", 0),
            oversized_messages=self._counts.closed.get(1009, 0),
            blocked_connections=refused.get("bad_address", 0),
            refused=dict(refused),
        )

    def _delivery(self) -> out.DeliveryOut:
        samples, lag = self._monitor.samples, self._counts.lag
        lately = since(samples.before(60).delivery, self._counts.delivery.counts)
        times = sum(lag.counts)
        return out.DeliveryOut(
            p50=rounded(quantile(lately, 0.5)),
            p99=rounded(quantile(lately, 0.99)),
            count=sum(lately),
            lag_ms=rounded(lag.total_ms / times if times else None),
            behind=samples.last.behind,
        )

    def _compression(self) -> out.CompressionOut:
        counts = self._counts
        return out.CompressionOut(
            clients=sum(1 for one in self._connections.clients if one.socket.window_bits),
            compressed=counts.compressed,
            deliveries=counts.compressed_sent,
            bytes_before=counts.compressed_from,
            bytes_after=counts.compressed_to,
        )

    def _readers(self) -> out.ReadersOut:
        counts = self._counts
        return out.ReadersOut(
            slow=self._full,
            coalesced=counts.coalesced,
            gaps=counts.missed,
            sent_away=counts.sent_away,
            unanswered=counts.unanswered,
            resumed=counts.resumed,
            replayed=counts.replayed,
            not_recovered=counts.not_recovered,
        )

    def _rates(self) -> out.RatesOut:
        samples = self._monitor.samples
        then, now = samples.before(_RATES_S), samples.last
        seconds = max(now.at_s - then.at_s, 0.001)
        return out.RatesOut(
            sent=round((now.sent - then.sent) / seconds, 1),
            received=round((now.received - then.received) / seconds, 1),
            bytes_out=round((now.bytes_out - then.bytes_out) / seconds, 1),
        )

    def _system(self) -> out.SystemOut:
        last = next(reversed(tuple(self._monitor.samples.points())), None)
        return out.SystemOut(
            memory=out.MemoryOut(rss=round(self._monitor.samples.last.memory / 1e6, 1)),
            cpu=out.CpuOut(
                load_avg=[round(one, 2) for one in os.getloadavg()] if hasattr(os, "getloadavg") else [],
                cores=os.cpu_count() or 1,
                process=last.cpu_percent if last else 0.0,
            ),
        )

    def _topics(self) -> dict[str, int]:
        """The twenty that most follow."""
        return dict(Counter(self._connections.follower_counts()).most_common(20))

    def _shown(self, limit: int) -> list[Client]:
        return heapq.nlargest(limit, self._waiting, key=lambda one: (self._waiting[one], one.number))

    def _client(self, one: Client) -> out.ClientOut:
        principal = one.principal
        return out.ClientOut(
            id=one.number,
            name=principal.name,
            principal=principal.ref,
            ip=one.address if self._sees_addresses else shortened(one.address),
            connected=self._wall_ms(one.connected_at),
            last_ping=None if one.asked_at is None else self._wall_ms(one.asked_at),
            last_heard=self._wall_ms(one.socket.heard),
            is_alive=self._is_alive(one),
            buffered=self._waiting[one],
            is_full=not one.socket.room(),
            is_compressed=one.socket.window_bits > 0,
            missed=one.missed,
            sent=one.sent,
            received=one.received,
            subscriptions=sorted(one.topics),
        )

    def _line(self, one: Line) -> out.LineOut:
        text = one.text if self._sees_addresses else _FROM.sub(lambda found: shortened(found.group()), one.text)
        return out.LineOut(at_ms=one.at_ms, level=one.level, source=one.source, text=text)

    def _is_alive(self, one: Client) -> bool:
        asked = one.asked_at
        return asked is None or one.socket.heard >= asked or self._loop_now - asked < _ANSWERS_WITHIN_S

    def _wall_ms(self, loop_time: float) -> int:
        return self._now_ms - int((self._loop_now - loop_time) * 1000)


def shortened(address: str) -> str:
    """Whose network it is, but not who: `203.0.•.•`."""
    try:
        known = ip_address(address)
    except ValueError:
        return "•"
    if known.version == 4:
        return ".".join([*address.split(".")[:2], "•", "•"])
    return ":".join([*known.exploded.split(":")[:2], "•"])


def _kilo(size: int) -> float:
    return round(size / 1024, 1)


def _formatted(seconds: float) -> str:
    """As 2.3.0 wrote it."""
    whole = int(seconds)
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3600)
    return f"{days}d {hours}h {rest // 60}m {rest % 60}s"

"""Figures as Prometheus reads them: its text format, version 0.0.4. Labels are words of ours, so there are few."""

from collections.abc import Iterator, Mapping

from api.counting import BOUNDS_MS, Durations
from api.monitoring import Monitor
from api.sampling import resident_bytes, sample
from core.figures import MOST, Figures

MEDIA_TYPE = "text/plain; version=0.0.4"


def text(monitor: Monitor, figures: Figures) -> str:
    return "\n".join([*_gateway(monitor), *_process(monitor), *_installation(figures), ""])


def _gateway(monitor: Monitor) -> Iterator[str]:
    counts, connections = monitor.live.connections.counts, monitor.live.connections
    now = sample(connections, behind=monitor.samples.last.behind)
    compressing = sum(1 for one in connections.clients if one.socket.window_bits)
    for name, what, number in (
        ("connections", "WebSockets that are open", now.connections),
        ("connections_most", "The most at once since the start", counts.most),
        ("connections_limit", "More are refused: live_connections", monitor.most),
        ("connections_compressing", "Of those open, who inflates", compressing),
        ("connections_full", "Of those open, who reads too slowly to be given more", now.full),
        ("streams", "Who follows over plain HTTP", monitor.live.following.streams),
        ("topics", "Topics that somebody follows", len(connections.follower_counts())),
        ("behind_events", "Events of the log that were not told yet", now.behind),
        ("draining", "1 while the process ends", int(monitor.live.entrance.is_closing)),
    ):
        yield from _one(f"waqtor_live_{name}", "gauge", what, number)
    for name, what, number in (
        ("connected", "WebSockets that were opened", counts.connected),
        ("disconnected", "WebSockets that ended", counts.disconnected),
        ("left", "Of those, ended by the other side", counts.left),
        ("messages_received", "Messages clients sent", counts.received),
        ("messages_sent", "Messages clients were sent", counts.sent),
        ("received_bytes", "Bytes of what clients said, inflated", counts.bytes_in),
        ("sent_bytes", "Bytes of frames as they were written", counts.bytes_out),
        ("broadcasts", "Events and states published", counts.broadcasts),
        ("rate_limited", "Messages not read, for there were too many", counts.rate_limited),
        ("coalesced", "States slow readers got only the newest of", counts.coalesced),
        ("gaps", "Events slow readers have to ask for again", counts.missed),
        ("sent_away", "Connections closed with 1013", counts.sent_away),
        ("unanswered", "Connections that did not answer a ping", counts.unanswered),
        ("resumed", "Subscriptions with since", counts.resumed),
        ("replayed", "Events told again for them", counts.replayed),
        ("not_recovered", "The log did not reach back to since", counts.not_recovered),
        ("compressed_messages", "Messages compressed, once for all", counts.compressed),
        ("compressed_deliveries", "Deliveries of what was compressed", counts.compressed_sent),
        ("compressed_from_bytes", "Bytes before", counts.compressed_from),
        ("compressed_to_bytes", "Bytes after", counts.compressed_to),
    ):
        yield from _one(f"waqtor_live_{name}_total", "counter", what, number)
    yield from _many("waqtor_live_refused_total", "counter", "Not let in", "reason", counts.refused)
    yield from _many("waqtor_live_errors_total", "counter", "What went wrong", "code", counts.errors)
    closed = {str(code): number for code, number in counts.closed.items()}
    yield from _many("waqtor_live_closed_total", "counter", "Connections we ended, by close code", "code", closed)
    yield from _durations(
        "waqtor_live_delivery_seconds", "From when an event is dated until its frame was written", counts.delivery
    )
    yield from _durations("waqtor_live_lag_seconds", "From when an event is dated until it was read", counts.lag)


def _process(monitor: Monitor) -> Iterator[str]:
    used = monitor.samples.last
    yield from _one("process_resident_memory_bytes", "gauge", "Memory in use", resident_bytes())
    yield from _one("process_cpu_seconds_total", "counter", "Time on a core", round(used.cpu_s, 3))
    yield from _one("process_start_time_seconds", "gauge", "When it started", monitor.started_ms / 1000)


def _installation(figures: Figures) -> Iterator[str]:
    upto = f", {MOST} at most"
    for name, what, number in (
        ("outbox_messages", f"Single messages that wait to leave{upto}", figures.outbox),
        ("unsettled_messages", f"Messages under way or in doubt{upto}", figures.unsettled),
        ("inbox_webhooks", f"Webhooks that wait to be applied{upto}", figures.inbox),
        ("inbox_lag_seconds", "How long the oldest of them has waited", round(figures.inbox_lag_s, 3)),
        (
            "deliveries_lag_seconds",
            "How long what is due at an endpoint has waited",
            round(figures.deliveries_lag_s, 3),
        ),
    ):
        yield from _one(f"waqtor_{name}", "gauge", what, number)
    yield from _many("waqtor_campaigns", "gauge", "Campaigns under way", "state", figures.campaigns)
    yield from _many("waqtor_senders", "gauge", "Senders", "state", figures.senders)


def _one(name: str, kind: str, what: str, number: float) -> Iterator[str]:
    yield from _head(name, kind, what)
    yield f"{name} {number}"


def _many(name: str, kind: str, what: str, label: str, numbers: Mapping[str, int]) -> Iterator[str]:
    yield from _head(name, kind, what)
    for value, number in sorted(numbers.items()):
        yield f'{name}{{{label}="{value}"}} {number}'


def _durations(name: str, what: str, taken: Durations) -> Iterator[str]:
    yield from _head(name, "histogram", what)
    below = 0
    for bound, number in zip(BOUNDS_MS, taken.counts, strict=False):
        below += number
        yield f'{name}_bucket{{le="{bound / 1000:g}"}} {below}'
    total = sum(taken.counts)
    yield f'{name}_bucket{{le="+Inf"}} {total}'
    yield f"{name}_sum {taken.total_ms / 1000:.6f}"
    yield f"{name}_count {total}"


def _head(name: str, kind: str, what: str) -> Iterator[str]:
    yield f"# HELP {name} {what}."
    yield f"# TYPE {name} {kind}"

"""Ratios of each round, since one round's contenders had the same machine."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.ws.contenders import OURS

Run = Mapping[str, Any]


@dataclass(frozen=True)
class Measure:
    """`of` is a cost: the less the better."""

    name: str
    unit: str
    of: Callable[[Run], float]


def _cost(phase: str) -> Callable[[Run], float]:
    return lambda run: run[phase]["srv_us"]  # type: ignore[no-any-return]


MEASURES = (
    Measure("broadcast, 1 in flight", "µs a delivery", _cost("sat1")),
    Measure("broadcast, 16 in flight", "µs a delivery", _cost("satW")),
    Measure("message and its answer", "µs", _cost("echo")),
    Measure("message to one", "µs", _cost("target")),
    Measure("connect", "µs", lambda run: run["connect_cpu_us"]),
    Measure("memory a connection, after load", "KB", lambda run: run["rss2_per_conn_kb"]),
    Measure("a delivery on the wire", "bytes", lambda run: run["satW"]["bytes_per_del"]),
)

GOALS: Mapping[tuple[bool, str], Mapping[str, float]] = {
    (False, "broadcast, 16 in flight"): {"node ws": 7, "socket.io": 7, "bun": 0.7},
    (False, "broadcast, 1 in flight"): {"node ws": 1.0, "socket.io": 1.3, "bun": 0.6},
    (True, "broadcast, 1 in flight"): {"node ws": 9, "socket.io": 9, "bun": 2},
    (True, "broadcast, 16 in flight"): {"node ws": 90, "socket.io": 90, "bun": 10},
    (True, "a delivery on the wire"): {"node ws": 1 / 2.6},
    (False, "message and its answer"): {"node ws": 2, "socket.io": 3, "bun": 0.3},
    (False, "message to one"): {"node ws": 1.2, "socket.io": 1.8, "bun": 0.4},
    (False, "connect"): {"node ws": 1.3, "socket.io": 3},
    (False, "memory a connection, after load"): {"node ws": 1 / 0.4, "socket.io": 1 / 0.2},
    (True, "memory a connection, after load"): {"node ws": 1 / 0.05, "socket.io": 1 / 0.05},
}
"""At 1,000 connections: how many times the peer's cost has to be ours, by compression and measure."""


def tables(runs: Sequence[Run]) -> list[str]:
    """One for each number of connections and compression."""
    lines: list[str] = []
    for size, deflate in sorted({(run["n"], bool(run["deflate"])) for run in runs}):
        some = [run for run in runs if (run["n"], bool(run["deflate"])) == (size, deflate)]
        lines += ["", f"## {size:,} connections, {'compressed' if deflate else 'plain'}", ""]
        lines += _table(some, size, deflate=deflate)
        lines += _latency(some)
    return lines


def _table(runs: Sequence[Run], size: int, *, deflate: bool) -> list[str]:
    names = list(dict.fromkeys(run["name"] for run in runs))
    peers = [name for name in names if name != OURS]
    lines = ["| | ours | " + " | ".join(peers) + " |", "| --- |" + " --- |" * len(names)]
    for measure in MEASURES:
        ours = _values(runs, OURS, measure)
        if not ours:
            continue
        cells = [f"{measure.name}, {measure.unit}", f"{statistics.median(ours.values()):,.3g}"]
        for peer in peers:
            theirs = _values(runs, peer, measure)
            ratios = [theirs[one] / ours[one] for one in ours.keys() & theirs.keys() if ours[one] > 0]
            goal = GOALS.get((deflate, measure.name), {}).get(peer) if size == 1000 else None
            cells.append(_ratio(ratios, goal))
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _ratio(ratios: Sequence[float], goal: float | None) -> str:
    if not ratios:
        return ""
    middle = statistics.median(ratios)
    told = f"{middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    if goal is None:
        return told
    return f"{told} {'✓' if middle >= goal else '✗'} {goal:.3g}"


def _values(runs: Sequence[Run], name: str, measure: Measure) -> dict[int, float]:
    found: dict[int, float] = {}
    for run in runs:
        if run["name"] == name:
            try:
                value = measure.of(run)
            except KeyError:
                continue  # a phase that was not asked for
            if 0 < value < float("inf"):
                found[run["round"]] = value
    return found


def _latency(runs: Sequence[Run]) -> list[str]:
    lines = []
    for name in dict.fromkeys(run["name"] for run in runs):
        paced = [run["paced"] for run in runs if run["name"] == name and "paced" in run]
        if paced:
            middle = statistics.median(one["p50_ms"] for one in paced)
            late = [one["p99_ms"] for one in paced]
            busy = statistics.median(one["srv_util"] for one in paced)
            lines.append(
                f"- {name}, {paced[0]['rate']} broadcasts/s: p50 {middle:.1f} ms, p99 {statistics.median(late):.1f} ms "
                f"({min(late):.1f} to {max(late):.1f}), {busy:.0%} of a core"
            )
    return ["", *lines] if lines else []

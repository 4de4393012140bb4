"""The soak as a page."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bench import child
from bench.meter import machine

WRONG = ("lost", "repeated", "out_of_order", "not_theirs", "gaps")
_FLAT = 1.15


def written(facts: Mapping[str, Any]) -> tuple[str, bool]:
    """The page, and whether all is as it has to be."""
    readers = facts["readers"]
    kinds = ("steady", "slow", "vanishing")
    rows = []
    for kind in (*kinds, "all"):
        some = [one for one in readers if kind in (one["kind"], "all")]
        sums = [sum(one[name] for one in some) for name in ("owed", "got", *WRONG, "lives")]
        rows.append((kind, len(some), *(f"{one:,}" for one in sums), sum(bool(one["failed"]) for one in some)))
    wrong = sum(one[name] for one in readers for name in WRONG) + sum(bool(one["failed"]) for one in readers)
    memory = [_lives(name, seen) for name, seen in facts["memory_mb"].items()]
    is_flat = all(one["growth"] <= _FLAT for one in memory)
    restarts = ", ".join(f"{name}: {times}" for name, times in facts["restarts"].items())
    lines = [
        f"# {facts['clients']:,} clients for {facts['asked_seconds']:g} s while two API processes restart in turn",
        "",
        f"{facts['at']}, {machine()}. PostgreSQL, Redis, haproxy. {facts['published']:,} events, "
        f"{facts['per_second']:g} a second, one in five of {facts['bulky_bytes'] // 1000} kB and "
        "followed by the slow ones only. "
        f"Restarts: {restarts}. "
        "One client in a hundred stops reading for 45 s again and again, one in a hundred leaves its connection lying "
        "and comes back on another. All by the Python SDK; what each got is held against the log.",
        "",
        f"Raised: {facts['raised']}.",
        "",
        f"**{'Everything as it has to be' if not wrong else f'Wrong: {wrong:,}'}"
        f"{'' if is_flat else '; memory grew'}.**",
        "",
        *child.table(
            ("clients", "", "owed", "got", "lost", "repeated", "out of order", "not theirs", "gaps", "lives", "failed"),
            rows,
        ),
        "",
        "What the processes counted, up to when each was told to end: "
        + ", ".join(f"{name} {number:,}" for name, number in sorted(facts["counted"].items()))
        + ".",
        "",
        "## Memory",
        "",
        "The most of each life of a process, or of each minute where it had only one, in MB; growth is the last third "
        "against the first, without the very first: only then do the clients come one by one, and no process takes "
        "those of the other.",
        "",
        *child.table(
            ("process", "lives", "growth"),
            [(one["name"], ", ".join(f"{mb:.0f}" for mb in one["most"]), f"{one['growth']:.2f}") for one in memory],
        ),
    ]
    for one in readers:
        if one["failed"] or any(one[name] for name in WRONG):
            lines.append(f"\nClient {one['number']}: {one}")
    return "\n".join(lines) + "\n", not wrong and is_flat


def _lives(name: str, seen: Sequence[tuple[float, int, float]]) -> dict[str, Any]:
    """Of a process that never restarted, its minutes."""
    lives: dict[int, list[float]] = {}
    is_one = len({pid for _, pid, _ in seen}) == 1
    for at, pid, mb in seen:
        lives.setdefault(int(at // 60) if is_one else pid, []).append(mb)
    most = [max(one) for one in lives.values()]
    third = max(1, len(most[1:]) // 3)
    growth = statistics.median(most[-third:]) / statistics.median(most[1:][:third]) if most[1:] else 1.0
    return {"name": name, "most": most, "growth": growth}

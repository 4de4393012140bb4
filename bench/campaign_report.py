"""The figures of `bench.campaign` as Markdown."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from bench.meter import NAMES

Round = dict[str, Any]


def lags(arrivals: Sequence[tuple[float, float]]) -> list[float]:
    """Seconds from a webhook's arrival to the commit that applied it, at most.

    `applied_at` is when that transaction began. The worker takes one batch after the other, so it had committed
    when the next one began; the last batch is left out.
    """
    moments = sorted({applied for _, applied in arrivals})
    following = dict(pairwise(moments))
    return [following[applied] - received for received, applied in arrivals if applied in following]


def one_line(one: Round) -> str:
    ours, bare, pywa = one["ours"], one["bare"], one["pywa"]
    return (
        f"ours {ours['rate']:.0f}/s ({ours['launch_to_first_s']:.1f} s to the first), bare loop {bare['rate']:.0f}/s, "
        f"pywa {pywa['rate']:.0f}/s: {ours['rate'] / bare['rate']:.2f} of the loop, "
        f"{ours['rate'] / pywa['rate']:.2f} x pywa; webhook to settled p99 {ours['settle_s']['p99']:.2f} s"
    )


def written(found: dict[str, Any]) -> str:
    lines = [
        "# One campaign through all processes",
        "",
        f"{found['machine']}. Simulator, API, Prefect, flow run and (where used) PostgreSQL share these cores.",
        "",
        f"{found['count']} recipients, concurrency {found['concurrency']} (pywa at its best of 16, 64 and 128: "
        f"{found['pywa_concurrency']}). min / median / max of {len(next(iter(found['rounds'].values())))} rounds, "
        "in each of which ours, the bare loop and pywa ran one after the other against the same simulator.",
        "",
        "| | " + " | ".join(found["rounds"]) + " |",
        "|---|" + "---|" * len(found["rounds"]),
    ]
    rows: list[tuple[str, Callable[[Round], float], str]] = [
        ("messages/s, first intent to last answer settled", lambda r: r["ours"]["rate"], "{:.0f}"),
        ("messages/s, launch to last answer settled", lambda r: r["ours"]["whole_rate"], "{:.0f}"),
        ("bare aiohttp loop, messages/s", lambda r: r["bare"]["rate"], "{:.0f}"),
        ("pywa, messages/s", lambda r: r["pywa"]["rate"], "{:.0f}"),
        ("ratio to the bare loop (goal 0.5)", lambda r: r["ours"]["rate"] / r["bare"]["rate"], "{:.2f}"),
        ("ratio to pywa (goal 2)", lambda r: r["ours"]["rate"] / r["pywa"]["rate"], "{:.2f}"),
        ("launch to first message, s (goal 8)", lambda r: r["ours"]["launch_to_first_s"], "{:.1f}"),
        ("webhook answered, p50, s", lambda r: r["ours"]["answer_s"]["p50"], "{:.3f}"),
        ("webhook answered, p99, s", lambda r: r["ours"]["answer_s"]["p99"], "{:.3f}"),
        ("webhook stored to settled, p50, s", lambda r: r["ours"]["settle_s"]["p50"], "{:.3f}"),
        ("webhook stored to settled, p99, s (goal 5)", lambda r: r["ours"]["settle_s"]["p99"], "{:.3f}"),
        ("webhook stored to settled, longest, s", lambda r: r["ours"]["settle_s"]["max"], "{:.3f}"),
        *(
            (f"CPU of {name}, ms/message", lambda r, name=name: r["ours"]["cpu_ms"][name], "{:.2f}")  # type: ignore[misc]
            for name in NAMES
        ),
        ("CPU of the bare loop, ms/message", lambda r: r["bare"]["cpu_ms"], "{:.2f}"),
        ("CPU of pywa, ms/message", lambda r: r["pywa"]["cpu_ms"], "{:.2f}"),
        ("CPU of all ours before the first message, s", lambda r: sum(r["ours"]["cpu_start_s"].values()), "{:.1f}"),
    ]
    for title, value, form in rows:
        cells = [_spread([value(one) for one in some], form) for some in found["rounds"].values()]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "One sender at its rate of 1,000 messages/s (simulator profile `top`, answers after 10 to 40 ms):",
        "",
    ]
    for database, some in found["top"].items():
        rates = _spread([one["rate"] for one in some], "{:.0f}")
        settled = _spread([one["settle_s"]["p99"] for one in some], "{:.2f}")
        lines.append(f"- {database}: {rates} messages/s from first to last, webhook to settled p99 {settled} s")
    return "\n".join(lines) + "\n"


def _spread(values: Sequence[float], form: str) -> str:
    ordered = sorted(values)
    return " / ".join(form.format(one) for one in (ordered[0], ordered[len(ordered) // 2], ordered[-1]))

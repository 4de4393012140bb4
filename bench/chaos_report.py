"""What chaos found, as a line for each seed and a table at the end."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

Result = dict[str, Any]
_HOW = {"SIGKILL": "", "SIGSTOP": " stopped", "SIGTERM": " asked"}


def progress_line(result: Result) -> str:
    struck = ", ".join(f"{hit['target']}{_HOW[hit['signal']]}@{hit['left']}" for hit in result["hits"] if hit["pids"])
    unknown = f"{result['unknown_with_effect']}+{result['unknown_without_effect']}"
    verdict = "ok" if not result["contradictions"] else f"FAILED {result['contradictions']}"
    return (
        f"seed {result['seed']:>4} {result['database']:<10} {result['recipients']:>4} people "
        f"{result['seconds']:>6.1f} s  unknown {unknown:<6} {verdict}  [{struck}]"
    )


def summary(results: Sequence[Result]) -> str:
    """Markdown: the promise over all seeds, what struck, how the unknowns split."""
    if not results:
        return "no results\n"
    failed = [one for one in results if one["contradictions"]]
    contradictions = Counter[str]()
    outcomes, singles, faults, blows = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for one in results:
        contradictions.update(one["contradictions"])
        outcomes.update(one["outcomes"])
        singles.update(one.get("singles", {}))
        faults.update(one["faults_applied"])
        for hit in one["hits"]:
            if hit["pids"]:
                blows[f"{hit['target']} {hit['signal']}"] += 1
    by_database = Counter(one["database"] for one in results)
    lines = [
        f"# Chaos, {datetime.now(UTC):%Y-%m-%d}",
        "",
        f"{len(results)} seeded campaign runs ({_listed(by_database)}), {len(failed)} with a contradiction.",
        "",
        "| what | number |",
        "|---|---|",
        f"| recipients | {sum(one['recipients'] for one in results)} |",
        f"| single messages beside them | {_listed(singles) or 'none'} |",
        f"| messages WhatsApp took | {sum(one['effects'] for one in results)} |",
        f"| outcomes | {_listed(outcomes)} |",
        f"| unknown, WhatsApp had it | {sum(one['unknown_with_effect'] for one in results)} |",
        f"| unknown, WhatsApp did not have it | {sum(one['unknown_without_effect'] for one in results)} |",
        f"| answers or proofs that came late | {sum(one['late_proofs'] for one in results)} |",
        f"| most unsettled intents of a killed process | {max(one['most_intents'] for one in results)} |",
        f"| blows that struck a process | {_listed(blows)} |",
        f"| faults of WhatsApp | {_listed(faults)} |",
        f"| seconds to rest, median, longest | {_median(results):.0f}, {max(one['seconds'] for one in results):.0f} |",
        f"| contradictions | {_listed(contradictions) or 'none'} |",
        "",
    ]
    lines += [f"- seed {one['seed']}: {_listed(Counter(one['contradictions']))}" for one in failed]
    return "\n".join(lines) + "\n"


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counts.most_common())


def _median(results: Sequence[Result]) -> float:
    return float(sorted(one["seconds"] for one in results)[len(results) // 2])

"""A bench as `make` runs it, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench import child

_ROOT = Path(__file__).resolve().parents[1]


def found_by(module: str, out: Path, *arguments: str, timeout_s: float) -> list[dict[str, Any]]:
    """What it found, and nothing of it contradicts the promise."""
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{module}", *arguments, "--out", str(out)],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    assert out.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    found = child.lines(out)
    failed = [(one["seed"], one["contradictions"], one.get("evidence")) for one in found if one["contradictions"]]
    assert not failed, json.dumps(failed, indent=1, default=str)[:6000]
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return found

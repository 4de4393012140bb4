"""A few seeds of `make chaos`: processes are killed while campaigns run, and the books still agree with WhatsApp's."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_five_seeds_keep_the_promise(tmp_path: Path) -> None:
    out = tmp_path / "chaos.jsonl"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bench.chaos", "--seeds", "5", "--lanes", "5"),
            *("--database", "sqlite", "--timeout", "200", "--out", str(out)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert out.exists(), done.stderr[-3000:]
    results = [json.loads(line) for line in out.read_text().splitlines()]
    print(done.stdout)
    failed = {one["seed"]: [one["contradictions"], one.get("evidence")] for one in results if one["contradictions"]}
    assert not failed, json.dumps(failed, indent=1)[:6000]
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert len(results) == 5
    assert any(hit["pids"] for one in results for hit in one["hits"]), "no blow struck anything"

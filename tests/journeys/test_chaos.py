"""A few seeds of `make chaos`: processes are killed while campaigns run, and the books still agree with WhatsApp's."""

from pathlib import Path

import pytest

from benches import found_by


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_five_seeds_keep_the_promise(tmp_path: Path) -> None:
    asked = ("--seeds", "5", "--lanes", "5", "--database", "sqlite", "--timeout", "400")
    results = found_by("chaos", tmp_path / "chaos.jsonl", *asked, timeout_s=560)
    assert len(results) == 5
    assert any(hit["pids"] for one in results for hit in one["hits"]), "no blow struck anything"

"""A few kills of `make chaos-webhooks`: every event arrives in the end, under one id."""

from pathlib import Path

import pytest

from benches import found_by


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_kills_lose_no_event(tmp_path: Path) -> None:
    asked = ("--kills", "2", "--people", "8", "--database", "sqlite", "--timeout", "120", "--no-memory")
    (one,) = found_by("chaos_webhooks", tmp_path / "chaos.jsonl", *asked, timeout_s=560)
    assert one["kills"]["api"] >= 1
    assert one["good"]["arrivals"] >= one["events"] > 0

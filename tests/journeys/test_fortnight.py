"""Days of several senders on advanced clocks: everybody has an outcome, and no budget and no night is broken."""

from pathlib import Path

import pytest

from bench.fortnight import simulated
from bench.fortnight_check import problems
from bench.fortnight_plan import long_weekend
from bench.fortnight_report import written
from core.settings import Settings

pytestmark = pytest.mark.slow


async def test_a_long_weekend_breaks_no_budget_and_no_night(tmp_path: Path) -> None:
    facts, _ = await simulated(long_weekend(), Settings(data_dir=tmp_path))
    wrong = problems(facts)
    print(written(facts, wrong, "a test"))
    assert not wrong
    assert {"campaign: template_paused", "sender: token_expired"} <= set(facts.stopped)

"""A canary through every process: one that WhatsApp's answers stop, and one that outlives the death of its run."""

from collections.abc import Callable
from typing import Any

import pytest

from cli.local import Local
from waqtor import Client

pytestmark = pytest.mark.slow


def test_numbers_that_are_not_on_whatsapp_stop_it_and_others_let_it_go_on(
    scene: Callable[..., Any], local: Local, client: Client
) -> None:
    spring, summer = scene(24), scene(24)
    for phone in spring.phones:
        local.simulator("PUT", f"contacts/{phone.removeprefix('+')}", on_whatsapp=False)
    client.campaigns.change(spring.campaign_id, {"canary": {"percent": 50, "hold_minutes": 60}})
    hold: dict[str, float | None] = {"percent": 50, "hold_minutes": 0.1, "max_failed_percent": 60}
    hold |= {"max_opted_out_percent": None, "max_blocked_percent": None}  # in this world some do both
    client.campaigns.change(summer.campaign_id, {"canary": hold})
    spring.launch()
    summer.launch()
    summer.until(lambda: summer.now().state == "holding", "a hold")
    first = summer.effects()
    summer.kill_runs()
    spring.until(lambda: spring.now().state == "paused", "a stop")
    assert spring.now().state_reason == "canary_failed"
    found = client.canaries.get(spring.campaign_id)
    assert found.verdict is not None
    assert found.verdict.breaches == ["failed"]
    assert found.rates is not None
    assert 0 < found.rates.at_most < 24
    assert spring.now().progress.queued >= 24 - found.rates.at_most, "the others wait"
    client.campaigns.cancel(spring.campaign_id)
    assert summer.finished().state == "finished"
    assert 0 < first < summer.effects()
    verdict = summer.verdict()
    assert verdict.agrees, verdict
    assert verdict.recipients == 24

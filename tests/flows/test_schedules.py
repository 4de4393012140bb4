"""Schedules as operators see and shift them, on a real Prefect server."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from core import schedules
from core.settings import Settings
from prefecting import ask, delete, prefect_server, stop, until, worker
from scheduling import new_settings, occurrence_of, opened, runs_of, scheduled, wait_until_served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A server of its own: what another worker left there, this one would clear away."""
    settings = new_settings(tmp_path_factory, "schedules")
    with prefect_server(settings), worker(settings):
        wait_until_served(settings)
        yield settings


def test_it_is_a_scheduled_run_that_begins_it_in_time(served: Settings) -> None:
    campaign_id = scheduled(served, "in time", in_s=45)
    (run,) = runs_of(served, campaign_id)
    assert (run["state_type"], run["parameters"]) == ("SCHEDULED", {"campaign_id": campaign_id, "occurrence": 1})
    due_at = occurrence_of(served, campaign_id)[0].due_at
    assert datetime.fromisoformat(run["next_scheduled_start_time"]) == due_at
    until(lambda: occurrence_of(served, campaign_id)[1] == "finished", "finished campaign", seconds=120)
    over = occurrence_of(served, campaign_id)[0]
    assert over.state == "finished"
    assert over.started_at is not None
    assert over.started_at >= due_at


def test_a_shift_in_prefect_is_taken_over(served: Settings) -> None:
    campaign_id = scheduled(served, "shifted", in_s=3600)
    (run,) = runs_of(served, campaign_id)
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=7)
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": later.isoformat()}}
    ask(served, f"flow_runs/{run['id']}/set_state", state=state)
    until(lambda: occurrence_of(served, campaign_id)[0].due_at == later, "shift")
    assert occurrence_of(served, campaign_id)[1] == "scheduled"
    now = {"type": "SCHEDULED", "state_details": {"scheduled_time": datetime.now(UTC).isoformat()}}
    ask(served, f"flow_runs/{run['id']}/set_state", state=now)
    until(lambda: occurrence_of(served, campaign_id)[1] == "finished", "campaign run now", seconds=120)


def test_our_shift_moves_the_run_and_a_removed_schedule_cancels_it(served: Settings) -> None:
    campaign_id = scheduled(served, "moved", in_s=3600)

    async def change(*, remove: bool) -> None:
        platform = await opened(served)
        async with platform.database.transaction() as tx:
            now = await platform.clock.now(tx)
            if remove:
                await schedules.remove(tx, campaign_id, at=now)
            else:
                times = schedules.asked(timezone="UTC", at=now + timedelta(hours=5), now=now)
                await schedules.put(tx, campaign_id, times, include_earlier=None, at=now)
        await platform.close()

    asyncio.run(change(remove=False))
    due_at = occurrence_of(served, campaign_id)[0].due_at
    until(
        lambda: datetime.fromisoformat(runs_of(served, campaign_id)[0]["next_scheduled_start_time"]) == due_at,
        "move there",
    )
    asyncio.run(change(remove=True))
    until(lambda: runs_of(served, campaign_id)[0]["state_type"] == "CANCELLED", "cancelled run")


@pytest.mark.parametrize("how", ["deleted", "cancelled"])
def test_what_is_cancelled_in_prefect_does_not_begin(served: Settings, how: str) -> None:
    campaign_id = scheduled(served, how, in_s=3600)
    (run,) = runs_of(served, campaign_id)
    if how == "deleted":
        delete(served, f"flow_runs/{run['id']}")
    else:
        ask(served, f"flow_runs/{run['id']}/set_state", state={"type": "CANCELLING"})
    until(lambda: occurrence_of(served, campaign_id)[0].state == "cancelled", "cancelled occurrence")
    assert occurrence_of(served, campaign_id)[0].reason == "cancelled_in_prefect"
    assert occurrence_of(served, campaign_id)[1] == "draft"


def test_a_worker_that_starts_again_leaves_them_alone(served: Settings) -> None:
    campaign_id = scheduled(served, "stays", in_s=3600)
    with worker(served) as second:
        sweeps = {"flow_runs": {"name": {"any_": ["sweep"]}, "state": {"type": {"any_": ["COMPLETED"]}}}}
        before = ask(served, "flow_runs/count", **sweeps)
        until(lambda: ask(served, "flow_runs/count", **sweeps) >= before + 4, "sweeps of both")
        stop(second)
    (run,) = runs_of(served, campaign_id)
    assert run["state_type"] == "SCHEDULED"
    assert occurrence_of(served, campaign_id)[0].state == "scheduled"

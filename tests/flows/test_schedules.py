"""Schedules as operators see and shift them, on a real Prefect server; and without one."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import scenes
from cli.local import free_port
from connectors import choose
from core import appointments, campaigns, occurrences, schedules
from core.bootstrap import Platform, build
from core.models import Campaign, Occurrence
from core.settings import Settings
from fakes import FakeConnector, FakeConnectors
from prefecting import ask, delete, prefect_server, stop, until, worker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A server of its own: what another worker left there, this one would clear away."""
    settings = _settings(tmp_path_factory, "schedules")
    with prefect_server(settings), worker(settings):
        _wait_until_served(settings)
        yield settings


def _settings(tmp_path_factory: pytest.TempPathFactory, name: str) -> Settings:
    folder = tmp_path_factory.mktemp(name)
    return Settings(data_dir=folder, prefect_port=free_port(), sweep_interval_s=3, silence_window_s=2)


def _wait_until_served(settings: Settings) -> None:
    until(lambda: ask(settings, "deployments/count") == 4, "deployment of everything")


async def _opened(settings: Settings) -> Platform:
    return await build(settings, connectors=FakeConnectors(FakeConnector()), jobs=choose.jobs(settings))


def _scheduled(settings: Settings, name: str, *, in_s: float) -> int:
    """A campaign to nobody, due once; it is shown in Prefect."""

    async def make() -> int:
        platform = await _opened(settings)
        sender = await scenes.a_sender(platform, name=name)
        campaign: Campaign = await scenes.a_campaign(platform, sender, name=name, audience={"tag": "nobody"})
        async with platform.database.transaction() as tx:
            now = await platform.clock.now(tx)
            times = schedules.asked(timezone="UTC", at=now + timedelta(seconds=in_s), now=now)
            await schedules.put(tx, campaign.id, times, include_earlier=None, at=now)
        await appointments.reconcile(platform)
        await platform.close()
        return campaign.id

    return asyncio.run(make())


def _occurrence(settings: Settings, campaign_id: int) -> tuple[Occurrence, str]:
    async def look() -> tuple[Occurrence, str]:
        platform = await _opened(settings)
        async with platform.database.reading() as tx:
            found = await occurrences.get(tx, campaign_id, 1)
            state = str((await campaigns.get(tx, campaign_id)).state)
        await platform.close()
        return found, state

    return asyncio.run(look())


def _runs(settings: Settings, campaign_id: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(
        settings, "flow_runs/filter", flow_runs={"tags": {"all_": [f"campaign:{campaign_id}:occurrence:1"]}}
    )
    return found


def test_it_is_a_scheduled_run_that_begins_it_in_time(served: Settings) -> None:
    campaign_id = _scheduled(served, "in time", in_s=60)
    (run,) = _runs(served, campaign_id)
    assert (run["state_type"], run["parameters"]) == ("SCHEDULED", {"campaign_id": campaign_id, "occurrence": 1})
    due_at = _occurrence(served, campaign_id)[0].due_at
    assert datetime.fromisoformat(run["next_scheduled_start_time"]) == due_at
    until(lambda: _occurrence(served, campaign_id)[1] == "finished", "finished campaign", seconds=120)
    over = _occurrence(served, campaign_id)[0]
    assert over.state == "finished"
    assert over.started_at is not None
    assert over.started_at >= due_at


def test_a_shift_in_prefect_is_taken_over(served: Settings) -> None:
    campaign_id = _scheduled(served, "shifted", in_s=3600)
    (run,) = _runs(served, campaign_id)
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=7)
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": later.isoformat()}}
    ask(served, f"flow_runs/{run['id']}/set_state", state=state)
    until(lambda: _occurrence(served, campaign_id)[0].due_at == later, "shift")
    assert _occurrence(served, campaign_id)[1] == "scheduled"
    now = {"type": "SCHEDULED", "state_details": {"scheduled_time": datetime.now(UTC).isoformat()}}
    ask(served, f"flow_runs/{run['id']}/set_state", state=now)
    until(lambda: _occurrence(served, campaign_id)[1] == "finished", "campaign run now", seconds=120)


def test_our_shift_moves_the_run_and_a_removed_schedule_cancels_it(served: Settings) -> None:
    campaign_id = _scheduled(served, "moved", in_s=3600)

    async def change(*, remove: bool) -> None:
        platform = await _opened(served)
        async with platform.database.transaction() as tx:
            now = await platform.clock.now(tx)
            if remove:
                await schedules.remove(tx, campaign_id, at=now)
            else:
                times = schedules.asked(timezone="UTC", at=now + timedelta(hours=5), now=now)
                await schedules.put(tx, campaign_id, times, include_earlier=None, at=now)
        await platform.close()

    asyncio.run(change(remove=False))
    due_at = _occurrence(served, campaign_id)[0].due_at
    until(
        lambda: datetime.fromisoformat(_runs(served, campaign_id)[0]["next_scheduled_start_time"]) == due_at,
        "move there",
    )
    asyncio.run(change(remove=True))
    until(lambda: _runs(served, campaign_id)[0]["state_type"] == "CANCELLED", "cancelled run")


@pytest.mark.parametrize("how", ["deleted", "cancelled"])
def test_what_is_cancelled_in_prefect_does_not_begin(served: Settings, how: str) -> None:
    campaign_id = _scheduled(served, how, in_s=3600)
    (run,) = _runs(served, campaign_id)
    if how == "deleted":
        delete(served, f"flow_runs/{run['id']}")
    else:
        ask(served, f"flow_runs/{run['id']}/set_state", state={"type": "CANCELLING"})
    until(lambda: _occurrence(served, campaign_id)[0].state == "cancelled", "cancelled occurrence")
    assert _occurrence(served, campaign_id)[0].reason == "cancelled_in_prefect"
    assert _occurrence(served, campaign_id)[1] == "draft"


def test_a_worker_that_starts_again_leaves_them_alone(served: Settings) -> None:
    campaign_id = _scheduled(served, "stays", in_s=3600)
    with worker(served) as second:
        sweeps = {"flow_runs": {"name": {"any_": ["sweep"]}, "state": {"type": {"any_": ["COMPLETED"]}}}}
        before = ask(served, "flow_runs/count", **sweeps)
        until(lambda: ask(served, "flow_runs/count", **sweeps) >= before + 4, "sweeps of both")
        stop(second)
    (run,) = _runs(served, campaign_id)
    assert run["state_type"] == "SCHEDULED"
    assert _occurrence(served, campaign_id)[0].state == "scheduled"


def test_while_prefect_is_down_it_begins_and_a_new_database_of_prefect_cancels_nothing(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    settings = _settings(tmp_path_factory, "down")
    with worker(settings):
        with prefect_server(settings) as server:
            _wait_until_served(settings)
            due_soon = _scheduled(settings, "soon", in_s=60)
            due_later = _scheduled(settings, "later", in_s=3600)
            assert len(_runs(settings, due_soon)) == len(_runs(settings, due_later)) == 1
            stop(server)
        until(lambda: _occurrence(settings, due_soon)[0].state == "running", "start without Prefect")
    for file in (settings.data_dir / "prefect").glob("prefect.db*"):
        file.unlink()
    with prefect_server(settings), worker(settings):
        until(lambda: _occurrence(settings, due_soon)[1] == "finished", "end with Prefect", seconds=120)
        until(lambda: _runs(settings, due_later), "run in the new database")
        assert _occurrence(settings, due_later)[0].state == "scheduled"

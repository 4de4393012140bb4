"""The Prefect process on a real server: what is deployed, and that a schedule really makes runs."""

import asyncio
import os
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from cli.processes import children
from connectors.choose import jobs as jobs_of
from core.settings import Settings
from flows import leaving
from prefecting import ask, until, worker
from scheduling import new_settings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(prefect: Settings) -> Iterator[subprocess.Popen[bytes]]:
    with worker(prefect) as process:
        yield process


def deployments(settings: Settings) -> dict[str, Any]:
    return {found["name"]: found for found in ask(settings, "deployments/filter")}


def test_a_schedule_really_makes_runs(prefect: Settings, served: subprocess.Popen[bytes]) -> None:
    """The silent break of a wrong SQLAlchemy: the server answers, and no scheduled run is ever made."""
    housekeeping = until(lambda: deployments(prefect).get("housekeeping"), "deployment of housekeeping")
    mine = {"deployments": {"id": {"any_": [housekeeping["id"]]}}}
    scheduled = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}, **mine}
    runs = until(lambda: ask(prefect, "flow_runs/filter", **scheduled), "scheduled run")
    assert all(run["auto_scheduled"] for run in runs)


def test_a_run_of_a_deployment_is_taken_up_and_completes(prefect: Settings, served: subprocess.Popen[bytes]) -> None:
    housekeeping = until(lambda: deployments(prefect).get("housekeeping"), "deployment of housekeeping")
    path = f"deployments/{housekeeping['id']}/create_flow_run"

    def completed() -> bool:  # asked for again each time: a worker that begins just then forgets what is due
        run = ask(prefect, path, state={"type": "SCHEDULED"}, idempotency_key="by hand")
        return bool(run["state_type"] == "COMPLETED")

    until(completed, "completed run")


def test_sweeps_are_runs_an_operator_sees(prefect: Settings, served: subprocess.Popen[bytes]) -> None:
    completed = {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}, "name": {"any_": ["sweep"]}}}
    until(lambda: len(ask(prefect, "flow_runs/filter", **completed)) >= 2, "second sweep")


@pytest.mark.parametrize("password", ["", "waqtor:", "waqtor:wrong"])
def test_nobody_starts_a_run_without_the_installations_password(prefect: Settings, password: str) -> None:
    """A web page that an operator looks at reaches the port as well as we do."""
    headers = {"Authorization": f"Basic {b64encode(password.encode()).decode()}"} if password else {}
    for path in ("deployments/filter", "flow_runs/count", "admin/version"):
        assert httpx.post(f"{prefect.prefect_api_url}/{path}", json={}, headers=headers).status_code == 401


async def test_a_run_is_started_once_for_one_key(prefect: Settings, served: subprocess.Popen[bytes]) -> None:
    until(lambda: deployments(prefect).get("send-campaign"), "deployment of campaigns")
    jobs = jobs_of(prefect)
    try:
        await jobs.start("send-campaign/send-campaign", {"campaign_id": 987}, key="once", about="campaign:987")
        await jobs.start("send-campaign/send-campaign", {"campaign_id": 987}, key="once", about="campaign:987")
    finally:
        await jobs.close()
    deployment = deployments(prefect)["send-campaign"]["id"]
    runs = ask(prefect, "flow_runs/filter", deployments={"id": {"any_": [deployment]}})
    assert len([run for run in runs if run["idempotency_key"] == "once"]) == 1


async def test_no_run_is_added_to_one_that_waits(prefect: Settings, served: subprocess.Popen[bytes]) -> None:
    until(lambda: deployments(prefect).get("send-campaign"), "deployment of campaigns")
    path = f"deployments/{deployments(prefect)['send-campaign']['id']}/create_flow_run"
    later = {"type": "SCHEDULED", "state_details": {"scheduled_time": "2099-01-01T00:00:00Z"}}
    ask(prefect, path, state=later, tags=["campaign:986"], parameters={"campaign_id": 986})
    jobs = jobs_of(prefect)
    try:
        await jobs.start("send-campaign/send-campaign", {"campaign_id": 986}, key="one more", about="campaign:986")
    finally:
        await jobs.close()
    runs = ask(prefect, "flow_runs/filter", flow_runs={"tags": {"all_": ["campaign:986"]}})
    assert len(runs) == 1


def test_schedules_stay_on_when_the_worker_stops(prefect: Settings, served: subprocess.Popen[bytes]) -> None:
    until(lambda: deployments(prefect).get("housekeeping"), "deployment of housekeeping")
    served.send_signal(signal.SIGTERM)
    served.wait(20)
    assert deployments(prefect)["housekeeping"]["paused"] is False


def test_it_ends_at_once_while_there_is_no_prefect(tmp_path_factory: pytest.TempPathFactory) -> None:
    with worker(new_settings(tmp_path_factory, "alone"), stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert any(b"prefect_away" in line for line in process.stderr)
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0


async def test_a_sigterm_whose_exception_was_swallowed_ends_the_worker_all_the_same() -> None:
    """Prefect's handler raises wherever Python is; in a finalizer that comes to nothing."""
    before = signal.getsignal(signal.SIGTERM)
    work: asyncio.Task[None] = asyncio.create_task(asyncio.sleep(60))
    done = []

    async def first() -> None:
        done.append(work.done())

    try:
        with leaving.ended_by_sigterm(work, first=first):
            signal.signal(signal.SIGTERM, lambda *_: None)
            os.kill(os.getpid(), signal.SIGTERM)
            async with asyncio.timeout(5):
                with pytest.raises(asyncio.CancelledError):
                    await work
    finally:
        signal.signal(signal.SIGTERM, before)
    assert done == [False]


_STUBBORN = """
import asyncio, subprocess, sys
from contextlib import suppress
from flows import leaving

child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here', flush=True); time.sleep(60)"

async def never_ends():
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)

async def main():
    subprocess.Popen([sys.executable, "-c", child])
    work = asyncio.create_task(never_ends())
    with leaving.ended_by_sigterm(work, first=leaving.end_runs_and_leave):
        await work

asyncio.run(main())
"""


def test_it_is_gone_before_it_would_be_killed_whatever_does_not_end() -> None:
    process = subprocess.Popen([sys.executable, "-c", _STUBBORN], stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(_supervisors_patience_s()) == 0
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # the child is in its group


def _supervisors_patience_s() -> float:
    (worker,) = (child for child in children(Settings()) if child.name == "flows")
    return float(worker.stop_s)

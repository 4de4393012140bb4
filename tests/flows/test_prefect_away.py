"""Schedules while there is no Prefect, and with one that has forgotten everything."""

import pytest

from prefecting import prefect_server, stop, until, worker
from scheduling import new_settings, occurrence_of, runs_of, scheduled, wait_until_served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_while_prefect_is_down_it_begins_and_a_new_database_of_prefect_cancels_nothing(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    settings = new_settings(tmp_path_factory, "down")
    with worker(settings) as process:
        with prefect_server(settings) as server:
            wait_until_served(settings)
            due_soon = scheduled(settings, "soon", in_s=60)
            due_later = scheduled(settings, "later", in_s=3600)
            assert len(runs_of(settings, due_soon)) == len(runs_of(settings, due_later)) == 1
            stop(server)
        until(lambda: occurrence_of(settings, due_soon)[0].state == "running", "start without Prefect")
        assert process.poll() is None
    for file in (settings.data_dir / "prefect").glob("prefect.db*"):
        file.unlink()
    with prefect_server(settings), worker(settings):
        until(lambda: occurrence_of(settings, due_soon)[1] == "finished", "end with Prefect", seconds=120)
        until(lambda: runs_of(settings, due_later), "run in the new database")
        assert occurrence_of(settings, due_later)[0].state == "scheduled"

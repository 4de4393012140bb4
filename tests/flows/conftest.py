"""A Prefect server for all tests of this folder."""

from collections.abc import Iterator

import pytest

from cli.local import free_port
from core.settings import Settings
from prefecting import prefect_server


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings whose Prefect server answers."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("prefect"), prefect_port=free_port(), sweep_interval_s=3, silence_window_s=2
    )
    with prefect_server(settings):
        yield settings

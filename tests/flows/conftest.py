"""A real Prefect server of our own, as `waqtor up` runs it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cli.local import free_port
from cli.prefect_env import prefect_env
from core.settings import Settings


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings whose Prefect server answers."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("prefect"), prefect_port=free_port(), sweep_interval_s=3, silence_window_s=2
    )
    environment = {**os.environ, **prefect_env(settings)}
    log = Path(settings.data_dir) / "server.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--port", str(settings.prefect_port)],
            env=environment,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    until = time.monotonic() + 90
    while not _answers(settings):
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.2)
    yield settings
    server.terminate()
    server.wait(20)


def _answers(settings: Settings) -> bool:
    try:
        return httpx.get(f"{settings.prefect_api_url}/health", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False

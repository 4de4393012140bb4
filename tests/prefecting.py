"""A real Prefect server of our own, as `waqtor up` runs it, and the worker on it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import answering
from cli.prefect_env import prefect_env
from cli.processes import settings_env
from core import keys, service_credentials
from core.settings import Settings


@contextmanager
def prefect_server(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """It answers."""
    _need_key(settings)
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
    deadline = time.monotonic() + 90
    while not answers(settings):
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
    yield server
    stop(server)


def _need_key(settings: Settings) -> None:
    """Both sides show a password that is made of it, so it is there before either starts."""
    if not settings.key_file.exists():
        keys.init(settings.key_file)


@contextmanager
def worker(settings: Settings, *, stderr: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """`waqtor flows`, on a migrated installation."""
    _need_key(settings)
    environment = {**os.environ, **settings_env(settings), **prefect_env(settings)}
    subprocess.run([sys.executable, "-m", "cli.main", "db", "upgrade"], env=environment, check=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "flows"], env=environment, stderr=stderr, start_new_session=True
    )
    yield process
    stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        finally:
            process.kill()  # one that does not end by itself is told of, and ends all the same


def answers(settings: Settings) -> bool:
    return answering.answers(f"{settings.prefect_api_url}/health")


def ask(settings: Settings, path: str, **body: Any) -> Any:
    return _patiently("POST", settings, path, json=body).json()


def delete(settings: Settings, path: str) -> None:
    _patiently("DELETE", settings, path)


def _patiently(method: str, settings: Settings, path: str, **options: Any) -> httpx.Response:
    """Prefect on SQLite answers 503 while somebody else writes."""
    auth = httpx.BasicAuth(*(service_credentials.for_prefect(settings) or ":").split(":"))
    for _ in range(20):
        answer = httpx.request(method, f"{settings.prefect_api_url}/{path}", timeout=10, auth=auth, **options)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            break
        time.sleep(0.3)
    return answer.raise_for_status()


def until(condition: Callable[[], Any], what: str, *, seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.3)
    pytest.fail(f"within {seconds:g} s there was no {what}")

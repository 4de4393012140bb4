"""The API process for real: its own interpreter, its own port, its log in a file."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from core.settings import Settings

ROOT = Path(__file__).parent.parent


@dataclass
class Process:
    url: str
    log: Path
    popen: subprocess.Popen[bytes]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(settings: Settings, port: int) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'sdk/python'}",
        "WAQTOR_DATA_DIR": str(settings.data_dir),
        "WAQTOR_DATABASE_URL": settings.database_url,
        "WAQTOR_API_PORT": str(port),
        "WAQTOR_PREFECT_PORT": "1",  # nobody listens: a nudge fails, and must do no harm
    }


@contextmanager
def api_process(settings: Settings) -> Iterator[Process]:
    port = free_port()
    log = settings.data_dir / "api.log"
    with log.open("wb") as out:
        popen = subprocess.Popen(
            [sys.executable, "-m", "api"],
            env=environment(settings, port),
            stdout=out,
            stderr=out,
            cwd=settings.data_dir,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 30
        while not _answers(url):
            assert popen.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield Process(url, log, popen)
    finally:
        popen.terminate()
        popen.wait(15)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").status_code == 200
    except httpx.TransportError:
        return False

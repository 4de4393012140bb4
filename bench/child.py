"""Work measured in a process of its own, so that what prepared it counts neither in its memory nor in its time."""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson
import psutil

from bench.postgres import Postgres
from core.settings import Settings

DATABASES = {"both": ("sqlite", "postgresql"), "sqlite": ("sqlite",), "postgresql": ("postgresql",)}
"""What `--database` chooses."""
_LOOK_S = 0.1


class Used:
    """Seconds, processor seconds and memory of this process while a block ran."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._seen: list[int] = []
        self._before = self._process.memory_info().rss
        self._began, self._cpu = time.monotonic(), sum(self._process.cpu_times()[:2])
        self.seconds = self.cpu_s = 0.0

    def watch(self, done: threading.Event) -> None:
        while not done.wait(_LOOK_S):
            self._seen.append(self._process.memory_info().rss)

    def stop(self) -> None:
        self.seconds = time.monotonic() - self._began
        self.cpu_s = sum(self._process.cpu_times()[:2]) - self._cpu
        self._seen.append(self._process.memory_info().rss)

    def facts(self) -> dict[str, Any]:
        """`rss_quarters_mb`: the most in each quarter of the time; flat is what one wants to see."""
        seen = self._seen
        return {
            "seconds": self.seconds,
            "cpu_s": self.cpu_s,
            "rss_before_mb": self._before / 2**20,
            "rss_most_mb": max(seen) / 2**20,
            "rss_quarters_mb": [
                round(max(seen[i * len(seen) // 4 : (i + 1) * len(seen) // 4 + 1]) / 2**20) for i in range(4)
            ],
        }


@contextmanager
def watched() -> Iterator[Used]:
    used, done = Used(), threading.Event()
    watching = threading.Thread(target=used.watch, args=(done,))
    watching.start()
    try:
        yield used
    finally:
        done.set()
        watching.join()
        used.stop()


@contextmanager
def installation(name: str, database: str) -> Iterator[Settings]:
    """A folder and an empty database, gone afterwards."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"wq-{name}-")))
        url = ""
        if database == "postgresql":
            url = stack.enter_context(Postgres(Path(f"{folder}-pg"))).create("waqtor")
        yield Settings(data_dir=folder, database_url=url)


def run(module: str, *arguments: str, timeout_s: float = 3600) -> dict[str, Any]:
    """What `python -m module --only arguments` prints as JSON on its last line."""
    command = [sys.executable, "-m", module, "--only", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=timeout_s)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def keep(out: Path, report: str) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(report)
    print(report)


def lines(path: Path) -> list[dict[str, Any]]:
    """What earlier calls found, of a file with a JSON object a line."""
    return [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def add_line(path: Path, found: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(orjson.dumps(found, default=str) + b"\n")


def table(heading: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    lines = [heading, ["---"] * len(heading), *rows]
    return [f"| {' | '.join(map(str, one))} |" for one in lines]

"""CPU time of the processes of an installation, by what they are for; and the machine in one line."""

import contextlib
import os
import platform
import threading
import time
from pathlib import Path

import psutil

from bench.victims import flow_runs
from cli.local import Local

_SAMPLE_S = 0.25
NAMES = ("flow run", "api", "simulator", "prefect", "runner", "dashboard", "postgres")
_CHILDREN = {"api": "api", "simulator": "simulator", "prefect": "prefect", "flows": "runner", "dashboard": "dashboard"}


class Meter:
    """Samples while it is open: a flow run's process and a database connection are gone when one asks after."""

    def __init__(self, local: Local, *, postgres_pid: int | None = None) -> None:
        self._local = local
        self._postgres_pid = postgres_pid
        self._used: dict[tuple[str, int], float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample_forever, daemon=True)

    def __enter__(self) -> "Meter":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def read(self) -> dict[str, float]:
        """CPU seconds so far, by name; differences of two readings are what counts."""
        self._sample()
        read = dict.fromkeys(NAMES, 0.0)
        for (name, _), used in list(self._used.items()):
            read[name] += used
        return read

    def _sample_forever(self) -> None:
        while not self._stop.wait(_SAMPLE_S):
            self._sample()

    def _sample(self) -> None:
        found = [("flow run", pid) for pid in flow_runs(self._local.stack.mark).values()]
        for child, status in self._local.stack.status().items():
            if status.pid:
                found.append((_CHILDREN[child], status.pid))
        if self._postgres_pid:
            with contextlib.suppress(psutil.Error):
                server = psutil.Process(self._postgres_pid)
                found += [("postgres", one.pid) for one in (server, *server.children())]
        for name, pid in found:
            with contextlib.suppress(psutil.Error):
                times = psutil.Process(pid).cpu_times()
                self._used[name, pid] = times.user + times.system


def machine() -> str:
    """What the figures were measured on, and how busy it was with other work."""
    model = "unknown processor"
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} cores ({model}), {memory:.0f} GB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, load average at the start {os.getloadavg()[0]:.1f}, "
        f"{time.strftime('%Y-%m-%d')}"
    )

"""`waqtor up`: the processes of one installation, watched by supervisord, as one thing to start and stop.

supervisord starts a dead child again and leaves the others up. This file says what runs; `processes_supervisor`
speaks to supervisord, `processes_probes` asks whether a child serves, `processes_leftovers` finds strays.
"""

import hashlib
import http.client
import math
import os
import signal
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from cli import processes_leftovers as leftovers
from cli import processes_supervisor as supervisor
from cli.interrupting import interruptible
from cli.prefect_env import prefect_env
from cli.processes_probes import NotServing, answers, need_port, polls, reachable
from core.errors import Conflict, Invalid, WaqtorError
from core.settings import Settings

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Child:
    """One process. `serves` is asked with the time (Unix seconds) at which the process was started."""

    name: str
    command: tuple[str, ...]
    serves: Callable[[float], bool]
    address: str = ""
    host: str = "127.0.0.1"
    port: int | None = None
    port_setting: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    order: int = 50
    settle_s: int = 3
    stop_s: int = 10


@dataclass(frozen=True)
class ChildStatus:
    """What supervisord knows of a child. `state` is its word: STARTING, RUNNING, BACKOFF, STOPPED, ..."""

    name: str
    state: str
    pid: int | None
    started_at: float
    error: str


def children(
    settings: Settings, *, simulator: str | None = None, env: Mapping[str, Mapping[str, str]] | None = None
) -> list[Child]:
    """The children of `waqtor up`; `simulator` names a profile, `env` adds to a child's environment by name."""
    ours = (sys.executable, "-m", "cli.main")
    prefect, api = reachable(settings.prefect_host), reachable(settings.api_host)
    dashboard = reachable(settings.dashboard_host)
    found = [
        Child(
            "prefect",
            (
                *(sys.executable, "-m", "cli.prefect_server", "server", "start"),
                *("--host", settings.prefect_host, "--port", str(settings.prefect_port)),
            ),
            lambda _: answers(prefect, settings.prefect_port, "/api/health"),
            address=f"http://{prefect}:{settings.prefect_port}",
            host=settings.prefect_host,
            port=settings.prefect_port,
            port_setting="prefect_port",
            order=10,
            settle_s=6,
        ),
        Child(
            "api",
            (*ours, "api"),
            lambda _: answers(api, settings.api_port, "/healthz"),
            address=f"http://{api}:{settings.api_port}",
            host=settings.api_host,
            port=settings.api_port,
            port_setting="api_port",
            order=30,
            stop_s=10 + math.ceil(settings.live_drain_s),
        ),
        Child(
            "dashboard",
            (*ours, "dashboard"),
            lambda _: answers(dashboard, settings.dashboard_port, "/_stcore/health"),
            address=f"http://{dashboard}:{settings.dashboard_port}",
            host=settings.dashboard_host,
            port=settings.dashboard_port,
            port_setting="dashboard_port",
            order=50,
        ),
        Child("flows", (*ours, "flows"), lambda since: polls(settings, since), order=40, settle_s=5),
    ]
    if simulator is not None:
        found.append(
            Child(
                "simulator",
                (
                    *(sys.executable, "-m", "simulator", "--port", str(settings.simulator_port)),
                    # A ledger that a kill empties would prove nothing about what was sent.
                    *("--profile", simulator, "--state", str(settings.data_dir.resolve() / "simulator.db")),
                ),
                lambda _: answers("127.0.0.1", settings.simulator_port, "/_sim/idle"),
                address=f"http://127.0.0.1:{settings.simulator_port}",
                port=settings.simulator_port,
                port_setting="simulator_port",
                order=20,
            )
        )
    return [replace(child, env=(env or {}).get(child.name, {})) for child in found]


class Stack:
    """The running children of one data directory. Any process with the same settings can ask, signal and stop them."""

    def __init__(self, settings: Settings, processes: Sequence[Child] | None = None) -> None:
        self.settings = settings
        self.children = {child.name: child for child in (children(settings) if processes is None else processes)}
        self.data_dir = settings.data_dir.resolve()
        self.run_dir = self.data_dir / "run"
        self.log_dir = self.data_dir / "logs"
        self.mark = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:24]
        self._daemon: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start all children detached from this process and its terminal; returns before they serve."""
        for directory in (self.data_dir, self.run_dir, self.log_dir):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.run_dir.chmod(0o700)
        if self.running():
            raise Conflict(
                f"These processes are running already, on {self.data_dir}.",
                hint="Stop them first (Ctrl-C where `waqtor up` runs), or choose another data_dir.",
            )
        leftovers.end(self.mark)  # of a supervisord that was itself killed
        for child in self.children.values():
            self._need_port(child)
        config = self.run_dir / "supervisord.conf"
        config.touch(mode=0o600)
        config.write_text(self._configuration())
        with (self.log_dir / "supervisord.out").open("wb") as out:
            self._daemon = subprocess.Popen(  # noqa: S603 - our own interpreter and configuration
                [sys.executable, "-m", "supervisor.supervisord", "--nodaemon", "-c", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=self._environment(),
                start_new_session=True,  # Ctrl-C reaches `up` only, which then stops all in order
            )
        deadline = time.monotonic() + 15
        while not self.running():
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                said = (self.log_dir / "supervisord.out").read_text(errors="replace").strip()
                self.stop()
                raise NotServing(f"supervisord did not start: {said or 'it said nothing'}")
            time.sleep(0.05)

    def running(self) -> bool:
        """Whether supervisord answers; a single child may be down all the same."""
        return self._ask("getState") is not None

    def status(self) -> dict[str, ChildStatus]:
        """Every child by name; empty where nothing runs."""
        return {
            info["name"]: ChildStatus(
                info["name"], info["statename"], info["pid"] or None, float(info["start"]), info["spawnerr"]
            )
            for info in self._ask("getAllProcessInfo") or []
        }

    def pid(self, name: str) -> int | None:
        """The process id of a child, None while it is down."""
        child = self.status().get(name)
        return child.pid if child else None

    def signal(self, name: str, sig: signal.Signals) -> int:
        """Send a signal to the child alone, not to its group; returns the id it went to."""
        pid = self.pid(name)
        if pid is None:
            raise NotServing(f"{name} is not running, so there is nothing to signal.")
        os.kill(pid, sig)
        return pid

    def serves(self, name: str) -> bool:
        """Whether the child runs and answers what it is there for."""
        child = self.status().get(name)
        return child is not None and child.pid is not None and self.children[name].serves(child.started_at)

    def wait_serving(self, name: str, *, timeout_s: float, not_pid: int | None = None) -> float:
        """Wait until the child serves, as another process than `not_pid`; returns the seconds it took."""
        began = time.monotonic()
        while self.pid(name) == not_pid or not self.serves(name):
            if time.monotonic() - began > timeout_s:
                raise self._late([name], timeout_s)
            time.sleep(0.1)
        return time.monotonic() - began

    def wait_ready(self, timeout_s: float = 180, *, report: Callable[[str, float], None] = lambda *_: None) -> None:
        """Wait until every child serves; `report` hears each name once, with the seconds since the call."""
        began = time.monotonic()
        waiting = list(self.children)
        while waiting:
            for name in [name for name in waiting if self.serves(name)]:
                waiting.remove(name)
                report(name, time.monotonic() - began)
            if not waiting:
                return
            if not self.running():
                raise NotServing(f"supervisord has gone; see {self.log_dir / 'supervisord.log'}")
            if time.monotonic() - began > timeout_s:
                raise self._late(waiting, timeout_s)
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop the children in order, then whatever a child left behind. No process remains; may be repeated."""
        daemon = self._ask("getPID")
        if daemon is not None:
            self._ask("shutdown")
            deadline = time.monotonic() + 5 + sum(child.stop_s for child in self.children.values())
            while time.monotonic() < deadline and daemon in leftovers.marked(self.mark):
                self._reap()
                time.sleep(0.05)
        leftovers.end(self.mark)
        self._reap()
        supervisor.forget_socket(self.run_dir)
        (self.run_dir / "supervisord.conf").unlink(missing_ok=True)

    def log(self, name: str, *, lines: int = 15) -> str:
        """The end of what a child said."""
        path = self._log_file(name)
        if not path.exists():
            return ""
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 64 * 1024))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])

    def _ask(self, method: str) -> Any:
        """None where no supervisord answers."""
        if not self.run_dir.is_dir():
            return None
        try:
            return supervisor.call(supervisor.control_socket(self.run_dir), method)
        except (OSError, http.client.HTTPException, xmlrpc.client.Fault):  # Fault: it is shutting down
            return None

    def _reap(self) -> None:
        if self._daemon is not None and self._daemon.poll() is not None:
            self._daemon = None

    def _late(self, names: Sequence[str], timeout_s: float) -> NotServing:
        status = self.status()
        told = [
            f"{name} does not serve after {timeout_s:g} s "
            f"({status[name].state if name in status else 'unknown'}); the end of {self._log_file(name)}:\n"
            f"{self.log(name)}"
            for name in names
        ]
        return NotServing("\n\n".join(told))

    def _log_file(self, name: str) -> Path:
        return self.log_dir / f"{name}.log"

    def _need_port(self, child: Child) -> None:
        if child.port is None:
            return
        for other in self.children.values():
            if other is not child and other.port == child.port:
                raise Invalid(
                    f"{child.port_setting} and {other.port_setting} are both {child.port}.", field=child.port_setting
                )
        need_port(child.host, child.port, setting=child.port_setting, of=child.name)

    def _configuration(self) -> str:
        return supervisor.configuration(
            [
                supervisor.Program(
                    child.name,
                    child.command,
                    self._log_file(child.name),
                    order=child.order,
                    settle_s=child.settle_s,
                    stop_s=child.stop_s,
                    env=child.env,
                )
                for child in self.children.values()
            ],
            control=supervisor.control_socket(self.run_dir, prepare=True),
            run_dir=self.run_dir,
            log=self.log_dir / "supervisord.log",
        )

    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        direct = ",".join(filter(None, (os.environ.get("NO_PROXY", ""), "127.0.0.1", "localhost", "::1")))
        return {
            **os.environ,
            **settings_env(self.settings),
            **prefect_env(self.settings),
            leftovers.NAME: self.mark,
            **{"NO_PROXY": direct, "no_proxy": direct},  # our children speak to each other, past any proxy
            "PYTHONPATH": path,  # `-m cli.main` is found from wherever `up` was started
            "PYTHONUNBUFFERED": "1",  # a killed child's last words are in its log
        }


def up(stack: Stack, *, console: Console | None = None) -> int:
    """Run everything until Ctrl-C, SIGTERM or SIGHUP; returns the exit code."""
    console = console or Console()
    with interruptible() as hush:
        try:
            stack.start()
        except WaqtorError as refused:
            console.print(f"[red]{refused.message}[/]" + (f"\n{refused.hint}" if refused.hint else ""))
            return 1
        try:
            console.print(f"Starting {', '.join(stack.children)}; logs in {stack.log_dir}", soft_wrap=True)
            stack.wait_ready(report=lambda name, after_s: console.print(f"  {name:<10} serves after {after_s:.1f} s"))
            console.print(addresses(stack))
            if "prefect" in stack.children:
                console.print("Prefect's pages ask for a password: waqtor keys prefect")
            console.print("Ctrl-C stops all of it.")
            return _watch(stack, console)
        except NotServing as failure:
            console.print(failure.message, style="red", markup=False, soft_wrap=True)
            return 1
        except KeyboardInterrupt:
            return 0
        finally:
            hush()
            console.print("Stopping ...")
            stack.stop()


def addresses(stack: Stack) -> Table:
    """Where each child is found."""
    table = Table("process", "address", "log", title="WaQtor is up")
    for child in stack.children.values():
        table.add_row(child.name, child.address or "-", f"{child.name}.log")
    return table


def settings_env(settings: Settings) -> dict[str, str]:
    """The settings as `WAQTOR_…`, so that every child has exactly those of its parent."""
    env = {}
    for name in settings.model_fields_set | {"data_dir"}:
        value = getattr(settings, name)
        if value is None:
            continue
        if isinstance(value, Path):
            value = value.resolve()
        elif isinstance(value, SecretStr):
            value = value.get_secret_value()
        env[f"WAQTOR_{name.upper()}"] = str(value)
    return env


def _watch(stack: Stack, console: Console) -> int:
    """Tell of every child that was started again, until interrupted or supervisord has gone."""
    known = {name: child.pid for name, child in stack.status().items()}
    while True:
        time.sleep(1)
        status = stack.status()
        if not status:
            raise NotServing(f"supervisord has gone; see {stack.log_dir / 'supervisord.log'}")
        for name, child in status.items():
            if child.pid != known.get(name):
                known[name] = child.pid
                what = f"was started again as process {child.pid}" if child.pid else f"ended: {child.error}"
                console.print(f"  {datetime.now():%H:%M:%S} {name} {what}", markup=False)  # noqa: DTZ005 - a wall clock

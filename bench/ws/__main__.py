"""The gateway beside other WebSocket servers: processor time of the server for each delivery, message and connection.

Each round starts every contender once, alone, pinned to one core; the generator has the other. The order turns round by
round. What counts is the ratio of two that ran in the same round.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from bench import child
from bench.meter import machine
from bench.ws import report
from bench.ws.contenders import RAISED, Contender, NotHere, build, contenders
from cli.local import free_port

_START_S = 40
_PHASES = "warm,sat1,satW,paced,target,echo"
_SCENES = {
    "1000": (1000, False, _PHASES),
    "1000-compressed": (1000, True, _PHASES),
    "100": (100, False, _PHASES),
    "100-compressed": (100, True, _PHASES),
    "5000": (5000, False, _PHASES),
    "5000-compressed": (5000, True, "warm,sat1,satW,paced"),
    "10000-idle": (10000, False, "idle"),
}


@contextmanager
def serving(contender: Contender, log: Path, notices: Path) -> Iterator[tuple[int, list[int]]]:
    """The port and the process ids."""
    port = free_port()
    command = ["taskset", "-c", "0", *(str(port) if one == "PORT" else one for one in contender.command)]
    environment = {**os.environ, "NOTICES": str(notices), **contender.environment}
    with log.open("ab") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True)
    try:
        _wait_for(port, process, log)
        time.sleep(0.4)
        family = [process.pid, *(one.pid for one in psutil.Process(process.pid).children(recursive=True))]
        yield port, family
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"did not start: {log.read_text()[-800:]}")


def measured(
    contender: Contender, folder: Path, size: int, *, deflate: bool, phases: str, secs: float
) -> dict[str, Any]:
    with serving(contender, folder / "servers.log", folder / "notices.json") as (port, pids):
        command = [
            *("taskset", "-c", "1", str(folder / "load"), "--port", str(port), "--n", str(size)),
            *("--deflate", str(int(deflate)), "--phases", phases, "--secs", str(secs), "--first", "1000"),
            *("--pids", ",".join(map(str, pids)), *contender.says),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(f"{contender.name}: {done.stderr[-400:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    if found["verify_bad"] or found["errs"] or found["closed"]:
        raise RuntimeError(f"{contender.name}: not everything arrived: {done.stdout[-300:]} {done.stderr[-300:]}")
    return {**found, "name": contender.name}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.ws", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scenes", nargs="+", choices=list(_SCENES), default=["1000", "1000-compressed"])
    parser.add_argument("--only", nargs="+", help="these contenders")
    parser.add_argument("--secs", type=float, default=2.0, help="of each phase")
    parser.add_argument("--build", type=Path, default=Path(".bench/ws"), help="where the generator and peers are built")
    parser.add_argument("--out", type=Path, default=Path("bench/results/ws.md"))
    asked = parser.parse_args(arguments)
    folder = asked.build.resolve()
    try:
        build(folder)
    except NotHere as missing:
        print(missing, file=sys.stderr)
        return 2
    raw = asked.out.with_suffix(".jsonl")
    raw.parent.mkdir(parents=True, exist_ok=True)
    raw.unlink(missing_ok=True)
    about = machine()
    runs: list[dict[str, Any]] = []
    for scene in asked.scenes:
        size, deflate, phases = _SCENES[scene]
        for number in range(asked.rounds):
            with tempfile.TemporaryDirectory(prefix="wq-ws-") as installation:
                field = contenders(folder, Path(installation), deflate=deflate)
                for contender in field if number % 2 == 0 else reversed(field):
                    if asked.only and contender.name not in asked.only:
                        continue
                    try:
                        found = measured(contender, folder, size, deflate=deflate, phases=phases, secs=asked.secs)
                    except (RuntimeError, subprocess.TimeoutExpired) as failed:
                        print(f"  {scene}, round {number}: {failed}", file=sys.stderr)
                        continue
                    run = {**found, "round": number, "load": os.getloadavg()[0]}
                    runs.append(run)
                    with raw.open("a") as lines:
                        lines.write(json.dumps(run) + "\n")
                    print(f"  {scene}, round {number}: {contender.name:<16} {_told(run)}", flush=True)
    limits = ", ".join(f"{name} {value:,.0f}" for name, value in RAISED.items())
    told = [
        "# The gateway beside other WebSocket servers",
        "",
        f"{about}. {asked.rounds} rounds. Ours in its unit; beside it how many times that each peer took,",
        f"median (least to most), and where there is a goal, whether it is reached. Raised: {limits}.",
    ]
    child.keep(asked.out, "\n".join([*told, *report.tables(runs), ""]))
    return 0


def _told(run: dict[str, Any]) -> str:
    phases = ("sat1", "satW", "echo", "target")
    shown = [f"{name} {run[name]['srv_us']:.2f}" for name in phases if name in run]
    return f"{' '.join(shown)} connect {run['connect_cpu_us']:.0f} µs, {run['rss2_per_conn_kb']:.1f} KB each"


if __name__ == "__main__":
    sys.exit(main())

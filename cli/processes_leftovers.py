"""Find and end every process of one stack, also those that left their parent, their group and their session.

A killed Prefect runner leaves its flow runs behind, and those belong to nobody any more: their parent is gone
and the new runner has another process group. The one thing every descendant keeps is the environment it was
started with, so the stack puts a mark there.
"""

import os
import signal
import subprocess
import time
from pathlib import Path

NAME = "IN_WAQTOR_STACK"
PROC = Path("/proc")


def marked(mark: str) -> list[int]:
    """Ids of the other living processes of this user that carry the mark; a zombie has no environment left."""
    found = _from_proc(mark) if (PROC / "self" / "environ").exists() else _from_ps(mark)
    return [pid for pid in found if pid != os.getpid()]


def end(mark: str, *, grace_s: float = 3) -> list[int]:
    """SIGTERM all of them, then SIGKILL until none is left. Returns the ids found at first."""
    found = left = marked(mark)
    _signal(left, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = marked(mark)
    while left:  # again and again: one of them may just have started another
        _signal(left, signal.SIGKILL)
        time.sleep(0.05)
        left = marked(mark)
    return found


def _from_proc(mark: str) -> list[int]:
    wanted = f"\0{NAME}={mark}\0".encode()
    pids = []
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:  # gone meanwhile, or another user's
            continue
        if wanted in b"\0" + environment + b"\0":
            pids.append(int(entry.name))
    return pids


def _from_ps(mark: str) -> list[int]:
    """macOS has no /proc; its ps shows the environment of one's own processes behind the command."""
    listing = subprocess.run(
        ["/bin/ps", "-A", "-E", "-ww", "-o", "pid=,command="],
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
    ).stdout
    wanted = f"{NAME}={mark}"
    return [int(line.split(None, 1)[0]) for line in listing.splitlines() if wanted in line.split()]


def _signal(pids: list[int], sig: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            continue

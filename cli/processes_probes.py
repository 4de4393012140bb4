"""Whether a child serves, asked over HTTP the way a user would, and whether its port is free."""

import base64
import errno
import http.client
import json
import socket
import time
from collections.abc import Mapping
from datetime import datetime

from core import service_credentials
from core.errors import Conflict, WaqtorError
from core.settings import Settings

# A runner polls every second, more slowly on a busy machine. One that lives and no longer polls serves nobody.
STALE_POLL_S = 15


class PortTaken(Conflict):
    code = "port_taken"


class NotServing(WaqtorError):
    """A child did not serve in time, or supervisord itself has gone."""

    code = "not_serving"


def answers(host: str, port: int, path: str) -> bool:
    """Whether an HTTP server there answers the path with anything below 400."""
    try:
        return _request(host, port, "GET", path)[0] < 400
    except (OSError, http.client.HTTPException):
        return False


def polls(settings: Settings, since: float) -> bool:
    """Whether the Prefect runner serves: a deployment was polled for due runs by this process, and of late."""
    headers = {"Content-Type": "application/json"}
    if credential := service_credentials.for_prefect(settings):
        headers["Authorization"] = f"Basic {base64.b64encode(credential.encode()).decode()}"
    try:
        status, body = _request(
            reachable(settings.prefect_host), settings.prefect_port, "POST", "/api/deployments/filter", b"{}", headers
        )
    except (OSError, http.client.HTTPException):
        return False
    if status != 200:
        return False
    polled = [deployment["last_polled"] for deployment in json.loads(body)]
    # supervisord cuts the start to whole seconds; the second in which a predecessor may have polled is left out
    oldest = max(since + 1, time.time() - STALE_POLL_S)
    return any(moment and datetime.fromisoformat(moment).timestamp() > oldest for moment in polled)


def need_port(host: str, port: int, *, setting: str, of: str) -> None:
    """Refuse a port that somebody else listens on, naming the setting that moves it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a socket in TIME_WAIT is no obstacle
        try:
            probe.bind((host, port))
        except OSError as failure:
            why = "is taken by another process" if failure.errno == errno.EADDRINUSE else f"fails: {failure.strerror}"
            raise PortTaken(
                f"Port {port} on {host}, where {of} is to listen, {why}.",
                field=setting,
                hint=f"Free it, or set another {setting}: in config.toml or as WAQTOR_{setting.upper()}.",
            ) from failure


def reachable(host: str) -> str:
    """Where to reach from this machine what listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - not bound here


def _request(
    host: str, port: int, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(host, port, timeout=3)
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()

"""A whole installation on this machine with a simulated WhatsApp, on ports that are free: for the demo, the
measurements and the journeys that tests take."""

import asyncio
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import httpx

from cli.processes import Stack, children
from core import apikeys, keys, schema
from core.database import DatabaseClock, connect
from core.settings import Settings
from simulator.config import APP_SECRET, TOKEN

VERIFY_TOKEN = "local-verify-token"  # noqa: S105  of the simulator on this machine, opens nothing
_PREFERRED = {"api_port": 8080, "prefect_port": 4200, "simulator_port": 8090, "dashboard_port": 8501}


class Local:
    """Use as a context manager: prepared and serving inside, stopped after. `settings` holds the ports."""

    def __init__(
        self,
        data_dir: Path,
        *,
        profile: str,
        env: Mapping[str, Mapping[str, str]] | None = None,
        any_ports: bool = True,
        **changes: Any,
    ) -> None:
        ports = _free_ports(any_ports=any_ports)
        simulator_url = f"http://127.0.0.1:{ports['simulator_port']}"
        self.settings = Settings(
            **{"data_dir": data_dir, "cloud_api_url": f"{simulator_url}/v23.0", **ports, **changes}
        )
        self.profile = profile
        self.simulator_url = simulator_url
        self.stack = Stack(self.settings, children(self.settings, simulator=profile, env=env))
        self.api_key = ""

    def prepare(self) -> None:
        """Master key, schema and an API key: what an operator does once."""
        keys.init(self.settings.key_file)
        self.api_key = asyncio.run(_first_key(self.settings))

    def start(self, *, report: Callable[[str, float], None] = lambda *_: None) -> None:
        self.stack.start()
        self.stack.wait_ready(report=report)

    def __enter__(self) -> Self:
        self.prepare()
        try:
            self.start()
        except BaseException:  # also Ctrl-C: no process is left behind
            self.stack.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.stop()

    def http(self) -> httpx.Client:
        """A client of the API with the key."""
        return httpx.Client(
            base_url=self.settings.api_url, headers={"Authorization": f"Bearer {self.api_key}"}, timeout=60
        )

    def add_number(self, sender_id: int, phone_number_id: str, *, token: str = TOKEN, **limits: Any) -> None:
        """Make the number known at the simulated WhatsApp, its webhooks going to our API."""
        self.simulator(
            "POST",
            "accounts",
            phone_number_id=phone_number_id,
            token=token,
            app_secret=APP_SECRET,
            verify_token=VERIFY_TOKEN,
            callback_url=f"{self.settings.api_url}/webhooks/cloud/{sender_id}",
            **limits,
        )

    def sender(
        self, *, name: str, phone_number_id: str, waba_id: str, rate: float, token: str = TOKEN, **caps: int
    ) -> dict[str, Any]:
        """A sender of ours for a number of the simulator, connected both ways. Numbers that share a token lose it
        only together."""
        with self.http() as http:
            answer = http.post(
                "/api/v3/senders",
                json={
                    "name": name,
                    "phone_number_id": phone_number_id,
                    "waba_id": waba_id,
                    "access_token": token,
                    "app_secret": APP_SECRET,
                    "verify_token": VERIFY_TOKEN,
                    "rate": rate,
                    **caps,
                },
            )
            made: dict[str, Any] = _checked(answer).json()
        self.add_number(made["id"], phone_number_id, token=token)
        return made

    def simulator(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        """Call the simulator's control API below /_sim."""
        answer = httpx.request(method, f"{self.simulator_url}/_sim/{path}", json=body or None, timeout=30)
        found: dict[str, Any] = _checked(answer).json()
        return found


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_error:
        raise RuntimeError(f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[:500]}")
    return answer


async def _first_key(settings: Settings) -> str:
    database = connect(settings)
    await schema.upgrade(database)
    async with database.transaction() as tx:
        now = await DatabaseClock().now(tx)
        made = await apikeys.create(tx, keys.load(settings.key_file), name="local", scopes=apikeys.SCOPES, at=now)
    await database.close()
    return made.full


def _free_ports(*, any_ports: bool) -> dict[str, int]:
    """The usual ports where they are free, others where not."""
    return {name: free_port(0 if any_ports else usual) for name, usual in _PREFERRED.items()}


def free_port(wanted: int = 0) -> int:
    """`wanted` if nobody listens there, else any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""A whole installation, as `waqtor up` runs it, for journeys through all of it."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cli.local import Local
from cli.oracle import Book, Verdict, compare, ledger
from simulator.config import ACCOUNT_ID
from waqtor import Client
from waqtor.campaigns import Campaign


@pytest.fixture(scope="session")
def local() -> Iterator[Local]:
    """Everything serves; leases and silence are short, so that a death is taken up within seconds."""
    with an_installation() as installation:
        yield installation


@contextmanager
def an_installation(env: Mapping[str, Mapping[str, str]] | None = None) -> Iterator[Local]:
    folder = Path(tempfile.mkdtemp(prefix="wq-journey-"))  # short: sockets are inside
    installation = Local(
        folder,
        profile="chaos",
        env=env,
        lease_s=6,
        send_by_s=1,
        request_timeout_s=3,
        lease_margin_s=1,
        silence_window_s=4,
        sweep_interval_s=6,
        batch_s=3,
    )
    with installation:
        yield installation
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def client(local: Local) -> Iterator[Client]:
    with Client(local.settings.api_url, local.api_key) as client:
        yield client


class Scene:
    """A campaign with a sender and people of its own on the shared installation."""

    _made = 0

    def __init__(self, local: Local, client: Client, *, people: int, rate: float) -> None:
        Scene._made += 1
        self.local, self.client = local, client
        self.number = f"1000000009{Scene._made:05d}"
        self.tag = f"journey-{Scene._made}"
        self.phones = [f"+96655{Scene._made:02d}{one:05d}" for one in range(people)]
        self.sender_id: int = local.sender(
            name=self.tag, phone_number_id=self.number, waba_id=ACCOUNT_ID, rate=rate, token=f"token-{self.tag}"
        )["id"]
        rows = "\n".join(f"{phone},Person {place},{self.tag}" for place, phone in enumerate(self.phones))
        client.contacts.import_file(f"phone,name,tags\n{rows}\n".encode(), filename=f"{self.tag}.csv")
        template = client.templates.create(self.tag, "Hello {name}, spring!", cloud_name="spring_offer")
        self.campaign_id = client.campaigns.create(
            self.tag, sender_id=self.sender_id, template_id=template.id, tag=self.tag, purpose="service"
        ).id

    def reachable(self, phone: str) -> str:
        """The same: of the others a few are not on WhatsApp, by chance of their number."""
        self.local.simulator("PUT", f"contacts/{phone.removeprefix('+')}", on_whatsapp=True)
        return phone

    def launch(self) -> None:
        self.client.campaigns.launch(self.campaign_id)

    def now(self) -> Campaign:
        return self.client.campaigns.get(self.campaign_id)

    def sent(self) -> int:
        progress = self.now().progress
        return progress.sent if progress else 0

    def effects(self) -> int:
        return int(self.local.simulator("GET", f"ledger/summary?phone_number_id={self.number}")["accepted"])

    def kill_runs(self) -> None:
        """`kill -9` of every run of this installation that is under way."""
        listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
        runner = self.local.stack.pid("flows")
        for pid, parent, what in (line.split(None, 2) for line in listed.splitlines()[1:]):
            if int(parent) == runner and "prefect.engine" in what:
                os.kill(int(pid), signal.SIGKILL)

    def until(self, condition: Callable[[], Any], what: str, *, seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s; {self.now()}"
            time.sleep(0.2)

    def finished(self, *, seconds: float = 120) -> Campaign:
        return self.client.campaigns.wait(self.campaign_id, every_s=0.3, timeout_s=seconds)

    def verdict(self) -> Verdict:
        """After all receipts have come."""
        path = f"idle?phone_number_id={self.number}"
        self.until(lambda: self.local.simulator("GET", path)["idle"], "receipts")
        self.until(lambda: self._books().agrees, "books that agree", seconds=15)
        return self._books()

    def _books(self) -> Verdict:
        return compare(
            [Book(person.client_id, person.state) for person in self.client.campaigns.recipients(self.campaign_id)],
            ledger(self.local.simulator_url, "requests", phone_number_id=self.number),
            ledger(self.local.simulator_url, "statuses", phone_number_id=self.number),
        )


@pytest.fixture
def scene(local: Local, client: Client) -> Callable[..., Scene]:
    return lambda people=40, rate=40.0: Scene(local, client, people=people, rate=rate)


@pytest.fixture
def impatient() -> Iterator[Callable[..., Scene]]:
    """As `scene`, where the worker gives its Prefect server up after seconds, not minutes."""
    with (
        an_installation({"flows": {"PREFECT_CLIENT_MAX_RETRIES": "0"}}) as local,
        Client(local.settings.api_url, local.api_key) as client,
    ):
        yield lambda people, rate: Scene(local, client, people=people, rate=rate)

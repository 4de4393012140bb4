"""Our own fakes, at the ports only: everything behind them in a test is the real thing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from core.database import DatabaseClock, Tx
from core.ports import (
    Accepted,
    AccountTemplate,
    Capabilities,
    Connector,
    Found,
    Job,
    JobsUnavailable,
    Letter,
    Lookup,
    Outgoing,
    Posted,
    PostError,
    SenderConfig,
    SenderHealth,
    SendError,
)

ANYTHING = Capabilities(
    content=frozenset({"text", "template"}),
    receipts=frozenset({"sent", "delivered", "read"}),
    client_message_id=False,
    lookup="weak",
    free_form_anytime=True,
    templates=True,
    max_media_bytes={},
    pair_interval_s=0,
    max_rate=1000,
)

Answering = Callable[[Outgoing], Accepted | SendError]


@dataclass
class FakeConnector:
    """Takes every message unless `answering` says otherwise. `effects` is what reached people, in order."""

    answering: Answering | None = None
    delay_s: float = 0.0
    capabilities: Capabilities = ANYTHING
    effects: list[Outgoing] = field(default_factory=list)
    calls: list[Outgoing] = field(default_factory=list)
    lookups: dict[str, Found] = field(default_factory=dict)
    says: SenderHealth = field(default_factory=lambda: SenderHealth(ok=True, detail=""))
    account_templates: list[AccountTemplate] = field(default_factory=list)
    held: dict[str, asyncio.Event] = field(default_factory=dict)
    """By number: the answer comes once the event is set."""
    transferring: list[SendError] = field(default_factory=list)
    """How the next uploads and fetches fail."""
    uploads: list[tuple[bytes, str, str]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    """By WhatsApp's id, what people sent."""
    fetches: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    most_at_once: int = 0
    _at_once: int = 0

    async def send(self, message: Outgoing) -> Accepted:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            if (until := self.held.get(message.to.value)) is not None:
                await until.wait()
            self.calls.append(message)
            answer = self.answering(message) if self.answering else Accepted(f"wamid.{message.client_id}")
            if isinstance(answer, SendError):
                raise answer
            self.effects.append(message)
            return answer
        finally:
            self._at_once -= 1

    async def lookup(self, message: Outgoing, *, since: datetime) -> Found:
        return self.lookups.get(message.client_id, Found(Lookup.UNKNOWN))

    async def health(self) -> SenderHealth:
        return self.says

    async def templates(self) -> Sequence[AccountTemplate]:
        return self.account_templates

    async def mark_read(self, provider_id: str) -> None:
        self.read.append(provider_id)

    async def upload_media(self, file: Path, *, mime_type: str, filename: str) -> str:
        if self.transferring:
            raise self.transferring.pop(0)
        self.uploads.append((await asyncio.to_thread(file.read_bytes), mime_type, filename))
        return f"handle-{len(self.uploads)}"

    async def fetch_media(self, handle: str, *, limit: int) -> AsyncIterator[bytes]:
        self.fetches.append(handle)
        if self.transferring:
            raise self.transferring.pop(0)
        for place in range(0, len(self.files[handle]), 1000):
            yield self.files[handle][place : place + 1000]

    async def close(self) -> None: ...


@dataclass
class FakeConnectors:
    connector: Connector
    opened: list[SenderConfig] = field(default_factory=list)

    async def open(self, sender: SenderConfig) -> Connector:
        self.opened.append(sender)
        return self.connector

    async def close(self) -> None: ...


@dataclass
class FakeJobs:
    """An orchestrator with a memory. What an operator does there, a test does to `jobs`."""

    started: list[tuple[str, Mapping[str, object], str]] = field(default_factory=list)
    is_down: bool = False
    jobs: dict[str, Job] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Mapping[str, object]] = field(default_factory=dict)
    marked: str | None = None
    _made: int = 0

    async def start(self, deployment: str, parameters: Mapping[str, object], *, key: str, about: str) -> None:
        self._answer()
        self.started.append((deployment, parameters, key))

    async def schedule(
        self, deployment: str, parameters: Mapping[str, object], *, key: str, about: str, due_at: datetime
    ) -> Job:
        self._answer()
        if self.keys.get(key) not in self.jobs:
            self._made += 1
            self.keys[key] = f"job-{self._made}"
            self.jobs[self.keys[key]] = Job(self.keys[key], "scheduled", due_at)
            self.parameters[self.keys[key]] = parameters
        return self.jobs[self.keys[key]]

    async def find(self, ids: Sequence[str]) -> Mapping[str, Job]:
        self._answer()
        return {one: self.jobs[one] for one in ids if one in self.jobs}

    async def move(self, job_id: str, *, due_at: datetime) -> None:
        self._answer()
        self.jobs[job_id] = Job(job_id, "scheduled", due_at)

    async def cancel(self, job_id: str, *, why: str) -> None:
        self._answer()
        self.jobs[job_id] = Job(job_id, "cancelled", None)

    async def mark(self, deployment: str) -> str | None:
        self._answer()
        return self.marked

    async def leave_mark(self, deployment: str) -> str:
        self._answer()
        self._made += 1
        self.marked = f"mark-{self._made}"
        return self.marked

    def forget(self) -> None:
        """Its database was lost."""
        self.jobs.clear()
        self.keys.clear()
        self.marked = None

    def waiting(self) -> list[Job]:
        return [job for job in self.jobs.values() if job.state == "scheduled"]

    def _answer(self) -> None:
        if self.is_down:
            raise JobsUnavailable("the orchestrator is down")

    async def close(self) -> None: ...


@dataclass
class FakePoster:
    """Every receiver says 204 unless `answering` says otherwise. `letters` is what arrived, in order."""

    answering: Callable[[Letter], Posted | PostError] | None = None
    letters: list[Letter] = field(default_factory=list)
    held: dict[str, asyncio.Event] = field(default_factory=dict)
    """By address: the answer comes once the event is set."""
    most_at_once: int = 0
    _at_once: int = 0

    async def post(self, letter: Letter) -> Posted:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if (until := self.held.get(letter.url)) is not None:
                await until.wait()
            answer = self.answering(letter) if self.answering else Posted(204, {}, b"", 0.0)
            if isinstance(answer, PostError):
                if answer.sent:
                    self.letters.append(letter)
                raise answer
            self.letters.append(letter)
            return answer
        finally:
            self._at_once -= 1

    async def close(self) -> None: ...


@dataclass
class FakeClock:
    """The database's clock, moved on by hand."""

    ahead: timedelta = timedelta()

    async def now(self, tx: Tx) -> datetime:
        return await DatabaseClock().now(tx) + self.ahead

    def advance(self, **by: float) -> None:
        self.ahead += timedelta(**by)

"""Our own fakes, at the ports only: everything behind them in a test is the real thing."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from core.database import DatabaseClock, Tx
from core.ports import (
    Accepted,
    AccountTemplate,
    Capabilities,
    Connector,
    Found,
    JobsUnavailable,
    Lookup,
    Outgoing,
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

    async def mark_read(self, provider_id: str) -> None: ...

    async def upload_media(self, data: bytes, *, mime_type: str, filename: str) -> str:
        return "media"

    async def fetch_media(self, media_id: str) -> bytes:
        return b""

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
    started: list[tuple[str, Mapping[str, object], str]] = field(default_factory=list)
    is_down: bool = False

    async def start(self, deployment: str, parameters: Mapping[str, object], *, key: str, about: str) -> None:
        if self.is_down:
            raise JobsUnavailable("the orchestrator is down")
        self.started.append((deployment, parameters, key))

    async def close(self) -> None: ...


@dataclass
class FakeClock:
    """The database's clock, moved on by hand."""

    ahead: timedelta = timedelta()

    async def now(self, tx: Tx) -> datetime:
        return await DatabaseClock().now(tx) + self.ahead

    def advance(self, **by: float) -> None:
        self.ahead += timedelta(**by)

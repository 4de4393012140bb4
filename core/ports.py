"""What core needs from the outside. `connectors/` fulfils these; tests fulfil them with fakes of our own."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from sqlalchemy.ext.asyncio import AsyncSession

from core.content import Content

Effect = Literal["none", "unknown"]
AddressKind = Literal["phone", "lid", "bsuid"]


class Clock(Protocol):
    """The one clock of sending: the database's, so that several machines agree on leases and slots."""

    async def now(self, tx: AsyncSession) -> datetime: ...


@dataclass(frozen=True, slots=True)
class Address:
    kind: AddressKind
    value: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One hand-over. `client_id` is equal for all attempts of a message.

    `send_by` is on the monotonic clock of this process (seconds): the connector checks it right before the
    write and raises `Expired` when it has passed.
    """

    client_id: str
    to: Address
    content: Content
    send_by: float
    reply_to: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    provider_id: str


class Lookup(StrEnum):
    ACCEPTED = "accepted"
    FAILED = "failed"
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Found:
    outcome: Lookup
    provider_id: str | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    content: frozenset[str]
    receipts: frozenset[str]
    client_message_id: bool
    """True: a repeated id counts once at the recipient, so an unknown may be repeated."""
    lookup: Literal["strong", "weak", "none"]
    free_form_anytime: bool
    templates: bool
    max_media_bytes: Mapping[str, int]
    pair_interval_s: float
    max_rate: float


@dataclass(frozen=True, slots=True)
class SenderHealth:
    ok: bool
    detail: str
    display_phone: str | None = None
    verified_name: str | None = None
    quality: str | None = None
    tier: str | None = None


class SendError(Exception):
    """`effect` is the only thing a retry may look at: `none` is proven, `unknown` is not.

    `code` is ours and stable (e.g. `not_on_whatsapp`); `provider_code` is the network's own.
    """

    effect: Effect = "none"

    def __init__(self, code: str, detail: str = "", *, provider_code: int | None = None) -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail
        self.provider_code = provider_code


class Retryable(SendError):
    """Nothing happened, and the same attempt may work soon (refused connection, service busy)."""


class Expired(Retryable):
    """`send_by` had passed before a byte was written."""


class RateLimited(SendError):
    """Too fast. `scope` says what has to wait; no attempt is burnt."""

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        scope: Literal["sender", "pair"],
        retry_after_s: float,
        provider_code: int | None = None,
    ) -> None:
        super().__init__(code, detail, provider_code=provider_code)
        self.scope = scope
        self.retry_after_s = retry_after_s


class Deferred(SendError):
    """WhatsApp does not want this person written to now; `wait_s` is the least to wait."""

    def __init__(self, code: str, detail: str = "", *, wait_s: float, provider_code: int | None = None) -> None:
        super().__init__(code, detail, provider_code=provider_code)
        self.wait_s = wait_s


class WindowClosed(SendError):
    """More than 24 h since the person last wrote: only a template may go."""


class PermanentRecipient(SendError):
    """This person cannot be reached. `opted_out`: the person stopped us at WhatsApp itself."""

    def __init__(
        self, code: str, detail: str = "", *, opted_out: bool = False, provider_code: int | None = None
    ) -> None:
        super().__init__(code, detail, provider_code=provider_code)
        self.opted_out = opted_out


class PermanentContent(SendError):
    """This message can never go as it is."""


class PermanentTemplate(SendError):
    """The template is missing, paused, rejected or does not fit: pause its campaigns."""


class SenderBlocked(SendError):
    """The account is restricted: pause all it does."""


class SessionLost(SendError):
    """Token or permission gone: pause the sender and tell the operator."""


class Ambiguous(SendError):
    """The request may have arrived. Never repeated by itself."""

    effect: Effect = "unknown"


class Connector(Protocol):
    """One sender's way to WhatsApp. `send` raises only `SendError` (and cancellation)."""

    capabilities: Capabilities

    async def send(self, message: Outgoing) -> Accepted: ...
    async def lookup(self, message: Outgoing, *, since: datetime) -> Found: ...
    async def health(self) -> SenderHealth: ...
    async def mark_read(self, provider_id: str) -> None: ...
    async def upload_media(self, file: Path, *, mime_type: str, filename: str) -> str:
        """WhatsApp's id of it. No effect on anybody, so it may be repeated; raises only `SendError`."""

    def fetch_media(self, handle: str, *, limit: int) -> AsyncIterator[bytes]:
        """Piece by piece; raises only `SendError`, also for more than `limit` bytes."""

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class AccountTemplate:
    """One language of a template as the account has it. `status` and `category` are Meta's words in lower case;
    `components` are kept as they come."""

    name: str
    language: str
    category: str
    status: str
    components: Sequence[Mapping[str, Any]]


@runtime_checkable
class TemplateSource(Protocol):
    """What a connector also is where the account keeps templates. Raises only `SendError`."""

    async def templates(self) -> Sequence[AccountTemplate]: ...


@dataclass(frozen=True, slots=True)
class SenderConfig:
    """What a connector needs to open: decrypted, so it never goes to a log or an event."""

    sender_id: int
    kind: Literal["cloud"]
    phone_number_id: str
    waba_id: str
    access_token: str = field(repr=False)
    app_secret: str = field(repr=False)


class Connectors(Protocol):
    """Opens the connector of a sender; the caller closes it."""

    async def open(self, sender: SenderConfig) -> Connector: ...
    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Job:
    """A run as the orchestrator has it. `due_at` is when it is to start, while it is scheduled."""

    id: str
    state: Literal["scheduled", "started", "cancelled", "over"]
    due_at: datetime | None


class Jobs(Protocol):
    """The orchestrator: it shows and starts runs, and may be down at any time. Everything here raises
    `JobsUnavailable`."""

    async def start(self, deployment: str, parameters: Mapping[str, object], *, key: str, about: str) -> None:
        """Ask for a run now. Safe to repeat with the same key, and not needed while a run `about` the same waits."""

    async def schedule(
        self, deployment: str, parameters: Mapping[str, object], *, key: str, about: str, due_at: datetime
    ) -> Job:
        """Ask for a run later. The same key gives the same run, which somebody may have shifted meanwhile."""

    async def find(self, ids: Sequence[str]) -> Mapping[str, Job]:
        """Those that are there."""

    async def move(self, job_id: str, *, due_at: datetime) -> None: ...

    async def cancel(self, job_id: str, *, why: str) -> None: ...

    async def mark(self, deployment: str) -> str | None:
        """What `leave_mark` returned last, if this is the same memory: None or another where it was lost, reset or
        set back, or where the deployment is not the one it was."""

    async def leave_mark(self, deployment: str) -> str:
        """Leave a new mark in its memory, and return what `mark` will say of it."""

    async def close(self) -> None: ...


class JobsUnavailable(Exception):
    """The orchestrator did not take the request; the sweep will."""


Rank = Literal["sent", "delivered", "read", "failed"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """A status of one of our messages. `client_id` is ours (echoed callback data), where it came back.

    `sender_phone_number_id` is the number that reports, where the network names it: only its own messages are
    touched, so that nobody who can sign for one number speaks for another.
    """

    provider_id: str
    client_id: str | None
    status: Rank
    at: datetime
    error: SendError | None = None
    sender_phone_number_id: str | None = None


@dataclass(frozen=True, slots=True)
class Attached:
    """A file that came with a message: WhatsApp has it under `handle`. `sha256` in hex, where it is told."""

    handle: str
    mime_type: str
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Inbound:
    """A message from a person. At least once: `provider_id` tells a repetition."""

    provider_id: str
    sender_phone_number_id: str
    addresses: Sequence[Address]
    profile_name: str | None
    content: Content
    reply_to: str | None
    at: datetime
    attached: Attached | None = None


@dataclass(frozen=True, slots=True)
class PreferenceChanged:
    """The person stopped or resumed marketing in WhatsApp's own menu."""

    sender_phone_number_id: str
    addresses: Sequence[Address]
    stop: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class TemplateChanged:
    """The account's template in this language has another status or category now; None: that is as it was."""

    waba_id: str
    name: str
    language: str
    status: str | None = None
    category: str | None = None


@dataclass(frozen=True, slots=True)
class ParsedWebhook:
    receipts: Sequence[Receipt] = ()
    inbound: Sequence[Inbound] = ()
    preferences: Sequence[PreferenceChanged] = ()
    templates: Sequence[TemplateChanged] = ()
    ignored: int = 0
    """Changes of a kind we do not know; counted, never an error."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One delivery of a webhook as it goes over the wire; `headers` are already signed."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Posted:
    """A whole answer, whatever its status: a redirect was not followed. `body` is its beginning (16 KiB at most),
    as it came: nothing was unpacked. Names in `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    took_s: float


PostFailure = Literal[
    "invalid_url",
    "forbidden_address",
    "not_resolved",
    "connect_failed",
    "connect_timeout",
    "tls",
    "timeout",
    "reset",
    "bad_answer",
]


class PostError(Exception):
    """No whole answer came. The receiver may have the letter all the same, unless `sent` is False."""

    def __init__(self, reason: PostFailure, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason: PostFailure = reason
        self.detail = detail

    @property
    def sent(self) -> bool:
        """Whether a byte of it may have left."""
        return self.reason in ("timeout", "reset", "bad_answer")


class Poster(Protocol):
    """Carries letters to addresses that strangers chose. `post` raises only `PostError` (and cancellation), within
    15 s and a little."""

    async def post(self, letter: Letter) -> Posted: ...
    async def close(self) -> None: ...

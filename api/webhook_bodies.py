"""What is asked and shown of webhooks."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from api.bodies import Body, Shown
from api.deps import Moment, Secret, Str
from core.webhook_bodies import Form
from core.webhook_events import PersonalField
from core.webhook_signing import Scheme

State = Literal["waiting", "sending", "delivered", "failed"]
MAX_OVERLAP_S = 7 * 24 * 3600

_Events = Annotated[list[Annotated[Str, Field(max_length=60)]], Field(min_length=1, max_length=100)]
_Ids = Annotated[list[Annotated[int, Field(ge=1, le=2**63 - 1)]], Field(min_length=1, max_length=500)]
_Headers = Annotated[dict[Str, Str], Field(max_length=20)]
_Waits = Annotated[list[Annotated[float, Field(ge=1, le=7 * 24 * 3600)]], Field(min_length=1, max_length=20)]

_URL = "Where it is posted to: https, and on the public internet unless the operator allows more."
_EVENTS = "What it is told: types, `message.*`, or `*`. GET /api/v3/webhooks/events lists them."
_SENDERS = "Only what is about these senders. Null: about all, and about none."
_CAMPAIGNS = "Only what is about these campaigns. Null: about all, and about none."
_FIELDS = "What of a person it may have besides ids: `text`, `phone`, `name`. By default nothing."
_FORM = (
    "The body: `v3` is Standard Webhooks' `{type, timestamp, data}`, `v2` that of 2.3.0, `{event, timestamp, data}`."
)
_SIGNS_V2 = "Also send X-WaQtor-Signature and X-WaQtor-Event, as 2.3.0 did."
_SIGNS_V1A = (
    "Besides `v1` (HMAC-SHA256, a secret you share) also sign by `v1a`: Ed25519, of which you get the public half."
)
_HEADERS = "Sent with each post, such as an API key of the receiver. Kept encrypted; only their names are shown."
_SCHEDULE = "Seconds from each attempt to the next, if it fails; how many there are says how many attempts. Null: ours."
_RATE = "At most so many posts a second. Null: no limit."
_CONCURRENCY = "At most so many posts at the same moment."
_ORDERED = "Post what is about one chat in its order: one that fails holds up those after it."
_DESCRIPTION = "What it is for, for people."
_SECRET = "Your own, `whsec_…` with 24 to 64 bytes in base64. Without it one is made, which is better."  # noqa: S105


class WebhookIn(Body):
    """An endpoint to register."""

    url: Annotated[Str, Field(min_length=1, max_length=2048)] = Field(
        description=_URL, examples=["https://example.com/hooks/waqtor"]
    )
    events: _Events = Field(description=_EVENTS, examples=[["message.*", "campaign.finished"]])
    description: Annotated[Str, Field(max_length=500)] = Field(
        default="", description=_DESCRIPTION, examples=["the shop"]
    )
    sender_ids: _Ids | None = Field(default=None, description=_SENDERS, examples=[[1]])
    campaign_ids: _Ids | None = Field(default=None, description=_CAMPAIGNS)
    fields: list[PersonalField] = Field(default=[], max_length=3, description=_FIELDS, examples=[["text", "phone"]])
    form: Form = Field(default="v3", description=_FORM)
    signs_v2: bool = Field(default=False, description=_SIGNS_V2)
    signs_v1a: bool = Field(default=False, description=_SIGNS_V1A)
    secret: Secret | None = Field(default=None, description=_SECRET)
    headers: _Headers = Field(default={}, description=_HEADERS, examples=[{"X-Api-Key": "…"}])
    schedule: _Waits | None = Field(default=None, description=_SCHEDULE, examples=[[5, 300, 1800]])
    rate: float | None = Field(default=None, gt=0, le=1000, description=_RATE, examples=[50])
    concurrency: int = Field(default=10, ge=1, le=100, description=_CONCURRENCY)
    is_ordered: bool = Field(default=False, description=_ORDERED)

    @field_validator("fields")
    @classmethod
    def _each_once(cls, value: list[PersonalField]) -> list[PersonalField]:
        return list(dict.fromkeys(value))


class WebhookChange(Body):
    """What is not named stays as it is. Its secret is changed by `rotate`."""

    url: Annotated[Str, Field(min_length=1, max_length=2048)] = Field(
        default="", description=_URL, examples=["https://example.com/hooks/waqtor"]
    )
    events: _Events = Field(default=[], description=_EVENTS, examples=[["message.*"]])
    description: Annotated[Str, Field(max_length=500)] = Field(
        default="", description=_DESCRIPTION, examples=["the shop"]
    )
    sender_ids: _Ids | None = Field(default=None, description=_SENDERS, examples=[[1]])
    campaign_ids: _Ids | None = Field(default=None, description=_CAMPAIGNS)
    fields: list[PersonalField] = Field(default=[], max_length=3, description=_FIELDS, examples=[["text"]])
    form: Form = Field(default="v3", description=_FORM)
    signs_v2: bool = Field(default=False, description=_SIGNS_V2)
    headers: _Headers = Field(default={}, description=f"{_HEADERS} All of them anew.", examples=[{"X-Api-Key": "…"}])
    schedule: _Waits | None = Field(default=None, description=_SCHEDULE, examples=[[5, 300, 1800]])
    rate: float | None = Field(default=None, gt=0, le=1000, description=_RATE, examples=[50])
    concurrency: int = Field(default=10, ge=1, le=100, description=_CONCURRENCY)
    is_ordered: bool = Field(default=False, description=_ORDERED)


class WebhookOut(Shown):
    """An endpoint, without its secrets."""

    id: int = Field(examples=[1])
    url: str = Field(examples=["https://example.com/hooks/waqtor"])
    description: str = Field(examples=["the shop"])
    events: list[str] = Field(examples=[["message.*", "campaign.finished"]])
    sender_ids: list[int] | None = Field(description=_SENDERS)
    campaign_ids: list[int] | None = Field(description=_CAMPAIGNS)
    fields: list[PersonalField] = Field(description=_FIELDS, examples=[["text"]])
    form: Form
    signs_v1a: bool = Field(description=_SIGNS_V1A)
    signs_v2: bool = Field(description=_SIGNS_V2)
    header_names: list[str] = Field(description="Of the headers that go with each post.", examples=[["X-Api-Key"]])
    schedule: list[float] | None = Field(description=_SCHEDULE)
    rate: float | None = Field(description=_RATE)
    concurrency: int = Field(examples=[10])
    is_ordered: bool = Field(description=_ORDERED)
    is_enabled: bool = Field(
        description="False: nothing is posted. What happens meanwhile is kept for one that failed, "
        "and not for one that somebody disabled."
    )
    disabled_reason: str | None = Field(description="Why, as a code.", examples=["gone"])
    disabled_at: datetime | None
    failing_since: datetime | None = Field(description="No post was taken since, and at least one failed.")
    paused_until: datetime | None = Field(description="It failed so often that it is left alone until then.")
    last_success_at: datetime | None
    last_failed_at: datetime | None
    created_at: datetime
    changed_at: datetime


class WebhookSecret(Shown):
    """What the receiver verifies by, this once."""

    id: int = Field(examples=[1])
    secret: str = Field(
        description="Keep it: it is not shown again. Of `v1a` it is the public key, `whpk_…`.", examples=["whsec_…"]
    )


class WebhookCreated(WebhookOut):
    """With what the receiver verifies by, this once."""

    secret: str = Field(description="Keep it: it is not shown again.", examples=["whsec_…"])
    public_key: str | None = Field(description="Of `v1a`, where it is wanted.", examples=["whpk_…"])


class RotateIn(Body):
    """How the secret is changed."""

    overlap_s: Annotated[int, Field(ge=0, le=MAX_OVERLAP_S)] = Field(
        default=24 * 3600, description="For so long the secret of before signs too. 0: it is worth nothing at once."
    )
    scheme: Scheme = Field(default="v1", description="Which of them. With `v1a` an endpoint begins to be signed so.")
    secret: Secret | None = Field(default=None, description=_SECRET)


class EventOut(Shown):
    """An event to ask for."""

    name: str = Field(examples=["message.sent"])
    description: str = Field(examples=["WhatsApp has the message."])
    since: str | None = Field(description="The version that first raises it; null where nothing does yet.")
    fields: list[PersonalField] = Field(description="What of a person can be asked for with it.", examples=[["text"]])
    data: dict[str, Any] = Field(description="The JSON schema of `data`.", examples=[{"type": "object"}])


class EventsOut(Shown):
    """All events there are."""

    data: list[EventOut]


class AttemptOut(Shown):
    """One post, and what came back."""

    number: int = Field(examples=[1])
    url: str = Field(examples=["https://example.com/hooks/waqtor"])
    started_at: datetime
    took_ms: int | None = Field(examples=[84])
    status: int | None = Field(description="What the receiver answered; null where no whole answer came.")
    error: str | None = Field(description="Why none came, as a code.", examples=["connect_timeout"])
    detail: str | None = Field(description="The same in words.")
    request_headers: dict[str, str] | None = Field(description="Without values that are secrets.")
    response_headers: dict[str, str] | None
    response_body: str | None = Field(description="The first 16 KiB. Only for who may read messages.")


class DeliveryOut(Shown):
    """An event for an endpoint, and how far it is."""

    id: int = Field(examples=[4711])
    webhook_id: int = Field(examples=[1])
    event_id: str = Field(description="The `webhook-id` of every attempt.", examples=["evt_9f86d081884c7d65"])
    type: str = Field(examples=["message.sent"])
    state: str = Field(description="waiting, sending, delivered or failed.", examples=["delivered"])
    reason: str | None = Field(description="Why it failed, as a code.", examples=["exhausted"])
    attempts: int = Field(examples=[1])
    is_test: bool
    sender_id: int | None
    campaign_id: int | None
    contact_id: int | None
    next_at: datetime | None = Field(description="When it is tried next, while it waits.")
    created_at: datetime
    settled_at: datetime | None


class DeliveryWhole(DeliveryOut):
    """With what was posted and every attempt."""

    data: dict[str, Any] = Field(description="The ids that are kept of it.", examples=[{"message_id": 4711}])
    body: str | None = Field(
        description="What is posted, to the byte. Kept 30 days. Only for who may read messages.",
        examples=['{"type":"message.sent","timestamp":"2026-11-23T20:40:07.123456Z","data":{"message_id":4711}}'],
    )
    tried: list[AttemptOut] = Field(description="Every attempt, the oldest first.")


class TestOut(Shown):
    """What became of a test, as the receiver answered it."""

    delivery_id: int = Field(examples=[4711])
    event_id: str = Field(examples=["evt_9f86d081884c7d65"])
    ok: bool = Field(description="The receiver answered with 2xx.")
    status: int | None = Field(examples=[200])
    took_ms: int | None = Field(examples=[84])
    error: str | None = Field(description="Why no whole answer came, as a code.", examples=["forbidden_address"])
    detail: str | None = Field(description="The same in words.")
    response_body: str | None = Field(description="The first 16 KiB of the answer.", examples=["ok"])


class StatisticsOut(Shown):
    """Figures of deliveries and attempts since a moment, and of what waits now."""

    since: datetime
    deliveries: dict[str, int] = Field(
        description="By state.", examples=[{"waiting": 0, "sending": 0, "delivered": 4711, "failed": 2}]
    )
    waiting: int = Field(description="Of any age.", examples=[0])
    oldest_waiting_at: datetime | None = Field(
        description="Since when something that is due has waited; the lag is the time since then. What waits for its "
        "next time, or for an endpoint that is disabled or rests, is not late. Null: there is no lag."
    )
    attempts: int = Field(examples=[4716])
    succeeded: int = Field(examples=[4711])
    answers: dict[str, int] = Field(
        description="By the receiver's status, or by why no answer came.", examples=[{"200": 4711, "timeout": 5}]
    )
    average_ms: int | None = Field(description="Of those that were answered.", examples=[84])
    p50_ms: int | None = Field(examples=[70])
    p99_ms: int | None = Field(examples=[410])


class SoughtIn(Body):
    """Which deliveries of the endpoint are meant: those that all of this fits."""

    state: Literal["delivered", "failed"] | None = Field(default="failed", description="Null: both.")
    type: Annotated[Str, Field(max_length=60)] | None = Field(default=None, examples=["message.received"])
    sender_id: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = Field(default=None, examples=[1])
    campaign_id: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = Field(default=None, examples=[7])
    since: Moment | None = Field(default=None, description="Made at this moment or later.")
    until: Moment | None = Field(default=None, description="Made before this moment.")


class ReplayIn(SoughtIn):
    """Which deliveries of the endpoint are made again, and how fast."""

    rate: float = Field(default=50, ge=0.1, le=1000, description="At most so many a second.")


class ReplayCount(Shown):
    """How many would be made again."""

    count: int = Field(examples=[4711])


class PurgeIn(Body):
    """What to forget of the log."""

    until: Moment = Field(description="What was made before this moment.")
    webhook_id: int | None = Field(default=None, ge=1, le=2**63 - 1, description="Only of this endpoint.")


class PurgeOut(Shown):
    """What was forgotten."""

    forgotten: int = Field(examples=[5000])
    may_have_more: bool = Field(description="Ask again: so many are forgotten at once.")


class ReplayOut(Shown):
    """Deliveries that are made again, and how far that is."""

    id: int = Field(examples=[3])
    webhook_id: int = Field(examples=[1])
    state: Literal["running", "finished", "cancelled"]
    total: int = Field(description="How many fitted when it was asked for.", examples=[4711])
    done: int = Field(description="Handed to the endpoint's queue so far.", examples=[250])
    rate: float = Field(description="A second.", examples=[50], validation_alias="per_s")
    created_at: datetime
    finished_at: datetime | None

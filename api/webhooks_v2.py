"""Webhooks as version 2.3.0 had them: its addresses, its shapes, its flat errors. They are those of version 3, which
signs and retries them."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from api.auth import may, needs
from api.deliveries import tested
from api.deps import Now, PlatformDep, Str, Tx
from api.flat import FlatOnce, FlatSigned, flatly
from api.idempotent import DOCUMENTED
from core import delivery_log, webhook_secrets, webhooks
from core.delivery_log import Sought, Statistics
from core.errors import Invalid, NotFound
from core.keys import MasterKey
from core.models import Delivery, DeliveryAttempt, Webhook
from core.webhook_events import PERSONAL_FIELDS

router = APIRouter(prefix="/api/webhooks", tags=["webhooks-v2"], route_class=FlatOnce)
asking = APIRouter(prefix="/api/webhooks", tags=["webhooks-v2"], route_class=FlatSigned)
READ, MANAGE = [Depends(needs("webhooks.read"))], [Depends(needs("webhooks.manage"))]
_MASK = "***"
_OURS = (10, 5_000)  # attempts and first wait where nothing is said; 2.3.0 gave up after 3
_LONG_ENOUGH = 12
_STATES: Mapping[str, str] = {"delivered": "success", "failed": "failed_final"}
_ASKED = {"success": "delivered", "failed_final": "failed", "failed": "failed", "pending": "waiting"}
_SINCE = timedelta(days=90)  # as long as the log is kept


class _Given(BaseModel):
    """As 2.3.0 took it: a field it did not know was no error."""

    model_config = ConfigDict(extra="ignore")


class WebhookV2In(_Given):
    """An endpoint, or what of it to change. `url`, `events` and `secret` are needed for a new one."""

    url: Annotated[Str, Field(max_length=2048)] | None = Field(default=None, examples=["https://example.com/hook"])
    events: Annotated[list[Annotated[Str, Field(max_length=60)]], Field(max_length=100)] | None = Field(
        default=None, examples=[["message_received"]]
    )
    secret: Annotated[Str, Field(max_length=200)] | None = Field(
        default=None,
        description="Any text; behind `whsec_`, base64. One that begins with *** is the mask that was shown: nothing "
        "is changed.",
    )
    enabled: bool | None = None
    retryAttempts: Annotated[int, Field(ge=0, le=20)] | None = Field(  # noqa: N815  # the wire's name
        default=None, description="Posts in all. Left out: as version 3 does it, 10 in 75 hours."
    )
    retryDelay: Annotated[int, Field(ge=0, le=3_600_000)] | None = Field(  # noqa: N815
        default=None, description="Milliseconds to the second post; each wait is twice the one before."
    )


class WebhookV2(BaseModel):
    """An endpoint as 2.3.0 showed it."""

    id: str = Field(examples=["1"])
    url: str
    events: list[str] = Field(examples=[["message_received"]])
    secret: str = Field(description="A mask.", examples=["***c0de"])
    enabled: bool
    retryAttempts: int = Field(examples=[10])  # noqa: N815
    retryDelay: int = Field(examples=[5000])  # noqa: N815
    createdAt: datetime  # noqa: N815


class WebhookV2Answer(BaseModel):
    """One endpoint, below `data`."""

    success: bool = True
    message: str | None = Field(default=None, examples=["Webhook created successfully"])
    data: WebhookV2


class WebhooksV2(BaseModel):
    """All endpoints."""

    success: bool = True
    data: list[WebhookV2]


class WebhookDoneV2(BaseModel):
    """It is done."""

    success: bool = True
    message: str = Field(examples=["Webhook deleted successfully"])


class WebhookTestedV2(BaseModel):
    """What became of a test."""

    success: bool = Field(default=True, description="Whether the receiver answered with 2xx.")
    message: str | None = Field(default=None, examples=["Test webhook sent"])
    error: str | None = None
    statusCode: int | None = None  # noqa: N815
    duration: int | None = Field(default=None, description="Milliseconds.")


class WebhookLogV2(BaseModel):
    """One event for one endpoint, with its last post."""

    id: str = Field(examples=["4711"])
    webhookId: str = Field(examples=["1"])  # noqa: N815
    event: str = Field(examples=["message_received"])
    url: str
    attempt: int = Field(examples=[1])
    timestamp: datetime
    status: Literal["success", "failed_final", "pending"]
    statusCode: int | None = None  # noqa: N815
    duration: int | None = Field(default=None, description="Milliseconds.")
    response: str | None = Field(
        default=None, description="What the receiver said, where that was 2xx; for who may read messages."
    )
    error: str | None = None


class WebhookLogsV2(BaseModel):
    """The newest of the log."""

    success: bool = True
    data: list[WebhookLogV2]


class WebhookStatsV2Data(BaseModel):
    """Figures of what is in the log."""

    total: int
    success: int
    failed: int
    pending: int
    successRate: str | int = Field(description="In percent, as text; 0 where there is nothing.", examples=["99.00"])  # noqa: N815
    avgDuration: int = Field(description="Milliseconds.")  # noqa: N815


class WebhookStatsV2(BaseModel):
    """Figures, below `data`."""

    success: bool = True
    data: WebhookStatsV2Data


def show(row: Webhook, key: MasterKey) -> WebhookV2:
    attempts, delay = _OURS
    if row.schedule is not None:
        attempts, delay = len(row.schedule) + 1, round(row.schedule[0] * 1000) if row.schedule else 0
    secret = webhook_secrets.opened(key, row)[0].text
    return WebhookV2(
        id=str(row.id),
        url=row.url,
        events=row.events,
        secret=_MASK + (secret[-4:] if len(secret) >= _LONG_ENOUGH else ""),
        enabled=row.is_enabled,
        retryAttempts=attempts,
        retryDelay=delay,
        createdAt=row.created_at,
    )


def _values(body: WebhookV2In, known: Webhook | None = None) -> dict[str, Any]:
    values: dict[str, Any] = {"url": body.url, "events": body.events}
    values = {name: value for name, value in values.items() if value is not None}
    if body.retryAttempts is not None or body.retryDelay is not None:
        had = None if known is None or known.schedule is None else known.schedule
        attempts = body.retryAttempts or (3 if had is None else len(had) + 1)
        delay = (body.retryDelay or (round(had[0] * 1000) if had else 1_000)) / 1000
        values["schedule"] = [min(delay * 2**number, 7 * 86_400.0) for number in range(attempts - 1)]
    return values


def _secret(body: WebhookV2In) -> str | None:
    """None for the mask that was shown: a form that is saved gives it back."""
    return None if not body.secret or body.secret.startswith(_MASK) else body.secret


@router.get("", dependencies=READ, response_model_exclude_none=True, responses=flatly())
async def list_webhooks_v2(tx: Tx, platform: PlatformDep) -> WebhooksV2:
    """All of them."""
    return WebhooksV2(data=[show(row, platform.key) for row in await webhooks.listed(tx, limit=1_000)])


@router.get("/{webhook_id}", dependencies=READ, response_model_exclude_none=True, responses=flatly(404))
async def get_webhook_v2(webhook_id: str, tx: Tx, platform: PlatformDep) -> WebhookV2Answer:
    """One endpoint."""
    return WebhookV2Answer(data=show(await _known(tx, webhook_id), platform.key))


@router.post("", status_code=201, dependencies=MANAGE, responses=flatly(), openapi_extra=DOCUMENTED)
async def create_webhook_v2(body: WebhookV2In, platform: PlatformDep, tx: Tx, now: Now) -> WebhookV2Answer:
    """Register an endpoint. It gets 2.3.0's bodies and headers, with text, number and name as they were then."""
    if not body.url:
        raise Invalid("URL is required")
    if not body.events:
        raise Invalid("At least one event is required")
    if (secret := _secret(body)) is None:
        raise Invalid("Secret is required for HMAC signing")
    made = await webhooks.create(
        tx,
        platform.key,
        platform.settings.webhook_rules,
        {**_values(body), "form": "v2", "signs_v2": True, "fields": list(PERSONAL_FIELDS)},
        secret=secret,
        any_secret=True,
        at=now,
    )
    if body.enabled is False:
        await webhooks.disable(tx, made.webhook.id, at=now)
    return WebhookV2Answer(message="Webhook created successfully", data=show(made.webhook, platform.key))


@router.put("/{webhook_id}", dependencies=MANAGE, responses=flatly(404), openapi_extra=DOCUMENTED)
async def update_webhook_v2(
    webhook_id: str, body: WebhookV2In, platform: PlatformDep, tx: Tx, now: Now
) -> WebhookV2Answer:
    """What is not named stays as it is, and so does the secret where the mask is given back."""
    row = await _known(tx, webhook_id)
    if values := _values(body, row):
        row = await webhooks.change(tx, platform.key, platform.settings.webhook_rules, row.id, values, at=now)
    secret = _secret(body)
    if secret is not None and secret != webhook_secrets.opened(platform.key, row)[0].text:
        made = await webhooks.rotate(
            tx, platform.key, row.id, secret=secret, any_secret=True, overlap=timedelta(), at=now
        )
        row = made.webhook
    if body.enabled is not None and body.enabled != row.is_enabled:
        row = await (webhooks.enable if body.enabled else webhooks.disable)(tx, row.id, at=now)
    return WebhookV2Answer(message="Webhook updated successfully", data=show(row, platform.key))


@router.delete("/{webhook_id}", dependencies=MANAGE, responses=flatly(404), openapi_extra=DOCUMENTED)
async def delete_webhook_v2(webhook_id: str, tx: Tx, now: Now) -> WebhookDoneV2:
    """For good."""
    await webhooks.remove(tx, (await _known(tx, webhook_id)).id, at=now)
    return WebhookDoneV2(message="Webhook deleted successfully")


@asking.post("/{webhook_id}/test", dependencies=MANAGE, response_model_exclude_none=True, responses=flatly(404, 409))
async def test_webhook_v2(webhook_id: str, request: Request, platform: PlatformDep, tx: Tx) -> WebhookTestedV2:
    """Post a test now. Unlike 2.3.0 it says whether the receiver took it."""
    told = await tested(request, platform, (await _known(tx, webhook_id)).id)
    if told.ok:
        return WebhookTestedV2(message="Test webhook sent", statusCode=told.status, duration=told.took_ms)
    why = told.detail or told.error or f"Request failed with status code {told.status}"
    return WebhookTestedV2(success=False, error=why, statusCode=told.status, duration=told.took_ms)


_Limit = Annotated[int, Query(ge=1, le=1_000)]
_Status = Annotated[Literal["success", "failed", "failed_final", "pending"] | None, Query()]
_Event = Annotated[Str | None, Query(max_length=60)]


@router.get("/logs/all", dependencies=READ, response_model_exclude_none=True, responses=flatly())
async def list_all_webhook_logs_v2(
    request: Request, tx: Tx, limit: _Limit = 100, status: _Status = None, event: _Event = None
) -> WebhookLogsV2:
    """What all endpoints were told, newest first."""
    return await _logs(request, tx, Sought(state=_ASKED.get(status or ""), type=event), limit)


@router.get("/{webhook_id}/logs", dependencies=READ, response_model_exclude_none=True, responses=flatly(404))
async def list_webhook_logs_v2(
    webhook_id: str, request: Request, tx: Tx, limit: _Limit = 50, status: _Status = None, event: _Event = None
) -> WebhookLogsV2:
    """What one endpoint was told, newest first."""
    row = await _known(tx, webhook_id)
    return await _logs(request, tx, Sought(webhook_id=row.id, state=_ASKED.get(status or ""), type=event), limit)


@router.get("/stats/all", dependencies=READ, response_model_exclude_none=True, responses=flatly())
async def get_all_webhook_stats_v2(tx: Tx, now: Now) -> WebhookStatsV2:
    """Figures of all endpoints."""
    return _stats(await delivery_log.statistics(tx, since=now - _SINCE, now=now))


@router.get("/{webhook_id}/stats", dependencies=READ, response_model_exclude_none=True, responses=flatly(404))
async def get_webhook_stats_v2(webhook_id: str, tx: Tx, now: Now) -> WebhookStatsV2:
    """Figures of one endpoint."""
    return _stats(await delivery_log.statistics(tx, (await _known(tx, webhook_id)).id, since=now - _SINCE, now=now))


async def _logs(request: Request, tx: Tx, sought: Sought, limit: int) -> WebhookLogsV2:
    rows = await delivery_log.listed(tx, sought, limit=limit)
    tried = await delivery_log.attempts(tx, [row.id for row in rows])
    reads = may(request, "messages.read")
    return WebhookLogsV2(data=[_log(row, tried[row.id][-1] if tried[row.id] else None, reads=reads) for row in rows])


def _log(row: Delivery, last: DeliveryAttempt | None, *, reads: bool) -> WebhookLogV2:
    status: Any = _STATES.get(row.state, "pending")
    error = _error(last)
    return WebhookLogV2(
        id=str(row.id),
        webhookId=str(row.webhook_id),
        event=row.type,
        url="" if last is None else last.url,
        attempt=row.attempts,
        timestamp=row.created_at if last is None else last.started_at,
        status=status,
        statusCode=None if last is None else last.status,
        duration=None if last is None else last.took_ms,
        response=last.response_body if last is not None and reads and error is None else None,
        error=error,
    )


def _error(last: DeliveryAttempt | None) -> str | None:
    if last is None or (last.error is None and (last.status is None or 200 <= last.status < 300)):
        return None
    return last.detail or last.error or f"Request failed with status code {last.status}"


def _stats(found: Statistics) -> WebhookStatsV2:
    total = sum(found.deliveries.values())
    well = found.deliveries["delivered"]
    return WebhookStatsV2(
        data=WebhookStatsV2Data(
            total=total,
            success=well,
            failed=found.deliveries["failed"],
            pending=total - well - found.deliveries["failed"],
            successRate=f"{well / total * 100:.2f}" if total else 0,
            avgDuration=found.average_ms or 0,
        )
    )


async def _known(tx: Tx, text: str) -> Webhook:
    """An id that is none of ours is that of no endpoint."""
    try:
        return await webhooks.get(tx, int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else 0)
    except NotFound:
        raise NotFound("Webhook not found") from None

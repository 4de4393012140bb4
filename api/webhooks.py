"""Endpoints of webhooks: addresses that are told what happens. Their secrets are shown once."""

from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Depends

from api.auth import needs
from api.deps import Id, Now, PlatformDep, Tx
from api.errors import documented
from api.idempotent import DOCUMENTED, Once
from api.pages import Page, PlaceDep, page
from api.webhook_bodies import (
    EventOut,
    EventsOut,
    RotateIn,
    WebhookChange,
    WebhookCreated,
    WebhookIn,
    WebhookOut,
    WebhookSecret,
)
from api.webhook_catalogue import schema
from core import webhooks
from core.webhook_events import CATALOGUE
from core.webhooks import Created

router = APIRouter(prefix="/api/v3/webhooks", tags=["webhooks"], route_class=Once)
READ, MANAGE = [Depends(needs("webhooks.read"))], [Depends(needs("webhooks.manage"))]
_AT_CREATION = ("secret", "signs_v1a")


@router.get("/events", dependencies=READ, responses=documented())
async def list_webhook_events() -> EventsOut:
    """All events that an endpoint can ask for, each with the schema of its data."""
    return EventsOut(
        data=[
            EventOut(
                name=kind.name, description=kind.says, since=kind.since, fields=list(kind.fields), data=schema(kind)
            )
            for kind in CATALOGUE.values()
        ]
    )


@router.post("", status_code=201, dependencies=MANAGE, responses=documented(409), openapi_extra=DOCUMENTED)
async def create_webhook(body: WebhookIn, platform: PlatformDep, tx: Tx, now: Now) -> WebhookCreated:
    """Register an endpoint. From now on it is told of everything that it asks for. The answer is the only place where
    its secret is ever shown."""
    made = await webhooks.create(
        tx,
        platform.key,
        platform.settings.webhook_rules,
        body.model_dump(exclude=set(_AT_CREATION)),
        secret=None if body.secret is None else body.secret.get_secret_value(),
        v1a=body.signs_v1a,
        at=now,
    )
    return show_created(made)


def show_created(made: Created) -> WebhookCreated:
    secret, *more = made.secrets
    shown: dict[str, Any] = WebhookOut.model_validate(made.webhook).model_dump()
    return WebhookCreated(**shown, secret=secret, public_key=more[0] if more else None)


@router.get("", dependencies=READ, responses=documented())
async def list_webhooks(tx: Tx, place: PlaceDep) -> Page[WebhookOut]:
    """All endpoints, also disabled ones."""
    rows = await webhooks.listed(tx, after=place.after, limit=place.limit)
    return page(rows, place, id_of=lambda row: row.id, show=WebhookOut.model_validate)


@router.get("/{webhook_id}", dependencies=READ, responses=documented(404))
async def get_webhook(webhook_id: Id, tx: Tx) -> WebhookOut:
    """One endpoint."""
    return WebhookOut.model_validate(await webhooks.get(tx, webhook_id))


@router.patch("/{webhook_id}", dependencies=MANAGE, responses=documented(404), openapi_extra=DOCUMENTED)
async def change_webhook(webhook_id: Id, body: WebhookChange, platform: PlatformDep, tx: Tx, now: Now) -> WebhookOut:
    """Change what is named. What waits already goes to the new address; what was written out stays as it is."""
    values = body.model_dump(exclude_unset=True)
    rules = platform.settings.webhook_rules
    return WebhookOut.model_validate(await webhooks.change(tx, platform.key, rules, webhook_id, values, at=now))


@router.delete("/{webhook_id}", dependencies=MANAGE, responses=documented(404), openapi_extra=DOCUMENTED)
async def remove_webhook(webhook_id: Id, tx: Tx, now: Now) -> WebhookOut:
    """Remove it for good, with its secrets and what waits for it, and show it for the last time."""
    shown = WebhookOut.model_validate(await webhooks.get(tx, webhook_id))
    await webhooks.remove(tx, webhook_id, at=now)
    return shown


@router.post("/{webhook_id}/rotate", dependencies=MANAGE, responses=documented(404, 409), openapi_extra=DOCUMENTED)
async def rotate_webhook_secret(
    webhook_id: Id, platform: PlatformDep, tx: Tx, now: Now, body: RotateIn | None = None
) -> WebhookSecret:
    """A new secret, shown this once. The one of before signs too until the overlap is over, so that the receiver can
    change to the new one without missing anything."""
    asked = body or RotateIn()
    made = await webhooks.rotate(
        tx,
        platform.key,
        webhook_id,
        scheme=asked.scheme,
        secret=None if asked.secret is None else asked.secret.get_secret_value(),
        overlap=timedelta(seconds=asked.overlap_s),
        at=now,
    )
    return WebhookSecret(id=webhook_id, secret=made.secrets[0])


@router.post("/{webhook_id}/enable", dependencies=MANAGE, responses=documented(404), openapi_extra=DOCUMENTED)
async def enable_webhook(webhook_id: Id, tx: Tx, now: Now) -> WebhookOut:
    """Let it be told again, after it was disabled by somebody or by itself. Its failures are forgotten."""
    return WebhookOut.model_validate(await webhooks.enable(tx, webhook_id, at=now))


@router.post("/{webhook_id}/disable", dependencies=MANAGE, responses=documented(404), openapi_extra=DOCUMENTED)
async def disable_webhook(webhook_id: Id, tx: Tx, now: Now) -> WebhookOut:
    """Tell it nothing until it is enabled. What happens meanwhile is not kept for it; what waits goes on waiting."""
    return WebhookOut.model_validate(await webhooks.disable(tx, webhook_id, at=now))

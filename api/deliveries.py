"""The delivery log of webhooks: what each endpoint was told, what it answered; figures, tests, replays."""

import logging
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from api.addresses import address_of
from api.auth import may, needs, principal_of
from api.deps import Id, Moment, Now, PlatformDep, Str, Tx, Work, after_commit
from api.errors import documented
from api.idempotent import DOCUMENTED, Once, Signed
from api.pages import Page, PlaceDep, page
from api.webhook_bodies import (
    AttemptOut,
    DeliveryOut,
    DeliveryWhole,
    PurgeIn,
    PurgeOut,
    ReplayCount,
    ReplayIn,
    ReplayOut,
    SoughtIn,
    State,
    StatisticsOut,
    TestOut,
)
from core import audit, courier, delivery_log, delivery_pruning, replays, webhooks
from core.audit import Happened
from core.bootstrap import Platform
from core.deliveries import DELIVERED, FAILED
from core.delivery_log import Sought
from core.models import Delivery, DeliveryAttempt
from core.ports import JobsUnavailable
from core.replays import Wanted

router = APIRouter(prefix="/api/v3/webhooks", tags=["webhooks"], route_class=Once)
asking = APIRouter(prefix="/api/v3/webhooks", tags=["webhooks"], route_class=Signed)
READ, MANAGE = [Depends(needs("webhooks.read"))], [Depends(needs("webhooks.manage"))]
_PURGED_AT_ONCE = 5_000
logger = logging.getLogger(__name__)
_Number = Annotated[int | None, Query(ge=1, le=2**63 - 1)]


async def sought(
    webhook_id: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="Only to this endpoint.")] = None,
    state: Annotated[State | None, Query(description="Only in this state.")] = None,
    type: Annotated[Str | None, Query(max_length=60, description="Only this event.", examples=["message.sent"])] = None,
    event_id: Annotated[Str | None, Query(max_length=40, description="Only with this `webhook-id`.")] = None,
    sender_id: Annotated[_Number, Query(description="Only about this sender.")] = None,
    campaign_id: Annotated[_Number, Query(description="Only about this campaign.")] = None,
    contact_id: Annotated[_Number, Query(description="Only about this person.")] = None,
    since: Annotated[Moment | None, Query(description="Made at this moment or later.")] = None,
    until: Annotated[Moment | None, Query(description="Made before this moment.")] = None,
) -> Sought:
    return Sought(webhook_id, state, type, event_id, sender_id, campaign_id, contact_id, since, until)


SoughtDep = Annotated[Sought, Depends(sought)]


def show(row: Delivery) -> DeliveryOut:
    shown = DeliveryOut.model_validate(row)
    return shown if row.state == "waiting" else shown.model_copy(update={"next_at": None})


@router.get("/deliveries", dependencies=READ, responses=documented())
async def list_deliveries(tx: Tx, place: PlaceDep, sought: SoughtDep) -> Page[DeliveryOut]:
    """What endpoints were told and are still to be told, newest first."""
    rows = await delivery_log.listed(tx, sought, before=place.after or None, limit=place.limit)
    return page(rows, place, id_of=lambda row: row.id, show=show)


@router.post("/deliveries/purge", dependencies=MANAGE, responses=documented(), openapi_extra=DOCUMENTED)
async def purge_deliveries(body: PurgeIn, tx: Tx) -> PurgeOut:
    """Forget what was delivered or given up, with all attempts and what was answered, before the time of the log is
    over. What is still to be delivered stays."""
    forgotten = await delivery_pruning.purge(tx, until=body.until, webhook_id=body.webhook_id, most=_PURGED_AT_ONCE)
    return PurgeOut(forgotten=forgotten, may_have_more=forgotten == _PURGED_AT_ONCE)


@router.get("/deliveries/{delivery_id}", dependencies=READ, responses=documented(404))
async def get_delivery(delivery_id: Id, request: Request, tx: Tx) -> DeliveryWhole:
    """One delivery: what is posted, and every attempt with what the receiver answered. Bodies are for who may read
    messages."""
    row = await delivery_log.get(tx, delivery_id)
    tried = (await delivery_log.attempts(tx, [delivery_id]))[delivery_id]
    reads = may(request, "messages.read")
    return DeliveryWhole(
        **show(row).model_dump(),
        data=row.data,
        body=row.body.decode() if reads and row.body is not None else None,
        tried=[show_attempt(one, reads=reads) for one in tried],
    )


def show_attempt(row: DeliveryAttempt, *, reads: bool) -> AttemptOut:
    shown = AttemptOut.model_validate(row)
    return shown if reads else shown.model_copy(update={"response_body": None})


@router.post(
    "/deliveries/{delivery_id}/replay", dependencies=MANAGE, responses=documented(404, 409), openapi_extra=DOCUMENTED
)
async def replay_delivery(delivery_id: Id, request: Request, tx: Tx, now: Now) -> DeliveryOut:
    """Make it again, now: with the same `webhook-id` and the same body. One that waits for its next attempt gets that
    by itself."""
    after_commit(request, _waking(request))
    return show(await replays.one(tx, delivery_id, at=now))


def _waking(request: Request) -> Work:
    async def wake() -> None:
        request.app.state.courier.wake()

    return wake


@router.post(
    "/{webhook_id}/replays",
    status_code=201,
    dependencies=MANAGE,
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def create_replay(
    webhook_id: Id, body: ReplayIn, request: Request, platform: PlatformDep, tx: Tx, now: Now
) -> ReplayOut:
    """Make all deliveries of this endpoint again that fit, such as those that failed while it was away. Each keeps its
    `webhook-id`. Count them first."""
    await webhooks.get(tx, webhook_id)
    row = await replays.ask(tx, _wanted(webhook_id, body), per_s=body.rate, at=now)
    if row.total:
        after_commit(request, _running(platform, row.id))
    return ReplayOut.model_validate(row)


def _running(platform: Platform, replay_id: int) -> Work:
    """Ask for a run now. Where that fails the sweep asks again."""

    async def ask() -> None:
        try:
            await platform.jobs.start(
                replays.REPLAY,
                {"replay_id": replay_id},
                key=f"webhook-replay:{replay_id}",
                about=f"webhook replay {replay_id}",
            )
        except JobsUnavailable as error:
            logger.warning("replay_not_started replay=%s why=%s", replay_id, error)
        except Exception:  # nobody waits for this answer, and the sweep does the same later
            logger.exception("replay_broke replay=%s", replay_id)

    return ask


@asking.post("/{webhook_id}/replays/count", dependencies=READ, responses=documented(404))
async def count_replay(webhook_id: Id, body: SoughtIn, tx: Tx) -> ReplayCount:
    """How many deliveries a replay of the same would make again. Changes nothing."""
    await webhooks.get(tx, webhook_id)
    return ReplayCount(count=await replays.count(tx, _wanted(webhook_id, body)))


def _wanted(webhook_id: int, body: SoughtIn) -> Wanted:
    return Wanted(
        webhook_id,
        states=(DELIVERED, FAILED) if body.state is None else (body.state,),
        types=None if body.type is None else (body.type,),
        since=body.since,
        until=body.until,
        sender_id=body.sender_id,
        campaign_id=body.campaign_id,
    )


@router.get("/{webhook_id}/replays", dependencies=READ, responses=documented(404))
async def list_replays(webhook_id: Id, tx: Tx, place: PlaceDep) -> Page[ReplayOut]:
    """What was made again for this endpoint, newest first."""
    await webhooks.get(tx, webhook_id)
    rows = await replays.listed(tx, webhook_id=webhook_id, before=place.after or None, limit=place.limit)
    return page(rows, place, id_of=lambda row: row.id, show=ReplayOut.model_validate)


@router.get("/replays/{replay_id}", dependencies=READ, responses=documented(404))
async def get_replay(replay_id: Id, tx: Tx) -> ReplayOut:
    """How far a replay is."""
    return ReplayOut.model_validate(await replays.get(tx, replay_id))


@router.post("/replays/{replay_id}/cancel", dependencies=MANAGE, responses=documented(404), openapi_extra=DOCUMENTED)
async def cancel_replay(replay_id: Id, tx: Tx, now: Now) -> ReplayOut:
    """Stop it. What was handed to the endpoint's queue already is still posted."""
    return ReplayOut.model_validate(await replays.cancel(tx, replay_id, at=now))


@asking.post("/{webhook_id}/test", dependencies=MANAGE, responses=documented(404, 409))
async def test_webhook(webhook_id: Id, request: Request, platform: PlatformDep) -> TestOut:
    """Post a `webhook.test` now, by the very way of all others, and tell what came back. It takes as long as the
    receiver takes, 15 seconds at most. Also of an endpoint that is disabled; a failure does not count against it."""
    return await tested(request, platform, webhook_id)


async def tested(request: Request, platform: Platform, webhook_id: int) -> TestOut:
    made = await courier.test(platform, request.app.state.poster, webhook_id)
    async with platform.database.transaction() as tx:
        principal = principal_of(request)
        happened = Happened(
            actor=principal.ref,
            action="test_webhook",
            subject=f"webhook:{webhook_id}",
            address=address_of(request),
            request_id=request.state.request_id,
        )
        audit.record(tx, platform.key, happened, at=await platform.clock.now(tx))
        row = await delivery_log.get(tx, made.delivery_id)
    return TestOut(
        delivery_id=row.id,
        event_id=row.event_id,
        ok=made.error is None and made.status is not None and 200 <= made.status < 300,
        status=made.status,
        took_ms=made.took_ms,
        error=made.error,
        detail=made.detail,
        response_body=made.response_body if may(request, "messages.read") else None,
    )


@router.get("/statistics", dependencies=READ, responses=documented())
async def get_all_webhook_statistics(
    tx: Tx, now: Now, since: Annotated[Moment | None, Query(description="Left out: the last 24 hours.")] = None
) -> StatisticsOut:
    """Figures over all endpoints."""
    found = await delivery_log.statistics(tx, since=since or now - timedelta(days=1), now=now)
    return StatisticsOut.model_validate(found)


@router.get("/{webhook_id}/statistics", dependencies=READ, responses=documented(404))
async def get_webhook_statistics(
    webhook_id: Id,
    tx: Tx,
    now: Now,
    since: Annotated[Moment | None, Query(description="Left out: the last 24 hours.")] = None,
) -> StatisticsOut:
    """Figures of one endpoint."""
    await webhooks.get(tx, webhook_id)
    found = await delivery_log.statistics(tx, webhook_id, since=since or now - timedelta(days=1), now=now)
    return StatisticsOut.model_validate(found)

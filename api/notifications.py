"""What people at work are told. Each user and each key has its own view of what is read."""

from datetime import datetime
from secrets import token_hex
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AfterValidator, Field

from api.auth import needs, principal_of
from api.bodies import Body, Shown
from api.deps import Id, Now, Str, Tx
from api.errors import documented
from api.idempotent import DOCUMENTED, Once
from api.pages import Page, PlaceDep, page
from core import notices, notifications
from core.notices import Kind, Severity
from core.notifications import Seen

router = APIRouter(prefix="/api/v3/notifications", tags=["notifications"], route_class=Once)
READ = [Depends(needs("notifications.read"))]
_TITLE = "The nightly import did not run"
_LANGUAGES = "Where it is shown in another language, `wording` says which words and `params` what fills them."


def _about(value: str) -> str:
    if not notices.is_about_something(value):
        raise ValueError(f"is not one of {', '.join(notices.forms())}")
    return value


class NotificationIn(Body):
    """Something to tell the others."""

    severity: Severity = Field(examples=["warning"])
    title: Annotated[Str, Field(min_length=1, max_length=200)] = Field(examples=[_TITLE])
    text: Annotated[Str, Field(max_length=2000)] = Field(default="", examples=["The shop did not answer."])
    about: Annotated[Str, Field(max_length=40), AfterValidator(_about)] | None = Field(
        default=None,
        description="What it is about. Only who may look at that gets it; without it everybody does.",
        examples=["campaign:7"],
    )


class NotificationReadIn(Body):
    """Whether you have read it."""

    read: bool = Field(examples=[True])


class NotificationsReadIn(Body):
    """Which are meant."""

    up_to: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = Field(
        default=None, description="The newest id that was shown to you; without it, all there are.", examples=[41]
    )


class NotificationOut(Shown):
    """Something that people at work are told."""

    id: int = Field(examples=[41])
    kind: str = Field(description="`program`: a program told it.", examples=["campaign.paused"])
    severity: Severity = Field(examples=["problem"])
    title: str = Field(description="In English.", examples=["Campaign “Spring” was paused by itself"])
    text: str = Field(description="In English.", examples=["WhatsApp has paused the template."])
    wording: str = Field(description=_LANGUAGES, examples=["campaign.paused"])
    params: dict[str, Any] = Field(examples=[{"name": "Spring", "reason": "template_paused"}])
    about: str | None = Field(description="What it is about.", examples=["campaign:7"])
    path: str | None = Field(description="Where this API has that.", examples=["/api/v3/campaigns/7"])
    created_at: datetime
    read_at: datetime | None = Field(description="When you read it; null where you have not.")


class NotificationCountOut(Shown):
    """How many there are for you."""

    unread: int = Field(examples=[3])
    total: int = Field(examples=[41])


class NotificationsReadOut(Shown):
    """How many were unread and are read now."""

    read: int = Field(examples=[3])


def show(seen: Seen) -> NotificationOut:
    row = seen.notification
    title, text = notices.said(row.wording, row.params)
    return NotificationOut(
        id=row.id,
        kind=row.kind,
        severity=row.severity,
        title=title,
        text=text,
        wording=row.wording,
        params=row.params,
        about=row.about,
        path=notices.path(row.about),
        created_at=row.created_at,
        read_at=seen.read_at,
    )


@router.get("", dependencies=READ, responses=documented())
async def list_notifications(
    request: Request,
    tx: Tx,
    place: PlaceDep,
    unread: Annotated[bool, Query(description="Only those that you have not read.")] = False,
    severity: Annotated[Severity | None, Query(description="Only those of this severity.")] = None,
    kind: Annotated[Kind | None, Query(description="Only those of this kind.")] = None,
) -> Page[NotificationOut]:
    """Those about what you may look at, newest first, without those that you dismissed."""
    rows = await notifications.listed(
        tx,
        principal_of(request),
        before=place.after or None,
        limit=place.limit,
        unread=unread,
        severity=severity,
        kind=kind,
    )
    return page(rows, place, id_of=lambda row: row.notification.id, show=show)


@router.get("/count", dependencies=READ, responses=documented())
async def count_notifications(request: Request, tx: Tx) -> NotificationCountOut:
    """How many there are for you, and how many of them you have not read."""
    return NotificationCountOut.model_validate(await notifications.count(tx, principal_of(request)))


@router.get("/{notification_id}", dependencies=READ, responses=documented(404))
async def get_notification(notification_id: Id, request: Request, tx: Tx) -> NotificationOut:
    """One notification. An event `notification.new` names its id."""
    return show(await notifications.get(tx, principal_of(request), notification_id))


@router.post(
    "",
    status_code=201,
    dependencies=[Depends(needs("notifications.write"))],
    responses=documented(),
    openapi_extra=DOCUMENTED,
)
async def create_notification(body: NotificationIn, request: Request, tx: Tx, now: Now) -> NotificationOut:
    """Tell the others something, from a program of yours."""
    notice = notices.of_program(
        body.severity,
        body.title,
        body.text,
        about=body.about,
        cause=f"{principal_of(request).ref}:{token_hex(8)}",
    )
    return show(Seen(await notifications.made(tx, notice, at=now), None))


@router.post("/read", dependencies=READ, responses=documented(), openapi_extra=DOCUMENTED)
async def read_notifications(
    request: Request, tx: Tx, now: Now, body: NotificationsReadIn | None = None
) -> NotificationsReadOut:
    """Say that you have read them all. With `up_to`, those that came after your list was shown stay unread."""
    up_to = (body or NotificationsReadIn()).up_to
    return NotificationsReadOut(read=await notifications.mark_all(tx, principal_of(request), up_to=up_to, at=now))


@router.patch("/{notification_id}", dependencies=READ, responses=documented(404), openapi_extra=DOCUMENTED)
async def mark_notification(
    notification_id: Id, body: NotificationReadIn, request: Request, tx: Tx, now: Now
) -> NotificationOut:
    """Say that you have read it, or that you have not."""
    return show(await notifications.mark(tx, principal_of(request), notification_id, is_read=body.read, at=now))


@router.delete("/{notification_id}", dependencies=READ, responses=documented(404), openapi_extra=DOCUMENTED)
async def dismiss_notification(notification_id: Id, request: Request, tx: Tx, now: Now) -> NotificationOut:
    """Take it out of your own view, for good, and show it for the last time. The others still have it."""
    return show(await notifications.dismiss(tx, principal_of(request), notification_id, at=now))


@router.post(
    "/{notification_id}/withdraw",
    dependencies=[Depends(needs("notifications.manage"))],
    responses=documented(404),
    openapi_extra=DOCUMENTED,
)
async def withdraw_notification(notification_id: Id, request: Request, tx: Tx, now: Now) -> NotificationOut:
    """Take it away from everybody, and show it for the last time."""
    return show(await notifications.withdraw(tx, principal_of(request), notification_id, at=now))

"""Notifications as version 2.3.0 had them: its addresses, its shapes, its flat errors. They are those of version 3."""

from datetime import datetime
from secrets import token_hex
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from api.auth import needs, principal_of, require
from api.deps import Now, Str, Tx
from api.flat import FlatOnce, flatly
from api.idempotent import DOCUMENTED
from core import notices, notifications
from core.errors import Invalid, NotFound
from core.notices import Severity
from core.notifications import Seen
from core.principals import Principal

router = APIRouter(
    prefix="/api/notifications",
    tags=["notifications-v2"],
    route_class=FlatOnce,
    dependencies=[Depends(needs("notifications.read"))],
)
Type = Literal["info", "success", "warning", "error"]
_ICONS: dict[Severity, str] = {
    "info": "pi-info-circle",
    "success": "pi-check-circle",
    "warning": "pi-exclamation-triangle",
    "problem": "pi-times-circle",
}


class _Given(BaseModel):
    """As 2.3.0 took it: a field it did not know was no error."""

    model_config = ConfigDict(extra="ignore")


class NotificationV2In(_Given):
    """`action`, or a notification: type, title and message."""

    action: Str | None = Field(default=None, max_length=40, examples=["mark-all-read"])
    type: Type | None = None
    title: Str | None = Field(default=None, max_length=200)
    message: Str | None = Field(default=None, max_length=2000)
    icon: Str | None = Field(default=None, max_length=60)
    link: Str | None = Field(default=None, max_length=300, pattern="^(/|https?://)", examples=["/campaigns"])


class NotificationReadV2In(_Given):
    """Whether you have read it."""

    read: bool


class NotificationV2(BaseModel):
    """A notification as 2.3.0 showed it."""

    id: str = Field(examples=["41"])
    userId: str = Field(description="You.", examples=["user:3"])  # noqa: N815  # the wire's name
    type: Type
    title: str
    message: str
    icon: str = Field(examples=["pi-bell"])
    link: str | None
    read: bool
    createdAt: datetime  # noqa: N815


class Pagination(BaseModel):
    """Which part of the list it is."""

    total: int
    limit: int
    offset: int
    hasMore: bool  # noqa: N815


class NotificationsV2(BaseModel):
    """Some of them, newest first."""

    success: bool = True
    data: list[NotificationV2]
    pagination: Pagination


class NotificationCountV2Data(BaseModel):
    """How many there are for you."""

    unread: int
    total: int


class NotificationCountV2(BaseModel):
    """How many there are for you, below `data`."""

    success: bool = True
    data: NotificationCountV2Data


class DoneV2(BaseModel):
    """It is done."""

    success: bool = True
    message: str = Field(examples=["Notification deleted successfully"])


class NotificationV2Answer(DoneV2):
    """It is done, and this is the notification."""

    data: NotificationV2


def show(seen: Seen, who: Principal) -> NotificationV2:
    """As `who` has it."""
    row = seen.notification
    title, text = notices.said(row.wording, row.params)
    severity: Severity = row.severity  # type: ignore[assignment]  # written from a Notice
    return NotificationV2(
        id=str(row.id),
        userId=who.ref,
        type="error" if severity == "problem" else severity,
        title=title,
        message=text,
        icon=row.params.get("icon") or _ICONS[severity],
        link=row.params.get("link") or notices.path(row.about),
        read=seen.read_at is not None,
        createdAt=row.created_at,
    )


@router.get("", responses=flatly())
async def list_notifications_v2(
    request: Request,
    tx: Tx,
    filter: Annotated[Literal["all", "unread"], Query()] = "all",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> NotificationsV2:
    """All of yours or those that you have not read, newest first."""
    who, unread = principal_of(request), filter == "unread"
    rows = await notifications.listed(tx, who, limit=limit, offset=offset, unread=unread)
    count = await notifications.count(tx, who)
    total = count.unread if unread else count.total
    return NotificationsV2(
        data=[show(one, who) for one in rows],
        pagination=Pagination(total=total, limit=limit, offset=offset, hasMore=offset + limit < total),
    )


@router.get("/count", responses=flatly())
async def count_notifications_v2(request: Request, tx: Tx) -> NotificationCountV2:
    """How many there are for you, and how many of them you have not read."""
    count = await notifications.count(tx, principal_of(request))
    return NotificationCountV2(data=NotificationCountV2Data(unread=count.unread, total=count.total))


@router.post("", responses=flatly(), openapi_extra=DOCUMENTED)
async def post_notification_v2(
    body: NotificationV2In, request: Request, tx: Tx, now: Now
) -> NotificationV2Answer | DoneV2:
    """Mark all as read (`{"action": "mark-all-read"}`), or tell everybody something (`type`, `title`, `message`),
    which takes the permission notifications.write."""
    who = principal_of(request)
    if body.action == "mark-all-read":
        await notifications.mark_all(tx, who, at=now)
        return DoneV2(message="All notifications marked as read")
    if not (body.type and body.title and body.message):
        raise Invalid("Invalid request")
    require(who, "notifications.write")
    notice = notices.of_program(
        "problem" if body.type == "error" else body.type,
        body.title,
        body.message,
        about=None,
        cause=f"{who.ref}:{token_hex(8)}",
        icon=body.icon or "pi-bell",
        link=body.link or "",
    )
    made = Seen(await notifications.made(tx, notice, at=now), None)
    return NotificationV2Answer(message="Notification created successfully", data=show(made, who))


@router.patch("/{notification_id}", responses=flatly(404), openapi_extra=DOCUMENTED)
async def mark_notification_v2(
    notification_id: str, body: NotificationReadV2In, request: Request, tx: Tx, now: Now
) -> NotificationV2Answer:
    """As read or unread."""
    who, known = principal_of(request), _id(notification_id)
    try:
        seen = await notifications.mark(tx, who, known, is_read=body.read, at=now)
    except NotFound:
        raise NotFound("Notification not found") from None
    return NotificationV2Answer(message="Notification updated successfully", data=show(seen, who))


@router.delete("/{notification_id}", responses=flatly(404), openapi_extra=DOCUMENTED)
async def delete_notification_v2(notification_id: str, request: Request, tx: Tx, now: Now) -> DoneV2:
    """Out of your own view; the others still have it."""
    try:
        await notifications.dismiss(tx, principal_of(request), _id(notification_id), at=now)
    except NotFound:
        raise NotFound("Notification not found") from None
    return DoneV2(message="Notification deleted successfully")


def _id(text: str) -> int:
    """0 for what is none of ours: there is no such notification."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else 0

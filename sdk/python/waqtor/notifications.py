"""What people at work are told. What is read is counted for this key or user alone."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from waqtor.asking import Ask, C, Model, Pages, Resource, call, get, given, paged, pages, write


class Notification(Model):
    """`title` and `text` are English; `wording` and `params` say the same for another language. `path` is where the
    API has what it is `about`."""

    id: int
    kind: str
    severity: str
    title: str
    text: str
    wording: str
    params: Mapping[str, Any]
    about: str | None
    path: str | None
    created_at: datetime
    read_at: datetime | None


class NotificationCount(Model):
    unread: int
    total: int


class ReadNotifications(Model):
    """`read`: how many were unread before."""

    read: int


class Notifications(Resource[C]):
    @paged
    def list(
        self, *, unread: bool = False, severity: str | None = None, kind: str | None = None, limit: int = 100
    ) -> Pages[Notification]:
        """Newest first; `unread`: only those that were not read."""
        return pages("/notifications", Notification, unread=unread or None, severity=severity, kind=kind, limit=limit)

    @call
    def count(self) -> Ask[NotificationCount]:
        return get("/notifications/count", NotificationCount)

    @call
    def get(self, notification_id: int) -> Ask[Notification]:
        return get(f"/notifications/{notification_id}", Notification)

    @call
    def create(
        self,
        severity: str,
        title: str,
        text: str = "",
        *,
        about: str | None = None,
        idempotency_key: str | None = None,
    ) -> Ask[Notification]:
        """Tell the others: severity info, success, warning or problem; `about` such as `campaign:7`."""
        body = given(severity=severity, title=title, text=text, about=about)
        return write("POST", "/notifications", Notification, json=body, key=idempotency_key)

    @call
    def mark(self, notification_id: int, *, read: bool = True, idempotency_key: str | None = None) -> Ask[Notification]:
        """As read, or as unread again."""
        path = f"/notifications/{notification_id}"
        return write("PATCH", path, Notification, json={"read": read}, key=idempotency_key)

    @call
    def mark_all(self, *, up_to: int | None = None, idempotency_key: str | None = None) -> Ask[ReadNotifications]:
        """As read: all, or those up to the one with this id."""
        body = given(up_to=up_to)
        return write("POST", "/notifications/read", ReadNotifications, json=body, key=idempotency_key)

    @call
    def dismiss(self, notification_id: int, *, idempotency_key: str | None = None) -> Ask[Notification]:
        """Out of one's own view, for good; the others still have it."""
        return write("DELETE", f"/notifications/{notification_id}", Notification, key=idempotency_key)

    @call
    def withdraw(self, notification_id: int, *, idempotency_key: str | None = None) -> Ask[Notification]:
        """Away from everybody; for admins."""
        return write("POST", f"/notifications/{notification_id}/withdraw", Notification, key=idempotency_key)

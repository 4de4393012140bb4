"""What people at work are told, and who has read it."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped

from core.models.base import Base, BigId, Json, UtcDateTime, personal, plain


class Notification(Base):
    """`wording` names the words and `params` fill them (`core.notices`). `about` is what it is about, such as
    `campaign:7`; who has `permission` sees it. `cause` is what happened: it is told once."""

    __tablename__ = "notifications"
    id: Mapped[int] = plain(BigId, primary_key=True)
    kind: Mapped[str] = plain(String(40))
    severity: Mapped[str] = plain(String(10))
    wording: Mapped[str] = plain(String(60))
    params: Mapped[dict[str, Any]] = personal(Json, category="content", purpose="tell people at work what happened")
    about: Mapped[str | None] = plain(String(80))
    permission: Mapped[str] = plain(String(40))
    cause: Mapped[str] = plain(String(160), unique=True)
    created_at: Mapped[datetime] = plain(UtcDateTime, index=True)


class NotificationRead(Base):
    """What one user or key did with one of them. No row: not read yet."""

    __tablename__ = "notification_reads"
    notification_id: Mapped[int] = plain(BigId, ForeignKey("notifications.id", ondelete="CASCADE"), primary_key=True)
    principal: Mapped[str] = plain(String(120), primary_key=True)
    read_at: Mapped[datetime | None] = personal(
        UtcDateTime, category="activity", purpose="show people what they have not read yet"
    )
    dismissed_at: Mapped[datetime | None] = personal(
        UtcDateTime, category="activity", purpose="not to show people what they took away"
    )

"""Files that go with messages, and where they are at WhatsApp. Their contents are on disk (core/media_files.py)."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, SmallInteger, String, text
from sqlalchemy.orm import Mapped

from core.models.base import Base, BigId, UtcDateTime, personal, plain


class MediaFile(Base):
    """One of ours, or one that a person sent to `sender_id`: then `handle` is WhatsApp's id of it, `sha256` what it
    announced, and until `state` is stored the contents are not here."""

    __tablename__ = "media"
    __table_args__ = (
        Index("ix_media_sha256", "sha256"),
        Index(
            "ix_media_waiting",
            "not_before",
            postgresql_where=text("state = 'waiting'"),
            sqlite_where=text("state = 'waiting'"),
        ),
    )
    id: Mapped[int] = plain(BigId, primary_key=True)
    direction: Mapped[str] = plain(String(3))
    sender_id: Mapped[int | None] = plain(ForeignKey("senders.id", ondelete="CASCADE"))
    kind: Mapped[str] = plain(String(10))
    mime_type: Mapped[str] = plain(String(120))
    filename: Mapped[str | None] = personal(String(240), category="content", purpose="show the chat")
    sha256: Mapped[str | None] = personal(String(64), category="content", purpose="keep each file once")
    size: Mapped[int | None] = plain(BigInteger)
    handle: Mapped[str | None] = personal(String(200), category="identity", purpose="fetch the file from WhatsApp")
    state: Mapped[str] = plain(String(10))
    reason: Mapped[str | None] = plain(String(80))
    attempts: Mapped[int] = plain(SmallInteger, default=0)
    not_before: Mapped[datetime | None] = plain(UtcDateTime)
    lease_token: Mapped[str | None] = plain(String(32))
    created_at: Mapped[datetime] = plain(UtcDateTime)


class MediaUpload(Base):
    """A file of ours at WhatsApp, under `handle`, for one sender."""

    __tablename__ = "media_uploads"
    __table_args__ = (
        Index(
            "ix_media_uploads_waiting",
            "not_before",
            postgresql_where=text("state = 'waiting'"),
            sqlite_where=text("state = 'waiting'"),
        ),
    )
    media_id: Mapped[int] = plain(ForeignKey("media.id", ondelete="CASCADE"), primary_key=True)
    sender_id: Mapped[int] = plain(ForeignKey("senders.id", ondelete="CASCADE"), primary_key=True)
    state: Mapped[str] = plain(String(10))
    handle: Mapped[str | None] = plain(String(200))
    uploaded_at: Mapped[datetime | None] = plain(UtcDateTime)
    reason: Mapped[str | None] = plain(String(80))
    attempts: Mapped[int] = plain(SmallInteger, default=0)
    not_before: Mapped[datetime] = plain(UtcDateTime)
    lease_token: Mapped[str | None] = plain(String(32))

"""Files that go with messages: ours, taken from a program; and theirs, fetched from WhatsApp. Their contents are in
`media_files`, what WhatsApp knows of ours in `media_uploads`."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, or_, select, text

from core import media_files, media_types
from core.bootstrap import Platform
from core.content import Media
from core.database import Tx, is_postgres
from core.errors import Conflict, Invalid, NotFound
from core.events import MediaMoved, publish
from core.media_files import Part
from core.models import MediaFile, MediaUpload, Message, Template, TemplateVariant
from core.ports import Attached

WAITING, STORED, FAILED = "waiting", "stored", "failed"
LOST = "media_lost"
"""The contents are no longer here."""
_FILES_LOCK = 7_726_007
_SWEPT_AT_ONCE = 500
MAX_FILENAME = 240


async def hold_files(tx: Tx) -> None:
    """Till the transaction ends nobody else notes a file or takes one away."""
    if is_postgres(tx):  # on SQLite BEGIN IMMEDIATE holds everything
        await tx.execute(text(f"SELECT pg_advisory_xact_lock({_FILES_LOCK})"))


async def create(tx: Tx, part: Part, *, mime_type: str, kind: str, filename: str | None, at: datetime) -> MediaFile:
    """One of ours. `part` is finished; it is in its place when this returns."""
    await hold_files(tx)
    await asyncio.to_thread(part.place)
    row = MediaFile(
        direction="out",
        kind=kind,
        mime_type=mime_type,
        filename=filename,
        sha256=part.sha256,
        size=part.size,
        state=STORED,
        created_at=at,
    )
    tx.add(row)
    await tx.flush()
    await publish(tx, MediaMoved(media_id=row.id, what=STORED), at=at)
    return row


async def expect(tx: Tx, sender_id: int, content: Media, attached: Attached, *, at: datetime) -> int:
    """One that a person sent: it waits to be fetched."""
    row = MediaFile(
        direction="in",
        sender_id=sender_id,
        kind=content.type,
        mime_type=attached.mime_type,
        filename=content.filename,
        sha256=attached.sha256,
        handle=attached.handle,
        state=WAITING,
        not_before=at,
        created_at=at,
    )
    tx.add(row)
    await tx.flush()
    await publish(tx, MediaMoved(media_id=row.id, what=WAITING), at=at)
    return row.id


async def get(tx: Tx, media_id: int, *, field: str = "media_id") -> MediaFile:
    row = await tx.get(MediaFile, media_id)
    if row is None:
        raise NotFound(f"There is no media {media_id}.", field=field)
    return row


async def listed(tx: Tx, *, after: int, limit: int, direction: str | None) -> Sequence[MediaFile]:
    query = select(MediaFile).where(MediaFile.id > after).order_by(MediaFile.id).limit(limit)
    if direction is not None:
        query = query.where(MediaFile.direction == direction)
    return (await tx.execute(query)).scalars().all()


async def usable(tx: Tx, media_id: int, as_type: str, *, field: str) -> MediaFile:
    """The file, if a message of this type may carry it; till the transaction ends nobody deletes it."""
    row = await tx.get(MediaFile, media_id, with_for_update={"key_share": True, "read": True})
    if row is None:
        raise NotFound(f"There is no media {media_id}.", field=field)
    if row.state != STORED:
        raise Conflict(f"The contents of media {media_id} are not here: {row.state}.", field=field)
    if not media_types.fits(row.mime_type, as_type):
        raise Invalid(
            f"Media {media_id} is {row.mime_type}; that cannot go as {as_type}.",
            field=field,
            hint=f"As {row.kind}, or as document." if row.kind != "document" else "As document.",
        )
    return row


async def remove(tx: Tx, media_id: int, *, at: datetime) -> str | None:
    """The row goes; returns the hash of its contents, for `forget_file` after the commit. Raises `Conflict` while
    something that is still to be sent needs it."""
    row = await tx.get(MediaFile, media_id, with_for_update=True)
    if row is None:
        raise NotFound(f"There is no media {media_id}.", field="media_id")
    waiting = select(Message.id).where(
        text("messages.state = 'queued' AND messages.recipient_id IS NULL AND messages.media_id IS NOT NULL"),
        Message.media_id == media_id,
    )
    waiting = waiting.with_hint(Message, "INDEXED BY ix_messages_with_media", "sqlite")
    if (message_id := (await tx.execute(waiting.limit(1))).scalar()) is not None:
        raise Conflict(f"Message {message_id} is still to be sent with it.", field="media_id")
    if (name := await _template_with(tx, media_id)) is not None:
        raise Conflict(f"Template {name!r} has it in its header.", field="media_id")
    sha256 = row.sha256
    await tx.execute(delete(MediaUpload).where(MediaUpload.media_id == media_id))
    await tx.delete(row)
    await tx.flush()
    await publish(tx, MediaMoved(media_id=media_id, what="deleted"), at=at)
    return sha256


async def _template_with(tx: Tx, media_id: int) -> str | None:
    has_it = or_(
        Template.header["media_id"].as_integer() == media_id,
        Template.id.in_(
            select(TemplateVariant.template_id).where(TemplateVariant.header["media_id"].as_integer() == media_id)
        ),
    )
    return (await tx.execute(select(Template.name).where(has_it).limit(1))).scalar()


async def sweep(platform: Platform) -> int:
    """Take away the files that no row names: of deleted media, and of processes that died before they noted one."""
    hashes = await asyncio.to_thread(media_files.old, platform.settings)
    return sum(
        [
            await _forget_unnamed(platform, hashes[begin : begin + _SWEPT_AT_ONCE])
            for begin in range(0, len(hashes), _SWEPT_AT_ONCE)
        ]
    )


async def forget_file(platform: Platform, sha256: str) -> None:
    """Unless another row names it too."""
    await _forget_unnamed(platform, [sha256])


async def _forget_unnamed(platform: Platform, hashes: Sequence[str]) -> int:
    async with platform.database.transaction() as tx:
        await hold_files(tx)
        named = set((await tx.execute(select(MediaFile.sha256).where(MediaFile.sha256.in_(hashes)))).scalars())
        unnamed = [one for one in hashes if one not in named]
        await asyncio.to_thread(media_files.forget, platform.settings, unnamed)
    return len(unnamed)

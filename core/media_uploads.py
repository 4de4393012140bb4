"""Our files at WhatsApp: uploaded before the messages that need them leave, once for each sender, and again when
WhatsApp has forgotten them. An upload reaches nobody, so it may be repeated; no intent waits for one."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import BindParameter, bindparam, select

from core import bulk
from core.content import Content, media_of
from core.database import Tx, is_postgres
from core.models import MediaUpload, UtcDateTime

WAITING, READY, FAILED = "waiting", "ready", "failed"
GOOD_FOR = timedelta(days=29)
"""WhatsApp keeps an upload 30 days."""
_SETTLED_AFTER = timedelta(minutes=10)
"""WhatsApp's no to an upload younger than this is about the file, not about its age."""
REFUSALS = frozenset({"media_unusable", "bad_parameter"})
BY_INDEX = "INDEXED BY ix_messages_with_media"
RENEWED = "media_renewed"


async def ask(tx: Tx, sender_id: int, media_ids: Collection[int], *, at: datetime) -> None:
    """See to it that they are, or will be, at WhatsApp for this sender."""
    if media_ids:
        await bulk.run(
            tx,
            f"""
            INSERT INTO media_uploads (media_id, sender_id, state, attempts, not_before)
            SELECT r.media_id, :sender, 'waiting', 0, {bulk.now(tx)} FROM {bulk.table(tx, media_id="bigint")} WHERE true
            ON CONFLICT (media_id, sender_id) DO UPDATE SET state = 'waiting', attempts = 0, reason = NULL,
                lease_token = NULL, not_before = excluded.not_before
            WHERE media_uploads.state = 'failed'
                OR (media_uploads.state = 'ready' AND media_uploads.uploaded_at <= {_time(tx, "since")})
            """,
            ({"media_id": media_id} for media_id in sorted(media_ids)),
            sender=sender_id,
            now=at,
            since=at - GOOD_FOR,
        )


async def forgotten(tx: Tx, *, at: datetime) -> Sequence[tuple[int, int]]:
    """Senders and files that due messages wait for though nobody is uploading them: what was uploaded is too old by
    now, or was lost in any other way."""
    found = await bulk.run(
        tx,
        f"""
        SELECT DISTINCT m.sender_id, m.media_id FROM messages AS m {_indexed(tx)} LEFT JOIN media_uploads u
            ON u.media_id = m.media_id AND u.sender_id = m.sender_id
        WHERE m.state = 'queued' AND m.recipient_id IS NULL AND m.media_id IS NOT NULL
        AND m.not_before <= {bulk.now(tx)} AND (
            u.media_id IS NULL OR u.state = 'failed' OR (u.state = 'ready' AND u.uploaded_at <= {_time(tx, "since")})
        )
        """,
        now=at,
        since=at - GOOD_FOR,
    )
    return [(sender_id, media_id) for sender_id, media_id in found.all()]


async def handles(tx: Tx, sender_id: int, media_ids: Collection[int], *, now: datetime) -> Mapping[int, str]:
    """WhatsApp's ids of those that are there."""
    if not media_ids:
        return {}
    rows = await tx.execute(
        select(MediaUpload.media_id, MediaUpload.handle).where(
            MediaUpload.sender_id == sender_id,
            MediaUpload.media_id.in_(media_ids),
            MediaUpload.state == READY,
            MediaUpload.uploaded_at > now - GOOD_FOR,
        )
    )
    return {media_id: handle for media_id, handle in rows if handle}


async def is_waiting(tx: Tx, sender_id: int, media_ids: Collection[int], *, now: datetime) -> bool:
    """Whether one of them is neither there nor known to be refused."""
    refused = select(MediaUpload.media_id).where(
        MediaUpload.sender_id == sender_id, MediaUpload.media_id.in_(media_ids), MediaUpload.state == FAILED
    )
    there = await handles(tx, sender_id, media_ids, now=now)
    return len(there) < len(media_ids) and (await tx.execute(refused)).first() is None


async def failed(tx: Tx, sender_id: int, media_ids: Collection[int]) -> str | None:
    """Why WhatsApp would not have one of them. It is told once: whoever asks again has it tried again."""
    rows = await tx.execute(
        select(MediaUpload)
        .where(MediaUpload.sender_id == sender_id, MediaUpload.media_id.in_(media_ids), MediaUpload.state == FAILED)
        .order_by(MediaUpload.media_id)
        .with_for_update()
    )
    found = rows.scalars().all()
    for row in found:
        await tx.delete(row)
    await tx.flush()
    return found[0].reason or FAILED if found else None


async def renew(tx: Tx, sender_id: int, refused: Sequence[tuple[int, Content]], *, now: datetime) -> Collection[int]:
    """Of these messages, refused with one of `REFUSALS`, those whose file WhatsApp seems to have forgotten: it is
    uploaded anew, and they wait for it."""
    renewed = set()
    files = [(file[0], message_id, content) for message_id, content in refused if (file := media_of(content))]
    for media_id, message_id, content in sorted(files, key=lambda one: one[:2]):
        row = await tx.get(MediaUpload, (media_id, sender_id), with_for_update=True, populate_existing=True)
        if row is None:
            continue
        if row.state == READY and row.handle == getattr(content, "handle", None):
            if row.uploaded_at is not None and row.uploaded_at > now - _SETTLED_AFTER:
                continue
            row.state, row.attempts, row.reason, row.not_before, row.lease_token = WAITING, 0, None, now, None
            await tx.flush()
        renewed.add(message_id)
    return renewed


def _time(tx: Tx, name: str) -> str:
    return f"CAST(:{name} AS timestamptz)" if is_postgres(tx) else f":{name}"


def _indexed(tx: Tx) -> str:
    """SQLite would rather look for no recipient among all messages, as if that were a name."""
    return "" if is_postgres(tx) else BY_INDEX


def times(now: datetime) -> Sequence[BindParameter[datetime]]:
    """Of `ready_for`, for a query of SQLAlchemy's."""
    return bindparam("now", now, UtcDateTime), bindparam("since", now - GOOD_FOR, UtcDateTime)


def ready_for(tx: Tx) -> str:
    """A condition on `messages`, with the parameters `now` and `since`: neither its own file is still to be uploaded,
    nor that of an earlier one to the same person."""
    return f"""(
        SELECT 1 FROM messages AS earlier {_indexed(tx)} LEFT JOIN media_uploads u ON u.media_id = earlier.media_id
            AND u.sender_id = earlier.sender_id AND u.state = 'ready' AND u.uploaded_at > {_time(tx, "since")}
        WHERE earlier.state = 'queued' AND earlier.recipient_id IS NULL AND earlier.media_id IS NOT NULL
        AND earlier.contact_id = messages.contact_id AND earlier.sender_id = messages.sender_id
        AND earlier.id <= messages.id AND earlier.not_before <= {bulk.now(tx)} AND u.media_id IS NULL LIMIT 1
    ) IS NULL"""

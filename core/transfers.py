"""Takes files to WhatsApp and from it, beside everything else; again after a while where that failed. Which one is
under way its row says, so that another process takes it up when this one dies."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any

from sqlalchemy import select, text, update

from core import media, media_files, media_types, media_uploads, outbox, senders
from core.bootstrap import Platform
from core.database import Tx
from core.events import MediaMoved, publish
from core.models import MediaFile, MediaUpload, Message, Sender
from core.ports import Ambiguous, Connector, RateLimited, Retryable, SenderBlocked, SendError, SessionLost

_AT_ONCE = 2  # each way
_POLL_S = 1.0
_LOOK_AROUND_S = 10.0
_SWEEP_S = 3600.0
_LONGEST_S = 900.0
_FAILED_AT_ONCE = 500
_FETCH_BACKOFF_S = (5.0, 30.0, 120.0, 600.0, 3600.0, 21_600.0, 86_400.0)
_UPLOAD_BACKOFF_S = (2.0, 10.0, 30.0, 120.0)
_AWAY_S = 600.0  # what hangs on the account is tried again no faster than this
_KEPT_FOR = timedelta(days=7)
"""So long WhatsApp keeps what a person sent."""
DAMAGED = "media_damaged"
logger = logging.getLogger(__name__)
Row = MediaFile | MediaUpload


@dataclass(frozen=True, slots=True)
class _Job:
    """One transfer that this process has, until its lease lapses."""

    row: Row
    file: MediaFile
    sender: Sender
    token: str

    @property
    def is_upload(self) -> bool:
        return isinstance(self.row, MediaUpload)


async def upload_next(platform: Platform) -> bool:
    """Upload the one that waits longest, for a sender at work; False when none is due."""
    return await _next(platform, MediaUpload, _uploaded)


async def fetch_next(platform: Platform) -> bool:
    """Fetch the one that waits longest; False when none is due."""
    return await _next(platform, MediaFile, _fetched)


async def _next(
    platform: Platform,
    kind: type[Row],
    transfer: Callable[[Platform, Connector, _Job], Awaitable[Mapping[str, Any]]],
) -> bool:
    async with platform.database.reading() as tx:
        if (await tx.execute(_due(kind, await platform.clock.now(tx)))).first() is None:
            return False
    async with platform.database.transaction() as tx:
        job = await _claim(tx, kind, now=await platform.clock.now(tx), lease_s=platform.settings.lease_s)
    if job is None:
        return False
    connector = await platform.connectors.open(senders.config(job.sender, platform.key))
    try:
        async with asyncio.timeout(_LONGEST_S), _held(platform, job):
            done = await transfer(platform, connector, job)
    except SendError as refused:
        await _refused(platform, job, refused)
    except TimeoutError:
        await _refused(platform, job, Retryable("no_answer", "it took too long"))
    except Exception as broken:  # a full disk, or a connector that breaks its contract: later it may go
        logger.exception("transfer_broke media=%s", job.file.id)
        await _refused(platform, job, Retryable("transfer_broke", type(broken).__name__))
    else:
        await _done(platform, job, done)
    finally:
        await connector.close()
    return True


def _due(kind: type[Row], now: datetime) -> Any:
    query = select(kind).where(text(f"{kind.__tablename__}.state = 'waiting'"), kind.not_before <= now)
    if kind is MediaUpload:
        query = query.join(Sender, Sender.id == MediaUpload.sender_id).where(Sender.state == senders.ACTIVE)
    return query.order_by(kind.not_before).limit(1)


async def _claim(tx: Tx, kind: type[Row], *, now: datetime, lease_s: float) -> _Job | None:
    row = (await tx.execute(_due(kind, now).with_for_update(of=kind, skip_locked=True))).scalar()
    if row is None:
        return None
    token = row.lease_token = token_hex(8)
    row.attempts += 1
    row.not_before = now + timedelta(seconds=lease_s)
    await tx.flush()
    file = row if isinstance(row, MediaFile) else await tx.get_one(MediaFile, row.media_id)
    return _Job(row, file, await tx.get_one(Sender, row.sender_id), token)


@asynccontextmanager
async def _held(platform: Platform, job: _Job) -> AsyncIterator[None]:
    """The lease is renewed while the transfer goes on."""
    lease_s = platform.settings.lease_s

    async def renew() -> None:
        while True:
            await asyncio.sleep(lease_s / 3)
            try:
                async with platform.database.transaction() as tx:
                    until = await platform.clock.now(tx) + timedelta(seconds=lease_s)
                    await tx.execute(_mine(job).values(not_before=until))
            except Exception:  # noqa: BLE001  the database may be restarting; at worst another process transfers it too
                logger.warning("lease_not_renewed media=%s", job.file.id)

    task = asyncio.create_task(renew())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _mine(job: _Job) -> Any:
    if isinstance(job.row, MediaUpload):
        mine = update(MediaUpload).where(
            MediaUpload.media_id == job.row.media_id,
            MediaUpload.sender_id == job.row.sender_id,
            MediaUpload.lease_token == job.token,
            MediaUpload.state == media_uploads.WAITING,
        )
    else:
        mine = update(MediaFile).where(
            MediaFile.id == job.row.id, MediaFile.lease_token == job.token, MediaFile.state == media.WAITING
        )
    return mine.execution_options(synchronize_session=False)


# ---- the two ways -------------------------------------------------------------------------------------------


async def _uploaded(platform: Platform, connector: Connector, job: _Job) -> Mapping[str, Any]:
    path = media_files.path_of(platform.settings, job.file.sha256 or "")
    if not path.is_file():
        raise SendError(media.LOST, "the file is not on this machine's disk")
    name = job.file.filename or f"file-{job.file.id}"
    handle = await connector.upload_media(path, mime_type=media_types.plain(job.file.mime_type), filename=name)
    async with platform.database.reading() as tx:
        now = await platform.clock.now(tx)
    return {"state": media_uploads.READY, "handle": handle, "uploaded_at": now}


async def _fetched(platform: Platform, connector: Connector, job: _Job) -> Mapping[str, Any]:
    part = media_files.Part(platform.settings)
    try:
        async for piece in connector.fetch_media(job.file.handle or "", limit=media_types.LARGEST):
            part.write(piece)
        if job.file.sha256 not in (None, part.sha256) or not part.size:
            raise Retryable(DAMAGED, "what came is not what was announced")
        await asyncio.to_thread(part.finish)
        async with platform.database.transaction() as tx:
            await media.hold_files(tx)
            await asyncio.to_thread(part.place)
            stored = {"state": media.STORED, "sha256": part.sha256, "size": part.size, "reason": None}
            await _write_down(tx, job, stored, now=await platform.clock.now(tx))
    finally:
        part.drop()
    return {}


# ---- what came of it ----------------------------------------------------------------------------------------


async def _done(platform: Platform, job: _Job, done: Mapping[str, Any]) -> None:
    if done:
        async with platform.database.transaction() as tx:
            await _write_down(tx, job, {"reason": None, **done}, now=await platform.clock.now(tx))


async def _refused(platform: Platform, job: _Job, refused: SendError) -> None:
    logger.warning("transfer_failed media=%s upload=%s reason=%s", job.file.id, job.is_upload, refused.code)
    async with platform.database.reading() as tx:
        wait_s, counts = _pause(job, refused, now=await platform.clock.now(tx))
    if wait_s is None and job.is_upload:
        await fail_waiting(platform, job.sender.id, job.file.id, refused.code)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        if isinstance(refused, SessionLost | SenderBlocked):
            await _stop_sender(tx, job.sender, refused, now=now)
        if wait_s is None:
            failed = {"state": media_uploads.FAILED, "reason": refused.code}
            await _write_down(tx, job, failed, now=now)
            return
        later = {"not_before": now + timedelta(seconds=wait_s), "attempts": job.row.attempts - (not counts)}
        await tx.execute(_mine(job).values(reason=refused.code, lease_token=None, **later))


def _pause(job: _Job, refused: SendError, *, now: datetime) -> tuple[float | None, bool]:
    """Seconds till it is tried again, None: no more; and whether this time counts."""
    if not job.is_upload and now - job.file.created_at > _KEPT_FOR:
        return None, True
    match refused:
        case SessionLost() | SenderBlocked():
            return (0.0 if job.is_upload else _AWAY_S), False  # an upload waits for its sender anyway
        case RateLimited():
            return max(refused.retry_after_s, _UPLOAD_BACKOFF_S[0]), False
        case Retryable() | Ambiguous():
            backoff_s = _UPLOAD_BACKOFF_S if job.is_upload else _FETCH_BACKOFF_S
            return (backoff_s[job.row.attempts - 1] if job.row.attempts <= len(backoff_s) else None), True
        case _:
            return None, True


async def _stop_sender(tx: Tx, was: Sender, refused: SendError, *, now: datetime) -> None:
    """As a message's answer would; but not for a token that was replaced meanwhile, nor one that rests already."""
    sender = await senders.get(tx, was.id, lock=True)
    if sender.state == senders.ACTIVE and sender.secrets == was.secrets:
        state = senders.PAUSED if isinstance(refused, SessionLost) else senders.BLOCKED
        await senders.move(tx, sender, state, reason=refused.code, at=now)


async def _write_down(tx: Tx, job: _Job, values: Mapping[str, Any], *, now: datetime) -> None:
    """Only who holds the lease; of a file that a person sent, the log says so."""
    written = await tx.execute(_mine(job).values(lease_token=None, **values))
    if written.rowcount and not job.is_upload:  # type: ignore[attr-defined]
        moved = MediaMoved(media_id=job.file.id, what=values["state"], reason=values["reason"] or "")
        await publish(tx, moved, at=now)


async def fail_waiting(platform: Platform, sender_id: int, media_id: int, reason: str) -> None:
    """The messages that are due and cannot leave without this file, in short transactions."""
    waiting = (
        select(Message)
        .where(
            text("messages.state = 'queued' AND messages.recipient_id IS NULL AND messages.media_id IS NOT NULL"),
            Message.sender_id == sender_id,
            Message.media_id == media_id,
        )
        .with_hint(Message, media_uploads.BY_INDEX, "sqlite")
        .order_by(Message.id)
        .limit(_FAILED_AT_ONCE)
        .with_for_update()
    )
    while True:
        async with platform.database.transaction() as tx:
            now = await platform.clock.now(tx)
            rows = (await tx.execute(waiting.where(Message.not_before <= now))).scalars().all()
            await outbox.fail(tx, rows, reason, at=now)
        if len(rows) < _FAILED_AT_ONCE:
            return


async def look_around(platform: Platform) -> None:
    """See to the messages whose file nobody is uploading."""
    async with platform.database.reading() as tx:
        found = await media_uploads.forgotten(tx, at=await platform.clock.now(tx))
    for sender_id, media_id in found:
        async with platform.database.transaction() as tx:
            now = await platform.clock.now(tx)
            is_there = await tx.get(MediaFile, media_id) is not None
            if is_there:
                await media_uploads.ask(tx, sender_id, [media_id], at=now)
        if not is_there:
            await fail_waiting(platform, sender_id, media_id, media.LOST)


# ---- what runs in a process ---------------------------------------------------------------------------------


class Transfers:
    """`run` transfers what waits, at once after `wake` and otherwise each second; after each upload it calls `then`."""

    def __init__(self, platform: Platform, then: Callable[[], None]) -> None:
        self._platform = platform
        self._then = then
        self._woken = asyncio.Event()

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as workers:
            for _ in range(_AT_ONCE):
                workers.create_task(self._work(upload_next))
                workers.create_task(self._work(fetch_next))
            workers.create_task(self._keep_house())

    async def _work(self, transfer: Callable[[Platform], Awaitable[bool]]) -> None:
        while True:
            self._woken.clear()
            try:
                while await transfer(self._platform):
                    if transfer is upload_next:
                        self._then()
            except Exception:  # the database may be restarting; what waits is in it, and what was begun lapses
                logger.exception("transfers_stalled")
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S):
                    await self._woken.wait()

    async def _keep_house(self) -> None:
        swept_at = 0.0
        while True:
            try:
                await look_around(self._platform)
                if time.monotonic() - swept_at > _SWEEP_S:
                    await media.sweep(self._platform)
                    swept_at = time.monotonic()
            except Exception:  # as above
                logger.exception("media_unswept")
            await asyncio.sleep(_LOOK_AROUND_S)

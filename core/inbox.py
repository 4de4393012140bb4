"""What WhatsApp posts to us: kept as it came before it is answered, applied right after."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, text, update

from core import bulk, consents, contacts, messages, template_status, watchdog
from core.bootstrap import Platform
from core.database import Tx, is_passing, is_postgres
from core.errors import Invalid
from core.models import InboxItem
from core.ports import ParsedWebhook

Parse = Callable[[bytes], ParsedWebhook]
"""Reads a body; raises `Invalid`. Given by the edge, which knows the network's wire form."""

_BATCH = 20
# About 300 receipts: a run that settles the same messages, and on SQLite every writer, waits for this transaction.
_BATCH_BYTES = 80_000
_BREATH_S = 0.005  # between two of them, so that whoever waits gets its turn
_GATHER_S = 0.08  # webhooks that come close together share a transaction; a STOP waits for it too
_WORKER_LOCK = 7_726_005
_PRUNE_BATCH = 1_000
logger = logging.getLogger(__name__)


async def store(tx: Tx, *bodies: bytes, at: datetime) -> None:
    await tx.execute(insert(InboxItem), [{"body": body, "received_at": at} for body in bodies])


async def oldest_waiting(tx: Tx) -> datetime | None:
    """Since when the worker lags; None when nothing waits."""
    waiting = select(InboxItem.received_at).where(InboxItem.applied_at.is_(None)).order_by(InboxItem.id).limit(1)
    return (await tx.execute(waiting)).scalar()


async def set_aside(tx: Tx) -> Mapping[str, int]:
    """How many could not be applied, by their error: receipts or replies that count for nothing until somebody has them
    applied anew."""
    why = select(InboxItem.error, func.count()).where(InboxItem.error.is_not(None)).group_by(InboxItem.error)
    return {error or "": number for error, number in await tx.execute(why)}


async def again(tx: Tx) -> int:
    """Let the worker apply anew what was set aside, after a mend; returns how many. None of it had any effect."""
    done = await tx.execute(update(InboxItem).where(InboxItem.error.is_not(None)).values(applied_at=None, error=None))
    return int(done.rowcount)  # type: ignore[attr-defined]


async def apply_waiting(platform: Platform, parse: Parse) -> int:
    """Apply the oldest webhooks that wait, in one transaction; returns how many. A body that cannot be
    applied is set aside with its error and holds up nobody."""
    try:
        return await _apply(platform, parse, limit=_BATCH)
    except Exception as error:  # whatever one body has in it must not stop the others: find it by taking them singly
        if is_passing(error):
            raise
        logger.exception("inbox_batch_failed")
        return await _apply(platform, parse, limit=1, set_aside=True)


async def _apply(platform: Platform, parse: Parse, *, limit: int, set_aside: bool = False) -> int:
    async with platform.database.transaction(brief=True) as tx:
        if is_postgres(tx):
            # Workers take turns: replies and receipts of the same people come in any order, and two transactions
            # that take them up in different order would deadlock.
            await tx.execute(text(f"SELECT pg_advisory_xact_lock({_WORKER_LOCK})"))
        now = await platform.clock.now(tx)
        items = await _oldest(tx, limit=limit)
        if not items:
            return 0
        errors: dict[int, str] = {}
        try:
            parsed: list[ParsedWebhook] = []
            for item in items:
                try:
                    parsed.append(parse(item.body))
                except Invalid as error:
                    errors[item.id] = error.message[:200]
            # Only of one alone can anything be kept when it cannot be applied; a batch is rolled back whole.
            async with tx.begin_nested() if set_aside else nullcontext():
                await _take(tx, platform, parsed, now=now)
        except Exception as error:
            if not set_aside or is_passing(error):
                raise
            logger.exception("inbox_item_failed", extra={"item": items[0].id})
            errors[items[0].id] = type(error).__name__
        await bulk.run(
            tx,
            f"UPDATE inbox SET applied_at = {bulk.now(tx)} WHERE id {bulk.in_ids(tx)}",
            ids=bulk.ids(item.id for item in items),
            now=now,
        )
        for item_id, message in errors.items():
            await tx.execute(update(InboxItem).where(InboxItem.id == item_id).values(error=message))
    return len(items)


async def _take(tx: Tx, platform: Platform, parsed: Sequence[ParsedWebhook], *, now: datetime) -> None:
    if any(one.inbound or one.preferences for one in parsed):
        await contacts.lock_identities(tx)
    # Then, as a run does it too: campaigns and senders are locked before messages and recipients are.
    for one in parsed:
        for changed in one.templates:
            await template_status.apply(tx, changed, at=now)
    receipts = [receipt for one in parsed for receipt in one.receipts]
    numbers = {one.sender_phone_number_id for one in receipts if one.sender_phone_number_id is not None}
    suspected = await watchdog.suspects(tx, numbers) if numbers else ()
    if receipts:
        await messages.apply_receipts(tx, receipts, at=now)
        await watchdog.heard(tx, numbers, suspected, at=now)
    addresses = [to for one in parsed for said in one.inbound for to in said.addresses]
    addresses += [to for one in parsed for change in one.preferences for to in change.addresses]
    if addresses:  # together, in order of id, as a run does: one after the other they would deadlock with it
        await consents.lock(tx, await contacts.known(tx, platform.key, addresses))
    for one in parsed:
        for inbound in one.inbound:
            await messages.receive(tx, platform.key, inbound, at=now)
        for change in one.preferences:
            await messages.apply_preference(tx, platform.key, change, at=now)


async def _oldest(tx: Tx, *, limit: int) -> Sequence[Row[Any]]:
    """Id and body of as many of the oldest as make one short transaction; one at least, however large."""
    rows = await bulk.run(
        tx,
        """
        SELECT inbox.id, inbox.body FROM inbox JOIN (
            SELECT id, sum(size) OVER (ORDER BY id) AS up_to, min(id) OVER () AS first FROM (
                SELECT id, length(body) AS size FROM inbox WHERE applied_at IS NULL ORDER BY id LIMIT :some
            ) AS waiting
        ) AS oldest ON oldest.id = inbox.id WHERE oldest.up_to <= :room OR oldest.id = oldest.first ORDER BY inbox.id
        """,
        some=limit,
        room=_BATCH_BYTES,
    )
    return rows.all()


async def apply_forever(platform: Platform, parse: Parse, wake: asyncio.Event, *, idle_s: float = 1.0) -> None:
    """The worker of a process that receives: `wake` is set after each stored webhook. Looks by itself each
    `idle_s`, for what another process stored and did not live to apply."""
    while True:
        wake.clear()
        try:
            while await apply_waiting(platform, parse):  # noqa: ASYNC110  a breath, not a wait for something
                await asyncio.sleep(_BREATH_S)
        except Exception:  # the database may be restarting; what waits is safe in it
            logger.exception("inbox_stalled")
            await asyncio.sleep(idle_s)
        try:
            await asyncio.wait_for(wake.wait(), idle_s)
            await asyncio.sleep(_GATHER_S)
        except TimeoutError:
            continue


async def prune(platform: Platform, *, before: datetime) -> int:
    """Delete applied webhooks older than `before`, in short transactions. What was set aside stays: it may be the only
    proof of what became of a message, or somebody's STOP."""
    pruned = 0
    while True:
        async with platform.database.transaction() as tx:
            old = (
                (
                    await tx.execute(
                        select(InboxItem.id)
                        .where(InboxItem.applied_at < before, InboxItem.error.is_(None))
                        .limit(_PRUNE_BATCH)
                    )
                )
                .scalars()
                .all()
            )
            if not old:
                return pruned
            await tx.execute(delete(InboxItem).where(InboxItem.id.in_(old)))
            pruned += len(old)

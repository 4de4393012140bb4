"""Whether receipts come back. A sender that WhatsApp takes messages from while nothing is heard of them any more is
*suspect*: its webhooks may be lost, or its messages. It rests until a receipt comes, or a person says otherwise."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select

from core import bulk, notices, notifications, senders
from core.bootstrap import Platform
from core.database import Tx, is_postgres
from core.models import Sender, SenderHour, SenderReceipts

NO_RECEIPTS = "no_receipts"
_LOOKED_AT = 100_000


async def suspects(tx: Tx, phone_number_ids: Collection[str]) -> Sequence[Sender]:
    """Those of these numbers that are suspect, locked: a run locks its sender before messages, so this comes first."""
    found = await bulk.run(
        tx,
        f"SELECT id FROM senders WHERE state = '{senders.SUSPECT}' AND phone_number_id {bulk.in_names(tx)} "
        f"ORDER BY id {'FOR NO KEY UPDATE' if is_postgres(tx) else ''}",
        names=bulk.names(phone_number_ids),
    )
    ids = found.scalars().all()
    if not ids:  # as nearly always, and this is asked for each batch of receipts
        return ()
    return (await tx.execute(select(Sender).where(Sender.id.in_(ids)).order_by(Sender.id))).scalars().all()


async def heard(tx: Tx, phone_number_ids: Collection[str], suspected: Sequence[Sender], *, at: datetime) -> None:
    """Receipts came for these numbers: what was sent before no longer counts, and who was suspected goes to work."""
    await bulk.run(
        tx,
        f"""
        INSERT INTO sender_receipts (sender_id, last_at, since_id)
        SELECT s.id, {bulk.now(tx)}, (SELECT COALESCE(MAX(id), 0) FROM messages) FROM senders s
        WHERE s.phone_number_id {bulk.in_names(tx)}
        ON CONFLICT (sender_id) DO UPDATE SET last_at = excluded.last_at, since_id = excluded.since_id
        """,
        names=bulk.names(phone_number_ids),
        now=at,
    )
    for sender in suspected:
        await senders.move(tx, sender, senders.ACTIVE, reason="", at=at)
        await notifications.tell(tx, notices.sender_heard(sender, at=at), at=at)


async def resume(tx: Tx, sender_id: int, *, at: datetime) -> Sender:
    """A person lets the sender work again; of a suspect one only what is sent from now on is waited for."""
    sender = await senders.get(tx, sender_id, lock=True)
    await bulk.run(
        tx,
        """
        INSERT INTO sender_receipts (sender_id, since_id) SELECT :sender, COALESCE(MAX(id), 0) FROM messages WHERE true
        ON CONFLICT (sender_id) DO UPDATE SET since_id = excluded.since_id
        """,
        sender=sender_id,
    )
    await senders.move(tx, sender, senders.ACTIVE, reason="", at=at)
    return sender


async def look(platform: Platform) -> Sequence[int]:
    """Park the senders of which WhatsApp accepted `suspect_after_messages`, all more than `suspect_after_s` ago, with
    no receipt for them or for anything since; returns them."""
    settings = platform.settings
    parked = []
    async with platform.database.reading() as tx:
        silent = await _silent(tx, least=settings.suspect_after_messages)
    for sender_id in silent:
        async with platform.database.transaction() as tx:
            now = await platform.clock.now(tx)
            sender = await senders.get(tx, sender_id, lock=True)
            unheard = await _unheard(tx, sender_id, now - timedelta(seconds=settings.suspect_after_s))
            if sender.state == senders.ACTIVE and unheard >= settings.suspect_after_messages:
                await senders.move(tx, sender, senders.SUSPECT, reason=NO_RECEIPTS, at=now)
                parked.append(sender_id)
    return parked


async def _silent(tx: Tx, *, least: int) -> Sequence[int]:
    """Cheap: who may be concerned at all, by the hours in which they sent since the last receipt."""
    rows = await tx.execute(
        select(Sender.id, SenderReceipts.last_at)
        .outerjoin(SenderReceipts, SenderReceipts.sender_id == Sender.id)
        .where(Sender.state == senders.ACTIVE)
        .order_by(Sender.id)
    )
    found = []
    for sender_id, last_at in rows.all():
        hour = 0 if last_at is None else int(last_at.timestamp() // 3600)
        used = select(func.coalesce(func.sum(SenderHour.messages), 0)).where(
            SenderHour.sender_id == sender_id, SenderHour.hour >= hour
        )
        if (await tx.execute(used)).scalar_one() >= least:
            found.append(sender_id)
    return found


async def _unheard(tx: Tx, sender_id: int, before: datetime) -> int:
    counted = await bulk.run(
        tx,
        f"""
        SELECT count(*) FROM (
            SELECT sender_id, state, receipt, settled_at FROM messages
            WHERE id > COALESCE((SELECT since_id FROM sender_receipts WHERE sender_id = :sender), 0)
            ORDER BY id LIMIT {_LOOKED_AT}
        ) m WHERE m.sender_id = :sender AND m.state = 'sent' AND m.receipt = 0 AND m.settled_at < {bulk.now(tx)}
        """,
        sender=sender_id,
        now=before,
    )
    return int(counted.scalar_one())

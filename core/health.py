"""How a sender is: what WhatsApp says of it, and what it has left for today."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from core import notices, notifications, pacing, senders
from core.bootstrap import Platform
from core.database import Tx
from core.models import Message, Sender
from core.ports import SenderHealth

_LOOKED_AT = 500


@dataclass(frozen=True, slots=True)
class Budget:
    """Of the moving 24 hours; None where nothing limits it. `last_receipt_at` is the newest among the last messages:
    a sender that sends and hears nothing back deserves a look."""

    messages_left: int | None
    conversations_left: int | None
    last_sent_at: datetime | None
    last_receipt_at: datetime | None


async def check(platform: Platform, sender_id: int) -> SenderHealth:
    """Ask WhatsApp, and keep tier and quality: the tier caps new conversations from then on."""
    async with platform.database.reading() as tx:
        sender = await senders.get(tx, sender_id)
    connector = await platform.connectors.open(senders.config(sender, platform.key))
    try:
        told = await connector.health()
    finally:
        await connector.close()
    async with platform.database.transaction() as tx:
        sender = await senders.get(tx, sender_id, lock=True)
        now = sender.checked_at = await platform.clock.now(tx)
        if told.ok:
            was, sender.tier, sender.quality = sender.quality, told.tier, told.quality
            if (notice := notices.quality_fell(sender, was, at=now)) is not None:
                await notifications.tell(tx, notice, at=now)
    return told


async def check_all(platform: Platform) -> Sequence[int]:
    """Every sender, one after the other; returns those of which WhatsApp says that something is wrong."""
    async with platform.database.reading() as tx:
        ids = (await tx.execute(select(Sender.id).order_by(Sender.id))).scalars().all()
    return [sender_id for sender_id in ids if not (await check(platform, sender_id)).ok]


async def budget(tx: Tx, sender: Sender, *, now: datetime) -> Budget:
    left = await pacing.allowance(tx, sender, now=now)
    last = (
        select(Message.at, Message.delivered_at, Message.read_at)
        .where(Message.sender_id == sender.id, Message.direction == "out", Message.state != "queued")
        .order_by(Message.id.desc())
        .limit(_LOOKED_AT)
        .subquery()
    )
    sent, delivered, read = (
        await tx.execute(select(func.max(last.c.at), func.max(last.c.delivered_at), func.max(last.c.read_at)))
    ).one()
    return Budget(
        messages_left=left.messages,
        conversations_left=left.conversations,
        last_sent_at=sent,
        last_receipt_at=max((moment for moment in (delivered, read) if moment is not None), default=None),
    )

"""Who is two recipients of one occurrence, because two contacts were one person when it went out, or still are."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Row, and_, or_, select

from core import bulk, merges
from core.database import Tx
from core.models import Merge, Message, Recipient


async def had_as_another(tx: Tx, recipient_ids: Sequence[int], *, claim_token: str) -> list[int]:
    """Of those just claimed, who may have got the message as another recipient, or is claimed as one already.

    A merge skips whoever waits then. Left are those who were under way as both and came back to the queue since; for
    all others this is a look into an index.
    """
    back = await bulk.run(
        tx,
        "SELECT r.id, r.campaign_id, r.occurrence, r.contact_id FROM recipients r "
        f"JOIN messages m ON m.recipient_id = r.id WHERE r.id {bulk.in_ids(tx)} ORDER BY r.id",
        ids=bulk.ids(recipient_ids),
    )
    rows = back.all()
    if not rows:
        return []
    theirs = {row.contact_id for row in rows}
    pairs = select(Merge.kept_id, Merge.gone_id).where(or_(Merge.kept_id.in_(theirs), Merge.gone_id.in_(theirs)))
    ever_merged = {contact_id for pair in await tx.execute(pairs) for contact_id in pair}
    return [row.id for row in rows if row.contact_id in ever_merged and await _has_another(tx, row, claim_token)]


async def _has_another(tx: Tx, one: Row[Any], claim_token: str) -> bool:
    everyone: Collection[int] = await merges.all_of(tx, one.contact_id)
    others = [
        Recipient.campaign_id == one.campaign_id,
        Recipient.occurrence == one.occurrence,
        Recipient.id != one.id,
    ]
    is_claimed = and_(
        Recipient.state == "claimed",
        or_(Recipient.claim_token != claim_token, Recipient.id < one.id),  # of several claimed now the first goes
    )
    as_another = select(Recipient.id).where(
        *others, Recipient.contact_id.in_(everyone), or_(is_claimed, Recipient.state.in_(merges.WRITTEN))
    )
    # Parted again, what came to their number is theirs, though it came for the other one.
    came_here = (
        select(Recipient.id)
        .join(Message, Message.recipient_id == Recipient.id)
        .where(*others, Message.contact_id.in_(everyone), Message.state.in_(merges.REACHED))
    )
    return (await tx.execute(as_another.union_all(came_here).limit(1))).first() is not None

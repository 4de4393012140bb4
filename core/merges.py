"""Two contacts that are one person. The gone one's row stays, empty, so that its id is nobody else's.

Undone in reverse order. An opt-out of either counts for both, and still does after they are parted: it belongs to
the identities of both.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, text, update

from core import bulk, consents, contacts, messages, senders
from core.database import Tx, is_postgres
from core.errors import Conflict, Invalid, NotFound
from core.events import ContactsMerged, ContactsParted, RecipientsSkipped, publish
from core.models import Chat, Contact, ContactTag, Identity, Merge, Message, Recipient

WRITTEN = ("sending", "sent", "unknown")
REACHED = ("intent", "in_doubt", "sent", "unknown")
_NOT_YET = ("queued", "claimed", "failed")


async def merge(tx: Tx, kept_id: int, gone_id: int, *, at: datetime) -> Merge:
    """All that is the gone one's becomes the kept one's, whose own name and attributes win."""
    if kept_id == gone_id:
        raise Invalid("A contact cannot be merged with itself.", field="contact_id")
    kept, gone = await _locked(tx, kept_id, gone_id)
    tags = await _tags(tx, gone_id)
    added = sorted(tags - await _tags(tx, kept_id))
    chats = await _chats(tx, gone_id)
    await tx.execute(delete(ContactTag).where(ContactTag.contact_id == gone_id))
    await _tag(tx, kept_id, added)
    identities = await _ids(tx, update(Identity).where(Identity.contact_id == gone_id), kept_id, Identity.id)
    await tx.execute(update(Message).where(Message.contact_id == gone_id).values(contact_id=kept_id))
    recipients = await _move_recipients(tx, kept_id, gone_id, at=at)
    await tx.execute(delete(Chat).where(Chat.contact_id == gone_id))
    await _talked(tx, kept_id, chats)
    row = Merge(
        kept_id=kept_id,
        gone_id=gone_id,
        gone={
            "name": gone.name,
            "language": gone.language,
            "timezone": gone.timezone,
            "attributes": gone.attributes,
            "tags": sorted(tags),
            "chats": chats,
            "identities": identities,
            "recipients": recipients,
            "kept": {"name": kept.name, "language": kept.language, "timezone": kept.timezone},
            "added": {"tags": added, "attributes": sorted(set(gone.attributes) - set(kept.attributes))},
        },
        merged_at=at,
    )
    tx.add(row)
    kept.name, kept.language = kept.name or gone.name, kept.language or gone.language
    kept.timezone = kept.timezone or gone.timezone
    kept.attributes = {**gone.attributes, **kept.attributes}
    gone.name, gone.language, gone.timezone, gone.attributes = "", None, None, {}
    kept.updated_at = gone.updated_at = at
    await tx.flush()
    await publish(tx, ContactsMerged(merge_id=row.id, kept_id=kept_id, gone_id=gone_id), at=at)
    return row


async def unmerge(tx: Tx, merge_id: int, *, at: datetime) -> Merge:
    """What came with the gone one goes back, messages by their address. What was changed since stays with the kept
    one, as do recipients planned since."""
    row = await tx.get(Merge, merge_id)
    if row is None:
        raise NotFound(f"There is no merge {merge_id}.", field="merge_id")
    await _lock(tx, row.kept_id, row.gone_id)
    await tx.refresh(row)
    if row.undone_at is not None:
        raise Conflict(f"Merge {merge_id} was undone already.", field="merge_id")
    await _refuse_before_later(tx, row)
    was = row.gone
    kept, gone = await tx.get_one(Contact, row.kept_id), await tx.get_one(Contact, row.gone_id)
    await tx.refresh(kept)
    _give_back(kept, gone, was)
    kept.updated_at = gone.updated_at = at
    await tx.execute(
        delete(ContactTag).where(ContactTag.contact_id == row.kept_id, ContactTag.tag.in_(was["added"]["tags"]))
    )
    await _tag(tx, row.gone_id, was["tags"])
    theirs = (Identity.id.in_(was["identities"]), Identity.contact_id == row.kept_id)
    addresses = select(Identity.value).where(*theirs)
    await _take_back_claims(tx, row.kept_id)  # what holds them may have chosen an address of the gone one
    await tx.execute(
        update(Message)
        .where(Message.contact_id == row.kept_id, Message.address.in_(addresses))
        .values(contact_id=row.gone_id)
        .execution_options(synchronize_session=False)
    )
    await tx.execute(
        update(Identity).where(*theirs).values(contact_id=row.gone_id).execution_options(synchronize_session=False)
    )
    await bulk.run(
        tx,
        f"UPDATE recipients SET contact_id = :gone WHERE contact_id = :kept AND id {bulk.in_ids(tx)}",
        gone=row.gone_id,
        kept=row.kept_id,
        ids=bulk.ids(was["recipients"]),
    )
    await _talked(tx, row.gone_id, was["chats"])
    row.undone_at = at
    await tx.flush()
    await publish(tx, ContactsParted(merge_id=merge_id, kept_id=row.kept_id, gone_id=row.gone_id), at=at)
    return row


def _give_back(kept: Contact, gone: Contact, was: Mapping[str, Any]) -> None:
    for name in ("name", "language", "timezone"):
        setattr(gone, name, was[name])
        if getattr(kept, name) == was[name]:
            setattr(kept, name, was["kept"][name])
    gone.attributes = was["attributes"]
    kept.attributes = {
        name: value
        for name, value in kept.attributes.items()
        if name not in was["added"]["attributes"] or value != was["attributes"][name]
    }


async def _lock(tx: Tx, *contact_ids: int) -> None:
    """Nobody plans, claims, intends or settles meanwhile, in no campaign: what they had read of these people would be
    of yesterday. One in the middle of planning finds the gone one no longer, and the kept one planned already. Then
    messages, recipients and contacts, as receipts, a retry and an opt-out take them."""
    await contacts.lock_identities(tx)
    await senders.hold_switch(tx, alone=True)
    if is_postgres(tx):
        ids = bulk.ids(contact_ids)
        theirs = f"contact_id {bulk.in_ids(tx)} ORDER BY id FOR UPDATE"
        await tx.execute(
            text("SELECT id FROM campaigns WHERE state IN ('running', 'holding', 'paused') ORDER BY id FOR UPDATE")
        )
        await bulk.run(tx, f"SELECT id FROM messages WHERE {theirs}", ids=ids)
        await bulk.run(tx, f"SELECT id FROM recipients WHERE {theirs}", ids=ids)
    await consents.lock(tx, contact_ids)


async def _locked(tx: Tx, kept_id: int, gone_id: int) -> tuple[Contact, Contact]:
    await _lock(tx, kept_id, gone_id)
    kept, gone = await contacts.get(tx, kept_id), await contacts.get(tx, gone_id)
    await tx.refresh(kept)
    await tx.refresh(gone)
    return kept, gone


async def _refuse_before_later(tx: Tx, row: Merge) -> None:
    later = await tx.execute(
        select(Merge.id)
        .where(Merge.id > row.id, Merge.undone_at.is_(None))
        .where((Merge.kept_id == row.kept_id) | (Merge.gone_id == row.kept_id))
        .order_by(Merge.id.desc())
        .limit(1)
    )
    if (merge_id := later.scalar()) is not None:
        raise Conflict(
            f"Contact {row.kept_id} was merged again since.", field="merge_id", hint=f"Undo merge {merge_id} first."
        )


async def _move_recipients(tx: Tx, kept_id: int, gone_id: int, *, at: datetime) -> list[int]:
    """Where both are in one occurrence, each keeps their own, and if any of all those they ever were may have been
    written to, the others will not be: neither now, nor when somebody tries again those that failed. Returns those
    that moved."""
    await _take_back_claims(tx, gone_id)
    everyone = await all_of(tx, kept_id) | await all_of(tx, gone_id)
    query = select(Recipient).where(Recipient.contact_id.in_(everyone)).order_by(Recipient.id)
    found: dict[tuple[int, int], list[Recipient]] = {}
    for row in (await tx.execute(query.execution_options(populate_existing=True))).scalars():
        found.setdefault((row.campaign_id, row.occurrence), []).append(row)
    # Parted again, somebody may have got at their own number what was for the other one.
    reached = await tx.execute(
        select(Recipient.campaign_id, Recipient.occurrence)
        .join(Message, Message.recipient_id == Recipient.id)
        .where(Message.contact_id.in_(everyone), Message.state.in_(REACHED))
    )
    written = {(row.campaign_id, row.occurrence) for row in reached}
    moved, skipped = [], []
    for occurrence, rows in found.items():
        mine = {row.contact_id: row for row in rows}
        if kept_id not in mine and gone_id in mine:
            mine[gone_id].contact_id = kept_id
            moved.append(mine[gone_id].id)
        # Also of those that failed: parted again they could be tried again, after the other one's went to their number.
        if occurrence in written or any(row.state in WRITTEN for row in rows):
            skipped += [row for row in rows if row.state in _NOT_YET]
        elif kept_id in mine:
            skipped += [row for row in rows if row.state in _NOT_YET and row.contact_id != kept_id]
    for row in skipped:
        row.state, row.reason, row.claim_token, row.claimed_until = "skipped", "merged", None, None
        if row.may_have_arrived:
            row.state = "unknown"
            continue
        happened = RecipientsSkipped(campaign_id=row.campaign_id, reason="merged", recipient_ids=[row.id])
        await publish(tx, happened, at=at)
    await tx.flush()
    await messages.leave_in_doubt(tx, [row.id for row in skipped if row.state == "unknown"], "merged", at=at)
    return moved


async def _take_back_claims(tx: Tx, contact_id: int) -> None:
    await tx.execute(
        update(Recipient)
        .where(Recipient.contact_id == contact_id, Recipient.state == "claimed")
        .values(state="queued", claim_token=None, claimed_until=None)
        .execution_options(synchronize_session=False)
    )


async def all_of(tx: Tx, contact_id: int) -> set[int]:
    """The contact and those merged into it, and into them: some of their campaigns stay with the old id."""
    found, new = {contact_id}, {contact_id}
    while new:
        rows = await tx.execute(select(Merge.gone_id).where(Merge.kept_id.in_(new), Merge.undone_at.is_(None)))
        new = set(rows.scalars()) - found
        found |= new
    return found


async def _ids(tx: Tx, statement: Any, contact_id: int, column: Any) -> list[int]:
    changed = statement.values(contact_id=contact_id).returning(column)
    return sorted((await tx.execute(changed.execution_options(synchronize_session=False))).scalars())


async def _tags(tx: Tx, contact_id: int) -> set[str]:
    return set((await tx.execute(select(ContactTag.tag).where(ContactTag.contact_id == contact_id))).scalars())


async def _tag(tx: Tx, contact_id: int, tags: list[str]) -> None:
    new = sorted(set(tags) - await _tags(tx, contact_id))
    if new:
        await tx.execute(insert(ContactTag), [{"contact_id": contact_id, "tag": tag} for tag in new])


async def _chats(tx: Tx, contact_id: int) -> list[dict[str, Any]]:
    rows = (await tx.execute(select(Chat).where(Chat.contact_id == contact_id))).scalars()
    return [
        {
            "sender_id": row.sender_id,
            "last_out_at": row.last_out_at.isoformat() if row.last_out_at else None,
            "last_in_at": row.last_in_at.isoformat() if row.last_in_at else None,
            "last_at": row.last_at.isoformat() if row.last_at else None,
            "read_id": row.read_id,
        }
        for row in rows
    ]


async def _talked(tx: Tx, contact_id: int, chats: list[dict[str, Any]]) -> None:
    """The later of each moment, by sender, and what both had read."""
    for given in chats:
        chat = await tx.get(Chat, (given["sender_id"], contact_id), populate_existing=True)
        if chat is None:
            chat = Chat(sender_id=given["sender_id"], contact_id=contact_id, read_id=given.get("read_id", 0))
            tx.add(chat)
        chat.read_id = min(chat.read_id, given.get("read_id", 0))
        for name in ("last_out_at", "last_in_at", "last_at"):
            moments = [getattr(chat, name), datetime.fromisoformat(given[name]) if given.get(name) else None]
            setattr(chat, name, max((moment for moment in moments if moment), default=None))
    await tx.flush()

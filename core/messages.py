"""Messages out and in: the one table of their states, and what receipts and replies do to them."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b

from sqlalchemy import bindparam, insert, select

from core import bulk, consents, contacts, content, media
from core.content import Media, Text, content_adapter
from core.database import Tx, is_postgres
from core.errors import NotFound
from core.events import MessageReceived, MessagesMoved, ReceiptsArrived, chat_id, publish
from core.keys import MasterKey
from core.models import Base, MediaFile, Message
from core.ports import Address, Inbound, PermanentRecipient, PreferenceChanged, Receipt, SendError
from core.senders import by_phone_number_id

# queued     waits for its turn (again): nothing of it is with WhatsApp
# intent     committed before any I/O; its lease runs
# in_doubt   handed over or not, no answer; waits for proof
# unknown    waited long enough; a proof that still comes is taken
# sent       WhatsApp has it: an answer or a receipt says so
# failed     known to have had no effect; who was resent while unknown never is: what was said of the last attempt
#            says nothing of those before, and it is unknown again
#
# What may become what; a test holds every move that the SQL of this package makes against it.
MOVES = {
    "queued": {"intent", "sent", "failed", "unknown"},
    "intent": {"sent", "failed", "queued", "in_doubt", "unknown"},
    "in_doubt": {"sent", "failed", "unknown"},
    "unknown": {"sent", "failed", "queued"},  # queued again only by a person's word (core/retrying.py)
    "sent": {"failed", "unknown"},
    "failed": {"sent", "queued"},
}
RANKS = {"failed": -1, "sent": 1, "delivered": 2, "read": 3}
FAILED = (
    "CASE WHEN (SELECT may_have_arrived FROM recipients WHERE recipients.id = messages.recipient_id) "
    "THEN 'unknown' ELSE 'failed' END"
)
"""In an UPDATE of messages: the state of one that is told to have failed."""
SERVICE_WINDOW = timedelta(hours=24)


def client_id(installation: str, kind: str, row: int) -> str:
    """Ours, equal for every attempt; in the form WhatsApp Web itself gives to messages."""
    return "3EB0" + blake2b(f"{installation}:{kind}:{row}".encode(), digest_size=9).hexdigest().upper()


def address(message: Message) -> Address:
    return Address("phone" if message.address.startswith("+") else "bsuid", message.address)


async def mirror(tx: Tx, message_ids: Iterable[int]) -> None:
    """Bring the recipients of these messages to their messages' outcome."""
    await bulk.run(
        tx,
        f"""
        UPDATE recipients SET
            state = CASE WHEN m.state IN ('intent', 'in_doubt') THEN 'sending' ELSE m.state END,
            reason = m.reason, receipt = m.receipt, attempts = m.attempts,
            sent_at = CASE WHEN m.state = 'sent' THEN COALESCE(recipients.sent_at, m.settled_at) END
        FROM messages m WHERE m.recipient_id = recipients.id AND m.id {bulk.in_ids(tx)}
        """,
        ids=bulk.ids(message_ids),
    )


def _why(error: SendError | None) -> str:
    """The same code leaves an answer in doubt; a receipt tells that it is over."""
    if error is None:
        return "failed"
    return "failed_at_whatsapp" if error.effect == "unknown" else error.code


@dataclass(slots=True)
class _Reported:
    """All that one batch reports of one message."""

    provider_id: str
    rank: int = 0
    failed: bool = False
    reason: str | None = None
    delivered_at: str | None = None
    read_at: str | None = None

    def add(self, receipt: Receipt) -> None:
        if receipt.status == "failed":
            self.failed = True
            self.reason = _why(receipt.error)
            return
        self.rank = max(self.rank, RANKS[receipt.status])
        if receipt.status == "delivered":
            self.delivered_at = bulk.stamp(receipt.at)
        elif receipt.status == "read":
            self.read_at = bulk.stamp(receipt.at)
            self.delivered_at = self.delivered_at or self.read_at


async def apply_receipts(tx: Tx, receipts: Sequence[Receipt], *, at: datetime) -> int:
    """Take receipts in any order and any number of times; returns how many messages of ours they touched.

    A receipt proves that WhatsApp has the message, so it settles a doubt. A message whose sender still waits
    for the answer keeps its state: the holder of the lease settles it, with the receipt already there. Only the
    number that sent a message speaks for it.
    """
    ours = await _reported_on(tx, receipts)
    reported: dict[str, _Reported] = {}
    opted_out: set[str] = set()
    for receipt in receipts:
        key = receipt.provider_id if receipt.client_id is None else receipt.client_id
        name, number = ours.get(key, ("", None))
        if not name or receipt.sender_phone_number_id not in (None, number):
            continue
        reported.setdefault(name, _Reported(receipt.provider_id)).add(receipt)
        if isinstance(receipt.error, PermanentRecipient) and receipt.error.opted_out:
            opted_out.add(name)
    if not reported:
        return 0
    # failed only where nothing newer says it arrived: delivered and read outrank it. A failure of another attempt,
    # told again after a retry, is none of this one's.
    fails = "(r.failed = 1 AND r.rank < 2 AND messages.receipt < 2)"
    stays_failed = "(messages.receipt = -1 AND r.rank < 2)"
    result = await bulk.run(
        tx,
        f"""
        UPDATE messages SET
            provider_id = COALESCE(messages.provider_id, CASE WHEN (
                SELECT holder.id FROM messages holder WHERE holder.provider_id = r.provider_id
            ) IS NULL THEN r.provider_id END),
            receipt = CASE WHEN {fails} OR {stays_failed} THEN -1
                WHEN r.rank > messages.receipt THEN r.rank ELSE messages.receipt END,
            state = CASE WHEN messages.state = 'intent' THEN 'intent'
                WHEN {fails} OR {stays_failed} THEN {FAILED} ELSE 'sent' END,
            reason = CASE WHEN {fails} THEN r.reason WHEN {stays_failed} THEN messages.reason END,
            late = CASE WHEN messages.state = 'unknown' THEN :true ELSE messages.late END,
            settled_at = CASE WHEN messages.state = 'intent' THEN NULL ELSE COALESCE(messages.settled_at, {
            bulk.now(tx)
        }) END,
            delivered_at = COALESCE(messages.delivered_at, r.delivered_at),
            read_at = COALESCE(messages.read_at, r.read_at)
        FROM {
            bulk.table(
                tx,
                client_id="text",
                provider_id="text",
                rank="int",
                failed="int",
                reason="text",
                delivered_at="timestamptz",
                read_at="timestamptz",
            )
        } WHERE messages.client_id = r.client_id {bulk.few(tx, "messages.client_id", bulk.in_names(tx))}
        AND (r.failed = 0 OR r.rank > 0 OR COALESCE(messages.provider_id, r.provider_id) = r.provider_id)
        RETURNING messages.id, messages.client_id, messages.state
        """,
        (
            {
                "client_id": name,
                "provider_id": one.provider_id,
                "rank": one.rank,
                "failed": int(one.failed),
                "reason": one.reason,
                "delivered_at": one.delivered_at,
                "read_at": one.read_at,
            }
            for name, one in reported.items()
        ),
        names=bulk.names(reported),
        true=True,
        now=at,
    )
    touched = result.all()
    await _take_stops(tx, opted_out, at=at)
    if not touched:
        return 0
    await mirror(tx, (row.id for row in touched))
    by_kind: dict[str, list[int]] = {"sent": [], "delivered": [], "read": [], "failed": [], "unknown": []}
    names = {rank: kind for kind, rank in RANKS.items()}
    for row in touched:
        one = reported[row.client_id]
        failed = "unknown" if row.state == "unknown" else "failed"
        by_kind[failed if one.failed else names.get(one.rank, "sent")].append(row.id)
    if unknown := by_kind.pop("unknown"):
        await publish(tx, MessagesMoved(state="unknown", message_ids=unknown), at=at)
    await publish(tx, ReceiptsArrived(**by_kind), at=at)
    return len(touched)


async def _take_stops(tx: Tx, client_ids: Collection[str], *, at: datetime) -> None:
    """Of whom WhatsApp says, to whichever attempt, that they stopped us. Locked together, in order of id."""
    if not client_ids:
        return
    rows = await tx.execute(
        select(Message.contact_id).where(Message.client_id.in_(client_ids), Message.contact_id.is_not(None))
    )
    stopped = sorted({contact_id for contact_id in rows.scalars() if contact_id is not None})
    await consents.lock(tx, stopped)
    for contact_id in stopped:
        await consents.opt_out(tx, contact_id, reason="stopped_at_whatsapp", source="whatsapp", at=at)


async def _reported_on(tx: Tx, receipts: Sequence[Receipt]) -> dict[str, tuple[str, str]]:
    """The messages these are about, by the id they were reported under: our client id, and the number that sent
    it. Locked in order of id, as settling does: two that touch the same messages never deadlock."""
    found: dict[str, tuple[str, str]] = {}
    named = {receipt.client_id for receipt in receipts if receipt.client_id is not None}
    nameless = {receipt.provider_id for receipt in receipts if receipt.client_id is None}
    for column, names in (("client_id", named), ("provider_id", nameless)):
        if names:
            rows = await bulk.run(
                tx,
                f"""
                SELECT m.{column}, m.client_id, s.phone_number_id FROM messages m JOIN senders s ON s.id = m.sender_id
                WHERE m.{column} {bulk.in_names(tx)} AND m.direction = 'out'
                ORDER BY m.id {"FOR NO KEY UPDATE OF m" if is_postgres(tx) else ""}
                """,
                names=bulk.names(names),
            )
            found.update({reported_as: (name, number) for reported_as, name, number in rows})
    return found


_HAD = select(Message.id).where(Message.provider_id == bindparam("provider_id"))
_ROWS = Base.metadata.tables[Message.__tablename__]
_TAKE_IN = insert(_ROWS).returning(_ROWS.c.id)


async def receive(tx: Tx, key: MasterKey, inbound: Inbound, *, at: datetime) -> int | None:
    """Store a message from a person; None when we have it already or do not know the number it came to."""
    sender = await by_phone_number_id(tx, inbound.sender_phone_number_id)
    if sender is None:
        return None
    await contacts.lock_identities(tx)  # so that the same message taken twice at once is seen here by the second
    if (await tx.execute(_HAD, {"provider_id": inbound.provider_id})).first():
        return None
    contact_id = await contacts.who(tx, key, inbound.addresses, name=inbound.profile_name or "", at=at)
    await consents.lock(tx, [contact_id])
    said = inbound.content
    if inbound.attached is not None and isinstance(said, Media):
        file_id = await media.expect(tx, sender.id, said, inbound.attached, at=at)
        said = said.model_copy(update={"media_id": file_id})
    message_id: int = (
        await tx.execute(
            _TAKE_IN,
            {
                "provider_id": inbound.provider_id,
                "direction": "in",
                "sender_id": sender.id,
                "contact_id": contact_id,
                "address": inbound.addresses[0].value,
                "content": content_adapter.dump_python(said, mode="json"),
                "state": "received",
                "receipt": 0,
                "attempts": 0,
                "late": False,
                "at": inbound.at,
            },
        )
    ).scalar_one()
    await bulk.run(
        tx,
        f"""
        INSERT INTO chats (sender_id, contact_id, last_in_at, last_at, read_id)
        VALUES (:sender, :contact, {bulk.now(tx)}, {bulk.now(tx)}, 0)
        ON CONFLICT (sender_id, contact_id) DO UPDATE SET last_in_at = excluded.last_in_at,
            last_at = CASE WHEN chats.last_at > excluded.last_at THEN chats.last_at ELSE excluded.last_at END
        WHERE chats.last_in_at IS NULL OR chats.last_in_at < excluded.last_in_at
        """,
        sender=sender.id,
        contact=contact_id,
        now=inbound.at,
    )
    # A reply counts for the last campaign message of this sender that may have reached this person.
    await bulk.run(
        tx,
        f"""
        UPDATE recipients SET replied_at = {bulk.now(tx)} WHERE replied_at IS NULL AND id = (
            SELECT recipient_id FROM messages WHERE contact_id = :contact AND sender_id = :sender
            AND direction = 'out' AND recipient_id IS NOT NULL AND state NOT IN ('queued', 'failed')
            ORDER BY id DESC LIMIT 1
        )
        """,
        sender=sender.id,
        contact=contact_id,
        now=inbound.at,
    )
    await publish(tx, MessageReceived(message_id=message_id, sender_id=sender.id, contact_id=contact_id), at=at)
    if isinstance(inbound.content, Text) and consents.is_stop(inbound.content.body):
        await consents.opt_out(
            tx, contact_id, reason="stop_word", source="whatsapp", wording=inbound.content.body, at=at
        )
    elif isinstance(inbound.content, Text) and consents.is_start(inbound.content.body):
        await consents.opt_in(tx, contact_id, source="whatsapp", wording=inbound.content.body, at=at)
    return message_id


async def apply_preference(tx: Tx, key: MasterKey, change: PreferenceChanged, *, at: datetime) -> None:
    """Stop counts at once; a resume in WhatsApp's menu is theirs to keep and lifts nothing of ours."""
    if change.stop:
        contact_id = await contacts.who(tx, key, change.addresses, name="", at=at)
        await consents.opt_out(tx, contact_id, reason="stopped_at_whatsapp", source="whatsapp", at=at)


async def chat(tx: Tx, contact_id: int, *, before: int | None, limit: int) -> Sequence[Message]:
    """Messages with one person, newest first."""
    query = select(Message).where(Message.contact_id == contact_id).order_by(Message.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Message.id < before)
    return (await tx.execute(query)).scalars().all()


def chats_of(rows: Iterable[Message]) -> Sequence[str]:
    return sorted({chat_id(row.sender_id, row.contact_id) for row in rows if row.contact_id is not None})


async def get(tx: Tx, message_id: int) -> Message:
    message = await tx.get(Message, message_id)
    if message is None:
        raise NotFound(f"There is no message {message_id}.", field="message_id")
    return message


async def media_of(tx: Tx, message_id: int) -> MediaFile:
    """The file that goes, went or came with it."""
    found = content.media_of(content_adapter.validate_python((await get(tx, message_id)).content))
    if found is None:
        raise NotFound(f"Message {message_id} has no file here.", field="message_id")
    return await media.get(tx, found[0])


async def leave_in_doubt(tx: Tx, recipient_ids: Collection[int], reason: str, *, at: datetime) -> None:
    """These `may_have_arrived` and will not be written to again: whether they got it, nobody knows."""
    if not recipient_ids:
        return
    left = await bulk.run(
        tx,
        f"UPDATE messages SET state = 'unknown', reason = :reason, settled_at = {bulk.now(tx)} "
        f"WHERE state = 'queued' AND recipient_id {bulk.in_ids(tx)} RETURNING id",
        ids=bulk.ids(recipient_ids),
        reason=reason,
        now=at,
    )
    await moved(tx, "unknown", sorted(left.scalars()), at=at)


async def moved(tx: Tx, state: str, message_ids: Sequence[int], *, chats: Sequence[str] = (), at: datetime) -> None:
    """After messages came to a state: their recipients follow, and the log says so; of single ones with their chats."""
    if message_ids:
        await mirror(tx, message_ids)
        await publish(tx, MessagesMoved(state=state, message_ids=message_ids, chats=chats), at=at)

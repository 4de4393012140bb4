"""What came of a hand-over: by its answer, by a proof that came later, or by nothing at all."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.orm import aliased

from core import bulk, campaigns, consents, media_uploads, messages, pacing, senders
from core.bootstrap import Platform
from core.content import content_adapter
from core.database import Tx, is_postgres
from core.events import chat_id
from core.models import Message, Sender
from core.ports import (
    Accepted,
    Connector,
    Deferred,
    Expired,
    Found,
    Lookup,
    Outgoing,
    PermanentContent,
    PermanentRecipient,
    PermanentTemplate,
    RateLimited,
    Retryable,
    SenderBlocked,
    SendError,
    SessionLost,
)
from core.sending import Intent, SenderGate
from core.settings import Settings

_BACKOFF_S = (1.0, 5.0, 30.0, 120.0)
_LOOKUPS = 50  # per sweep: each is a request to WhatsApp
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    intent: Intent
    result: Accepted | SendError


@dataclass(frozen=True, slots=True)
class _Verdict:
    state: str
    reason: str | None = None
    wait_s: float = 0.0
    burns_attempt: bool = True


def _verdict(result: Accepted | SendError, *, attempts: int, max_attempts: int) -> _Verdict:
    """The state an answer leads to. Only what is known to have had no effect goes back to the queue."""
    match result:
        case Accepted():
            return _Verdict("sent")
        case SendError(effect="unknown"):
            return _Verdict("in_doubt", result.code)
        case RateLimited():
            return _Verdict("queued", result.code, wait_s=result.retry_after_s, burns_attempt=False)
        case Deferred():
            return _Verdict("queued", result.code, wait_s=result.wait_s, burns_attempt=False)
        case Expired() | SenderBlocked() | SessionLost() | PermanentTemplate():
            return _Verdict("queued", result.code, burns_attempt=False)
        case Retryable() if attempts < max_attempts:
            return _Verdict("queued", result.code, wait_s=_BACKOFF_S[min(attempts, len(_BACKOFF_S)) - 1])
        case _:
            return _Verdict("failed", result.code)


async def settle(
    tx: Tx,
    gate: SenderGate,
    answers: Sequence[Answer],
    *,
    settings: Settings,
    now: datetime,
    token_was_replaced: bool = False,
) -> bool:
    """Write down what the answers say. Only the holder of a lease settles; an answer that comes after its lease
    was given up attaches as proof and is flagged `late`. What is said of a token since replaced has no
    consequence. True: contacts are locked now, and who would lock more of them could deadlock."""
    await _lock_messages(tx, [answer.intent.message_id for answer in answers])
    rows = []
    renewed = await _renewed(tx, gate, answers, now=now)
    for answer in answers:
        verdict = _verdict(answer.result, attempts=answer.intent.attempts, max_attempts=settings.max_attempts)
        if answer.intent.message_id in renewed and answer.intent.attempts < settings.max_attempts:
            verdict = _Verdict("queued", media_uploads.RENEWED)
        if verdict.state == "queued" and gate.campaign is not None and gate.campaign.state == campaigns.CANCELLED:
            verdict = _Verdict("failed", "cancelled")
        elif gate.campaign is None and isinstance(answer.result, PermanentTemplate):
            verdict = _Verdict("failed", answer.result.code)  # there is no campaign that could wait for a better one
        rows.append(
            {
                "id": answer.intent.message_id,
                "lease": answer.intent.token,
                "state": verdict.state,
                "reason": verdict.reason,
                "burn": int(verdict.burns_attempt),
                "provider_id": answer.result.provider_id if isinstance(answer.result, Accepted) else None,
                "not_before": bulk.stamp(now + timedelta(seconds=verdict.wait_s)) if verdict.wait_s else None,
            }
        )
    by_state: dict[str, list[int]] = {}
    for row in await _write_down(tx, rows, now=now):
        by_state.setdefault(row[1], []).append(row[0])
    for state, some in by_state.items():
        chats = await _chats(tx, some) if gate.campaign is None else ()
        await messages.moved(tx, state, some, chats=chats, at=now)
    await _hold_back(tx, [row for row in rows if row["not_before"]])
    if token_was_replaced:
        answers = [answer for answer in answers if not isinstance(answer.result, SessionLost)]
    await _draw_consequences(tx, gate, answers, now=now)
    return await _take_stops(tx, answers, now=now)


async def _chats(tx: Tx, message_ids: Sequence[int]) -> Sequence[str]:
    people = select(Message.sender_id, Message.contact_id).where(Message.contact_id.is_not(None))
    return sorted({chat_id(*row) for row in await tx.execute(people.where(Message.id.in_(message_ids)))})


async def _renewed(tx: Tx, gate: SenderGate, answers: Sequence[Answer], *, now: datetime) -> Collection[int]:
    """The messages that may go again because not they were refused but WhatsApp's memory of their file."""
    refused = [
        (answer.intent.message_id, answer.intent.outgoing.content)
        for answer in answers
        if isinstance(answer.result, PermanentContent) and answer.result.code in media_uploads.REFUSALS
    ]
    return await media_uploads.renew(tx, gate.sender.id, refused, now=now) if refused else ()


async def _write_down(tx: Tx, rows: Sequence[dict[str, Any]], *, now: datetime) -> Sequence[tuple[int, str]]:
    stamp = "CAST(:now AS timestamptz)" if is_postgres(tx) else ":now"
    # A receipt that overtook the answer decides: -1 is a failure WhatsApp reported, 1 and more is proof.
    result = await bulk.run(
        tx,
        f"""
        UPDATE messages SET
            state = CASE
                WHEN messages.receipt = -1 THEN {messages.FAILED}
                WHEN r.state <> 'sent' AND messages.receipt >= 1 THEN 'sent'
                WHEN r.state = 'failed' OR (r.state = 'queued' AND messages.state <> 'intent') THEN {messages.FAILED}
                ELSE r.state END,
            reason = CASE
                WHEN messages.receipt = -1 THEN messages.reason
                WHEN messages.receipt >= 1 THEN NULL
                ELSE r.reason END,
            provider_id = COALESCE(r.provider_id, messages.provider_id),
            late = messages.state <> 'intent',
            attempts = messages.attempts - (1 - r.burn),
            settled_at = {stamp}
        FROM {bulk.table(tx, id="bigint", lease="text", state="text", reason="text", burn="int", provider_id="text")}
        WHERE messages.id = r.id {bulk.few(tx, "messages.id", bulk.in_ids(tx))} AND messages.lease_token = r.lease AND (
            messages.state = 'intent' OR (messages.state IN ('in_doubt', 'unknown') AND r.state <> 'in_doubt')
        )
        RETURNING messages.id, messages.state
        """,
        rows,
        ids=bulk.ids(row["id"] for row in rows),
        now=now,
    )
    return [(row[0], row[1]) for row in result]


async def _hold_back(tx: Tx, rows: Sequence[dict[str, object]]) -> None:
    """Those who went back to the queue wait their time there."""
    if rows:
        await bulk.run(
            tx,
            f"""
            UPDATE recipients SET not_before = r.not_before
            FROM {bulk.table(tx, id="bigint", not_before="timestamptz")}
            JOIN messages m ON m.id = r.id
            WHERE recipients.id = m.recipient_id AND recipients.state = 'queued'
            """,
            [{"id": row["id"], "not_before": row["not_before"]} for row in rows],
        )
        await bulk.run(
            tx,
            f"""
            UPDATE messages SET not_before = r.not_before FROM {bulk.table(tx, id="bigint", not_before="timestamptz")}
            WHERE messages.id = r.id AND messages.recipient_id IS NULL AND messages.state = 'queued'
            """,
            [{"id": row["id"], "not_before": row["not_before"]} for row in rows],
        )


async def _draw_consequences(tx: Tx, gate: SenderGate, answers: Sequence[Answer], *, now: datetime) -> None:
    """Some errors say something about the sender, the template or the person, beyond this one message."""
    for answer in answers:
        match answer.result:
            case RateLimited(scope="sender", retry_after_s=wait):
                pacing.rest(gate.sender, until=now + timedelta(seconds=wait))
            case SessionLost(code=code):
                await senders.move(tx, gate.sender, senders.PAUSED, reason=code, at=now)
            case SenderBlocked(code=code):
                await senders.move(tx, gate.sender, senders.BLOCKED, reason=code, at=now)
            case PermanentTemplate(code=code) if gate.campaign and gate.campaign.state in campaigns.UNDER_WAY:
                await campaigns.pause(tx, gate.campaign.id, reason=code, at=now)
            case _:
                pass


async def _take_stops(tx: Tx, answers: Sequence[Answer], *, now: datetime) -> bool:
    """Those of whom WhatsApp says that they stopped us; returns whether there were any. They are locked together, in
    order of id."""
    ids = [
        one.intent.message_id for one in answers if isinstance(one.result, PermanentRecipient) and one.result.opted_out
    ]
    if not ids:
        return False
    rows = await tx.execute(select(Message.contact_id).where(Message.id.in_(ids), Message.contact_id.is_not(None)))
    contact_ids = sorted({contact_id for contact_id in rows.scalars() if contact_id is not None})
    await consents.lock(tx, contact_ids)
    for contact_id in contact_ids:
        await consents.opt_out(tx, contact_id, reason="stopped_at_whatsapp", source="whatsapp", at=now)
    return True


async def _lock_messages(tx: Tx, ids: Sequence[int]) -> None:
    """In order of id, as receipts do: two that touch the same messages never deadlock."""
    if is_postgres(tx):
        await bulk.run(
            tx,
            f"SELECT id FROM messages WHERE id {bulk.in_ids(tx)} ORDER BY id FOR UPDATE",
            ids=bulk.ids(ids),
        )


# ---- what nobody answered for -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reconciled:
    """How many claims went back to the queue, intents came into doubt, doubts were proven, became unknown."""

    released: int
    doubted: int
    proven: int
    unknown: int


async def reconcile(platform: Platform) -> Reconciled:
    """Take up what dead or stopped processes left. Safe to run at any time, also twice at once."""
    settings = platform.settings
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        released = await _release_lapsed_claims(tx, now=now)
        lapsed = now - timedelta(seconds=settings.lease_margin_s)
        doubted, proven = await _doubt_lapsed_intents(tx, lapsed=lapsed, now=now)
    found, unknown = await _give_up_on_silence(platform)
    return Reconciled(released=released, doubted=doubted, proven=proven + found, unknown=unknown)


async def _release_lapsed_claims(tx: Tx, *, now: datetime) -> int:
    result = await bulk.run(
        tx,
        """
        UPDATE recipients SET state = 'queued', claim_token = NULL, claimed_until = NULL
        WHERE state = 'claimed' AND claimed_until < :now
        AND campaign_id IN (SELECT id FROM campaigns WHERE state IN ('running', 'holding', 'paused'))
        """,
        now=now,
    )
    return int(result.rowcount)  # type: ignore[attr-defined]


async def _doubt_lapsed_intents(tx: Tx, *, lapsed: datetime, now: datetime) -> tuple[int, int]:
    old = select(Message.id).where(Message.state == "intent", Message.lease_until < lapsed).order_by(Message.id)
    await tx.execute(old.with_for_update())  # in this order, as receipts do
    result = await bulk.run(
        tx,
        f"""
        UPDATE messages SET
            state = CASE WHEN receipt = -1 THEN {messages.FAILED} WHEN receipt >= 1 THEN 'sent' ELSE 'in_doubt' END,
            reason = CASE WHEN receipt = -1 THEN reason WHEN receipt >= 1 THEN NULL ELSE 'process_died' END,
            settled_at = CASE WHEN receipt <> 0 THEN :now END
        WHERE state = 'intent' AND lease_until < :lapsed
        RETURNING id, state
        """.replace(":now", "CAST(:now AS timestamptz)" if is_postgres(tx) else ":now"),
        lapsed=lapsed,
        now=now,
    )
    by_state: dict[str, list[int]] = {}
    for row in result:
        by_state.setdefault(row.state, []).append(row.id)
    for state, ids in by_state.items():
        await messages.moved(tx, state, ids, at=now)
    doubted = len(by_state.pop("in_doubt", []))
    return doubted, sum(map(len, by_state.values()))


async def _give_up_on_silence(platform: Platform) -> tuple[int, int]:
    """Ask WhatsApp about doubts that no receipt has settled for the silence window; then call them unknown."""
    async with platform.database.reading() as tx:
        now = await platform.clock.now(tx)
        silent = now - timedelta(seconds=platform.settings.silence_window_s)
        doubts = (
            (
                await tx.execute(
                    select(Message)
                    .where(Message.state == "in_doubt", Message.lease_until < silent)
                    .order_by(Message.id)
                    .limit(_LOOKUPS)
                )
            )
            .scalars()
            .all()
        )
        found_senders = {
            row.id: senders.config(row, platform.key)
            for row in (
                await tx.execute(select(Sender).where(Sender.id.in_({doubt.sender_id for doubt in doubts})))
            ).scalars()
        }
    proven = unknown = 0
    for sender_id, config in found_senders.items():
        connector = await platform.connectors.open(config)
        try:
            for doubt in (one for one in doubts if one.sender_id == sender_id):
                found = await _look_up(connector, doubt)
                provider_id = found.provider_id if found.outcome is Lookup.ACCEPTED else None
                state = await _close_doubt(platform, doubt.id, provider_id)
                proven += state == "sent"
                unknown += state == "unknown"
        finally:
            await connector.close()
    return proven, unknown


async def _look_up(connector: Connector, doubt: Message) -> Found:
    try:
        return await connector.lookup(_as_outgoing(doubt), since=doubt.at)
    except Exception:  # one doubt that cannot be asked about must not keep the others in doubt for ever
        logger.exception("lookup_broke message=%s", doubt.id)
        return Found(Lookup.UNKNOWN)


def _as_outgoing(message: Message) -> Outgoing:
    return Outgoing(
        client_id=message.client_id or "",
        to=messages.address(message),
        content=content_adapter.validate_python(message.content),
        send_by=0.0,
    )


async def _is_only_ours(tx: Tx, message_id: int, provider_id: str) -> bool:
    """WhatsApp's history names no message of ours, only a person and a time. What it found is a proof only if it
    can be no other message of this sender to that person: neither one that has this id, nor one still without."""
    doubt, other = aliased(Message), aliased(Message)
    rival = (
        select(other.id)
        .join(doubt, doubt.id == message_id)
        .where(
            other.id != message_id,
            or_(
                other.provider_id == provider_id,
                and_(
                    other.sender_id == doubt.sender_id,
                    other.contact_id == doubt.contact_id,
                    other.direction == "out",
                    other.provider_id.is_(None),
                    # A single message that waits was never with WhatsApp; a campaign's may have been, and resent.
                    or_(other.state != "queued", other.recipient_id.is_not(None)),
                ),
            ),
        )
        .limit(1)
    )
    return (await tx.execute(rival)).first() is None


async def _close_doubt(platform: Platform, message_id: int, provider_id: str | None) -> str | None:
    """The state it came to; None when a receipt was faster."""
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        if provider_id and not await _is_only_ours(tx, message_id, provider_id):
            provider_id = None
        state = "sent" if provider_id else "unknown"
        result = await tx.execute(
            update(Message)
            .where(Message.id == message_id, Message.state == "in_doubt", Message.receipt == 0)
            .values(
                state=state,
                reason=None if provider_id else Message.reason,
                provider_id=func.coalesce(Message.provider_id, provider_id),
                settled_at=now,
            )
        )
        if not result.rowcount:  # type: ignore[attr-defined]
            return None
        await messages.moved(tx, state, [message_id], at=now)
    return state

"""How single messages leave: by the same road, on the same budget and settled by the same functions as a campaign's."""

import asyncio
import logging
import math
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_hex

from sqlalchemy import select, text

from core import bulk, chats, consents, media_uploads, messages, pacing, senders, sending, settling
from core.bootstrap import Platform
from core.content import Content, content_adapter, handed
from core.database import Tx, is_postgres
from core.dispatch import LONG_WAIT_S, LOOK_S, TOKEN_REPLACED, Loop, Plan
from core.models import Message, Sender
from core.permission import Rules, look_at
from core.ports import Capabilities, Connector, Outgoing
from core.sending import Intent, SenderGate
from core.settings import Settings
from core.settling import Answer

_WAITING = "messages.state = 'queued' AND messages.recipient_id IS NULL"
"""As the indexes of the outbox say it, word by word."""
_AT_ONCE = 16  # unsettled of one sender, at most
_LOOK_AHEAD = 4  # rows looked at for each that may leave: some are for a person whose last one is still under way
_AHEAD = 2  # a campaign reserves less far ahead, so a single message finds a slot beside it
_POLL_S = 1.0
_EXPIRE_BATCH = 500
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Intended:
    """`contact_ids` by message. `wait_s` till there may be more to do; None: nothing waits."""

    intents: list[Intent]
    contact_ids: Mapping[int, int]
    wait_s: float | None


async def intend(
    tx: Tx,
    gate: SenderGate,
    *,
    busy: Collection[int],
    limit: int,
    capabilities: Capabilities,
    settings: Settings,
    now: datetime,
    monotonic: float,
) -> Intended:
    """Commit to as many due messages of the sender as pace and caps allow, at most one to a person at a time, so that
    they arrive in the order they were given in; not to those in `busy`. Everything that may forbid a message is looked
    at here, with the contacts' rows locked: after an opt-out commits, no intent commits."""
    found = await _due(tx, gate.sender.id, busy=busy, limit=limit * _LOOK_AHEAD, now=now)
    if not found:
        return Intended([], {}, None)
    files = {row.media_id for row in found if row.media_id is not None}
    handles = await media_uploads.handles(tx, gate.sender.id, files, now=now)
    rows = [row for row in found if row.media_id is None or row.media_id in handles]  # one may just have lapsed
    first = {row.contact_id: row for row in reversed(rows)}
    chosen = [row for row in rows if first[row.contact_id] is row][:limit]
    await consents.lock(tx, [row.contact_id or 0 for row in chosen])
    fit, opens = await _permitted(tx, gate, chosen, capabilities=capabilities, settings=settings, now=now)
    fit = await _within_caps(tx, gate.sender, fit, opens, now=now)
    step_s = 1 / gate.sender.rate
    ahead_s = min(max(settings.pace_ahead_s, step_s) * _AHEAD, settings.send_by_s / 2)
    slots = pacing.reserve(gate.sender, len(fit), now=now, ahead_s=ahead_s)
    leaving = fit[: slots.count]
    if leaving:
        await _commit_to(tx, gate, leaving, sum(row.id in opens for row in leaving), settings=settings, now=now)
    intents = [
        Intent(
            message_id=row.id,
            recipient_id=None,
            token=row.lease_token or "",
            attempts=row.attempts,
            outgoing=_outgoing(row, handles, send_by=monotonic + _time_left_s(row, settings, now=now)),
            write_at=monotonic + slots.wait_s + place * slots.step_s + pacing.jitter_s(gate.sender, slots.step_s),
        )
        for place, row in enumerate(leaving)
    ]
    is_paced = len(leaving) < len(fit)
    is_whole = len(found) < limit * _LOOK_AHEAD and len(chosen) < limit
    wait_s = max(slots.wait_s if not slots.count else 0.0, settings.pace_ahead_s / 2) if is_paced else 0.0
    return Intended(
        intents,
        {row.id: row.contact_id or 0 for row in leaving},
        wait_s if is_paced or not is_whole else LOOK_S if leaving else 0.0,
    )


async def _due(tx: Tx, sender_id: int, *, busy: Collection[int], limit: int, now: datetime) -> Sequence[Message]:
    """Locked; those that another process has at this moment are passed over, and those whose file, or that of an
    earlier message to the same person, is still to be uploaded."""
    has_file = text(media_uploads.ready_for(tx)).bindparams(*media_uploads.times(now))
    query = (
        select(Message)
        .where(text(_WAITING), Message.sender_id == sender_id, Message.not_before <= now, has_file)
        .order_by(Message.not_before, Message.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if busy:
        query = query.where(Message.contact_id.not_in(busy))
    return (await tx.execute(query)).scalars().all()


async def _permitted(
    tx: Tx,
    gate: SenderGate,
    rows: Sequence[Message],
    *,
    capabilities: Capabilities,
    settings: Settings,
    now: datetime,
) -> tuple[list[Message], set[int]]:
    """Those that nothing forbids, and which of them open a conversation; the others have failed."""
    fit: list[Message] = []
    opens: set[int] = set()
    barred: dict[str, list[Message]] = {}
    for purpose in sorted({row.purpose or "" for row in rows}):
        rules = Rules.of(purpose, settings, capabilities)
        some = [row for row in rows if row.purpose == purpose]
        people = await look_at(tx, gate.sender.id, [row.contact_id or 0 for row in some], rules, now=now)
        for row in some:
            person = people.get(row.contact_id or 0)
            is_over = row.expires_at is not None and row.expires_at <= now
            if reason := "expired" if is_over else rules.bar(person, _content(row)):
                barred.setdefault(reason, []).append(row)
                continue
            fit.append(row)
            if person is not None and not person.recent:
                opens.add(row.id)
    for reason, some in barred.items():
        await fail(tx, some, reason, at=now)
    return sorted(fit, key=rows.index), opens


async def _within_caps(
    tx: Tx, sender: Sender, rows: Sequence[Message], opens: Collection[int], *, now: datetime
) -> list[Message]:
    """An answer in an open conversation is not held up by those that would open one too many."""
    left = await pacing.allowance(tx, sender, now=now)
    if rows and left.messages == 0:
        pacing.rest(sender, until=pacing.next_hour(now))
        return []
    rows = rows[: left.messages]
    fit = []
    for row, is_one_too_many in zip(rows, pacing.too_many([row.id in opens for row in rows], left), strict=True):
        if is_one_too_many:
            row.not_before, row.reason = pacing.next_hour(now), "conversation_cap"
        else:
            fit.append(row)
    await tx.flush()
    return fit


async def _commit_to(
    tx: Tx, gate: SenderGate, rows: Sequence[Message], opened: int, *, settings: Settings, now: datetime
) -> None:
    token = token_hex(8)
    for row in rows:
        row.state, row.reason, row.at = "intent", None, now
        row.attempts += 1
        row.lease_token, row.lease_until = token, now + timedelta(seconds=settings.lease_s)
    await tx.flush()
    await chats.remember_talk(tx, gate.sender.id, [row.contact_id or 0 for row in rows], now=now)
    arrives_by = now + settings.arrives_within
    await pacing.count(tx, gate.sender.id, messages=len(rows), conversations=opened, arrives_by=arrives_by)


async def fail(tx: Tx, rows: Sequence[Message], reason: str, *, at: datetime) -> None:
    """These will not leave; nothing was handed over for them."""
    for row in rows:
        row.state, row.reason, row.settled_at = "failed", reason, at
    await tx.flush()
    await messages.moved(tx, "failed", [row.id for row in rows], chats=messages.chats_of(rows), at=at)


def _content(row: Message) -> Content:
    return content_adapter.validate_python(row.content)


def _outgoing(row: Message, handles: Mapping[int, str], *, send_by: float) -> Outgoing:
    return Outgoing(
        client_id=row.client_id or "",
        to=messages.address(row),
        content=handed(_content(row), handles),
        send_by=send_by,
        reply_to=row.reply_to,
    )


def _time_left_s(row: Message, settings: Settings, *, now: datetime) -> float:
    left_s = math.inf if row.expires_at is None else (row.expires_at - now).total_seconds()
    return min(settings.send_by_s, left_s)


async def expire(platform: Platform) -> int:
    """What nobody let out in time has failed, also while its sender is paused; returns how many."""
    late = f"SELECT id FROM messages WHERE {_WAITING} AND expires_at <= :now ORDER BY expires_at"
    expired = 0
    while True:
        async with platform.database.reading() as tx:
            if not (await bulk.run(tx, f"{late} LIMIT 1", now=await platform.clock.now(tx))).first():
                return expired
        async with platform.database.transaction() as tx:
            now = await platform.clock.now(tx)
            lock = "FOR UPDATE SKIP LOCKED" if is_postgres(tx) else ""
            ids = (await bulk.run(tx, f"{late} LIMIT {_EXPIRE_BATCH} {lock}", now=now)).scalars().all()
            rows = (await tx.execute(select(Message).where(Message.id.in_(ids)))).scalars().all()
            await fail(tx, rows, "expired", at=now)
        if not rows:
            return expired
        expired += len(rows)


async def waiting(platform: Platform) -> Sequence[Sender]:
    """The senders that may send now and have something to send."""
    async with platform.database.reading() as tx:
        now = await platform.clock.now(tx)
        found = await bulk.run(
            tx,
            f"""
            SELECT s.id FROM senders s JOIN switches w ON w.name = 'sending'
            WHERE w.is_on AND s.state = 'active' AND s.next_slot < :soon AND (
                SELECT 1 FROM messages WHERE {_WAITING} AND messages.sender_id = s.id
                AND messages.not_before <= {bulk.now(tx)} AND {media_uploads.ready_for(tx)} LIMIT 1
            ) IS NOT NULL
            """,
            soon=now.timestamp() + LONG_WAIT_S,
            now=now,
            since=now - media_uploads.GOOD_FOR,
        )
        ids = found.scalars().all()
        return (await tx.execute(select(Sender).where(Sender.id.in_(ids)))).scalars().all()


# ---- what runs in a process ---------------------------------------------------------------------------------


class Lane(Loop):
    """The single messages of one sender, out of this process; ends when nothing waits. `beside` are all lanes of the
    process: together they have no more than `send_concurrency` unsettled, whatever the number of senders."""

    def __init__(
        self, platform: Platform, connector: Connector, sender: Sender, *, beside: Mapping[int, "Lane"] | None = None
    ) -> None:
        super().__init__(platform, connector, name=f"sender={sender.id}")
        self._sender_id = sender.id
        self._beside = {} if beside is None else beside
        self._may_have = 0
        self._opened_with = sender.secrets
        self._under_way: dict[int, int] = {}
        self.is_nudged = False

    def nudge(self) -> None:
        """There may be more to send."""
        self.is_nudged = True
        self._woken.set()

    async def _wait(self, wait_s: float) -> None:
        await super()._wait(0.0 if self.is_nudged else wait_s)

    async def _turn(self) -> float:
        try:
            return await super()._turn()
        finally:
            self._may_have = 0

    @property
    def at_most_unsettled(self) -> int:
        """Now, or when the transaction under way commits."""
        return max(self._unsettled, self._may_have)

    def _room(self, unsettled: int) -> int:
        """How many more this lane may commit to. Each has its share, so that the first do not shut out the others."""
        most = self._settings.send_concurrency
        others = [lane.at_most_unsettled for lane in self._beside.values() if lane is not self]
        share = min(_AT_ONCE, max(1, most // (len(others) + 1)))
        return min(share, most - sum(others)) - unsettled

    async def _settle_and_intend(self, tx: Tx, answers: list[Answer]) -> Plan:
        self.is_nudged = False
        monotonic = time.monotonic()
        now = await self._platform.clock.now(tx)
        gate = await sending.sender_gate(tx, self._sender_id)
        is_outdated = self._opened_with != gate.sender.secrets
        holds_contacts = bool(answers) and await settling.settle(
            tx, gate, answers, settings=self._settings, now=now, token_was_replaced=is_outdated
        )
        for answer in answers:
            self._under_way.pop(answer.intent.message_id, None)
        stop = self._stop or gate.shut or (TOKEN_REPLACED if is_outdated else None)
        if stop is None and gate.sender.next_slot - now.timestamp() > LONG_WAIT_S:
            stop = "no_slot"
        unsettled = self._unsettled - len(answers)
        if stop is None:
            free = self._room(unsettled)
            if free <= 0 or holds_contacts:
                return Plan(intents=[], stop=None, wait_s=0.0 if holds_contacts else LOOK_S)
            self._may_have = unsettled + free
            intended = await intend(
                tx,
                gate,
                busy=self._under_way.values(),
                limit=free,
                capabilities=self._connector.capabilities,
                settings=self._settings,
                now=now,
                monotonic=monotonic,
            )
            if intended.wait_s is not None:
                self._under_way |= intended.contact_ids
                return Plan(intents=intended.intents, stop=None, wait_s=intended.wait_s)
            stop = "queue_empty"
        # What comes in while an answer is awaited is not to wait for that answer.
        return Plan(intents=[], stop=self._stop if unsettled else stop, wait_s=LOOK_S)

    def _rolled_back(self, plan: Plan) -> None:
        """Nothing was taken up that the database does not know."""


class Outbox:
    """`run` lets out what waits, at once after `wake` and otherwise each second: another process may have died over
    it. Each sender has a lane of its own, so that none waits for another."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._woken = asyncio.Event()
        self._lanes: dict[int, Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        try:
            while True:
                self._woken.clear()
                try:
                    await expire(self._platform)
                    for sender in await waiting(self._platform):
                        await self._let_out(sender)
                except Exception:  # the database may be restarting; what waits is safe in it
                    logger.exception("outbox_stalled")
                with suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_S):
                        await self._woken.wait()
        finally:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _let_out(self, sender: Sender) -> None:
        if (lane := self._lanes.get(sender.id)) is not None:
            lane.nudge()
            return
        connector = await self._platform.connectors.open(senders.config(sender, self._platform.key))
        lane = self._lanes[sender.id] = Lane(self._platform, connector, sender, beside=self._lanes)
        task = asyncio.create_task(self._run(sender.id, lane, connector))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, sender_id: int, lane: Lane, connector: Connector) -> None:
        try:
            rest = await lane.run(seconds=math.inf)
            if lane.is_nudged or rest.why == TOKEN_REPLACED:  # it looked for the last time before that
                self.wake()
        except Exception:  # its intents come in doubt when their lease lapses; the queue is looked at again
            logger.exception("lane_stalled sender=%s", sender_id)
        finally:
            del self._lanes[sender_id]
            await connector.close()

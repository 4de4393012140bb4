"""Everything at once, in an order drawn by lot: whatever dies whenever, at rest the books agree with WhatsApp's."""

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select, text

import scenes
from core import campaigns, consents, messages, senders, sending, settling, templates
from core.bootstrap import Platform
from core.errors import Conflict
from core.models import Identity, Message, Recipient, Suppression
from core.ports import (
    Accepted,
    Ambiguous,
    Expired,
    Found,
    Lookup,
    PermanentRecipient,
    RateLimited,
    Receipt,
    Retryable,
    SendError,
    SessionLost,
)
from core.sending import Claimed, Intent
from core.settling import Answer
from fakes import ANYTHING, FakeClock, FakeConnector

PEOPLE = 14
_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
_LOG_MOVES_SQLITE = """
    CREATE TRIGGER moves AFTER UPDATE OF state ON messages WHEN OLD.state <> NEW.state
    BEGIN INSERT INTO moves VALUES (OLD.state, NEW.state); END
"""
_LOG_MOVES_POSTGRES = (
    """
    CREATE FUNCTION log_move() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO moves VALUES (OLD.state, NEW.state); RETURN NULL; END $$
    """,
    """
    CREATE TRIGGER moves AFTER UPDATE ON messages FOR EACH ROW WHEN (OLD.state <> NEW.state)
    EXECUTE FUNCTION log_move()
    """,
)


@dataclass
class Process:
    """What a run holds in memory, and loses when it dies."""

    claims: list[Claimed] = field(default_factory=list)
    intents: list[tuple[Intent, float]] = field(default_factory=list)  # with the moment of its commit
    answers: list[Answer] = field(default_factory=list)


class World:
    """One campaign, three processes that run it, and a WhatsApp that knows the truth."""

    def __init__(self, platform: Platform, connector: FakeConnector, clock: FakeClock, seed: int) -> None:
        self.platform, self.connector, self.clock = platform, connector, clock
        self.chance = random.Random(seed)
        self.processes = [Process() for _ in range(3)]
        self.effects: Counter[str] = Counter()  # by phone
        self.on_their_way: list[Receipt] = []
        self.heard: set[str] = set()  # client ids of which a webhook was answered by us
        self.lease_at_stop: dict[int, str | None] = {}
        self.accepted = 0
        self.history: list[str] = []

    async def begin(self) -> None:
        await scenes.people(self.platform, PEOPLE)
        sender = await scenes.a_sender(self.platform)
        self.campaign_id: int = (await scenes.a_campaign(self.platform, sender)).id
        await scenes.launched(self.platform, self.campaign_id)
        async with self.platform.database.transaction() as tx:
            await tx.execute(text("CREATE TABLE moves (before text, after text)"))
            made = _LOG_MOVES_POSTGRES if self.platform.database.is_postgres else (_LOG_MOVES_SQLITE,)
            for statement in made:
                await tx.execute(text(statement))

    # -- what a run does ------------------------------------------------------------------------------------

    async def claim(self, process: Process) -> None:
        async with self.platform.database.transaction() as tx:
            gate = await sending.gate(tx, self.campaign_id)
            if gate.shut is None:
                process.claims += await sending.claim(
                    tx,
                    gate.campaign,
                    await templates.family(tx, gate.campaign.template_id),
                    installation=self.platform.installation,
                    limit=self.chance.randint(1, 5),
                    now=await self.clock.now(tx),
                    settings=self.platform.settings,
                )

    async def intend(self, process: Process) -> None:
        async with self.platform.database.transaction() as tx:
            monotonic, now = time.monotonic(), await self.clock.now(tx)
            gate = await sending.gate(tx, self.campaign_id)
            if gate.shut is not None:
                await sending.release(tx, process.claims)
                process.claims = []
                return
            intended = await sending.intend(
                tx,
                gate,
                process.claims,
                capabilities=ANYTHING,
                settings=self.platform.settings,
                now=now,
                monotonic=monotonic,
            )
        process.claims = intended.kept
        process.intents += [(one, self.clock.ahead.total_seconds()) for one in intended.intents]

    async def hand_over(self, process: Process) -> None:
        if not process.intents:
            return
        intent, committed = process.intents.pop(self.chance.randrange(len(process.intents)))
        if self.clock.ahead.total_seconds() - committed > self.platform.settings.send_by_s:
            process.answers.append(Answer(intent, Expired("too_late")))  # the connector looks right before it writes
            return
        process.answers.append(Answer(intent, self._whatsapp(intent)))

    def _whatsapp(self, intent: Intent) -> Accepted | SendError:
        name = intent.outgoing.client_id
        nothing: list[SendError] = [
            Retryable("busy"),
            Expired("too_late"),
            PermanentRecipient("not_on_whatsapp"),
            RateLimited("too_fast", scope="pair", retry_after_s=6),
            SessionLost("token_expired"),
            Ambiguous("reset"),
        ]
        if self.chance.random() < 0.35:
            return self.chance.choices(nothing, weights=[3, 2, 2, 2, 1, 4])[0]
        self.accepted += 1
        provider_id = f"wamid.{self.accepted}"
        fails = self.chance.random() < 0.15
        statuses = ["failed"] if fails else ["sent", "delivered", "read"][: self.chance.randint(1, 3)]
        if not fails:
            self.effects[intent.outgoing.to.value] += 1
            if self.chance.random() < 0.3:
                self.connector.lookups[name] = Found(Lookup.ACCEPTED, provider_id)
        is_mute = not fails and self.chance.random() < 0.25  # all its webhooks get lost
        for status in [] if is_mute else statuses:
            error = PermanentRecipient("undeliverable") if status == "failed" else None
            receipt = Receipt(provider_id, name, status, _AT, error)  # type: ignore[arg-type]
            self.on_their_way += [receipt] * self.chance.choice([1, 1, 2])
        return Ambiguous("timeout") if self.chance.random() < 0.25 else Accepted(provider_id)

    async def settle(self, process: Process) -> None:
        count = self.chance.randint(0, len(process.answers))
        answers, process.answers = process.answers[:count], process.answers[count:]
        if self.chance.random() < 0.1:  # the commit went through but nobody heard: it is done again
            process.answers += answers
        async with self.platform.database.transaction() as tx:
            now = await self.clock.now(tx)
            gate = await sending.gate(tx, self.campaign_id)
            await settling.settle(tx, gate, answers, settings=self.platform.settings, now=now)

    async def die(self, process: Process) -> None:
        process.claims, process.intents, process.answers = [], [], []

    # -- what others do -------------------------------------------------------------------------------------

    async def hear(self, receipts: Sequence[Receipt]) -> None:
        async with self.platform.database.transaction() as tx:
            await messages.apply_receipts(tx, receipts, at=await self.clock.now(tx))
        self.heard.update(receipt.client_id or "" for receipt in receipts)

    async def hear_some(self) -> None:
        self.chance.shuffle(self.on_their_way)
        count = self.chance.randint(0, len(self.on_their_way))
        some, self.on_their_way = self.on_their_way[:count], self.on_their_way[count:]
        await self.hear(some)

    async def opt_out(self) -> None:
        contact_id = self.chance.randint(1, PEOPLE)
        async with self.platform.database.transaction() as tx:
            now = await self.clock.now(tx)
            if await consents.opt_out(tx, contact_id, reason="asked", source="test", at=now):
                self.lease_at_stop[contact_id] = await self._lease_of(contact_id)

    async def _lease_of(self, contact_id: int) -> str | None:
        """Each intent has a lease of its own: as long as it is the same there was no other."""
        async with self.platform.database.reading() as tx:
            return (await tx.execute(select(Message.lease_token).where(Message.contact_id == contact_id))).scalar()

    async def steer(self) -> None:
        async with self.platform.database.transaction() as tx:
            now = await self.clock.now(tx)
            match self.chance.choice(["pause", "resume", "resume", "off", "on", "on", "sender"]):
                case "pause":
                    move = campaigns.pause(tx, self.campaign_id, at=now)
                case "resume":
                    move = campaigns.resume(tx, self.campaign_id, at=now)
                case "sender":
                    await senders.move(tx, await senders.get(tx, 1), senders.ACTIVE, reason="", at=now)
                    return
                case switch:
                    await senders.turn_sending(tx, is_on=switch == "on", reason="", at=now)
                    return
            try:
                await move
            except Conflict:
                return

    async def cancel(self) -> None:
        async with self.platform.database.transaction() as tx:
            if not await self._is_over() and self.chance.random() < 0.15:
                await campaigns.cancel(tx, self.campaign_id, at=await self.clock.now(tx))

    async def let_time_pass(self) -> None:
        self.clock.advance(seconds=self.chance.choice([0.2, 0.2, 1, 1, 3, 7, 40, 700]))
        await settling.reconcile(self.platform)

    async def step(self) -> None:
        process = self.chance.choice(self.processes)
        name = self.chance.choices(
            [
                "claim",
                "intend",
                "hand_over",
                "settle",
                "die",
                "hear_some",
                "opt_out",
                "steer",
                "cancel",
                "let_time_pass",
            ],
            weights=[10, 14, 24, 14, 3, 6, 2, 4, 1, 6],
        )[0]
        self.history.append(f"{name} {self.processes.index(process)}")
        if name in {"claim", "intend", "hand_over", "settle", "die"}:
            await getattr(self, name)(process)
        else:
            await getattr(self, name)()

    # -- at rest --------------------------------------------------------------------------------------------

    async def come_to_rest(self) -> None:
        for _ in range(40):
            async with self.platform.database.transaction() as tx:
                now = await self.clock.now(tx)
                await senders.turn_sending(tx, is_on=True, reason="", at=now)
                await senders.move(tx, await senders.get(tx, 1), senders.ACTIVE, reason="", at=now)
                if (await campaigns.get(tx, self.campaign_id)).state == campaigns.PAUSED:
                    await campaigns.resume(tx, self.campaign_id, at=now)
            for process in self.processes:
                if not process.claims and not await self._is_over():
                    await self.claim(process)
                await self.intend(process)
                while process.intents:
                    await self.hand_over(process)
                while process.answers:
                    await self.settle(process)
            heard, self.on_their_way = self.on_their_way, []
            await self.hear(heard)
            self.clock.advance(seconds=150)
            await settling.reconcile(self.platform)
            progress = await scenes.progress(self.platform, self.campaign_id)
            if not progress.queued and not progress.sending:
                return

    async def _is_over(self) -> bool:
        async with self.platform.database.reading() as tx:
            return bool((await campaigns.get(tx, self.campaign_id)).state == campaigns.CANCELLED)

    async def check(self) -> None:
        assert max(self.effects.values(), default=0) <= 1, "two effects for one person"
        async with self.platform.database.reading() as tx:
            rows = await tx.execute(
                select(Recipient, Identity.value, Message.client_id, Suppression.identity_hash)
                .join(Identity, Identity.contact_id == Recipient.contact_id)
                .outerjoin(Message, Message.recipient_id == Recipient.id)
                .outerjoin(Suppression, Suppression.identity_hash == Identity.value_hash)
            )
            found = rows.tuples().all()
            moves = (await tx.execute(text("SELECT before, after FROM moves"))).all()
            assert (await tx.execute(select(func.count()).select_from(Message))).scalar_one() <= PEOPLE
        assert len(found) == PEOPLE
        for recipient, phone, client_id, _ in found:
            told = f"{phone} is {recipient.state} ({recipient.reason}), effects: {self.effects[phone]}"
            assert recipient.state in {"sent", "failed", "skipped", "unknown"}, told
            if recipient.state == "sent":
                assert self.effects[phone] == 1, told
                assert recipient.sent_at is not None, told
            if recipient.state in {"failed", "skipped"}:
                assert self.effects[phone] == 0, told
                assert recipient.reason, told
            if recipient.state == "unknown":
                assert client_id not in self.heard, told
        for before, after in moves:
            assert after in messages.MOVES[before], f"{before} became {after}"
        for contact_id, then in self.lease_at_stop.items():
            assert await self._lease_of(contact_id) == then, f"an intent for {contact_id} after the opt-out"


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_happens_in_whatever_order_the_books_are_true(
    platform: Platform, connector: FakeConnector, clock: FakeClock, seed: int
) -> None:
    world = World(platform, connector, clock, seed)
    await world.begin()
    try:
        for _ in range(90):
            await world.step()
        await world.come_to_rest()
        await world.check()
    except AssertionError:
        print("\n".join(world.history))
        raise

"""A world in which anything may happen at any moment: what a test does in it, and what must be true at its end."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

import chronicle
import scenes
from connectors.cloud_webhook import parse
from core import (
    campaigns,
    inbox,
    judging,
    merges,
    messages,
    outcomes,
    planning,
    retrying,
    senders,
    sending,
    settling,
    variants,
)
from core.bootstrap import Platform
from core.database import Tx, is_passing
from core.errors import Conflict, NotFound
from core.models import InboxItem, Message, Recipient
from core.ports import (
    Accepted,
    Ambiguous,
    Expired,
    Found,
    Lookup,
    Outgoing,
    PermanentRecipient,
    RateLimited,
    Retryable,
    SenderConfig,
    SendError,
    SessionLost,
)
from core.sending import Claimed, Intent
from core.settling import Answer
from fakes import ANYTHING, FakeClock, FakeConnector

_STOPS = ("STOP", "Unsubscribe", "توقف", "إلغاء الاشتراك", "menu")
_STARTS = ("start", "اشتراك")
_NOT_ON_WHATSAPP, _STOPPED = 131026, 131050
_AT = "1772366400"
_DIVIDED: dict[str, Any] = {
    "canary": {"percent": 40, "hold_minutes": 0.05, "max_failed_percent": 40, "max_opted_out_percent": None},
    "variants": [{"name": "A"}, {"name": "B"}],
    "holdout_percent": 10.0,
}


def phone(contact_id: int) -> str:
    return f"+9665{contact_id - 1:08d}"


def _webhook(kind: str, number: str, **value: Any) -> bytes:
    value = {"metadata": {"phone_number_id": number}, **value}
    return orjson.dumps({"entry": [{"id": "waba", "changes": [{"field": kind, "value": value}]}]})


@dataclass(frozen=True, slots=True)
class Effect:
    """A message that reached a phone, and the line of the chronicle that is its intent."""

    client_id: str
    address: str
    intent: int


class WhatsApp:
    """Knows the truth: what reached whom, by which intent. `posts` are the webhooks on their way to us."""

    def __init__(self, platform: Platform) -> None:
        self.chance = random.Random(0)
        self.reached: list[Effect] = []
        self.posts: list[tuple[bytes, str | None]] = []  # with the client id it is proof of
        self.database = platform.database
        self.accepted = 0
        self.numbers: dict[str, Number] = {}

    async def open(self, sender: SenderConfig) -> "Number":
        return self.number(sender.phone_number_id)

    def number(self, name: str) -> "Number":
        return self.numbers.setdefault(name, Number(self, name))

    async def close(self) -> None: ...


class Number(FakeConnector):
    """One of WhatsApp's numbers."""

    def __init__(self, whatsapp: WhatsApp, name: str) -> None:
        super().__init__()
        self._whatsapp, self._name = whatsapp, name

    async def send(self, message: Outgoing) -> Accepted:
        intent = await chronicle.last_intent(self._whatsapp.database, message.client_id)
        await asyncio.sleep(self._whatsapp.chance.choice([0, 0, 0.002, 0.01, 0.03]))
        answer = self._take(message, intent)
        if isinstance(answer, SendError):
            raise answer
        return answer

    async def take(self, message: Outgoing) -> Accepted | SendError:
        return self._take(message, await chronicle.last_intent(self._whatsapp.database, message.client_id))

    def _take(self, message: Outgoing, intent: int | None) -> Accepted | SendError:
        chance = self._whatsapp.chance
        assert intent is not None, "handed over without a committed intent"
        refusals: list[SendError] = [
            Retryable("busy"),
            Expired("too_late"),
            PermanentRecipient("not_on_whatsapp"),
            PermanentRecipient("user_stopped_marketing", opted_out=True),
            RateLimited("too_fast", scope="pair", retry_after_s=6),
            SessionLost("token_expired"),
            Ambiguous("reset"),
        ]
        if chance.random() < 0.35:
            return chance.choices(refusals, weights=[3, 2, 3, 1, 2, 1, 4])[0]
        self._whatsapp.accepted += 1
        provider_id = f"wamid.{self._name}.{self._whatsapp.accepted}"
        fails = chance.random() < 0.15
        if not fails:
            self._whatsapp.reached.append(Effect(message.client_id, message.to.value, intent))
            if chance.random() < 0.3:
                self.lookups[message.client_id] = Found(Lookup.ACCEPTED, provider_id)
        statuses = ["failed"] if fails else ["sent", "delivered", "read"][: chance.randint(1, 3)]
        is_mute = not fails and chance.random() < 0.25  # all its webhooks get lost
        for status in [] if is_mute else statuses:
            said: dict[str, Any] = {
                "id": provider_id,
                "status": status,
                "timestamp": _AT,
                "biz_opaque_callback_data": f"wq1:{message.client_id}",
            }
            if fails:
                said["errors"] = [{"code": chance.choice([_NOT_ON_WHATSAPP, _STOPPED])}]
            post = (_webhook("messages", self._name, statuses=[said]), message.client_id)
            # A failure is told once here: told again while a later attempt is on its way, it is taken for that one's.
            self._whatsapp.posts += [post] * (1 if fails else chance.choice([1, 1, 2]))
        return Ambiguous("timeout") if chance.random() < 0.25 else Accepted(provider_id)


@dataclass
class Process:
    """What a run of one campaign holds in memory, and loses when it dies."""

    campaign_id: int
    number: str
    claims: list[Claimed] = field(default_factory=list)
    intents: list[tuple[Intent, float]] = field(default_factory=list)  # with the moment of its commit
    answers: list[Answer] = field(default_factory=list)


class World:
    """Two campaigns of two senders to the same people. Each deed is drawn by its own seed: without one of them the
    others stay what they are."""

    def __init__(self, platform: Platform, clock: FakeClock, *, people: int = 12) -> None:
        self.whatsapp = WhatsApp(platform)
        self.platform = replace(platform, connectors=self.whatsapp)
        self.clock, self.people = clock, people
        self.chance = random.Random(0)
        self.processes: list[Process] = []
        self.campaign_ids: list[int] = []
        self.merges: list[int] = []
        self.heard: set[str] = set()  # client ids of which a webhook was answered by us
        self.resent = 0
        self.broken: list[str] = []  # deeds that the database broke off
        self.said = 0
        self.arriving = 0
        self.history: list[str] = []

    async def begin(self) -> None:
        await scenes.people(self.platform, self.people)
        for name in ("shop", "bank"):
            sender = await scenes.a_sender(self.platform, name=name)
            divided = {} if name == "shop" else _DIVIDED
            campaign = await scenes.a_campaign(self.platform, sender, name=name, cloud_name=name, **divided)
            self.campaign_ids.append(campaign.id)
            self.processes += [Process(campaign.id, sender.phone_number_id) for _ in range(2)]
        async with self.platform.database.transaction() as tx:
            await chronicle.begin(tx, is_postgres=self.platform.database.is_postgres)

    async def do(self, name: str, seed: int) -> None:
        """One deed. What its rules forbid is forbidden, and leaves nothing behind."""
        self.chance = self.whatsapp.chance = random.Random(seed)
        self.history.append(f"{name} {seed}")
        deed: Callable[[], Awaitable[None]] = getattr(self, name)
        try:
            await deed()
        except (Conflict, NotFound):
            return
        except DBAPIError as error:
            if not is_passing(error):
                raise
            self.broken.append(f"{name}: {error.orig}")

    @asynccontextmanager
    async def _changing(self) -> Any:
        async with self.platform.database.transaction() as tx:
            yield tx, await self.clock.now(tx)

    def _campaign(self) -> int:
        return self.chance.choice(self.campaign_ids)

    # -- what a run does, step by step --------------------------------------------------------------------------

    async def claim(self, process: Process | None = None) -> None:
        process = process or self.chance.choice(self.processes)
        async with self._changing() as (tx, now):
            gate = await sending.gate(tx, process.campaign_id)
            if gate.shut is None:
                process.claims += await sending.claim(
                    tx,
                    gate.campaign,
                    await variants.families(tx, gate.campaign),
                    installation=self.platform.installation,
                    limit=self.chance.randint(1, 5),
                    now=now,
                    settings=self.platform.settings,
                )

    async def intend(self, process: Process | None = None) -> None:
        process = process or self.chance.choice(self.processes)
        async with self._changing() as (tx, now):
            monotonic = time.monotonic()
            gate = await sending.gate(tx, process.campaign_id)
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

    async def hand_over(self, process: Process | None = None) -> None:
        process = process or self.chance.choice(self.processes)
        if not process.intents:
            return
        intent, committed = process.intents.pop(self.chance.randrange(len(process.intents)))
        is_late = self.clock.ahead.total_seconds() - committed > self.platform.settings.send_by_s
        # The connector looks at the time right before it writes.
        answer = Expired("too_late") if is_late else await self.whatsapp.number(process.number).take(intent.outgoing)
        process.answers.append(Answer(intent, answer))

    async def settle(self, process: Process | None = None) -> None:
        process = process or self.chance.choice(self.processes)
        count = self.chance.randint(0, len(process.answers))
        answers, process.answers = process.answers[:count], process.answers[count:]
        if self.chance.random() < 0.1:  # the commit went through but nobody heard: it is done again
            process.answers += answers
        async with self._changing() as (tx, now):
            gate = await sending.gate(tx, process.campaign_id)
            await settling.settle(tx, gate, answers, settings=self.platform.settings, now=now)

    async def die(self) -> None:
        process = self.chance.choice(self.processes)
        process.claims, process.intents, process.answers = [], [], []

    # -- what people and the operator do ------------------------------------------------------------------------

    async def stop(self) -> None:
        if self.chance.random() < 0.3:
            said = {"wa_id": self._someone(), "value": "stop", "category": "marketing_messages", "timestamp": _AT}
            self._post(
                _webhook("user_preferences", self.chance.choice(("id-shop", "id-bank")), user_preferences=[said])
            )
        else:
            self._say(self.chance.choice(_STOPS))

    async def start(self) -> None:
        self._say(self.chance.choice(_STARTS))

    def _say(self, words: str) -> None:
        self.said += 1
        said = {"from": self._someone(), "id": f"in.{self.said}", "timestamp": _AT, "type": "text"}
        number = self.chance.choice(("id-shop", "id-bank"))
        self._post(_webhook("messages", number, messages=[said | {"text": {"body": words}}]))

    def _someone(self) -> str:
        return phone(self.chance.randint(1, self.people)).removeprefix("+")

    def _post(self, body: bytes) -> None:
        self.whatsapp.posts.append((body, None))

    async def hear(self) -> None:
        """Webhooks arrive: any, in any order."""
        posts = self.whatsapp.posts
        self.chance.shuffle(posts)
        some = [posts.pop() for _ in range(self.chance.randint(0, len(posts)))]
        await self._hear(some)

    async def _hear(self, posts: Sequence[tuple[bytes, str | None]]) -> None:
        self.arriving += 1
        try:
            async with self._changing() as (tx, now):
                if posts:
                    await inbox.store(tx, *(body for body, _ in posts), at=now)
        except BaseException:  # not answered: they come again
            self.whatsapp.posts += posts
            raise
        finally:
            self.arriving -= 1
        self.heard.update(client_id for _, client_id in posts if client_id)

    async def apply(self) -> None:
        await inbox.apply_waiting(self.platform, parse)

    async def launch(self) -> None:
        async with self._changing() as (tx, now):
            await campaigns.launch(tx, self._campaign(), at=now)

    async def another(self) -> None:
        """One more campaign, running."""
        self.said += 1
        name = f"campaign {self.said}"
        async with self.platform.database.reading() as tx:
            sender = await senders.get(tx, self.chance.randint(1, 2))
        divided = _DIVIDED if self.chance.random() < 0.5 else {}
        campaign = await scenes.a_campaign(self.platform, sender, name=name, cloud_name=sender.name, **divided)
        self.campaign_ids.append(campaign.id)
        async with self._changing() as (tx, now):
            await campaigns.launch(tx, campaign.id, at=now)

    async def plan(self) -> None:
        async with self._changing() as (tx, now):
            await planning.plan_chunk(tx, self._campaign(), at=now, size=self.chance.choice([2, 5, 20]))

    async def pause(self) -> None:
        async with self._changing() as (tx, now):
            await campaigns.pause(tx, self._campaign(), at=now)

    async def resume(self) -> None:
        async with self._changing() as (tx, now):
            await campaigns.resume(tx, self._campaign(), at=now)

    async def cancel(self) -> None:
        async with self._changing() as (tx, now):
            await campaigns.cancel(tx, self._campaign(), at=now)

    async def finish(self) -> None:
        async with self._changing() as (tx, now):
            await campaigns.finish_if_done(tx, self._campaign(), at=now)

    async def look(self) -> None:
        """At the canary: nobody else was written to so far."""
        async with self._changing() as (tx, now):
            campaign = await judging.look(tx, self._campaign(), at=now)
            others = [*outcomes.of_occurrence(campaign.id, campaign.occurrence), Recipient.wave.is_(None)]
            waits = Recipient.state.in_(("queued", "skipped"))
            early = (await tx.execute(select(Recipient.id).where(*others, ~waits))).all()
            assert campaign.wave is None or not early, f"written to before the canary was judged: {early}"

    async def go_on(self) -> None:
        async with self._changing() as (tx, now):
            await judging.go_on(tx, self._campaign(), variant=self.chance.choice(["B", None]), at=now)

    async def retry(self) -> None:
        async with self._changing() as (tx, now):
            await retrying.retry_failed(tx, self._campaign(), at=now)

    async def resend(self) -> None:
        """Unknowns, by a person's word for as many as there are."""
        campaign_id = self._campaign()
        async with self._changing() as (tx, now):
            await campaigns.get(tx, campaign_id, lock=True)
            of_it = select(Recipient.id).where(Recipient.campaign_id == campaign_id, Recipient.state == "unknown")
            confirm = len((await tx.execute(of_it)).all())
            number = await retrying.resend_unknown(tx, campaign_id, confirm=confirm, at=now)
        self.resent += number

    async def merge(self) -> None:
        kept, gone = self.chance.sample(range(1, self.people + 1), 2)
        async with self._changing() as (tx, now):
            merge_id = (await merges.merge(tx, kept, gone, at=now)).id
        self.merges.append(merge_id)

    async def unmerge(self) -> None:
        if self.merges:
            merge_id = self.chance.choice(self.merges)
            async with self._changing() as (tx, now):
                await merges.unmerge(tx, merge_id, at=now)

    async def switch(self) -> None:
        is_on = self.chance.random() < 0.7
        async with self._changing() as (tx, now):
            await senders.turn_sending(tx, is_on=is_on, reason="", at=now)

    async def move_sender(self) -> None:
        state = self.chance.choice([senders.ACTIVE, senders.ACTIVE, senders.PAUSED])
        async with self._changing() as (tx, now):
            sender = await senders.get(tx, self.chance.randint(1, 2), lock=True)
            await senders.move(tx, sender, state, reason="", at=now)

    async def let_time_pass(self) -> None:
        self.clock.advance(seconds=self.chance.choice([0.2, 0.2, 1, 1, 3, 7, 40, 700]))
        await settling.reconcile(self.platform)

    # -- at rest ------------------------------------------------------------------------------------------------

    async def let_everything_go(self) -> None:
        """Nothing is switched off or paused any more, and every webhook arrives."""
        async with self._changing() as (tx, now):
            await senders.turn_sending(tx, is_on=True, reason="", at=now)
        for sender_id in (1, 2):
            async with self._changing() as (tx, now):
                await senders.move(tx, await senders.get(tx, sender_id, lock=True), senders.ACTIVE, reason="", at=now)
        for campaign_id in self.campaign_ids:
            async with self._changing() as (tx, now):
                if (await judging.look(tx, campaign_id, at=now)).state == campaigns.PAUSED:
                    await campaigns.resume(tx, campaign_id, at=now)
        posts, self.whatsapp.posts = self.whatsapp.posts, []
        await self._hear(posts)
        while await inbox.apply_waiting(self.platform, parse):
            pass

    async def come_to_rest(self) -> None:
        """Step by step, as the processes of this world go."""
        self.chance = self.whatsapp.chance = random.Random(0)
        for _ in range(40):
            await self.let_everything_go()
            for process in self.processes:
                async with self._changing() as (tx, now):
                    while await planning.plan_chunk(tx, process.campaign_id, at=now):
                        pass
                if not process.claims:
                    await self.claim(process)
                await self.intend(process)
                while process.intents:
                    await self.hand_over(process)
                while process.answers:
                    await self.settle(process)
            self.clock.advance(seconds=150)
            await settling.reconcile(self.platform)
            if await self.is_at_rest():
                return

    async def is_at_rest(self) -> bool:
        async with self.platform.database.reading() as tx:
            waiting = select(InboxItem.id).where(InboxItem.applied_at.is_(None))
            of_launched = select(Recipient.id).where(Recipient.state.in_(campaigns.UNFINISHED))
            is_idle = not (await tx.execute(of_launched.union_all(waiting))).all()
            return (
                is_idle
                and not self.whatsapp.posts
                and not self.arriving
                and all([await self._is_planned(tx, one) for one in self.campaign_ids])
            )

    async def _is_planned(self, tx: Tx, campaign_id: int) -> bool:
        campaign = await campaigns.get(tx, campaign_id)
        return campaign.state in (campaigns.DRAFT, campaigns.CANCELLED) or campaigns.planned(campaign)

    async def check(self) -> None:
        lines = await chronicle.read(self.platform.database)
        moves = [line for line in lines if line.what == "move"]
        for line in moves:
            assert line.detail in messages.MOVES[line.address], f"{line.address} became {line.detail}"
        after = chronicle.intents_after_a_stop(lines, self.platform.key)
        assert not after, f"intents after a stop had committed: {after}"
        async with self.platform.database.reading() as tx:
            rows = await tx.execute(
                select(Recipient, Message.client_id, Message.reason).outerjoin(
                    Message, Message.recipient_id == Recipient.id
                )
            )
            found = rows.tuples().all()
            errors = (await tx.execute(select(InboxItem.error).where(InboxItem.error.is_not(None)))).scalars().all()
        assert not errors, errors
        resent = Counter(line.name for line in moves if (line.address, line.detail) == ("unknown", "queued"))
        retried = {line.name for line in moves if (line.address, line.detail) == ("failed", "queued")}
        assert resent.total() == self.resent, "unknowns were repeated without a word"
        effects = Counter(one.client_id for one in self.whatsapp.reached)
        for recipient, client_id, _ in found:
            name, number = client_id or "", effects[client_id or ""]
            told = f"recipient {recipient.id} ({name}) is {recipient.state} ({recipient.reason}), effects: {number}"
            assert recipient.state in {"sent", "failed", "skipped", "unknown"}, told
            assert number <= 1 + resent[name], told
            if recipient.state == "sent":
                assert number >= 1, told
                assert recipient.sent_at is not None, told
            if recipient.state in {"failed", "skipped"}:
                assert number == 0, told
                assert recipient.reason, told
            if recipient.state == "unknown":
                assert name not in self.heard or name in retried or resent[name], told
        self._check_persons(lines, {name: one for one, name, _ in found if name and not resent[name]})

    def _check_persons(self, lines: Sequence[chronicle.Line], recipients: dict[str, Recipient]) -> None:
        """Nobody got two messages of one occurrence, counting as one who were one when the later was committed to.
        `recipients` are those to whom nobody wanted to risk to write twice."""
        intents = {line.seq: line for line in lines if line.what == "intent"}
        by_occurrence: dict[tuple[int, int], list[chronicle.Line]] = {}
        for effect in self.whatsapp.reached:
            if (recipient := recipients.get(effect.client_id)) is None:
                continue
            by_occurrence.setdefault((recipient.campaign_id, recipient.occurrence), []).append(intents[effect.intent])
        for reached in by_occurrence.values():
            reached.sort(key=lambda line: line.seq)
            for place, later in enumerate(reached):
                for first in reached[:place]:
                    reached_by = self.platform.key.hash("phone", first.address)
                    assert later.name == first.name or reached_by not in later.person, (
                        f"one person got two messages: {first} and {later}"
                    )

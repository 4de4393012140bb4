"""The loop that sends: each turn is one transaction that settles what came back and commits the next intents."""

import asyncio
import logging
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from core import campaigns, judging, media_uploads, sending, settling, variants
from core.bootstrap import Platform
from core.database import Tx, is_passing
from core.ports import Accepted, Ambiguous, Connector, Expired, SendError
from core.sending import Claimed, Gate, Intent
from core.settling import Answer
from core.variants import Families

_CLAIM_AT_ONCE = 256
_GATHER_S = 0.012  # answers that come close together are settled in one commit …
_GATHER = 64  # … or as soon as there are this many
_PLENTY = 16  # that came during a turn are not kept waiting: slots a millisecond apart would pass meanwhile
_BREATH_S = 0.002  # on SQLite there is one writer: between two turns others get at the database
LONG_WAIT_S = 5.0  # a slot further off than this, and than the sender's pace, is not worth a running process
LOOK_S = 0.5  # a pause is seen within this, also while nothing comes back
_RETRY_S = 1.0
MEDIA_UPLOADING = "media_uploading"
_CANARY_LOOK = timedelta(seconds=1)  # so long a canary goes on after a limit was passed
TOKEN_REPLACED = "token_replaced"  # noqa: S105  a reason
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rest:
    """Why a run stopped: `queue_empty`, `time_up`, `no_slot`, `lease_lost`, `token_replaced`, `media_uploading`,
    `interrupted`, or what shut the gate."""

    why: str
    handed_over: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What one turn decided; taken over only after its commit."""

    intents: list[Intent]
    stop: str | None
    wait_s: float
    claims: list[Claimed] = field(default_factory=list)


@dataclass(slots=True)
class _Flight:
    """`result` is at each moment what is known if the process is asked to end now: Prefect then cancels every task
    there is, also one that has not begun."""

    intent: Intent
    result: Accepted | SendError = field(default_factory=lambda: Expired("not_handed_over"))


class Loop(ABC):
    """Hands over what each turn commits to, until a turn says to stop. What a turn takes up, its heir knows. At most
    so many intents as that allows are without a settled answer at any time: a kill leaves no more in doubt."""

    def __init__(self, platform: Platform, connector: Connector, *, name: str) -> None:
        """`name` is what the log calls it by."""
        self._platform = platform
        self._settings = platform.settings
        self._connector = connector
        self._name = name
        self._claims: list[Claimed] = []
        self._answers: list[Answer] = []
        self._flying: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self._stop: str | None = None
        self._handed_over = 0
        self._unsettled = 0

    @abstractmethod
    async def _settle_and_intend(self, tx: Tx, answers: list[Answer]) -> Plan:
        """What one turn does in its transaction. Once `_stop` is set it commits to nothing more."""

    @abstractmethod
    def _rolled_back(self, plan: Plan) -> None:
        """The transaction failed, or whether it committed is not known: nothing was handed over."""

    async def run(self, *, seconds: float) -> Rest:
        """Send until the queue is empty, the gate shuts or the time is up; returns with everything settled."""
        deadline = time.monotonic() + seconds
        try:
            while True:
                if time.monotonic() >= deadline:
                    self._stop = self._stop or "time_up"
                wait_s = await self._turn()
                if self._stop and not self._unsettled and not self._claims:
                    return Rest(why=self._stop, handed_over=self._handed_over)
                await self._wait(wait_s)
        except BaseException:  # also a cancellation: what was handed over still gets its answer
            await self._wind_up()
            raise

    async def _turn(self) -> float:
        """One transaction. Returns the seconds until there is something to do, if nothing comes back before."""
        answers, self._answers = self._answers, []
        plan = Plan(intents=[], stop=None, wait_s=0)
        try:
            async with self._platform.database.transaction(brief=True) as tx:
                plan = await self._settle_and_intend(tx, answers)
        except BaseException as error:
            # Whether or not the commit went through, nothing was handed over for these intents: that is their
            # answer. The answers that were to be written down are still to be, also when we are being stopped.
            self._answers += answers + [Answer(one, Expired("not_handed_over")) for one in plan.intents]
            self._unsettled += len(plan.intents)
            self._rolled_back(plan)
            if not is_passing(error):
                raise
            logger.warning("turn_failed %s error=%s", self._name, type(error).__name__)
            await asyncio.sleep(_RETRY_S)
            return 0.0
        self._claims, self._stop = plan.claims, plan.stop or self._stop
        self._unsettled += len(plan.intents) - len(answers)
        self._handed_over += len(plan.intents)
        for intent in plan.intents:
            flight = _Flight(intent)
            task = asyncio.create_task(self._hand_over(flight))
            self._flying.add(task)
            task.add_done_callback(partial(self._landed, flight))
        return plan.wait_s

    async def _hand_over(self, flight: _Flight) -> None:
        if (wait_s := flight.intent.write_at - time.monotonic()) > 0:
            await asyncio.sleep(wait_s)
        flight.result = Ambiguous("in_doubt", "cancelled")
        try:
            flight.result = await self._connector.send(flight.intent.outgoing)
        except SendError as error:
            flight.result = error
        except Exception as error:  # a connector that breaks its contract must not lose the answer: it is in doubt
            logger.exception("connector_broke %s", self._name)
            flight.result = Ambiguous("connector_broke", type(error).__name__)

    def _landed(self, flight: _Flight, task: asyncio.Task[None]) -> None:
        self._flying.discard(task)
        self._answers.append(Answer(flight.intent, flight.result))
        self._woken.set()
        if not task.cancelled() and task.exception() is not None:  # raised by a handler of SIGTERM, just there
            self._stop = self._stop or "interrupted"

    async def _wait(self, wait_s: float) -> None:
        if not self._platform.database.is_postgres:
            await asyncio.sleep(_BREATH_S)
        if not self._answers and wait_s:
            await self._until_woken(min(wait_s, LOOK_S))
        if len(self._answers) >= _PLENTY:
            return
        enough = min(_GATHER, self._unsettled)
        until = time.monotonic() + _GATHER_S
        while 0 < len(self._answers) < enough and (left := until - time.monotonic()) > 0:
            await self._until_woken(left)

    async def _until_woken(self, seconds: float) -> None:
        self._woken.clear()
        # Not wait_for(): before Python 3.12 it swallows a cancellation that comes together with the answer.
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()

    async def _wind_up(self) -> None:
        """Stopped half-way: what was handed over still gets its answer, what was not goes back to the queue."""
        self._stop = "cancelled"
        until = time.monotonic() + self._settings.send_by_s + self._settings.request_timeout_s
        if self._flying:
            await asyncio.wait(self._flying, timeout=until - time.monotonic())
        try:
            await self._turn()
            while self._answers and time.monotonic() < until:
                await self._turn()
        except Exception:  # one answer that the database will not have must not take the others with it
            logger.exception("answers_refused %s", self._name)
            await self._settle_singly()

    async def _settle_singly(self) -> None:
        answers = self._answers
        for answer in answers:
            self._answers = [answer]
            try:
                await self._turn()
            except Exception:  # this answer is refused; the next ones are not to be lost with it
                logger.exception("answer_refused %s message=%s", self._name, answer.intent.message_id)


class Dispatcher(Loop):
    """Sends one campaign from this process; at most `send_concurrency` intents are without a settled answer."""

    def __init__(
        self,
        platform: Platform,
        connector: Connector,
        campaign_id: int,
        *,
        run_token: str,
        opened_with: bytes | None = None,
    ) -> None:
        """`opened_with`: the sender's secrets that the connector has, to notice when they were replaced."""
        super().__init__(platform, connector, name=f"campaign={campaign_id}")
        self._campaign_id = campaign_id
        self._run_token = run_token
        self._opened_with = opened_with
        self._families: Families | None = None
        self._lease_until = self._look_at = datetime.min.replace(tzinfo=UTC)

    async def _settle_and_intend(self, tx: Tx, answers: list[Answer]) -> Plan:
        monotonic = time.monotonic()
        now = await self._platform.clock.now(tx)
        gate = await sending.gate(tx, self._campaign_id)
        is_outdated = self._opened_with not in (None, gate.sender.secrets)
        holds_contacts = bool(answers) and await settling.settle(
            tx, gate, answers, settings=self._settings, now=now, token_was_replaced=is_outdated
        )
        if gate.campaign.wave is not None and now >= self._look_at:
            await judging.look(tx, self._campaign_id, at=now)
            self._look_at = now + _CANARY_LOOK
        stop = self._stop or gate.shut or (TOKEN_REPLACED if is_outdated else None)
        if stop is None and not await self._hold_lease(tx, now=now):
            stop = "lease_lost"
        # A slow sender's next slot is never near: its run waits for it, else it sent one message in each sweep.
        if stop is None and gate.sender.next_slot - now.timestamp() > max(LONG_WAIT_S, 1.5 / gate.sender.rate):
            stop = "no_slot"
        claims = self._claims
        handles: Mapping[int, str] = {}
        if stop is None:
            handles, stop = await self._files(tx, gate, now=now)
        if stop is None:
            claims = claims + await self._refill(tx, gate, now=now)
            stop = None if claims else "queue_empty"
        if stop is not None:
            await sending.release(tx, claims)
            return Plan(intents=[], claims=[], stop=stop, wait_s=LOOK_S)
        free = self._settings.send_concurrency - (self._unsettled - len(answers))
        if free <= 0 or holds_contacts:
            return Plan(intents=[], claims=claims, stop=None, wait_s=0.0 if holds_contacts else LOOK_S)
        intended = await sending.intend(
            tx,
            gate,
            claims[:free],
            capabilities=self._connector.capabilities,
            settings=self._settings,
            now=now,
            monotonic=monotonic,
            handles=handles,
        )
        left = intended.kept + claims[free:]
        is_paced = bool(intended.kept)
        wait_s = max(intended.wait_s, self._settings.pace_ahead_s / 2) if is_paced else 0.0 if not left else LOOK_S
        return Plan(intents=intended.intents, claims=left, stop=None, wait_s=wait_s)

    async def _hold_lease(self, tx: Tx, *, now: datetime) -> bool:
        """Renewed when half of it is used; till then nobody else can have it."""
        lease = timedelta(seconds=self._settings.lease_s)
        if self._lease_until - now > lease / 2:
            return True
        if not await campaigns.hold_run(tx, self._campaign_id, token=self._run_token, now=now, until=now + lease):
            return False
        self._lease_until = now + lease
        return True

    async def _refill(self, tx: Tx, gate: Gate, *, now: datetime) -> list[Claimed]:
        """Claims for at most `claim_s` of work at the present pace, taken when half of them are used up."""
        full = max(1, math.floor(gate.sender.rate * self._settings.claim_s))
        if len(self._claims) > min(full, _CLAIM_AT_ONCE) // 2:
            return []
        return await sending.claim(
            tx,
            gate.campaign,
            await self._templates(tx, gate),
            installation=self._platform.installation,
            limit=min(full - len(self._claims), _CLAIM_AT_ONCE),
            now=now,
            settings=self._settings,
        )

    async def _templates(self, tx: Tx, gate: Gate) -> Families:
        if self._families is None:
            self._families = await variants.families(tx, gate.campaign)
        return self._families

    async def _files(self, tx: Tx, gate: Gate, *, now: datetime) -> tuple[Mapping[int, str], str | None]:
        """The files in the templates' headers, as WhatsApp knows them; and why it must stop while one is not there."""
        wanted = variants.media_ids(await self._templates(tx, gate))
        handles = await media_uploads.handles(tx, gate.sender.id, wanted, now=now)
        if len(handles) == len(wanted):
            return handles, None
        if (reason := await media_uploads.failed(tx, gate.sender.id, wanted)) is not None:
            await campaigns.pause(tx, gate.campaign.id, reason=reason, at=now)
            return {}, gate.shut
        await media_uploads.ask(tx, gate.sender.id, wanted, at=now)
        return {}, MEDIA_UPLOADING

    def _rolled_back(self, plan: Plan) -> None:
        # Of the claims, those before and those after may be ours: which ones, their tokens tell.
        self._claims = list({(one.recipient_id, one.token): one for one in self._claims + plan.claims}.values())
        self._lease_until = datetime.min.replace(tzinfo=UTC)  # renewed or not, that may be rolled back

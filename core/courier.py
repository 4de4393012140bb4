"""Delivers what endpoints are told. All that is known is in the database: any process may do it, and several at once.

One turn is one transaction: what came of the attempts since the last is written down, and new ones are committed to.
Each endpoint is looked at by itself, so that one that hangs keeps only its own deliveries waiting. Of one that answers
quickly more is committed to than may be under way: so the wire has work while the database has, too.
"""

import asyncio
import logging
import time
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from core import bus, deliveries, delivery_claims, delivery_settling, delivery_shares, webhooks
from core.bootstrap import Platform
from core.database import is_passing
from core.deliveries import INTERRUPTED, LEASE_S, NEWS, NOT_BEGUN
from core.delivery_claims import Due, Parcel, Room
from core.delivery_settling import Outcome
from core.delivery_shares import Standing
from core.holders import Holder
from core.models import DeliveryAttempt
from core.ports import Poster, PostError

_FIRST = 2  # an endpoint begins with so many at once; each success doubles it, up to its own limit
_MOST_ALLOWED = 512
_GATHER_S = 0.01  # a turn costs nearly the same for one answer as for many
_LOOK_S = 1.0
_LOOK_BUSY_S = 0.05
_RETRY_S = 1.0
_END_S = 3.0
_POST_S = 20.0  # no post takes longer
_SWEEP_OVERDUE_S = 30.0
_TAKE_OVER_S = 5.0  # so often it looks who died
logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Flight:
    """`begun` is when it was committed to, `left` when it got its place on the wire."""

    parcel: Parcel
    begun: float
    left: float = 0.0
    task: "asyncio.Task[None] | None" = None


class Courier:
    """`run` delivers for ever. `overdue_s`: only what is due for so long, for a process that comes after others."""

    def __init__(self, platform: Platform, poster: Poster, *, overdue_s: float = 0.0) -> None:
        self._platform = platform
        self._poster = poster
        self._overdue = timedelta(seconds=overdue_s)
        self._holder = Holder(platform)
        self._take_over_at = 0.0
        self._woken = asyncio.Event()
        self._called = False
        self._flights: dict[tuple[int, int], _Flight] = {}
        self._queues: defaultdict[int, deque[_Flight]] = defaultdict(deque)
        """Of each endpoint, what is committed to and waits for its turn on the wire. They are in `_flights` too."""
        self._on_wire: Counter[int] = Counter()
        self._outcomes: list[Outcome] = []
        self._allowed: dict[int, int] = {}
        self._limits: dict[int, int] = {}
        self._quick: set[int] = set()
        self._due: Sequence[Due] = ()
        self._due_now: tuple[datetime, float] | None = None
        """When the database was asked what is due, by its clock and by ours. None: ask again."""

    def wake(self) -> None:
        self._called = True
        self._woken.set()

    async def run(self) -> None:
        self._holder.come()
        listening = asyncio.create_task(self._listen())
        try:
            while True:
                self._clear()
                await self._wait(await self._safely_turn())
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening
            await self._end()

    async def until_idle(self, *, for_s: float) -> int:
        """Deliver what is due, for so long at most; returns how many attempts were made."""
        self._holder.come()
        made, until = 0, time.monotonic() + for_s
        try:
            while time.monotonic() < until:
                self._clear()
                before = set(self._flights)
                wait_s = await self._turn()
                made += len(set(self._flights) - before)
                if not self._flights and not self._outcomes and wait_s > 0:
                    break
                await self._wait(min(wait_s, _LOOK_S))
        finally:
            await self._end()
        return made

    def _clear(self) -> None:
        self._called = False
        self._woken.clear()

    async def _wait(self, wait_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(min(wait_s, _LOOK_S)):
                await self._woken.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(_GATHER_S):
                while not self._called and len(self._outcomes) < len(self._flights):
                    self._woken.clear()
                    await self._woken.wait()

    async def _listen(self) -> None:
        while True:
            try:
                database = self._platform.database
                async with bus.calls(database, at_least_each_s=_LOOK_S, of=NEWS) as changed:
                    while True:
                        await changed()
                        self.wake()
            except Exception:  # the database may be restarting; meanwhile each second is looked
                logger.exception("courier_deaf")
                await asyncio.sleep(_RETRY_S)

    async def _safely_turn(self) -> float:
        try:
            return await self._turn()
        except Exception:  # as above; what came of the attempts is kept for the next turn
            logger.exception("courier_stalled")
            await asyncio.sleep(_RETRY_S)
            return 0.0

    async def _turn(self) -> float:
        """Returns for how long there is nothing to do."""
        begun = time.monotonic()
        platform = self._platform
        if begun >= self._take_over_at:
            self._take_over_at = begun + _TAKE_OVER_S
            await self._holder.take_over()
        now = await self._look(begun)
        outcomes = list(self._outcomes)
        room = self._room([one for one in self._due if one.at <= now - self._overdue])
        parcels: list[Parcel] = []
        if outcomes or room:
            try:
                async with platform.database.transaction() as tx:
                    now = await platform.clock.now(tx)
                    held = await delivery_settling.settle(tx, outcomes, now=now)
                    if room:
                        due_by, holder = now - self._overdue, self._holder.id
                        parcels = await delivery_claims.claim(
                            tx, platform, room, held=held, now=now, due_by=due_by, holder=holder
                        )
            except Exception as error:
                if is_passing(error) or not outcomes:
                    raise
                # One of them may be why, and is not to keep the others.
                logger.exception("courier_settles_each count=%s", len(outcomes))
                self._settled(outcomes, left=await delivery_settling.settle_each(platform, outcomes))
                return 0.0
            self._settled(outcomes)
        if not parcels or len(parcels) < sum(one.some for one in room.values()):
            self._due_now = None
        for parcel in parcels:
            flight = _Flight(parcel, begun)
            self._flights[(parcel.delivery_id, parcel.number)] = flight
            self._queues[parcel.webhook_id].append(flight)
        for webhook_id in {one.webhook_id for one in parcels}:
            self._depart(webhook_id)
        if parcels or outcomes:
            return 0.0
        # What is due and finds no room waits for a flight to end, which wakes this; or for another process.
        later = [(one.at - now + self._overdue).total_seconds() for one in self._due]
        return max(min((wait_s for wait_s in later if wait_s > 0), default=_LOOK_S), 0.02)

    def _settled(self, outcomes: Sequence[Outcome], *, left: Sequence[Outcome] = ()) -> None:
        self._outcomes[: len(outcomes)] = left
        for one in outcomes:
            if one not in left:
                self._learn(one)

    async def _look(self, begun: float) -> datetime:
        """What is due, and the database's time. While all that is taken was there to be taken, not each time."""
        if self._due_now is not None and begun - self._due_now[1] < _LOOK_BUSY_S:
            return self._due_now[0] + timedelta(seconds=begun - self._due_now[1])
        async with self._platform.database.reading(brief=True) as tx:
            now = await self._platform.clock.now(tx)
            self._due = await delivery_claims.look(tx)
        self._due_now = (now, begun)
        return now

    def _room(self, due: Sequence[Due]) -> Mapping[int, Room]:
        """How many of each may be committed to now."""
        known = {one.webhook_id for one in due} | set(self._on_wire) | set(self._queues)
        now = time.monotonic()
        silent = {
            one.parcel.webhook_id
            for one in self._flights.values()
            if one.left and now - one.left > delivery_shares.QUICK_S
        }
        standings = {
            one: Standing(
                on_wire=self._on_wire[one],
                ahead=len(self._queues[one]) if one in self._queues else 0,
                allowed=self._allowed.get(one, _FIRST),
                is_quick=one in self._quick and one not in silent,
            )
            for one in known
        }
        proven = {one.webhook_id for one in self._due if one.is_proven}
        shares = delivery_shares.shared_out(due, proven, standings)
        self._limits.update({one: share.limit for one, share in shares.items()})
        return {one: share.room for one, share in shares.items() if share.room.some}

    def _learn(self, outcome: Outcome) -> None:
        if outcome.error == NOT_BEGUN:
            return
        allowed = self._allowed.get(outcome.webhook_id, _FIRST)
        self._allowed[outcome.webhook_id] = min(allowed * 2, _MOST_ALLOWED) if outcome.is_success else 1
        if outcome.is_success and outcome.took_s < delivery_shares.QUICK_S:
            self._quick.add(outcome.webhook_id)
        else:
            self._quick.discard(outcome.webhook_id)

    # ---- the network ------------------------------------------------------------------------------------------

    def _depart(self, webhook_id: int) -> None:
        """As many as may be under way at once. Who waited too long here stays behind: its lease may lapse meanwhile."""
        queue = self._queues[webhook_id]
        while queue and self._on_wire[webhook_id] < self._limits.get(webhook_id, 1):
            flight = queue.popleft()
            if time.monotonic() - flight.begun > LEASE_S - _POST_S:
                self._stay(flight)
                continue
            self._on_wire[webhook_id] += 1
            flight.left = time.monotonic()
            flight.task = asyncio.create_task(self._carry(flight.parcel))
        if not queue:
            del self._queues[webhook_id]

    def _stay(self, flight: _Flight) -> None:
        parcel = flight.parcel
        del self._flights[(parcel.delivery_id, parcel.number)]
        self._outcomes.append(Outcome(parcel.delivery_id, parcel.webhook_id, parcel.number, error=NOT_BEGUN))

    async def _carry(self, parcel: Parcel) -> None:
        outcome: Outcome | None = None
        try:
            outcome = await post(self._poster, parcel)
        finally:
            del self._flights[(parcel.delivery_id, parcel.number)]
            self._on_wire[parcel.webhook_id] -= 1
            if not self._on_wire[parcel.webhook_id]:
                del self._on_wire[parcel.webhook_id]
            if outcome is not None:
                self._outcomes.append(outcome)
                self._go_on(outcome)
            self._woken.set()

    def _go_on(self, outcome: Outcome) -> None:
        """An endpoint that fails gets one attempt at a time: what is committed to for it is given back."""
        if not outcome.is_success:
            for flight in self._queues.pop(outcome.webhook_id, ()):
                self._stay(flight)
        elif outcome.webhook_id in self._queues:
            self._depart(outcome.webhook_id)

    async def _end(self) -> None:
        """What is under way gets a moment; what has no answer by then is for whoever comes next."""
        try:
            await self._end_flights()
        finally:
            self._holder.go()

    async def _end_flights(self) -> None:
        for flight in [one for queue in self._queues.values() for one in queue]:
            self._stay(flight)
        self._queues.clear()
        flights = list(self._flights.values())
        tasks = [one.task for one in flights if one.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=_END_S)
        for one in flights:
            if one.task is not None and not one.task.done():
                one.task.cancel()
                parcel = one.parcel
                lost = Outcome(parcel.delivery_id, parcel.webhook_id, parcel.number, error=INTERRUPTED)
                self._outcomes.append(lost)
        if self._outcomes:
            left: Sequence[Outcome] = self._outcomes
            try:
                async with self._platform.database.transaction() as tx:
                    await delivery_settling.settle(tx, self._outcomes, now=await self._platform.clock.now(tx))
                left = ()
            except Exception as error:  # noqa: BLE001  what is left by it has leases, which lapse
                if not is_passing(error):
                    left = await delivery_settling.settle_each(self._platform, self._outcomes)
            if left:
                logger.warning("courier_ended_unsettled count=%s", len(left))


async def post(poster: Poster, parcel: Parcel) -> Outcome:
    about = (parcel.delivery_id, parcel.webhook_id, parcel.number)
    begun = time.monotonic()
    try:
        posted = await poster.post(parcel.letter)
    except PostError as failed:
        return Outcome(*about, error=failed.reason, detail=failed.detail, took_s=time.monotonic() - begun)
    except Exception as broken:  # a poster that breaks its contract; what it was is in the log
        logger.exception("poster_broke delivery=%s", parcel.delivery_id)
        return Outcome(*about, error="bad_answer", detail=type(broken).__name__, took_s=time.monotonic() - begun)
    return Outcome(*about, status=posted.status, headers=posted.headers, body=posted.body, took_s=posted.took_s)


async def test(platform: Platform, poster: Poster, webhook_id: int) -> DeliveryAttempt:
    """A delivery that says that nothing happened, by the very way of all others, whatever the endpoint's limits and
    state. Returns the attempt as it is written down. It is tried once, and a failure does not count."""
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        webhook = await webhooks.get(tx, webhook_id)
        delivery_id = await deliveries.add_test(tx, webhook, at=now)
        parcel = await delivery_claims.commit_to_one(tx, platform, delivery_id, webhook, now=now)
    outcome = await post(poster, parcel)
    async with platform.database.transaction() as tx:
        await delivery_settling.settle(tx, [outcome], now=await platform.clock.now(tx))
    async with platform.database.reading() as tx:
        made = select(DeliveryAttempt).where(DeliveryAttempt.delivery_id == delivery_id)
        return (await tx.execute(made)).scalar_one()


async def sweep(platform: Platform, poster: Poster, *, for_s: float = 45.0) -> int:
    """What nobody has delivered though it is due, as where the API process is dead. The very same turns."""
    return await Courier(platform, poster, overdue_s=_SWEEP_OVERDUE_S).until_idle(for_s=for_s)

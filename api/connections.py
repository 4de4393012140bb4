"""Who is connected, what each follows, and how one message reaches them all."""

import asyncio
import logging
import random
import sys
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

import orjson

from api import frames
from api.counting import Counts
from api.frames import Prepared
from api.live_bodies import Missed
from api.protocol import BUFFER_BYTES, WebSocket
from core.principals import Principal

PING_S = 30.0
"""Each connection is asked so often whether it is still there, and ended when it did not answer by the next time."""
FULL_S = 20.0
"""Who reads nothing for so long is sent away (1013) and resumes when it can."""

_SWEEP_S = 1.0
_AT_ONCE = 1000  # connections written to before others get at the loop
_PING = frames.frame(frames.PING, b"")
logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Client:
    """One connection and who is behind it. `missed`: of what it follows, so many messages found it full."""

    socket: WebSocket
    principal: Principal
    address: str
    connected_at: float
    """In the loop's time."""
    topics: dict[str, int] = field(default_factory=dict)
    """Each with the `seq` after which it is followed: what was published before but has not left yet is not for it."""
    latest: dict[str, Prepared] = field(default_factory=dict)
    spoken_for: tuple[str, str] = field(init=False)
    """The buckets that what it says is taken from."""
    missed: int = 0
    sent: int = 0
    received: int = 0
    number: int = 0
    """Since the process started; to tell connections apart by."""
    full_since: float | None = None
    asked_at: float | None = None
    next_ping: float = 0.0

    def __post_init__(self) -> None:
        self.spoken_for = f"address {self.address}", f"principal {self.principal.ref}"


@dataclass(slots=True)
class _Job:
    """Of an event its `seq`; None for a state. `born_at`, in the loop's time: when it happened."""

    topic: str
    message: Prepared
    seq: int | None
    born_at: float
    to: Collection[Client] | None = None
    """None: to all who follow `topic`."""
    written: int = 0
    deflated: int = 0

    def is_for(self, client: Client) -> bool:
        after = client.topics.get(self.topic)
        return after is not None and (self.seq is None or self.seq > after)

    def count(self, times: int, *, is_deflated: bool) -> None:
        self.written += times
        if is_deflated and self.message.is_worth_compressing:
            self.deflated += times


@dataclass(slots=True)
class _Joined:
    """What everybody with the same compression gets."""

    data: bytes
    written: int = 0


class Connections:
    """The clients of this process. Messages published in one turn of the loop leave each connection in one write,
    in the order in which they were published."""

    def __init__(self) -> None:
        self.clients: set[Client] = set()
        self.counts = Counts()
        self._followers: dict[str, set[Client]] = {}
        self._lapsed: dict[Client, int] = {}
        """Who was full, and was not told what came after this `seq`; each is told so as soon as it has room."""
        self._jobs: deque[_Job] = deque()
        self._is_flushing = False

    def add(self, client: Client) -> None:
        # At a random moment: connections that came together are not asked together.
        client.next_ping = client.connected_at + random.uniform(0, PING_S)  # noqa: S311  no secret
        self.clients.add(client)
        self.counts.connected += 1
        client.number = self.counts.connected
        self.counts.most = max(self.counts.most, len(self.clients))

    def remove(self, client: Client) -> None:
        if client in self.clients:
            self.clients.discard(client)
            self._lapsed.pop(client, None)
            self.counts.disconnected += 1
            for topic in list(client.topics):
                self.unfollow(client, topic)

    def follow(self, client: Client, topic: str, *, after: int) -> None:
        client.topics[topic] = after
        self._followers.setdefault(topic, set()).add(client)

    def unfollow(self, client: Client, topic: str) -> None:
        client.topics.pop(topic, None)
        client.latest.pop(topic, None)
        if followers := self._followers.get(topic):
            followers.discard(client)
            if not followers:
                del self._followers[topic]

    def is_followed(self, topic: str) -> bool:
        return topic in self._followers

    def followed(self) -> Iterable[str]:
        return self._followers.keys()

    def follower_counts(self) -> dict[str, int]:
        return {topic: len(followers) for topic, followers in self._followers.items()}

    def followers(self, topic: str) -> Collection[Client]:
        return self._followers.get(topic, ())

    def publish(
        self,
        topic: str,
        message: Prepared,
        *,
        seq: int | None = None,
        age_s: float = 0.0,
        to: Collection[Client] | None = None,
    ) -> None:
        """To everybody who follows `topic`, or to these of them; `seq` where it is an event, and how long ago it was
        committed. Of a state only the newest counts: who is full gets that one later. Of events that a full
        client misses it is told when it reads again, and asks for them."""
        self.counts.broadcasts += 1
        if topic not in self._followers:
            return
        loop = asyncio.get_running_loop()
        self._jobs.append(_Job(topic, message, seq, loop.time() - age_s, to))
        if not self._is_flushing:
            self._is_flushing = True
            loop.call_soon(self._flush)

    def is_up_to_date(self, client: Client) -> bool:
        """It was given everything that has been published."""
        return not self._is_flushing and client not in self._lapsed

    def catches_up(self, client: Client) -> None:
        """What it missed is a part of what it is given now."""
        self._lapsed.pop(client, None)

    def _lapse(self, client: Client) -> Prepared:
        told = Missed(timestamp=int(time.time() * 1000), seq=self._lapsed.pop(client))
        return Prepared(orjson.dumps(told.model_dump()))

    def tell(self, client: Client, message: Prepared) -> bool:
        """To one; False where it is full."""
        if not client.socket.room():
            client.missed += 1
            self.counts.missed += 1
            return False
        self.counts.bytes_out += client.socket.give(message)
        client.sent += 1
        self.counts.sent += 1
        return True

    def _flush(self) -> None:
        jobs, self._jobs = list(self._jobs), deque()
        topic = jobs[0].topic
        writes = (
            self._same_for_all(jobs, topic)
            if all(job.topic == topic and job.to is None for job in jobs)
            else self._each_its_own(jobs)
        )
        self._write_some(writes)

    def _write_some(self, writes: Iterator[int]) -> None:
        """What is published meanwhile waits: under load batches grow, and each gets cheaper. `writes` tells of how many
        connections each step was."""
        loop = asyncio.get_running_loop()
        done = 0
        for some in writes:
            done += some
            if done >= _AT_ONCE:
                break
        if done >= _AT_ONCE:
            loop.call_soon(self._write_some, writes)
        elif self._jobs:
            loop.call_soon(self._flush)
        else:
            self._is_flushing = False

    def _same_for_all(self, jobs: list[_Job], topic: str) -> Iterator[int]:
        """The hot path: what is the same for everybody is looked up before the loop over them."""
        oldest = next((job.seq for job in jobs if job.seq is not None), sys.maxsize)
        joined: dict[int, _Joined] = {}
        lapsed = self._lapsed
        count = len(jobs)
        followers = tuple(self._followers.get(topic, ()))
        for start in range(0, len(followers), _AT_ONCE):
            some = followers[start : start + _AT_ONCE]
            for client in some:
                socket = client.socket
                same = joined.get(socket.window_bits)
                if same is None:
                    bits = socket.window_bits
                    same = joined[bits] = _Joined(b"".join([job.message.frame(bits) for job in jobs]))
                if (
                    client.topics.get(topic, sys.maxsize) >= oldest
                    or socket.waiting() + len(same.data) > BUFFER_BYTES
                    or (lapsed and client in lapsed)
                ):
                    self._write_own(client, jobs)  # new here, gone, full or soon full, or full before
                    continue
                socket.write_now(same.data)
                client.sent += count
                same.written += 1
            yield len(some)
        for bits, same in joined.items():
            self.counts.bytes_out += same.written * len(same.data)
            for job in jobs:
                job.count(same.written, is_deflated=bits > 0)
        self._account(jobs)

    def _each_its_own(self, jobs: list[_Job]) -> Iterator[int]:
        mine: dict[Client, list[_Job]] = {}
        for job in jobs:
            for client in self.followers(job.topic) if job.to is None else job.to:
                mine.setdefault(client, []).append(job)
        for client, some in mine.items():
            self._write_own(client, some)
            yield 1
        self._account(jobs)

    def _write_own(self, client: Client, jobs: list[_Job]) -> None:
        """As many of them as there is room for."""
        socket, bits = client.socket, client.socket.window_bits
        some = [job for job in jobs if job.is_for(client)]
        made = [job.message.frame(bits) for job in some]
        at = 0
        while fitting := _fitting(made, at, waiting=socket.waiting()):  # the system may have taken what was written
            data = b"".join(made[at : at + fitting])
            told = self._lapse(client).frame(bits) if client in self._lapsed else b""
            socket.write_now(told + data)
            client.sent += fitting
            self.counts.bytes_out += len(data)
            for job in some[at : at + fitting]:
                job.count(1, is_deflated=bits > 0)
            at += fitting
        if socket.is_open:
            self._miss(client, some[at:])

    def _miss(self, client: Client, jobs: list[_Job]) -> None:
        for job in jobs:
            if job.seq is None:
                client.latest[job.topic] = job.message
                self.counts.coalesced += 1
            else:
                self._lapsed.setdefault(client, job.seq - 1)
                client.missed += 1
                self.counts.missed += 1

    def _account(self, jobs: list[_Job]) -> None:
        """Counted when all of them are written, once for however many got them."""
        counts, now = self.counts, asyncio.get_running_loop().time()
        counts.last_broadcast_ms = int(time.time() * 1000)
        for job in jobs:
            counts.sent += job.written
            if job.written:
                counts.delivery.add((now - job.born_at) * 1000, job.written)
            counts.compressed_sent += job.deflated
            for made in job.message.deflations:
                counts.compressed += 1
                counts.compressed_from += len(job.message.plain)
                counts.compressed_to += len(made)

    async def sweep(self) -> None:
        """Pings, a thirtieth of the connections each second, so that there is no timer for each. For ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_S)
            now = loop.time()
            for client in tuple(self.clients):
                self._look_at(client, now)

    def _look_at(self, client: Client, now: float) -> None:
        socket = client.socket
        if socket.room():
            client.full_since = None
            if client in self._lapsed:
                self.tell(client, self._lapse(client))
            for topic in list(client.latest):
                self.tell(client, client.latest.pop(topic))
        elif client.full_since is None:
            client.full_since = now
        elif now - client.full_since > FULL_S:
            self.counts.sent_away += 1
            socket.close(1013, "Too slow: resume from the last seq when you can read again.")
        if now < client.next_ping:
            return
        if client.asked_at is not None and socket.heard < client.asked_at:
            self.counts.unanswered += 1
            logger.info("websocket_unanswered client=%d principal=%s", client.number, client.principal.ref)
            socket.abort()
            return
        client.next_ping = now + PING_S
        client.asked_at = now if socket.room() else None
        if client.asked_at is not None:
            socket.write(_PING)


def _fitting(made: list[bytes], at: int, *, waiting: int) -> int:
    """How many of them, from `at` on, may be added to what waits: until there is no room, by the last of them."""
    for number in range(at, len(made)):
        if waiting > BUFFER_BYTES:
            return number - at
        waiting += len(made[number])
    return len(made) - at

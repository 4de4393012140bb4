"""Who is connected, what each follows, and how one message reaches them all."""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from api import frames
from api.buckets import Bucket
from api.frames import Prepared
from api.protocol import WebSocket
from core.principals import Principal

PING_S = 30.0
"""Each connection is asked so often whether it is still there, and ended when it did not answer by the next time."""
FULL_S = 20.0
"""Who reads nothing for so long is sent away (1013) and resumes when it can."""

_SWEEP_S = 1.0
_AT_ONCE = 1000  # connections written to before others get at the loop
_PING = frames.frame(frames.PING, b"")


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
    buckets: tuple[Bucket, ...] = ()
    missed: int = 0
    sent: int = 0
    received: int = 0
    full_since: float | None = None
    asked_at: float | None = None
    next_ping: float = 0.0


@dataclass(slots=True)
class Counts:
    """Since the process started."""

    connected: int = 0
    disconnected: int = 0
    received: int = 0
    sent: int = 0
    broadcasts: int = 0
    missed: int = 0
    coalesced: int = 0
    sent_away: int = 0
    unanswered: int = 0
    rate_limited: int = 0
    refused: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Job:
    """Of an event its `seq`; None for a state."""

    topic: str
    message: Prepared
    seq: int | None

    def is_for(self, client: Client) -> bool:
        after = client.topics.get(self.topic)
        return after is not None and (self.seq is None or self.seq > after)


class Connections:
    """The clients of this process. Messages published in one turn of the loop leave each connection in one write,
    in the order in which they were published."""

    def __init__(self) -> None:
        self.clients: set[Client] = set()
        self.of_address: Counter[str] = Counter()
        self.counts = Counts()
        self._followers: dict[str, set[Client]] = {}
        self._jobs: deque[_Job] = deque()
        self._is_flushing = False

    def add(self, client: Client) -> None:
        # At a random moment: connections that came together are not asked together.
        client.next_ping = client.connected_at + random.uniform(0, PING_S)  # noqa: S311  no secret
        self.clients.add(client)
        self.of_address[client.address] += 1
        self.counts.connected += 1

    def remove(self, client: Client) -> None:
        if client in self.clients:
            self.clients.discard(client)
            self.of_address[client.address] -= 1
            if not self.of_address[client.address]:
                del self.of_address[client.address]
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

    def publish(self, topic: str, message: Prepared, *, seq: int | None = None) -> None:
        """To everybody who follows `topic`; `seq` where it is an event. Of a state only the newest counts: who is full
        gets that one later. An event a full client misses, sees by `prev`, and asks for again."""
        self.counts.broadcasts += 1
        if topic not in self._followers:
            return
        self._jobs.append(_Job(topic, message, seq))
        if not self._is_flushing:
            self._is_flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def tell(self, client: Client, message: Prepared) -> bool:
        """To one; False where it is full."""
        if not client.socket.is_open or not client.socket.room():
            client.missed += 1
            self.counts.missed += 1
            return False
        client.socket.give(message)
        client.sent += 1
        self.counts.sent += 1
        return True

    def _flush(self) -> None:
        jobs, self._jobs = list(self._jobs), deque()
        topic = jobs[0].topic
        writes = (
            self._same_for_all(jobs, topic) if all(job.topic == topic for job in jobs) else self._each_its_own(jobs)
        )
        self._write_some(writes)

    def _write_some(self, writes: Iterator[None]) -> None:
        """What is published meanwhile waits: under load batches grow, and each gets cheaper."""
        loop = asyncio.get_running_loop()
        if sum(1 for _ in islice(writes, _AT_ONCE)) == _AT_ONCE:
            loop.call_soon(self._write_some, writes)
        elif self._jobs:
            loop.call_soon(self._flush)
        else:
            self._is_flushing = False

    def _same_for_all(self, jobs: list[_Job], topic: str) -> Iterator[None]:
        joined: dict[int, bytes] = {}
        oldest = next((job for job in jobs if job.seq is not None), jobs[0])
        for client in tuple(self._followers.get(topic, ())):
            if not oldest.is_for(client):  # new here, or gone
                self._write_own(client, jobs)
                yield
                continue
            bits = client.socket.window_bits
            data = joined.get(bits)
            if data is None:
                data = joined[bits] = b"".join(job.message.frame(bits) for job in jobs)
            self._write(client, data, jobs)
            yield

    def _each_its_own(self, jobs: list[_Job]) -> Iterator[None]:
        mine: dict[Client, list[_Job]] = {}
        for job in jobs:
            for client in self._followers.get(job.topic, ()):
                mine.setdefault(client, []).append(job)
        for client, some in mine.items():
            self._write_own(client, some)
            yield

    def _write_own(self, client: Client, jobs: list[_Job]) -> None:
        bits = client.socket.window_bits
        if some := [job for job in jobs if job.is_for(client)]:
            self._write(client, b"".join(job.message.frame(bits) for job in some), some)

    def _write(self, client: Client, data: bytes, jobs: list[_Job]) -> None:
        socket = client.socket
        if not socket.is_open:
            return
        if socket.room():
            socket.transport.write(data)
            client.sent += len(jobs)
            self.counts.sent += len(jobs)
            return
        for job in jobs:
            if job.seq is None:
                client.latest[job.topic] = job.message
                self.counts.coalesced += 1
            else:
                client.missed += 1
                self.counts.missed += 1

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
            socket.abort()
            return
        client.next_ping = now + PING_S
        client.asked_at = now if socket.is_open and socket.room() else None
        if client.asked_at is not None:
            socket.write(_PING)

"""Following what happens, whatever breaks: what is done in which order, written once for both clients and without any
input or output. `Stream.run` yields what is to be done next, and is sent what came of it."""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, cast, overload

from waqtor.asking import Model, Resource, Sleep
from waqtor.errors import Error, Gap, LogPruned, NotReached, from_told

if TYPE_CHECKING:
    from waqtor.client import AsyncClient, Client
    from waqtor.streams import AsyncFollowing, Following

P = ParamSpec("P")
Transport = Literal["websocket", "sse"]
ASK_S = 15.0
"""After so long without a word the server is asked whether it is there; SSE says one as often by itself."""
_MOST_SILENCES = 3


class LiveEvent(Model):
    """Something that happened. `seq` is None for a state such as `campaign.progress`: of those only the newest counts,
    and none comes again. `prev`: the event of this topic before it; None where the stream does not say."""

    type: str
    topic: str
    seq: int | None = None
    prev: int | None = None
    data: dict[str, Any]
    at: datetime


@dataclass(frozen=True)
class Backoff:
    """How long to wait before coming back: a random time up to `base_s`, doubled with each attempt, `cap_s` at most.
    A connection that held for `held_s` makes the attempts count anew. Tests bring chance and clock of their own."""

    base_s: float = 0.5
    cap_s: float = 30.0
    held_s: float = 10.0
    uniform: Callable[[float, float], float] = random.uniform
    clock: Callable[[], float] = time.monotonic

    def pause_s(self, attempt: int) -> float:
        return self.uniform(0, min(self.cap_s, self.base_s * 2 ** min(attempt, 30)))


@dataclass(frozen=True)
class Open:
    """Connect, in place of any connection before; raises `Broken`, or an `Error` that another try would not mend."""

    since: int | None


@dataclass(frozen=True)
class Say:
    said: Mapping[str, Any]


@dataclass(frozen=True)
class Hear:
    """The next message; None when there was none within the time."""

    within_s: float


class Broken(Exception):
    """The connection is no more. `error`: what to raise when there is no attempt left. `after_s` is waited at least;
    with `is_told` exactly, for the server spreads those who come back, and it counts as no attempt."""

    def __init__(self, error: Error, *, after_s: float = 0.0, is_told: bool = False) -> None:
        super().__init__(error.message)
        self.error = error
        self.after_s = after_s
        self.is_told = is_told


def broken(why: str) -> Broken:
    return Broken(NotReached(why, code="not_reached", hint="Does `waqtor up` run, and is WAQTOR_URL its address?"))


Act = Open | Say | Hear | Sleep | LiveEvent | Gap


@dataclass
class Stream:
    """What is followed, and how far. `seq`: everything up to it has been handed over; None before the first answer."""

    topics: tuple[str, ...]
    seq: int | None
    transport: Transport
    attempts: int | None
    on_gap: Callable[[Gap], Any] | None
    backoff: Backoff = field(default_factory=Backoff)
    _asked: int = 0
    _is_answered: bool = False

    def run(self) -> Generator[Act, Any, None]:
        attempt = 0
        while True:
            opened_at: float | None = None
            try:
                pruned_at = yield from self._open()
                opened_at = self.backoff.clock()
                yield from self._listen(pruned_at)
            except Broken as broke:
                if opened_at is not None and self.backoff.clock() - opened_at >= self.backoff.held_s:
                    attempt = 0
                pause_s = broke.after_s
                if not broke.is_told:
                    if self.attempts is not None and attempt >= self.attempts:
                        raise broke.error from broke
                    pause_s += self.backoff.pause_s(attempt)
                    attempt += 1
            yield Sleep(pause_s)

    def _open(self) -> Generator[Act, Any, int | None]:
        """Over SSE the answer itself says that the log does not reach back to `seq`: then that is returned."""
        try:
            yield Open(self.seq)
        except LogPruned:
            lost, self.seq = self.seq, None
            yield Open(None)
            return lost
        return None

    def _listen(self, pruned_at: int | None) -> Generator[Act, Any, None]:
        can_ask = self.transport == "websocket"
        if can_ask:
            yield self._subscribe()
        else:
            self._is_answered = True
        silences, next_ask = 0, self.backoff.clock() + ASK_S
        while True:
            said = yield Hear(ASK_S)
            if said is None:
                silences += 1
                if silences >= _MOST_SILENCES:
                    raise broken("The server has fallen silent.")
            else:
                silences = 0
                yield from self._take(said)
                if pruned_at is not None and self.seq is not None:
                    yield Gap(since=pruned_at, seq=self.seq)
                    pruned_at = None
            if can_ask and (said is None or self.backoff.clock() >= next_ask):
                next_ask = self.backoff.clock() + ASK_S
                yield Say({"type": "ping", "id": str(self._asked)})

    def _subscribe(self) -> Say:
        self._asked += 1
        self._is_answered = False
        said: dict[str, Any] = {"type": "subscribe", "topics": list(self.topics), "id": str(self._asked)}
        return Say(said if self.seq is None else {**said, "since": self.seq})

    def _take(self, said: Mapping[str, Any]) -> Generator[Act, Any, None]:
        match said["type"]:
            case "subscribed" if said["id"] == str(self._asked):
                self._is_answered = True
                lost, self.seq = self.seq, said["seq"]
                if lost is not None and not said["recovered"]:
                    yield Gap(since=lost, seq=said["seq"])
            case "pong" if self._is_answered:  # up to here everything has been told, though it may have been nothing
                if said.get("seq") is not None:
                    self.seq = max(self.seq or 0, said["seq"])
            case "pong":
                if said["id"] == str(self._asked):  # it is answered in order: the other answer was lost
                    yield self._subscribe()
            case "missed":
                if self._is_answered:  # else it was asked for already
                    self.seq = said["seq"]
                    yield self._subscribe()
            case "goodbye":
                raise Broken(broken("The server restarts.").error, after_s=said["retry_in_ms"] / 1000, is_told=True)
            case "error" if said["code"] == "rate_limited":
                if not self._is_answered:
                    yield Sleep(1 + self.backoff.uniform(0, 1))
                    yield self._subscribe()
            case "error":
                raise from_told(said)
            case _ if "topic" in said:
                yield from self._take_event(said)
            case _:
                pass  # how the senders are, an answer to what was asked before, something of a newer server

    def _take_event(self, said: Mapping[str, Any]) -> Generator[Act, Any, None]:
        seq = said.get("seq")
        if seq is not None:
            if not self._is_answered or (self.seq is not None and seq <= self.seq):
                return
            if self.seq is not None and said.get("prev", 0) > self.seq:
                yield self._subscribe()
                return
            self.seq = seq
        yield LiveEvent.model_validate({**said, "at": datetime.fromtimestamp(said["timestamp"] / 1000, UTC)})


class followed(Generic[P]):  # noqa: N801  # a decorator
    """A method that follows: `Following` from a `Client`, `AsyncFollowing` from an `AsyncClient`."""

    def __init__(self, build: Callable[Concatenate[Any, P], Stream]) -> None:
        self._build = build
        functools.update_wrapper(cast(Any, self), build)

    @overload
    def __get__(self, of: Resource[Client], owner: object = None) -> Callable[P, Following]: ...
    @overload
    def __get__(self, of: Resource[AsyncClient], owner: object = None) -> Callable[P, AsyncFollowing]: ...
    def __get__(self, of: Any, owner: object = None) -> Any:
        if of is None:
            return self._build

        @functools.wraps(self._build)
        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return of._client._follow(self._build(of, *args, **kwargs))

        return method

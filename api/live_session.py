"""What one client says over the WebSocket, and what it is told."""

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

import orjson
from pydantic import BaseModel, ValidationError

from api import topics
from api.auth import allows, require
from api.bell import TOPIC as NOTIFICATIONS
from api.bell import Bell, Rows, is_for, told
from api.connections import Client, Connections
from api.entrance import Entrance
from api.following import Following
from api.frames import Prepared
from api.live_bodies import (
    SAID,
    ErrorTold,
    GetQr,
    GetState,
    Ping,
    Pong,
    QrCode,
    QrData,
    SessionState,
    StateData,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Welcome,
)
from core import bus
from core.bus import Logged
from core.errors import Invalid, WaqtorError
from core.principals import Principal

SERVER = "WaQtor WebSocket Server v3"
ROOM_S = 0.05
_BACKLOG = 64  # messages of a client that wait while it is given what it missed
_MOST_TOPICS = 200
_MOST_REFUSED = 100  # within a minute; who says more than that all the same is sent away
_REFUSED_S = 60.0
logger = logging.getLogger(__name__)


class House(Protocol):
    """What a session needs of the process it is in (api/gateway.py)."""

    connections: Connections
    following: Following
    bell: Bell
    entrance: Entrance

    def milliseconds(self) -> int: ...

    async def state(self, principal: Principal) -> StateData: ...

    async def reach(self) -> bus.Reach: ...

    async def logged(self, after: int) -> Sequence[Logged]: ...


class Session:
    """What one client says, in order. While it is given what it missed, the rest of what it says waits."""

    def __init__(self, live: House, client: Client) -> None:
        self._live = live
        self._client = client
        self._backlog: deque[bytes] = deque()
        self._task: asyncio.Task[None] | None = None
        self._is_noted = False
        self._refused = 0
        self._refused_since = 0.0

    def end(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def welcome(self, seq: int, state: StateData) -> None:
        """`state` has everything up to `seq`, and may have more."""
        self._tell(Welcome(timestamp=self._wall(), server=SERVER, seq=seq))
        self._tell(SessionState(timestamp=self._wall(), data=state))

    def may_say(self) -> bool:
        """Called by the connection for whatever the client says, before it is read."""
        if self._live.entrance.may_speak(self._client):
            return True
        counts, now = self._live.connections.counts, asyncio.get_running_loop().time()
        self._client.received += 1
        counts.received += 1
        counts.rate_limited += 1
        self._note_too_many()
        if now - self._refused_since > _REFUSED_S:
            self._refused, self._refused_since = 0, now
        self._refused += 1
        if self._refused > _MOST_REFUSED:
            self._client.socket.close(1008, "Too many messages.")
        else:
            self._tell_error("rate_limited", "Too many messages.", hint="This one was not read. Wait a second.")
        return False

    def heard(self, payload: bytes) -> None:
        """Called by the connection for each text message."""
        self._count(payload)
        if self._task is not None:
            if len(self._backlog) >= _BACKLOG:
                self._client.socket.close(1008, "Too many messages at once.")
                return
            self._backlog.append(payload)
            return
        self._take(payload)

    def heard_bytes(self, payload: bytes) -> None:
        """Called for each message that is no text."""
        self._count(payload)
        self._tell_error("not_understood", "Only text messages are understood.")

    def _count(self, payload: bytes) -> None:
        counts = self._live.connections.counts
        self._client.received += 1
        counts.received += 1
        counts.bytes_in += len(payload)

    def _note_too_many(self) -> None:
        if not self._is_noted:  # once for a connection: who floods us floods no log
            self._is_noted = True
            client = self._client
            logger.info("websocket_rate_limited client=%d principal=%s", client.number, client.principal.ref)

    def _take(self, payload: bytes) -> None:
        try:
            said = SAID.validate_json(payload)
        except ValidationError as mistake:
            self._tell_mistake(mistake)
            return
        match said:
            case Ping():
                self._tell(Pong(id=said.id, timestamp=self._wall(), seq=self._told_up_to()))
            case Unsubscribe():
                self._unsubscribe(said)
            case GetQr():
                self._tell(QrCode(id=said.id, timestamp=self._wall(), data=QrData()))
            case GetState():
                self._later(self._tell_state(said))
            case Subscribe():
                try:
                    wanted = self._allowed(said)
                except WaqtorError as refused:
                    self._tell_error(refused.code, refused.message, id=said.id, field=refused.field, hint=refused.hint)
                    return
                if said.since is None:
                    self._follow(wanted, said, since=self._live.following.position, recovered=True)
                else:
                    self._later(self._resume(wanted, said, said.since))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        async def run() -> None:
            try:
                await work
            except Exception:  # the client comes back and resumes; why it had to is in the log
                logger.exception("live_failed")
                self._client.socket.close(1011, "Something went wrong here, not in your message.")
            finally:
                self._task = None
            while self._backlog and self._task is None:
                self._take(self._backlog.popleft())

        self._task = asyncio.create_task(run())

    def _allowed(self, said: Subscribe) -> list[str]:
        asked = [*said.topics, *(said.events or [])]
        if not asked:
            asked = [topics.EVERYTHING]
        principal = self._client.principal
        wanted: dict[str, None] = {}
        for topic in asked:
            if topic == topics.EVERYTHING:
                wanted |= dict.fromkeys(name for name, needed in topics.SYSTEMS.items() if allows(principal, needed))
            else:
                require(principal, topics.permission(topic))
                wanted[topic] = None
        if len(self._client.topics.keys() | wanted.keys()) > _MOST_TOPICS:
            raise Invalid(f"One connection may follow {_MOST_TOPICS} topics.", field="topics")
        return list(wanted)

    def _follow(self, wanted: list[str], said: Subscribe, *, since: int, recovered: bool) -> None:
        for topic in wanted:
            self._live.connections.follow(self._client, topic, after=self._live.following.position)
        self._tell_subscribed(said, seq=since, recovered=recovered)
        if NOTIFICATIONS in wanted:
            self._live.bell.count_for(self._client.principal)

    def _tell_subscribed(self, said: Subscribe, *, seq: int, recovered: bool, also: list[str] | None = None) -> None:
        followed = sorted({*self._client.topics, *(also or [])})
        self._tell(
            Subscribed(
                id=said.id, timestamp=self._wall(), topics=followed, events=followed, seq=seq, recovered=recovered
            )
        )

    async def _resume(self, wanted: list[str], said: Subscribe, since: int) -> None:
        """From the log up to where the others are told, then with them: in between nothing can come, since the last
        look at `position` and the following happen in one step of the loop."""
        following, counts = self._live.following, self._live.connections.counts
        counts.resumed += 1
        reach = await self._live.reach()
        await self._room()  # the answer must not get lost
        if not reach.pruned <= since <= reach.head:
            counts.not_recovered += 1
            self._follow(wanted, said, since=following.position, recovered=False)
            return
        for topic in wanted:  # a second subscription to the same: what comes meanwhile comes by this one
            self._live.connections.unfollow(self._client, topic)
        if not self._client.topics:
            self._live.connections.catches_up(self._client)
        self._tell_subscribed(said, seq=since, recovered=True, also=wanted)
        last: dict[str, int] = {}
        cursor = since
        while cursor < following.position:
            events = await self._live.logged(cursor)
            if not events or events[0].seq != cursor + 1:
                raise LookupError(f"the log was pruned behind {cursor} meanwhile")
            rows = await self._live.bell.rows(events)
            for event in events:
                if event.seq > following.position:
                    break
                for topic in topics.of(event):
                    if topic in wanted and self._may_see(event, topic, rows):
                        await self._room()
                        prev, who = last.get(topic, since), self._client.principal
                        self._live.connections.tell(
                            self._client, told(event, topic, prev=prev, principal=who, rows=rows)
                        )
                        counts.replayed += 1
                        last[topic] = event.seq
                cursor = event.seq
            if not self._client.socket.is_open:
                return
        for topic in wanted:
            if allows(self._client.principal, topics.permission(topic)):  # who they are may have changed meanwhile
                # Whoever was told by another process may be ahead of what is told here.
                self._live.connections.follow(self._client, topic, after=max(since, following.position))
                if topic in last:
                    following.begin(topic, last[topic], principal=self._client.principal)
        if NOTIFICATIONS in self._client.topics:
            self._live.bell.count_for(self._client.principal)

    def _may_see(self, event: Logged, topic: str, rows: Rows) -> bool:
        who = self._client.principal
        return allows(who, topics.permission(topic)) and is_for(who, event, rows)

    def _told_up_to(self) -> int | None:
        return self._live.following.position if self._live.connections.is_up_to_date(self._client) else None

    async def _room(self) -> None:
        """Until the client has read some: it must not lose here what it came back for."""
        while self._client.socket.is_open and not self._client.socket.room():  # noqa: ASYNC110  a buffer
            await asyncio.sleep(ROOM_S)

    def _unsubscribe(self, said: Unsubscribe) -> None:
        gone = [*said.topics, *(said.events or [])] or list(self._client.topics)
        for topic in gone:
            self._live.connections.unfollow(self._client, topic)
        self._tell(Unsubscribed(id=said.id, timestamp=self._wall(), topics=sorted(self._client.topics)))

    async def _tell_state(self, said: GetState) -> None:
        self._tell(
            SessionState(id=said.id, timestamp=self._wall(), data=await self._live.state(self._client.principal))
        )

    def _wall(self) -> int:
        return self._live.milliseconds()

    def _tell(self, message: BaseModel) -> None:
        self._live.connections.tell(self._client, prepared(message))

    def _tell_error(self, code: str, message: str, **more: Any) -> None:
        self._live.connections.counts.fail(code, message)
        self._tell(ErrorTold(timestamp=self._wall(), code=code, message=message, **more))

    def _tell_mistake(self, mistake: ValidationError) -> None:
        first = mistake.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(one) for one in first["loc"][1:]) or None
        kinds = "subscribe, unsubscribe, ping, get_state, get_qr"
        if first["type"] in ("json_invalid", "union_tag_not_found", "model_attributes_type"):
            self._tell_error("not_understood", "Invalid message format", hint=f'{{"type": …}} with one of: {kinds}.')
        elif first["type"] == "union_tag_invalid":
            self._tell_error("not_understood", "Unknown message type", field="type", hint=f"Known: {kinds}.")
        else:
            self._tell_error("invalid", first["msg"], field=place)


def prepared(message: BaseModel) -> Prepared:
    """As `model_dump_json` would say it, in half the time: our messages are plain values and each other."""
    return Prepared(orjson.dumps(message.__dict__, default=vars))

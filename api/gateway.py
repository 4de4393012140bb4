"""`/ws`: who comes in, what they say, and what they are told."""

import asyncio
import logging
import random
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

from fastapi import FastAPI
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from api import topics
from api.addresses import address_of
from api.auth import allows
from api.bell import TOPIC as NOTIFICATIONS
from api.bell import Bell
from api.cluster import Cluster
from api.connections import Client, Connections
from api.entrance import Entrance, Turned
from api.following import Following
from api.live_bodies import ErrorTold, Goodbye, SenderState, StateData
from api.live_session import ROOM_S, Session, prepared
from api.log_pages import LogPages
from api.places import Place
from api.protocol import EXTENSION, WebSocket
from api.shared_looks import SharedLooks
from core import bus, senders
from core.bootstrap import Platform
from core.bus import Logged
from core.models import Sender
from core.principals import Principal

PATH = "/ws"
MAX_MESSAGE_BYTES = 1024 * 1024
_DRAIN_S = 5.0
_RECHECK_S = 0.5
_STATE_LASTS_S = 0.25
_GOING_AWAY = 1001
_MISTAKES = {1002: "protocol_error", 1003: "protocol_error", 1007: "not_utf8", 1009: "oversized", 1011: "internal"}
"""Of the codes with which we end a connection those that say that something was wrong."""
logger = logging.getLogger(__name__)


class Gateway:
    """An ASGI application of its own, before the rest of the API: half of what a connection costs is saved so."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        live: Live = self._app.state.live
        await live.connection({**scope, "app": self._app}, receive, send)

    def turned_away(self, why: str) -> None:
        """Before it was even a request for a WebSocket."""
        live: Live = self._app.state.live
        live.refused(why, "")


class Live:
    """Everything about the WebSocket in this process."""

    def __init__(self, platform: Platform, entrance: Entrance, cluster: Cluster) -> None:
        self._platform = platform
        self._cluster = cluster
        self.entrance = entrance
        self.is_over = False
        """Everybody is let go: streams over plain HTTP look here."""
        self.connections = Connections()
        self.bell = Bell(platform, self.connections)
        self.following = Following(platform, self.connections, self.bell)
        self._pages = LogPages(platform.database)
        self._senders: SharedLooks[Sequence[Sender]] = SharedLooks(lasts_s=_STATE_LASTS_S)

    def runs(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """What goes on beside the requests, as long as the process does."""
        return (
            self.following.run(),
            self.following.show_progress(),
            self.bell.show_counts(),
            self.connections.sweep(),
            self.recheck(),
        )

    async def connection(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        socket: WebSocket | None = scope.get("extensions", {}).get(EXTENSION)
        if scope["path"] != PATH or socket is None:
            self.refused("not_found", address_of(HTTPConnection(scope)))
            await _refuse(send, 404, b"There is no WebSocket here: it is at /ws.")
            return
        try:
            entered = await self.entrance.enter(HTTPConnection(scope))
        except Turned as turned:
            await self._turn_away(turned, address_of(HTTPConnection(scope)), send)
            return
        client = Client(socket, entered.principal, entered.address, connected_at=asyncio.get_running_loop().time())
        session = Session(self, client)
        try:
            await self._let_in(session, client, send)
        except BaseException:  # also who is cancelled leaves nothing behind
            self.connections.remove(client)
            entered.place.leave()
            raise
        place = entered.place
        socket.leave_to(lambda event: self._told(event, session, client, place))

    def refused(self, why: str, address: str) -> None:
        """Somebody was not let in: to a WebSocket, or to a stream over plain HTTP."""
        self.connections.counts.refuse(why)
        logger.info("websocket_refused why=%s from=%s", why, address)

    async def _turn_away(self, turned: Turned, address: str, send: Send) -> None:
        self.refused(turned.why, address)
        if turned.status:
            await _refuse(send, turned.status, str(turned).encode())
        else:  # as 2.3.0 did, and the only way in which a browser's script is told why
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": 1008, "reason": str(turned)})

    async def _let_in(self, session: Session, client: Client, send: Send) -> None:
        async with self.following.entering():
            self.connections.add(client)
        seq = self.following.position
        state = await self.state(client.principal)
        client.socket.hold()
        try:
            await send({"type": "websocket.accept"})
            client.socket.on_text = session.heard
            client.socket.may_say = session.may_say
            session.welcome(seq, state)
        finally:
            client.socket.let_go()

    def _told(self, event: Mapping[str, Any], session: Session, client: Client, place: Place) -> None:
        """What comes on this connection besides text, which the session hears; the last is that it is no more."""
        if event["type"] != "websocket.disconnect":
            session.heard_bytes(event["bytes"])
            return
        self._ended(client, event)
        self.connections.remove(client)
        session.end()
        place.leave()

    def _ended(self, client: Client, event: Mapping[str, Any]) -> None:
        counts, code = self.connections.counts, event["code"]
        if not event.get("ours"):
            counts.left += 1
            return
        counts.close(code)
        if code in _MISTAKES:
            counts.fail(_MISTAKES[code], event["reason"])
        if code != _GOING_AWAY:
            logger.info("websocket_closed code=%d client=%d principal=%s", code, client.number, client.principal.ref)

    async def state(self, principal: Principal) -> StateData:
        """Senders by name only for who may look at them."""
        rows = await self._senders.get(self.following.position, self._all_senders)
        sees_senders = allows(principal, "senders.read")
        is_ready = any(one.state == senders.ACTIVE for one in rows)
        return StateData(
            status="connected" if is_ready else "disconnected",
            ready=is_ready,
            authenticated=bool(rows),
            senders=[SenderState(id=one.id, name=one.name, state=one.state) for one in rows if sees_senders],
        )

    async def _all_senders(self) -> Sequence[Sender]:
        async with self._platform.database.reading() as tx:
            return await senders.listed(tx, after=0, limit=100)

    def milliseconds(self) -> int:
        """The machine's clock, for what is no event: those carry the database's."""
        return int(time.time() * 1000)

    async def reach(self) -> bus.Reach:
        async with self._platform.database.reading() as tx:
            return await bus.reach(tx)

    async def logged(self, after: int) -> Sequence[Logged]:
        """What comes next in the log, at least up to `position`."""
        return await self._pages.after(after, up_to=self.following.position)

    async def recheck(self) -> None:
        """Within a second a revoked key, an ended sign-in and a changed role count here too. For ever."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_RECHECK_S):
                    await self._cluster.look_again.wait()
            self._cluster.look_again.clear()
            looked_at = {one for one in self.connections.clients if one.socket.is_open}
            if not looked_at:
                continue
            try:
                welcome = await self.entrance.still_welcome(looked_at)
            except Exception:  # the database may be restarting; the next look is soon
                logger.exception("recheck_stalled")
                self.connections.counts.fail("stalled", "Keys and sign-ins could not be looked at again.")
                continue
            gone = looked_at - welcome.keys()
            has_changed = any(client.principal != principal for client, principal in welcome.items())
            for client, principal in welcome.items():
                self._become(client, principal)
            for client in gone:
                client.socket.close(1008, "What you came in with is no longer valid.")
            if gone or has_changed:
                await self._cluster.access_changed()

    def _become(self, client: Client, principal: Principal) -> None:
        if principal == client.principal:
            return
        client.principal = principal
        for topic in [one for one in client.topics if not allows(principal, topics.permission(one))]:
            self.connections.unfollow(client, topic)
            gone = ErrorTold(
                timestamp=self.milliseconds(),
                code="not_allowed",
                message=f"You may not follow {topic} any more.",
                field="topics",
            )
            self.connections.tell(client, prepared(gone))
        if NOTIFICATIONS in client.topics:
            self.bell.count_for(principal)

    async def drain(self) -> None:
        """The process ends. `/readyz` says so first, for as long as what stands before us takes to see it; then who is
        here is told when to come back, spread over some seconds, and let go."""
        self.entrance.is_closing = True
        if self.connections.clients or self.following.is_wanted:
            await asyncio.sleep(self._platform.settings.live_drain_s)
        self.is_over = True
        self.following.wake()
        clients = tuple(self.connections.clients)
        spread_ms = 1000 + 5 * len(clients)
        for client in clients:
            hint = Goodbye(timestamp=self.milliseconds(), retry_in_ms=random.randint(0, spread_ms))  # noqa: S311  no secret
            self.connections.tell(client, prepared(hint))
            client.socket.close(1001, "The server restarts. Come back and resume.")
        until = asyncio.get_running_loop().time() + _DRAIN_S
        while self.connections.clients and asyncio.get_running_loop().time() < until:  # noqa: ASYNC110  they go one by one
            await asyncio.sleep(ROOM_S)


async def _refuse(send: Send, status: int, why: bytes) -> None:
    await send(
        {"type": "websocket.http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]}
    )
    await send({"type": "websocket.http.response.body", "body": why})

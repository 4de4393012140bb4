"""`/ws`: who comes in, what they say, and what they are told."""

import asyncio
import logging
import random
import time
from collections.abc import Coroutine
from typing import Any

from fastapi import FastAPI
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from api import topics
from api.auth import allows
from api.connections import Client, Connections
from api.entrance import Entrance, Turned
from api.following import Following
from api.live_bodies import ErrorTold, Goodbye, SenderState, StateData
from api.live_session import ROOM_S, Session, prepared
from api.protocol import EXTENSION, WebSocket
from core import bus, senders
from core.bootstrap import Platform
from core.bus import Logged
from core.principals import Principal

PATH = "/ws"
MAX_MESSAGE_BYTES = 1024 * 1024
_DRAIN_S = 5.0
_RECHECK_S = 0.5
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


class Live:
    """Everything about the WebSocket in this process."""

    def __init__(self, platform: Platform, entrance: Entrance) -> None:
        self._platform = platform
        self.entrance = entrance
        self.connections = Connections()
        self.following = Following(platform, self.connections)

    def runs(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """What goes on beside the requests, as long as the process does."""
        return self.following.run(), self.following.show_progress(), self.connections.sweep(), self.recheck()

    async def connection(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        socket: WebSocket | None = scope.get("extensions", {}).get(EXTENSION)
        if scope["path"] != PATH or socket is None:
            await _refuse(send, 404, b"There is no WebSocket here: it is at /ws.")
            return
        connection = HTTPConnection(scope)
        try:
            entered = await self.entrance.admit(connection, self.connections)
        except Turned as turned:
            self.connections.counts.refused[turned.why] = self.connections.counts.refused.get(turned.why, 0) + 1
            logger.info("websocket_refused why=%s", turned.why)
            if turned.status:
                await _refuse(send, turned.status, str(turned).encode())
            else:  # as 2.3.0 did, and the only way in which a browser's script is told why
                await send({"type": "websocket.accept"})
                await send({"type": "websocket.close", "code": 1008, "reason": str(turned)})
            return
        loop = asyncio.get_running_loop()
        client = Client(
            socket,
            entered.principal,
            entered.address,
            connected_at=loop.time(),
            buckets=self.entrance.buckets(entered),
        )
        session = Session(self, client)
        async with self.following.entering():
            self.connections.add(client)
        try:
            await send({"type": "websocket.accept"})
            socket.on_text = session.heard
            await session.welcome()
            while (await receive())["type"] != "websocket.disconnect":
                self.connections.tell(client, session.error("not_understood", "Only text messages are understood."))
        finally:
            self.connections.remove(client)
            session.end()

    async def state(self, principal: Principal) -> StateData:
        """Senders by name only for who may look at them."""
        async with self._platform.database.reading() as tx:
            rows = await senders.listed(tx, after=0, limit=100)
        sees_senders = allows(principal, "senders.read")
        is_ready = any(one.state == senders.ACTIVE for one in rows)
        return StateData(
            status="connected" if is_ready else "disconnected",
            ready=is_ready,
            authenticated=bool(rows),
            senders=[SenderState(id=one.id, name=one.name, state=one.state) for one in rows if sees_senders],
        )

    def milliseconds(self) -> int:
        """The machine's clock, for what is no event: those carry the database's."""
        return int(time.time() * 1000)

    async def reach(self) -> bus.Reach:
        async with self._platform.database.reading() as tx:
            return await bus.reach(tx)

    async def logged(self, after: int) -> list[Logged]:
        async with self._platform.database.reading() as tx:
            return list(await bus.since(tx, after))

    async def recheck(self) -> None:
        """Within a second a revoked key, an ended sign-in and a changed role count here too. For ever."""
        while True:
            await asyncio.sleep(_RECHECK_S)
            looked_at = set(self.connections.clients)
            if not looked_at:
                continue
            try:
                welcome = await self.entrance.still_welcome(looked_at)
            except Exception:  # the database may be restarting; the next look is soon
                logger.exception("recheck_stalled")
                continue
            for client, principal in welcome.items():
                self._become(client, principal)
            for client in looked_at - welcome.keys():
                client.socket.close(1008, "What you came in with is no longer valid.")

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

    async def drain(self) -> None:
        """The process ends: who is here is told when to come back, spread over some seconds, and then let go."""
        self.entrance.is_closing = True
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

"""The real gateway, in the real API process, with one path more by which the generator has it send.

`python -m bench.ws.gateway PORT`; settings come from the environment, as for `waqtor api`. Whoever is on /ws came in
with an API key, follows `messages` and is held to every limit. An event goes the way that the follower takes with one
from the log, from `told` on.
"""

import asyncio
import json
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import orjson
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from api.app import Server, create_app
from api.bell import told
from api.connections import Client
from api.frames import Prepared
from api.gateway import Live
from api.protocol import EXTENSION, WebSocket
from core.bus import Logged
from core.settings import Settings

_TOPIC = "messages"
_NOTICES = json.loads(Path(os.environ["NOTICES"]).read_text())


class Control:
    """Before the gateway: takes /control for itself, and notes which connection has which number."""

    def __init__(self, gateway: ASGIApp, live: Live) -> None:
        self._gateway = gateway
        self._live = live
        self._sockets: dict[int, WebSocket] = {}
        self._clients: dict[int, Client] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self._gateway(scope, receive, send)
        elif scope["path"] == "/control":
            await receive()
            await send({"type": "websocket.accept"})
            scope["extensions"][EXTENSION].on_text = self._heard
            while (await receive())["type"] != "websocket.disconnect":
                pass
        else:
            number = int(parse_qs(scope["query_string"].decode())["id"][0])
            self._sockets[number] = scope["extensions"][EXTENSION]
            await self._gateway(scope, receive, send)

    def _heard(self, payload: bytes) -> None:
        asked = orjson.loads(payload)
        if asked["op"] == "pub":
            self._live.connections.publish(_TOPIC, _event(asked["seq"]), seq=asked["seq"])
            return
        if len(self._clients) < len(self._sockets):
            by_socket = {client.socket: client for client in self._live.connections.clients}
            self._clients = {number: by_socket[one] for number, one in self._sockets.items()}
        for place, number in enumerate(asked["ids"]):
            self._live.connections.tell(self._clients[number], _event(place))


def _event(seq: int) -> Prepared:
    event = Logged(seq, "message.received", _TOPIC, _NOTICES[seq & 255], datetime.now(UTC))
    return told(event, _TOPIC, prev=seq - 1)


async def main(port: int) -> None:
    settings = Settings()
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        for sig in (signal.SIGINT, signal.SIGTERM):
            signal.signal(sig, lambda *_: None)
        server = Server(app, settings, host="127.0.0.1", port=port)
        server.config.app = Control(server.config.app, app.state.live)  # type: ignore[arg-type]
        await server.serve()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1])))

"""The process: one socket, one world, one ledger file."""

import asyncio
import contextlib
import logging
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
from aiohttp import web

from simulator import media, restore
from simulator.answers import Answer, refusal
from simulator.config import Config
from simulator.control import Control
from simulator.errors import GraphError
from simulator.graph import Graph, token_of
from simulator.ledger import Ledger
from simulator.sending import before, trace_id
from simulator.world import World

_log = logging.getLogger("simulator")
_STATIC = Path(__file__).parent / "static"
_PAGES = {"": "index.html", "app.js": "app.js", "app.css": "app.css"}
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
# The largest media upload, and some room for the other parts of the form.
_LARGEST_REQUEST = 101 * 1024 * 1024
WORLD = web.AppKey("world", World)


class _Dispatch:
    """Finds who answers a path. By hand: a router costs a third of a message."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.graph = Graph(world)
        self.control = Control(world, self.graph)

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except web.HTTPRequestEntityTooLarge:
            return refusal(GraphError(100, "The request body is too large", status=413), trace_id())
        except ConnectionError:
            # The client left while we read or wrote; there is nobody to answer.
            return Answer(b"")
        except Exception:  # noqa: BLE001 - the last line of defence
            # Whatever a client sends, it gets an answer of the API it called and no stack trace.
            _log.exception("request.failed")
            return refusal(GraphError(1, "An unknown error occurred", status=500), trace_id())

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        parts = request.path.strip("/").split("/")
        head = parts[0]
        if head[:1] == "v" and head[1:2].isdigit():
            return await self.graph.answer(request, parts)
        if head == "_sim" and len(parts) > 1:
            return await self.control.answer(request, parts[1:])
        if head == "_media" and len(parts) == 2:
            return await self._media(request, parts[1])
        if len(parts) == 1 and head in _PAGES and request.method == "GET":
            return _page(_PAGES[head])
        return refusal(GraphError(2500, "Unknown path components: " + request.path[:200], status=404), trace_id())

    async def _media(self, request: web.Request, media_id: str) -> web.StreamResponse:
        try:
            numbers = list(self.world.accounts.numbers.values())
            self.world.accounts.authorized(token_of(request), numbers)
            fault = self.world.faults.on_call(path=request.path, number="") if self.world.faults.calls else None
            if fault is not None:
                await before(request, fault)
            return await media.download(self.world, media_id, request.query.get("ext", ""))
        except GraphError as error:
            return refusal(error, trace_id())


def _page(name: str) -> web.Response:
    path = _STATIC / name
    return web.Response(
        body=path.read_bytes(),
        content_type=_TYPES[path.suffix],
        charset="utf-8",
        headers={
            "Cache-Control": "no-store",
            "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
        },
    )


def create_app(config: Config) -> web.Application:
    """The simulator as an aiohttp application; its world lives from start-up to clean-up, under `WORLD`."""
    app = web.Application(client_max_size=_LARGEST_REQUEST)

    async def world(app: web.Application) -> AsyncIterator[None]:
        with contextlib.ExitStack() as stack:
            path = config.state
            if path is None:
                path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "ledger.sqlite"
            path.parent.mkdir(parents=True, exist_ok=True)
            ledger = Ledger(path)
            stack.callback(ledger.close)
            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
                made = World(config, ledger, session)
                await restore.restore(made)
                dispatch = _Dispatch(made)
                app[WORLD] = made
                app[_DISPATCH] = dispatch
                yield
                await made.poster.close()
                made.clock.clear()
                await made.keep_clock()

    async def handle(request: web.Request) -> web.StreamResponse:
        return await request.app[_DISPATCH](request)

    app.cleanup_ctx.append(world)
    app.router.add_route("*", "/{path:.*}", handle)
    return app


_DISPATCH = web.AppKey("dispatch", _Dispatch)


@contextlib.asynccontextmanager
async def running(config: Config) -> AsyncIterator[str]:
    """Serve on the configured address while inside; gives the base URL, so port 0 is of use."""
    runner = web.AppRunner(create_app(config), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, config.host, config.port, backlog=1024).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{f'[{host}]' if ':' in host else host}:{port}"
    finally:
        await runner.cleanup()


async def serve(config: Config, stop: asyncio.Event) -> None:
    """Serve until `stop` is set."""
    async with running(config) as url:
        print(f"simulator ({config.profile.name}, seed {config.seed}) on {url}", flush=True)  # noqa: T201
        await stop.wait()


def run(config: Config) -> None:
    """Serve until SIGINT or SIGTERM."""
    import signal

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await serve(config, stop)

    try:
        import uvloop
    except ImportError:
        asyncio.run(main())
    else:
        uvloop.run(main())

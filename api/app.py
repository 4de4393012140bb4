"""The composition root of the API process: what it is made of, what runs beside the requests, how it ends."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress

import uvicorn
from fastapi import FastAPI

from api import (
    accounts,
    api_keys,
    attributes,
    audit,
    auditing,
    auth_v2,
    campaigns,
    canaries,
    chats,
    cloud,
    contacts,
    deliveries,
    docs,
    errors,
    events,
    gateway_log,
    health,
    imports,
    links,
    live,
    logs,
    media,
    messages,
    monitor,
    monitor_page,
    notifications,
    notifications_v2,
    people,
    preflight,
    protected_pages,
    recipients,
    schedules,
    segments,
    senders,
    sending,
    system,
    tags,
    templates,
    users,
    variants,
    webhooks,
    webhooks_v2,
    why,
)
from api.cluster import Cluster
from api.deps import Background
from api.entrance import Entrance
from api.gateway import MAX_MESSAGE_BYTES, Gateway, Live
from api.importing import Importing
from api.limits import Limits
from api.monitoring import Monitor
from api.requests import Requests
from api.storing import Storing
from api.uses import Uses
from connectors import choose
from connectors.cloud_webhook import parse
from core import bus, collector, inbox, instances
from core.bootstrap import Platform, build
from core.courier import Courier
from core.errors import WaqtorError
from core.kept_funnels import KeptFunnels
from core.outbox import Outbox
from core.passwords import Passwords
from core.ports import Clock, Connectors, Jobs, Poster
from core.settings import Settings
from core.transfers import Transfers

_RELAY_S = 0.05
_RELAY_RETRY_S = 1.0
_END_S = 5
logger = logging.getLogger(__name__)

DESCRIPTION = """\
Send campaigns over WhatsApp, and know what became of every recipient.

Every route needs an API key, `Authorization: Bearer wq_…` (make one with `waqtor keys create`), or a sign-in
(`POST /api/v3/auth/sign-in`); what each may do: docs/permissions.md. Every write takes an
`Idempotency-Key`. Lists come in pages: give `next_cursor` back as `cursor`. Everything that goes wrong has one shape:
`{"error": {"code", "message", "field", "hint", "request_id"}}`."""
TAGS = [
    {"name": "contacts", "description": "People: added one by one, and never written to again once they say STOP."},
    {"name": "tags", "description": "What people were tagged with."},
    {"name": "segments", "description": "People chosen by a filter: who is in a segment is asked anew each time."},
    {"name": "attributes", "description": "The kinds of values that contacts have: text, number, date, boolean."},
    {"name": "imports", "description": "Files of contacts, with a report for every row that was not taken."},
    {"name": "templates", "description": "Messages with `{name}` variables."},
    {"name": "senders", "description": "WhatsApp accounts that write."},
    {"name": "campaigns", "description": "One message to an audience, and what became of it for each person."},
    {"name": "sending", "description": "The kill switch for everything that leaves."},
    {"name": "messages", "description": "What was written, in both directions; one message or many to write."},
    {"name": "chats", "description": "What was said between one sender and one person."},
    {"name": "media", "description": "Files that go with messages, ours and theirs."},
    {"name": "events", "description": "What happened, in order and without a gap."},
    {"name": "notifications", "description": "What people at work are told, and who has read it."},
    {"name": "webhooks", "description": "Addresses of yours that are told what happens, and the log of that."},
    {"name": "api-keys", "description": "Keys by which programs come in."},
    {"name": "auth", "description": "Signing in, and one's own account."},
    {"name": "users", "description": "People who sign in."},
    {"name": "protected-pages", "description": "Pages that people see only after a one-time code."},
    {"name": "audit", "description": "Who did what."},
    {"name": "auth-v2", "description": "Signing in as version 2.3.0 did, in its shapes."},
    {"name": "notifications-v2", "description": "Notifications as version 2.3.0 had them, in its shapes."},
    {"name": "webhooks-v2", "description": "Webhooks as version 2.3.0 had them, in its shapes."},
    {"name": "whatsapp", "description": "What WhatsApp posts to us."},
    {"name": "monitor", "description": "How the WebSocket does: figures, who is connected, alerts."},
    {"name": "system", "description": "What this installation is, what waits and what sends."},
    {"name": "health", "description": "For those who watch the process."},
]
ROUTERS = (
    cloud.router,  # first: routes are tried in order, and thousands of webhooks a second come this way
    contacts.looking,
    contacts.router,
    people.router,
    segments.looking,
    segments.router,
    attributes.router,
    tags.router,
    imports.router,
    templates.router,
    templates.looking,
    senders.router,
    senders.asking,
    campaigns.router,
    recipients.router,
    schedules.router,
    variants.router,
    canaries.router,
    schedules.looking,
    why.router,
    preflight.router,
    sending.router,
    messages.router,
    chats.router,
    media.taking,
    media.router,
    live.router,
    events.router,
    notifications.router,
    api_keys.router,
    accounts.entering,
    accounts.router,
    accounts.proving,
    protected_pages.own,
    protected_pages.opening,
    users.router,
    protected_pages.router,
    audit.router,
    auth_v2.entering,
    auth_v2.router,
    auth_v2.proving,
    notifications_v2.router,
    deliveries.router,
    deliveries.asking,
    webhooks.router,
    webhooks_v2.router,
    webhooks_v2.asking,
    links.router,
    health.router,
    system.router,
    monitor.router,
    monitor.scraped,
    monitor_page.router,
    docs.router,
)


def create_app(
    settings: Settings,
    *,
    connectors: Connectors | None = None,
    jobs: Jobs | None = None,
    clock: Clock | None = None,
    poster: Poster | None = None,
) -> FastAPI:
    """The app. It works while its lifespan does, which is `running`."""

    def lifespan(app: FastAPI) -> AbstractAsyncContextManager[None]:
        return running(app, settings, connectors=connectors, jobs=jobs, clock=clock, poster=poster)

    app = FastAPI(
        title="WaQtor API",
        version="3.0.0.dev0",
        description=DESCRIPTION,
        openapi_tags=TAGS,
        lifespan=lifespan,
        docs_url=None,  # ours comes without a script from a foreign host
        redoc_url=None,
        redirect_slashes=False,
    )
    errors.install(app)
    app.add_middleware(Requests)
    for router in ROUTERS:
        app.include_router(router)
    return app


@asynccontextmanager
async def running(
    app: FastAPI,
    settings: Settings,
    *,
    connectors: Connectors | None,
    jobs: Jobs | None,
    clock: Clock | None,
    poster: Poster | None,
) -> AsyncIterator[None]:
    """The lifespan of `app`. It raises `WaqtorError` where the installation is not fit to work."""
    platform = await build(
        settings,
        connectors=connectors or choose.CloudConnectors(settings),
        jobs=jobs or choose.jobs(settings),
        clock=clock,
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(platform.close)
        app.state.place = await stack.enter_async_context(
            instances.place(platform.database, shared=bool(settings.redis_url))
        )
        stored = asyncio.Event()
        app.state.platform = platform
        app.state.storing = Storing(platform, stored)
        app.state.known_secrets = cloud.KnownSecrets(platform)
        app.state.background = Background()
        app.state.funnels = KeptFunnels()
        app.state.importing = Importing(platform)
        app.state.outbox = Outbox(platform)
        app.state.transfers = Transfers(platform, then=app.state.outbox.wake)
        app.state.poster = poster or choose.poster(settings)
        stack.push_async_callback(app.state.poster.close)
        app.state.courier = Courier(platform, app.state.poster)
        app.state.passwords = Passwords()
        app.state.uses = Uses(platform)
        app.state.limits = Limits(settings)
        cluster = app.state.cluster = Cluster(platform, app.state.limits)
        stack.push_async_callback(app.state.uses.close)
        await stack.enter_async_context(_beside(auditing.anchor_forever(platform)))
        await stack.enter_async_context(_beside(app.state.uses.run()))
        await stack.enter_async_context(_beside(app.state.storing.run()))
        await stack.enter_async_context(_beside(inbox.apply_forever(platform, parse, stored)))
        await stack.enter_async_context(_beside(app.state.importing.run()))
        await stack.enter_async_context(_beside(app.state.outbox.run()))
        await stack.enter_async_context(_beside(app.state.transfers.run()))
        await stack.enter_async_context(_beside(app.state.courier.run()))
        await stack.enter_async_context(_beside(cluster.run()))
        app.state.live = Live(platform, Entrance(platform, app.state.limits, cluster), cluster)
        lines = stack.enter_context(gateway_log.kept())
        app.state.monitor = Monitor(platform, app.state.live, lines)
        for work in (*app.state.live.runs(), app.state.monitor.run()):
            await stack.enter_async_context(_beside(work))
        if platform.database.is_postgres:
            await stack.enter_async_context(_beside(_relay(platform)))
        collector.leave_alone_what_is_loaded()
        yield
        await app.state.background.finish(timeout_s=_END_S)


@asynccontextmanager
async def _beside(work: "asyncio._CoroutineLike[None]") -> AsyncIterator[None]:
    """`work` runs as long as the block does."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _relay(platform: Platform) -> None:
    """Number what has been committed. Every process may run it; one at a time does the work."""
    while True:
        try:
            async with platform.database.transaction() as tx:
                await bus.number(tx)
            await asyncio.sleep(_RELAY_S)
        except Exception:  # the database may be restarting; nothing is lost, it waits for its number
            logger.exception("relay_stalled")
            await asyncio.sleep(_RELAY_RETRY_S)


def serve(settings: Settings) -> int:
    """Run until SIGTERM or Ctrl-C; returns the exit code. 2: the installation is not fit, and stderr says why."""
    logs.configure(settings.log_level)
    try:
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            runner.run(_serve(settings))
    except WaqtorError as refused:
        return _refuse(f"{refused.code}: {refused.message}", refused.hint)
    except Exception as error:
        if not errors.is_away(error):
            raise
        return _refuse(f"The database cannot be reached ({type(error).__name__}).", "Is WAQTOR_DATABASE_URL right?")
    return 0


def _refuse(message: str, hint: str | None) -> int:
    sys.stderr.write(f"{message}\n" + (f"{hint}\n" if hint else ""))
    return 2


async def _serve(settings: Settings) -> None:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        for sig in (signal.SIGINT, signal.SIGTERM):
            signal.signal(sig, lambda *_: None)  # uvicorn takes them, and raises them again when it is done
        await Server(app, settings, host=settings.api_host, port=settings.api_port).serve()


class Server(uvicorn.Server):
    """The app, whose lifespan has begun, on a port. Lets who is connected go before it stops listening."""

    def __init__(self, app: FastAPI, settings: Settings, *, host: str, port: int) -> None:
        config = uvicorn.Config(
            Gateway(app),
            host=host,
            port=port,
            http="httptools",
            ws="api.protocol:WebSocket",
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_per_message_deflate=settings.live_compression,
            lifespan="off",  # entered by the caller, so that a refusal to start is told without a trace
            proxy_headers=False,  # uvicorn would believe everybody on this machine; we believe who the settings name
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=_END_S,
        )
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        live: Live = self._app.state.live
        await live.drain()
        await super().shutdown(sockets)


def _new_loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()

"""Pages of the dashboard without a browser: the real pages and client, the real API on a port, fakes behind it."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from streamlit.testing.v1 import AppTest

import accounts
from core.ports import Connectors
from core.roles import Role
from core.settings import Settings
from fakes import FakeClock, FakeConnector, FakeConnectors, FakeJobs, FakePoster
from live import at_port
from serving import Server, inside
from waqtor import Browser, Client

T = TypeVar("T")
_SCRIPT = """
from ui import look, page, session
from ui.pages import PAGES
page.enter({name!r})
look.dress()
next(one for one in PAGES if one.name == {name!r}).show()
"""


@dataclass
class Stage:
    server: Server
    url: str
    connector: FakeConnector
    poster: FakePoster
    clock: FakeClock
    _loop: asyncio.AbstractEventLoop
    _people: dict[str, Client] = field(default_factory=dict)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """In the API's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def signed_in(self, role: Role = "admin") -> Client:
        """As the dashboard is for a browser of somebody of this role."""
        if role not in self._people:
            user = self.do(accounts.a_user(self.server.platform, role))
            with Client(self.url, "") as nobody:
                said = nobody.auth.sign_in_browser(user.email, accounts.PASSWORD)
            self._people[role] = Client(self.url, browser=Browser(cookie=said.cookie, csrf_token=said.csrf_token))
        return self._people[role]

    def page(self, name: str, *, role: Role = "admin", language: str = "en", **query: object) -> AppTest:
        """As it stands when it was opened."""
        client = self.signed_in(role)
        app = AppTest.from_string(_SCRIPT.format(name=name), default_timeout=30)
        app.session_state["_client"] = client  # as ui/session.py leaves it; there is no cookie without a browser
        app.session_state["_me"] = client.auth.me()
        app.session_state["language"] = language
        for key, value in query.items():
            app.query_params[key] = str(value)
        return app.run()

    def close(self) -> None:
        for client in self._people.values():
            client.close()


@contextmanager
def stage(settings: Settings, *, connectors: Connectors | None = None, jobs: FakeJobs | None = None) -> Iterator[Stage]:
    """`connectors`: another WhatsApp than the fake; `jobs`: to see what is started."""
    connector, poster, clock = FakeConnector(), FakePoster(), FakeClock()
    ready: list[Stage] = []
    up, over = threading.Event(), asyncio.Event()

    async def serve() -> None:
        behind = connectors or FakeConnectors(connector)
        async with (
            inside(settings, connectors=behind, jobs=jobs or FakeJobs(), clock=clock, poster=poster) as server,
            at_port(server) as at,
        ):
            url = at.replace("ws://", "http://").removesuffix("/ws")
            ready.append(Stage(server, url, connector, poster, clock, asyncio.get_running_loop()))
            up.set()
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert up.wait(60), "the API did not start"
        yield ready[0]
    finally:
        if ready:
            ready[0].close()
            ready[0]._loop.call_soon_threadsafe(over.set)
        thread.join(30)


def said(app: AppTest) -> str:
    """All text of a page, as one."""
    assert not app.exception, app.exception
    parts = [*app.title, *app.markdown, *app.caption, *app.error, *app.warning, *app.success, *app.info]
    return "\n".join([*(str(one.value) for one in parts), *htmls(app)])


def htmls(app: AppTest) -> list[str]:
    return [str(one.proto.body) for one in app.get("html")]

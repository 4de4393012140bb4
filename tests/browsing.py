"""The dashboard as people have it: its own process, and windows of a real Chromium.

Playwright keeps a loop in the thread of the test: such a test is not a coroutine, and `asyncio.run` works in none
while the browser is there (`Stage.do` does).
"""

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from playwright.sync_api import Browser, Page, expect, sync_playwright

import accounts
from answering import answers
from core.roles import Role
from core.settings import Settings
from serving import environment, free_port
from stage import Stage
from waqtor import Client
from waqtor.auth import COOKIE

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
_PATIENCE_MS = 20_000
expect.set_options(timeout=_PATIENCE_MS)
_LOCALES = {"en": "en-GB", "ar": "ar-EG"}


@dataclass
class Windows:
    """One Chromium; each window has cookies of its own, as another person's browser has."""

    chromium: Browser
    url: str

    @contextmanager
    def window(
        self, cookie: str = "", *, language: str = "en", is_dark: bool = False, width: int = 1280, height: int = 900
    ) -> Iterator[Page]:
        context = self.chromium.new_context(
            base_url=self.url,
            locale=_LOCALES[language],
            color_scheme="dark" if is_dark else "light",
            viewport={"width": width, "height": height},
            timezone_id="Asia/Riyadh",
        )
        context.set_default_timeout(_PATIENCE_MS)
        if cookie:
            context.add_cookies([{"name": COOKIE, "value": cookie, "url": self.url, "httpOnly": True}])
        with contextlib.closing(context):
            yield context.new_page()


@dataclass
class Looking:
    """Windows on the dashboard of a stage."""

    stage: Stage
    windows: Windows

    @contextmanager
    def signed_in(self, role: Role = "admin", **how: object) -> Iterator[Page]:
        """A window of somebody of this role, on a sign-in of its own. `how` as for `Windows.window`."""
        self.stage.signed_in(role)  # so that there is such an account
        with Client(self.stage.url, "") as nobody:
            cookie = nobody.auth.sign_in_browser(f"{role}@example.com", accounts.PASSWORD).cookie
        with self.windows.window(cookie, **how) as page:  # type: ignore[arg-type]
            yield page


@contextmanager
def dashboard_process(settings: Settings, *, api_url: str) -> Iterator[str]:
    """The dashboard of the API at `api_url`; gives its address."""
    port = free_port()
    log = settings.data_dir / f"dashboard-{port}.log"
    env = environment(settings, int(api_url.rpartition(":")[2])) | {"WAQTOR_DASHBOARD_PORT": str(port)}
    with log.open("ab") as out:
        command = [sys.executable, "-m", "cli.main", "dashboard"]
        popen = subprocess.Popen(command, env=env, stdout=out, stderr=out, cwd=settings.data_dir)
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 60
    try:
        while not answers(f"{url}/_stcore/health"):
            assert popen.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield url
    finally:
        popen.terminate()
        popen.wait(15)


def chromium_here() -> str | None:
    return next(filter(None, map(shutil.which, _CHROMIUM)), None)


@contextmanager
def windows(chromium: str, url: str) -> Iterator[Windows]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(_FLAGS))
        with contextlib.closing(browser):
            yield Windows(browser, url)


def turned(page: Page, name: str) -> Page:
    """To another page, as one goes there: by its link. Loading all anew takes several times as long."""
    heading = "document.querySelector('[data-testid=stMain] h1')?.innerText"
    link = f'[data-testid=stSidebarNavLink][href$="/{name}"]' if name != "notifications" else ".st-key-wq-bell button"
    before = page.evaluate(heading)
    page.evaluate("link => document.querySelector(link).click()", link)
    page.wait_for_function(f"before => ![undefined, before].includes({heading})", arg=before)
    return settled(page)


def settled(page: Page) -> Page:
    """When Streamlit has drawn all of it."""
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    page.wait_for_function("!document.querySelector('[data-testid=stSkeleton]')")
    return page


def wide(page: Page) -> int:
    """How wide the content is; more than the window is a page that one has to push about."""
    found: int = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
    return found

"""Windows of a real Chromium on the dashboard, and how long it takes until a page stands in one."""

import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from playwright.async_api import Browser, Page, async_playwright

from waqtor.auth import COOKIE

WIDTH = 1280
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
_STANDS = """
const heading = () => document.querySelector('[data-testid=stMain] h1')?.innerText;
const stands = () => document.querySelector('[data-test-script-state=notRunning]')
    && !document.querySelector('[data-testid=stSkeleton], [data-stale=true]');
const until = async (what) => {
    while (!what()) {
        if (performance.now() - began > 20000) throw new Error('not within 20 s: ' + document.body.innerText);
        await new Promise((next) => setTimeout(next, 4));
    }
    return performance.now() - began;
};
"""
_OPENED = "async () => { const began = 0;" + _STANDS + "return await until(() => heading() && stands()); }"
_PRESSED = (
    "async ({press, shows}) => {"
    + _STANDS.replace("const heading", "const began = performance.now();\nconst heading", 1)
    + """
    const before = heading();
    const there = shows ? () => document.querySelector(shows) : () => heading() && heading() !== before;
    document.querySelector(press).click();
    return await until(() => there() && stands());
}"""
)


@dataclass(frozen=True)
class Step:
    """From one page to the next. `shows` is there when it is; without it, another heading than before."""

    name: str
    press: str
    shows: str | None = None


def _listed(name: str) -> str:
    return f'[data-testid=stSidebarNavLink][href$="/{name}"]'


WALK = (
    Step("contacts", _listed("contacts")),
    Step("a contact", '[class*="st-key-to-contacts-"] button'),
    Step("segments", _listed("segments")),
    Step("campaigns", _listed("campaigns")),
    Step("a campaign", 'a[href="campaign?id=1"]'),
    Step("its people", '[class*="st-key-wq-campaign-view"] button:nth-of-type(2)', ".st-key-wqp-state"),
    Step("templates", _listed("templates")),
    Step("messages", _listed("messages")),
    Step("a chat", '[class*="st-key-to-messages-"] button', ".wq-bubble"),
    Step("reports", _listed("reports")),
    Step("senders", _listed("senders")),
    Step("notifications", ".st-key-wq-bell button"),
    Step("monitoring", _listed("monitoring")),
    Step("overview", _listed("")),
)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    found = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if found is None:
        raise SystemExit("bench.dashboard: no Chromium is on the PATH (Debian and Ubuntu: apt-get install chromium).")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=list(_FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def window(browser: Browser, url: str, cookie: str) -> AsyncIterator[Page]:
    """With nothing kept from before, as on somebody else's device."""
    context = await browser.new_context(base_url=url, viewport={"width": WIDTH, "height": 900}, locale="en-GB")
    await context.add_cookies([{"name": COOKIE, "value": cookie, "url": url, "httpOnly": True}])
    try:
        yield await context.new_page()
    finally:
        await context.close()


async def opened(page: Page, path: str = "/") -> float:
    """Milliseconds from asking for this address until all of the page stands."""
    await page.goto(path, wait_until="commit")
    return float(await page.evaluate(_OPENED))


async def pressed(page: Page, step: Step) -> float:
    """Milliseconds from the click until all of the next page stands."""
    await page.wait_for_selector(step.press, state="attached")
    asked: Mapping[str, str | None] = {"press": step.press, "shows": step.shows}
    return float(await page.evaluate(_PRESSED, asked))

"""The monitor's page in a real browser: who may sees it, it shows who is connected, and it survives a restart."""

import asyncio
import base64
import hashlib
import re
from contextlib import ExitStack
from pathlib import Path

from websockets.sync.client import connect

from accounts import PASSWORD, a_user
from bench.screenshots import Browser, NoBrowser
from conftest import missing
from core import apikeys
from core.bootstrap import build
from core.settings import Settings
from fakes import FakeConnector, FakeConnectors, FakeJobs
from serving import Server, api_process, free_port, new_installation

NAMES = ["لوحة المتجر", "<img src=x onerror=alert(1)>", "crm"]


async def _people_and_keys(settings: Settings) -> list[str]:
    platform = await build(settings, connectors=FakeConnectors(FakeConnector()), jobs=FakeJobs())
    for role in ("admin", "viewer"):
        await a_user(platform, role)  # type: ignore[arg-type]
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        made = [(await apikeys.create(tx, platform.key, name=name, scopes=["read"], at=now)).full for name in NAMES]
    await platform.close()
    return made


def _sign_in(browser: Browser, role: str) -> None:
    browser.wait_for("document.getElementById('password')")
    browser.value(
        f"document.getElementById('email').value = '{role}@example.com';"
        f"document.getElementById('password').value = '{PASSWORD}';"
        "document.querySelector('form').requestSubmit()"
    )


def test_it_shows_who_is_connected_and_survives_a_restart(tmp_path: Path, sqlite_template: Path) -> None:
    settings, port = new_installation(tmp_path, sqlite_template), free_port()
    keys = asyncio.run(_people_and_keys(settings))
    rows = "document.querySelectorAll('#clients tbody tr').length"
    badge = "document.getElementById('badge').dataset.is"
    with ExitStack() as stack:
        try:
            browser = stack.enter_context(Browser())
        except NoBrowser:
            missing("Chromium")
        with api_process(settings, port=port), ExitStack() as clients:
            for key in keys:
                made = connect(f"ws://127.0.0.1:{port}/ws", additional_headers={"X-API-Key": key}, proxy=None)
                clients.enter_context(made).send('{"type":"subscribe","topics":["campaigns"]}')
            browser.call("Page.navigate", url=f"http://127.0.0.1:{port}/ws-monitor.html")
            _sign_in(browser, "viewer")
            browser.wait_for("document.body.innerText.includes('You may not look at this')")
            browser.value("document.querySelector('#gate button').click()")
            _sign_in(browser, "admin")
            browser.wait_for(f"{rows} === {len(NAMES)} && {badge} === 'ok'")
            browser.wait_for("document.querySelectorAll('.plot path').length > 3")
            shown = browser.value("document.getElementById('clients').innerText")
            assert all(name in shown for name in NAMES)
            assert browser.value("document.querySelectorAll('img').length") == 0
            assert browser.value("document.getElementById('overview').innerText").startswith("Connections\n3\n")
            browser.call("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
            assert browser.value("document.documentElement.scrollWidth") == 390
            browser.value("window.isTheSamePage = true")
        browser.wait_for(f"{badge} === 'away'")
        assert browser.value(rows) == len(NAMES), "what was seen last stays"
        with api_process(settings, port=port):
            browser.wait_for(f"{badge} === 'ok'")
            assert browser.value("isTheSamePage && document.getElementById('away').hidden")
            assert "Nobody is connected" in browser.value("document.getElementById('clients').innerText")


async def test_a_browser_runs_what_is_in_the_file_and_nothing_else(server: Server) -> None:
    async with server.client("") as anybody:
        page = await anybody.get("/ws-monitor.html")
    policy = page.headers["content-security-policy"]
    for kind in ("script", "style"):
        (inline,) = re.findall(rf"<{kind}>(.*?)</{kind}>", page.text, re.DOTALL)
        assert f"{kind}-src 'sha256-{base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()}'" in policy
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'")
    assert not re.search(r"(src|href)=\"?(https?:)?//|innerHTML|insertAdjacentHTML|@import|url\((?!#)", page.text)

"""`make screenshots`: runs a small campaign in a whole installation and takes the pictures of the documentation.

The pages are looked at with a headless Chromium that is told what to do over its DevTools socket: that way a
picture is taken when the page shows what it is to show, not after a guessed time.
"""

import argparse
import base64
import io
import itertools
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
from rich.console import Console
from websockets.sync.client import ClientConnection, connect

from bench import dashboard_pictures
from bench.onlookers import PROXY, onlookers
from cli.demo_people import write_csv
from cli.funnel import picture
from cli.local import Local
from core import service_credentials
from simulator.config import ACCOUNT_ID, NUMBER_ID
from waqtor import Client
from waqtor.campaigns import Campaign

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "pictures"
LARGEST_BYTES = 250_000
_BROWSERS = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
)
_SCALES = (2.0, 1.5, 1.25, 1.0)  # of these the first whose picture is small enough
_PEOPLE, _RECEIPTS_S = 300, 45
_EMAIL, _PASSWORD = "noura@example.com", "olive kettle marble 7"
_MESSAGE = (
    "Hello {name}, our spring offer has begun: 20% off all plants until Sunday."  # the simulator's own spring_offer
)


class NoBrowser(Exception):
    """There is none on this machine."""


class Browser:
    """One headless browser with one page and an empty profile. Use as a context manager."""

    def __init__(self) -> None:
        found = next(filter(None, map(shutil.which, _BROWSERS)), None)
        if found is None:
            raise NoBrowser(
                "screenshots: no Chromium and no Google Chrome is on the PATH.\n"
                "  Debian and Ubuntu:  apt-get install chromium\n"
                "  macOS:              brew install --cask google-chrome"
            )
        self._command = found
        self._numbers = itertools.count(1)

    def __enter__(self) -> "Browser":
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._process = subprocess.Popen(
            [
                self._command,
                *_FLAGS,
                f"--user-data-dir={self._profile.name}",
                "--remote-debugging-port=0",
                "about:blank",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._socket: ClientConnection = connect(self._page_socket(), max_size=None, proxy=None)
        self.call("Page.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(20)
        self._profile.cleanup()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._socket.send(orjson.dumps({"id": number, "method": method, "params": parameters}).decode())
        while True:
            told = orjson.loads(self._socket.recv(timeout=60))
            if told.get("id") == number:
                if "error" in told:
                    raise RuntimeError(f"{method}: {told['error']['message']}")
                result: dict[str, Any] = told["result"]
                return result

    def value(self, expression: str) -> Any:
        """Of JavaScript, in the page."""
        return self.call("Runtime.evaluate", expression=expression)["result"].get("value")

    def run_first(self, script: str) -> None:
        """In every page from now on, before anything of its own."""
        self.call("Page.addScriptToEvaluateOnNewDocument", source=script)

    def take(self, shot: "Shot", file: Path) -> None:
        """The picture, in the largest scale that keeps the file small."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if shot.is_dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self._size(shot, 1.0)
        self.call("Page.navigate", url=shot.url)
        self.wait_for(shot.ready)
        if shot.prepare:
            self.value(shot.prepare)
        self.wait_for(shot.then)
        time.sleep(1.5)  # for fonts, and for what slides in
        for scale in _SCALES:
            self._size(shot, scale)
            time.sleep(0.5)
            content = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
            if len(content) < LARGEST_BYTES:
                break
        else:
            raise RuntimeError(f"{file.name} has {len(content):,} bytes even in its smallest scale.")
        file.write_bytes(content)
        print(f"  {file.name}: {shot.width} x {shot.height} at {scale:g}, {len(content) // 1000} kB")

    def _size(self, shot: "Shot", scale: float) -> None:
        size = {"width": shot.width, "height": shot.height, "deviceScaleFactor": scale}
        self.call("Emulation.setDeviceMetricsOverride", **size, mobile=False)

    def wait_for(self, expression: str, *, timeout_s: float = 60) -> None:
        """Until this JavaScript is true in the page."""
        until = time.monotonic() + timeout_s
        while not self.value(f"Boolean({expression})"):
            if time.monotonic() > until:
                raise TimeoutError(f"The page does not come to: {expression}\n{self.value('document.body.innerText')}")
            time.sleep(0.2)

    def _page_socket(self) -> str:
        told = Path(self._profile.name) / "DevToolsActivePort"
        until = time.monotonic() + 30
        while not told.exists() or not told.read_text():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{self._command} did not start.")
            time.sleep(0.1)
        port = told.read_text().split()[0]
        pages = httpx.get(f"http://127.0.0.1:{port}/json/list", trust_env=False).json()
        return str(next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page"))


@dataclass(frozen=True)
class Shot:
    """`ready` is JavaScript that turns true when the page shows what the picture is of; `prepare` is run then, and
    `then` turns true when that is done."""

    name: str
    url: str
    ready: str
    prepare: str = ""
    then: str = "true"
    width: int = 1200
    height: int = 680
    is_dark: bool = False


def shots(local: Local) -> Iterator[Shot]:
    """Everything that is taken with the browser, of a finished campaign."""
    chat = f"{local.simulator_url}/?contact={_talkative(local)}"
    shown = "document.querySelectorAll('#thread li').length > 1"
    yield Shot("simulator.png", chat, shown)
    yield Shot("simulator-dark.png", chat, shown, is_dark=True)
    prefect = f"http://127.0.0.1:{local.settings.prefect_port}"
    run = _ask_prefect(local, "flow_runs", {"flow_runs": {"name": {"any_": ["campaign-1"]}}})
    yield Shot("prefect-run.png", f"{prefect}/runs/flow-run/{run}", "document.body.innerText.includes('send a batch')")
    result = _ask_prefect(local, "artifacts", {"artifacts": {"key": {"any_": ["campaign-1-result"]}}})
    shown = "document.body.innerText.includes('delivered')"
    yield Shot("prefect-result.png", f"{prefect}/artifacts/artifact/{result}", shown, height=780)
    docs = f"{local.settings.api_url}/docs"
    place = "document.getElementById('campaigns')"
    opened = f"{place}.scrollIntoView(); for (const one of document.querySelectorAll('details'))"
    opened += " if (one.innerText.includes('/{campaign_id}/launch')) one.open = true"
    yield Shot("api-docs.png", docs, place, opened)
    yield from _of_the_monitor(local)
    yield from _of_the_dashboard(local.settings.public_dashboard_url)


def _of_the_monitor(local: Local) -> Iterator[Shot]:
    page, shown = f"{local.settings.api_url}/ws-monitor.html", "document.querySelector('#clients tbody tr')"
    sign_in = f"email.value = '{_EMAIL}'; password.value = '{_PASSWORD}'; document.forms[0].requestSubmit()"
    form = "document.getElementById('password')"
    yield Shot("monitor.png", page, form, sign_in, shown, width=1440, height=1240, is_dark=True)
    yield Shot("monitor-phone.png", page, shown, width=390, height=1240, is_dark=True)


def _let_in(local: Local) -> None:
    """An admin, who looks at the monitor and the dashboard."""
    with Client(local.settings.api_url, local.api_key) as client:
        token = client.users.invite(_EMAIL, role="admin").token
    account = {"token": token, "password": _PASSWORD, "name": "Noura"}
    httpx.post(f"{local.settings.api_url}/api/v3/auth/accept", json=account, trust_env=False).raise_for_status()


def _of_the_dashboard(url: str) -> Iterator[Shot]:
    """Whoever signed in at the monitor is signed in here too: it is the same cookie."""

    def shows(page: str) -> str:
        return f"location.pathname === '/{page}' && document.querySelector('.wq-funnel')"

    large = {"width": 1440, "height": 900}
    for language, mark in (("en", ""), ("ar", "-ar")):
        home = f"{url}/auth/language?to={language}"
        ready = f"document.documentElement.lang === '{language}' && {shows('')}"
        yield Shot(f"dashboard{mark}.png", home, ready, **large)
        to_campaign = f"{url}/campaign?id=1"
        yield Shot(f"dashboard-campaign{mark}.png", to_campaign, shows("campaign"), **large)
        yield Shot(f"dashboard-campaign{mark}-dark.png", to_campaign, shows("campaign"), **large, is_dark=True)
        yield Shot(f"dashboard{mark}-phone.png", url, shows(""), width=390, height=844, is_dark=True)


def _talkative(local: Local) -> str:
    """Somebody who answered, in Arabic if there is one."""
    chats = [chat for chat in local.simulator("GET", "chats?limit=500")["data"] if chat.get("text")]
    answered = {row["contact"] for row in local.simulator("GET", "ledger/inbounds")["data"]}
    told = [chat for chat in chats if chat["contact"] in answered]
    return str(min(told or chats, key=lambda chat: not re.search("[ء-ي]", chat["text"]))["contact"])


def _prefect_password(local: Local) -> str:
    return service_credentials.for_prefect(local.settings) or ""


def _ask_prefect(local: Local, kind: str, filters: dict[str, Any]) -> str:
    auth = httpx.BasicAuth(*_prefect_password(local).split(":"))
    answer = httpx.post(f"{local.settings.prefect_api_url}/{kind}/filter", json=filters, auth=auth, trust_env=False)
    return str(answer.raise_for_status().json()[0]["id"])


def campaign(local: Local, folder: Path) -> Campaign:
    """A small campaign, sent, with most of its receipts."""
    with Client(local.settings.api_url, local.api_key) as client:
        sender = local.sender(name="Demo shop", phone_number_id=NUMBER_ID, waba_id=ACCOUNT_ID, rate=80)
        write_csv(folder / "contacts.csv", _PEOPLE)
        client.contacts.import_file(folder / "contacts.csv")
        template = client.templates.create("Spring", _MESSAGE, cloud_name="spring_offer")
        made = client.campaigns.create("Spring", sender_id=sender["id"], template_id=template.id, purpose="service")
        client.campaigns.launch(made.id)
        client.campaigns.wait(made.id, timeout_s=180)
        time.sleep(_RECEIPTS_S)
        return client.campaigns.get(made.id)


def terminal(campaign: Campaign, file: Path) -> None:
    """What `waqtor campaigns watch` shows, as SVG. Without rich's web fonts: a picture asks no foreign host."""
    console = Console(record=True, width=56, file=io.StringIO(), force_terminal=True)
    assert campaign.launched_at
    assert campaign.finished_at
    took_s = (campaign.finished_at - campaign.launched_at).total_seconds()
    console.print(picture(campaign, took_s=took_s))
    drawn = console.export_svg(title=f"waqtor campaigns watch {campaign.id}", unique_id="funnel")
    file.write_text(re.sub(r"\s*@font-face \{.*?\}", "", drawn, flags=re.DOTALL))
    print(f"  {file.name}: {file.stat().st_size // 1000} kB")


@contextmanager
def finished(folder: Path) -> Iterator[tuple[Local, Campaign]]:
    """A whole installation in which a campaign was sent."""
    quick = {"silence_window_s": 20, "sweep_interval_s": 20}
    with Local(folder, profile="demo", trusted_proxies=PROXY, **quick) as local, onlookers(local):
        yield local, campaign(local, folder)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.screenshots", description=__doc__)
    parser.add_argument("names", nargs="*", help="only these pictures, e.g. simulator.png")
    wanted = parser.parse_args().names
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        browser = Browser()
    except NoBrowser as missing:
        print(missing, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder, finished(Path(folder)) as (local, sent), browser:
        print(f"Into {FOLDER}:")
        if not wanted or "funnel.svg" in wanted:
            terminal(sent, FOLDER / "funnel.svg")
        _let_in(local)
        browser.run_first(f"localStorage['prefect-password'] = btoa('{_prefect_password(local)}')")
        for shot in shots(local):
            if not wanted or shot.name in wanted:
                browser.take(shot, FOLDER / shot.name)
        dashboard_pictures.take(local, _EMAIL, _PASSWORD, FOLDER, wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())

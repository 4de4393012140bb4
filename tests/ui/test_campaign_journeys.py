"""What a shop owner does with campaigns, in a real browser and against the simulated WhatsApp."""

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

import scenes
from answering import answers
from browsing import Looking, chromium_here, dashboard_process, settled, turned, windows
from conftest import missing
from connectors.choose import CloudConnectors
from core import users
from core.runs import Run
from fakes import FakeJobs
from serving import free_port, new_installation
from simulator.config import ACCOUNT_ID, APP_SECRET, NUMBER_ID, TOKEN
from stage import Stage, stage

PEOPLE = 24
_VERIFY = "of-the-test"


@dataclass
class Town(Looking):
    """People who can be written to, and WhatsApp's own books on what reached them."""

    whatsapp: str

    def arrived(self) -> int:
        found = httpx.get(f"{self.whatsapp}/_sim/ledger/summary", params={"phone_number_id": NUMBER_ID}).json()
        return int(found["accepted"])


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Town]:
    chromium = chromium_here()
    if chromium is None:
        missing("Chromium (Debian and Ubuntu: apt-get install chromium)")
        return
    made = new_installation(tmp_path_factory.mktemp("town"), sqlite_template)
    with _whatsapp() as whatsapp:
        settings = made.model_copy(update={"cloud_api_url": f"{whatsapp}/v23.0", "batch_s": 2})
        jobs = FakeJobs()
        with stage(settings, connectors=CloudConnectors(settings), jobs=jobs) as on_stage:
            served = dashboard_process(settings, api_url=on_stage.url)
            with _flows(on_stage, jobs), served as url, windows(chromium, url) as opened:
                yield Town(on_stage, opened, whatsapp)


@contextmanager
def _whatsapp() -> Iterator[str]:
    port = free_port()
    popen = subprocess.Popen([sys.executable, "-m", "simulator", "--port", str(port), "--profile", "bench"])
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 30
    try:
        while not answers(f"{url}/_sim/ledger/summary"):
            assert time.monotonic() < deadline, "the simulator did not start"
            time.sleep(0.1)
        yield url
    finally:
        popen.terminate()
        popen.wait(15)


@contextmanager
def _flows(on_stage: Stage, jobs: FakeJobs) -> Iterator[None]:
    """Does what Prefect was asked to: each run sends one campaign until nothing is left to do."""

    async def send(campaign_id: int) -> None:
        run = await Run.opened(on_stage.server.platform, campaign_id)
        if run is None:
            return
        await run.plan()
        while await run.has_more(await run.send_batch()):
            pass
        await run.close()

    async def work() -> None:
        while True:
            if jobs.started:
                _deployment, parameters, _key = jobs.started.pop(0)
                await send(int(str(parameters["campaign_id"])))
            await asyncio.sleep(0.1)

    task = asyncio.run_coroutine_threadsafe(work(), on_stage._loop)
    try:
        yield
    finally:
        task.cancel()


def _shop(town: Town) -> None:
    """A sender, people and a message, as the other pages leave them."""
    town.stage.do(scenes.people(town.stage.server.platform, PEOPLE))
    client = town.stage.signed_in()
    sender = client.senders.create(
        "Flower shop",
        phone_number_id=NUMBER_ID,
        waba_id=ACCOUNT_ID,
        access_token=TOKEN,
        app_secret=APP_SECRET,
        verify_token=_VERIFY,
        rate=8,
    )
    client.templates.create("Spring", "Hello {name}, spring!", cloud_name="spring_offer")
    told = {
        "phone_number_id": NUMBER_ID,
        "token": TOKEN,
        "app_secret": APP_SECRET,
        "verify_token": _VERIFY,
        "callback_url": f"{town.stage.url}/webhooks/cloud/{sender.id}",
    }
    httpx.post(f"{town.whatsapp}/_sim/accounts", json=told).raise_for_status()


def _press(page: Page, key: str) -> None:
    page.locator(f".st-key-{key} button").click()


def _to_the_question(page: Page, name: str) -> None:
    """From the list to the last question of the wizard, in any language."""
    _press(page, "wq-new-campaign")
    page.locator(".st-key-wqd-name input").fill(name)
    page.keyboard.press("Tab")
    _press(page, "wqd-on")
    expect(page.locator(".wq-bubble")).to_contain_text("spring!")
    page.locator(".st-key-wqd-purpose").get_by_role("combobox").click()
    page.get_by_role("option").nth(1).click()
    _press(page, "wqd-on")
    expect(page.locator(".st-key-wqd-when")).to_be_visible()
    _press(page, "wqd-on")
    _press(page, "wqd-ask")


def test_from_the_one_time_link_to_a_sent_campaign(town: Town) -> None:
    async def invited() -> str | None:
        platform = town.stage.server.platform
        async with platform.database.transaction() as tx:
            return await users.first_admin(tx, at=await platform.clock.now(tx))

    with town.windows.window() as page:
        page.goto(f"/auth/link/{town.stage.do(invited())}")
        page.fill("#email", "sara@shop.example")
        page.fill("#name", "Sara")
        page.fill("#password", "nine violet tractors sing")
        page.fill("#again", "nine violet tractors sing")
        page.click("button")
        page.get_by_role("heading", level=1).wait_for()
        turned(page, "campaigns")
        expect(page.locator(".wq-empty")).to_contain_text("No campaigns yet")
        _shop(town)
        _to_the_question(page, "Spring sale")
        expect(page.get_by_text(f"{PEOPLE} people will get this now.")).to_be_visible()
        assert town.arrived() == 0
        _press(page, "wqd-send-yes")
        expect(page.get_by_role("heading", level=1)).to_have_text("Spring sale")
        expect(page.locator(".wq-chip").first).to_have_text("finished")  # by itself, nobody reloads
        assert town.arrived() == PEOPLE
        _press(page, "wq-me")
        _press(page, "wq-out")
        expect(page).to_have_url(re.compile("/auth/sign-in"))
        page.goto("/campaigns")
        expect(page).to_have_url(re.compile("/auth/sign-in"))


def test_in_arabic_one_pauses_resumes_and_sees_it_through(town: Town) -> None:
    before = town.arrived()
    with town.signed_in("user", language="ar") as page:
        page.goto("/campaigns")
        _to_the_question(page, "عرض الربيع")
        expect(page.get_by_text("ستصل هذه الرسالة الآن إلى")).to_be_visible()
        _press(page, "wqd-send-yes")
        _press(page, "wqc-pause")
        expect(page.locator(".wq-chip").first).to_have_text("متوقفة مؤقتًا")
        then = town.arrived()
        assert then < before + PEOPLE
        time.sleep(1)
        assert town.arrived() == then
        _press(page, "wqc-resume")
        _press(page, "wqc-resume-ask-yes")
        expect(page.locator(".wq-chip").first).to_have_text("انتهت")
        assert town.arrived() == before + PEOPLE
        assert page.evaluate("getComputedStyle(document.querySelector('h1')).direction") == "rtl"


def test_a_viewer_finds_no_way_to_send_by_the_address_either(town: Town) -> None:
    campaign = next(iter(town.stage.signed_in().campaigns.list()))
    with town.signed_in("viewer") as page:
        page.goto("/campaigns")
        expect(settled(page).get_by_role("heading", level=1)).to_have_text("Campaigns")
        expect(page.locator(".st-key-wq-new-campaign")).to_have_count(0)
        page.goto(f"/campaign?id={campaign.id}")
        expect(settled(page).get_by_role("heading", level=1)).to_have_text(campaign.name)
        expect(page.locator("[class*=st-key-wqc-]")).to_have_count(0)
        page.goto("/campaign-new")
        settled(page)
        expect(page.locator("[class*=st-key-wqd-]")).to_have_count(0)


def test_two_people_write_campaigns_at_once_and_a_sign_in_that_is_ended_leads_out(town: Town) -> None:
    with town.signed_in("admin") as one, town.signed_in("user") as other:
        for page, name in ((one, "Of the admin"), (other, "Of the user")):
            page.goto("/campaign-new")
            page.locator(".st-key-wqd-name input").fill(name)
            page.keyboard.press("Tab")
            _press(page, "wqd-on")
        for page, name in ((one, "Of the admin"), (other, "Of the user")):
            expect(page.get_by_role("heading", level=1)).to_have_text(name)
        town.stage.signed_in("user").auth.end_sign_ins()
        other.reload()
        expect(other).to_have_url(re.compile("/auth/sign-in"))
        _press(one, "wqd-back")
        expect(one.locator(".st-key-wqd-name input")).to_have_value("Of the admin")

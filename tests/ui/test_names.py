"""A name is shown as it is, whatever it would mean as Markdown or HTML: it may be that of a stranger's profile."""

import pytest
from playwright.sync_api import Page, expect

import scenes
from browsing import Looking, settled
from stage import Stage, htmls

NAMES = (
    "[Sign in again](https://evil.example)",
    "https://evil.example/in or www.evil.example",
    "From $5 to $3, me@evil.example",
    ":material/home: :red[x] <b>y</b> `z` a -> b >= c",
    "1. **Spring**",
)
_MADE = "[data-testid=stMain] :is(a[href*=evil], a[href^=mailto], .katex, h1 strong, h1 code, h1 [role=img])"


@pytest.fixture(scope="module")
def named(looking: Looking) -> Looking:
    platform = looking.stage.server.platform
    looking.stage.do(scenes.people(platform, 1))
    sender = looking.stage.do(scenes.a_sender(platform, name=NAMES[0]))
    for name in NAMES:
        campaign = looking.stage.do(scenes.a_campaign(platform, sender, name=name))
        looking.stage.do(scenes.launched(platform, campaign.id))
    return looking


def _heading(page: Page) -> str:
    return page.get_by_role("heading", level=1).inner_text().replace("\u2060", "")


def test_no_name_becomes_a_link_a_formula_or_an_icon(named: Looking) -> None:
    with named.signed_in("admin") as page:
        for number, name in enumerate(NAMES, 1):
            page.goto(f"/campaign?id={number}")
            page.locator(".st-key-wqc-cancel").wait_for()
            assert _heading(settled(page)) == name
            expect(page.locator(_MADE)).to_have_count(0)
        page.goto("/campaigns")
        page.get_by_text("Spring").first.wait_for()
        expect(settled(page).locator(_MADE)).to_have_count(0)
        page.goto("/senders?id=1")
        page.locator(".st-key-sender-pause button").click()
        page.locator(".st-key-sender-sure-yes").wait_for()
        assert _heading(page) == NAMES[0]
        expect(page.get_by_text("Nothing more leaves from “[Sign in again]")).to_be_visible()
        expect(page.locator(_MADE)).to_have_count(0)


def test_the_name_of_a_message_is_no_markup(on_stage: Stage) -> None:
    platform = on_stage.server.platform
    sender = on_stage.do(scenes.a_sender(platform, name="of variants"))
    given = [{"name": "<img src=x>"}, {"name": "B"}]
    campaign = on_stage.do(scenes.a_campaign(platform, sender, name="Compared", variants=given))
    on_stage.do(scenes.launched(platform, campaign.id))
    page = on_stage.page("campaign", id=campaign.id)
    page.segmented_control(key=f"wq-campaign-view-{campaign.id}").set_value("variants").run()
    shown = "".join(htmls(page))
    assert "&lt;img src=x&gt;" in shown
    assert "<img src=x>" not in shown

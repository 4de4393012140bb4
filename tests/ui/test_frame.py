"""What is around every page, in a real browser: the ways in and out, both directions of reading, and each page as a
screen reader and a narrow phone have it."""

import re
from collections.abc import Mapping

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

import accounts
import scenes
from browsing import Looking, settled, turned, wide
from ui.pages import PAGES

LISTED = [one.name for one in PAGES if one.is_listed] + ["notifications"]
FURTHER = (
    *("/campaign?id=1", "/campaign-new", "/messages?chat=1-1", "/contacts?id=1", "/templates?id=1", "/webhooks?id=1"),
    *("/senders?id=1", "/reports"),  # which has chosen things in the dark
)
LOOKS = ({"language": "en", "width": 1280}, {"language": "ar", "width": 390, "is_dark": True})
STREAMLITS: Mapping[str, str] = {
    "list": "the sidebar's list has headings of sections between its items",
    "listitem": "the same",
}
"""Rules that Streamlit's own elements break, with what of it does. A new one fails the test."""
_LOOK = """async () => (await axe.run(document, {resultTypes: ['violations']})).violations
    .filter((found) => ['serious', 'critical'].includes(found.impact))
    .flatMap(({id, nodes}) => nodes.map(({html, target}) =>
        [id, html.slice(0, 200), !!document.querySelector(target[0])?.closest('[data-testid=stHtml]')]))"""


def test_the_first_page_that_is_asked_for_has_its_frame(looking: Looking) -> None:
    """Of a process that has shown none yet, so this stays the first: Streamlit must not take our pages for scripts."""
    with looking.signed_in("admin") as page:
        page.goto("/contacts")
        expect(settled(page).get_by_role("heading", level=1)).to_have_text("Contacts")
        expect(page.locator(".st-key-wq-me")).to_be_visible()


def test_one_signs_in_with_a_password_and_comes_to_the_page_one_asked_for(looking: Looking) -> None:
    looking.stage.signed_in("viewer")
    with looking.windows.window() as page:
        page.goto("/profile")
        expect(page).to_have_url(re.compile("/auth/sign-in"))
        page.fill("#email", "viewer@example.com")
        page.fill("#password", "not this one")
        page.click("button")
        expect(page.get_by_role("alert")).to_contain_text("not right")
        page.fill("#password", accounts.PASSWORD)
        page.click("button")
        expect(page.get_by_role("heading", level=1)).to_have_text("Your account")
        (cookie,) = [one for one in page.context.cookies() if one["name"] == "waqtor_sign_in"]
        assert cookie["httpOnly"]


def test_two_people_at_once_and_one_is_signed_out_by_somebody_else(looking: Looking) -> None:
    with looking.signed_in("admin") as admin, looking.signed_in("viewer") as viewer:
        for page, name in ((admin, "Admin"), (viewer, "Viewer")):
            page.goto("/")
            expect(settled(page).locator(".st-key-wq-me")).to_contain_text(name)
        looking.stage.signed_in("viewer").auth.end_sign_ins()
        viewer.reload()
        expect(viewer).to_have_url(re.compile("/auth/sign-in"))
        admin.reload()
        expect(settled(admin).locator(".st-key-wq-me")).to_contain_text("Admin")


def test_arabic_reads_from_the_right_on_a_phone_too(looking: Looking) -> None:
    with looking.signed_in("admin", language="ar", width=390) as page:
        page.goto("/")
        expect(settled(page).get_by_role("heading", level=1)).to_have_text("أهلًا، Admin")
        assert page.evaluate("getComputedStyle(document.querySelector('h1')).direction") == "rtl"
        assert wide(page) == 390
        page.set_viewport_size({"width": 1280, "height": 900})
        page.reload()
        expect(settled(page).locator("[data-testid=stSidebar]").get_by_text("جهات الاتصال")).to_be_in_viewport()


# ---- each page ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def busy(looking: Looking) -> Looking:
    """With something on each page."""
    stage, platform = looking.stage, looking.stage.server.platform
    stage.do(scenes.people(platform, 3))
    sender = stage.do(scenes.a_sender(platform))
    campaign = stage.do(scenes.a_campaign(platform, sender, name="ربيع"))
    stage.do(scenes.launched(platform, campaign.id))
    stage.do(scenes.dispatched(platform, stage.connector, campaign.id))
    stage.do(scenes.a_webhook(platform))
    stage.signed_in().notifications.create("warning", "Stock is low", "12 left")
    return looking


def _findings(page: Page) -> list[tuple[str, str, bool]]:
    """Rule, element, and whether the element is of our own markup."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(Axe().axe_script)
    return [(rule, element, is_ours) for rule, element, is_ours in page.evaluate(_LOOK)]


def test_no_serious_finding_in_our_own_markup_and_nothing_too_wide(busy: Looking) -> None:
    """Every other page from right to left, dark, and on a phone: what breaks a look breaks it on more than one."""
    ours: list[tuple[str, ...]] = []
    new: dict[str, tuple[str, str]] = {}
    too_wide: list[str] = []
    for number, look in enumerate(LOOKS):
        with busy.signed_in("admin", **look) as page:
            page.goto("/")
            page.get_by_role("heading", level=1).wait_for()
            settled(page)
            for name in LISTED[number::2]:
                if name != LISTED[0]:
                    turned(page, name)
                for rule, element, is_ours in _findings(page):
                    if is_ours:
                        ours.append((name, rule, element))
                    elif rule not in STREAMLITS:
                        new[rule] = (name, element)
                if wide(page) > int(look["width"]):
                    too_wide.append(name)
    assert ours == []
    assert too_wide == []
    assert new == {}


@pytest.mark.parametrize("look", LOOKS, ids=["en", "ar"])
def test_nor_on_the_pages_that_one_comes_to_from_another(busy: Looking, look: dict[str, object]) -> None:
    link = busy.stage.signed_in().users.invite("new@example.com", role="user").token
    wrong: list[tuple[str, ...]] = []

    def look_at(page: Page, path: str, *, is_all_ours: bool = False) -> None:
        for rule, element, is_ours in _findings(page):
            if is_all_ours or is_ours or rule not in STREAMLITS:
                wrong.append((path, rule, element))
        across = page.evaluate("document.documentElement.scrollWidth") if is_all_ours else wide(page)
        if across > look["width"]:
            wrong.append((path, f"{across} pixels wide"))

    with busy.signed_in("admin", **look) as page:
        for path in FURTHER:
            page.goto(path)
            page.get_by_role("heading", level=1).wait_for()
            look_at(settled(page), path)
    with busy.windows.window(**look) as page:  # type: ignore[arg-type]
        for path in ("/auth/sign-in", f"/auth/link/{link}"):
            page.goto(path)
            page.get_by_role("heading", level=1).wait_for()
            look_at(page, path, is_all_ours=True)
    assert wrong == []


def test_a_chat_opens_from_a_list_that_is_drawn_anew_by_itself(busy: Looking) -> None:
    with busy.signed_in("user") as page:
        page.goto("/messages")
        page.locator("[class*=st-key-to-messages-] button").first.click()
        expect(page.locator(".wq-bubble")).to_contain_text("Hello Person")


def test_in_cairo_what_the_page_counts_itself_and_its_charts_have_the_digits_of_there(busy: Looking) -> None:
    with busy.signed_in("admin", language="ar") as page:
        page.goto("/import")
        expect(page.get_by_text("١. اختر الملف")).to_be_visible()
        page.goto("/reports")
        labels = page.locator("[data-testid=stVegaLiteChart] svg text")
        expect(labels.filter(has_text=re.compile("^٣$")).first).to_be_attached()
        expect(labels.filter(has_text=re.compile("[0-9]"))).to_have_count(0)


def test_each_line_of_an_arabic_message_begins_at_the_right(busy: Looking) -> None:
    ends = """bubble => {
        const lines = document.createRange();
        lines.selectNodeContents(bubble.querySelector('span[dir=auto]'));
        return [...lines.getClientRects()].filter((line) => line.width).map((line) => Math.round(line.right));
    }"""
    with busy.signed_in("admin", language="ar") as page:
        page.goto("/templates?new=1")
        page.locator("[data-testid=stTextArea] textarea").first.fill("أهلًا\nبدأ عرض الربيع على جميع النباتات")
        page.keyboard.press("Tab")
        bubble = page.locator(".wq-bubble", has_text="النباتات")
        bubble.wait_for()
        first, *others = bubble.evaluate(ends)
        assert others
        assert set(others) == {first}


def test_the_keyboard_alone_leads_from_the_sign_in_to_a_kept_draft(busy: Looking) -> None:
    def reach(page: Page, chosen: str) -> None:
        for _ in range(40):
            if page.evaluate("chosen => document.activeElement?.matches(chosen)", chosen):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not come to {chosen}")

    busy.stage.signed_in("user")
    with busy.windows.window() as page:
        page.goto("/auth/sign-in?next=/campaign-new")
        for typed, then in (("user@example.com", "Tab"), (accounts.PASSWORD, "Enter")):
            page.keyboard.type(typed)
            page.keyboard.press(then)
        settled(page).locator(".st-key-wqd-name input").wait_for()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # the first link of the page leads past the list of pages
        reach(page, ".st-key-wqd-name input")
        page.keyboard.type("By keyboard")
        page.keyboard.press("Tab")
        for following in (".st-key-wqd-purpose", ".st-key-wqd-when", ".st-key-wqd-ask"):
            settled(page)
            reach(page, ".st-key-wqd-on button")
            page.keyboard.press("Enter")
            page.locator(following).wait_for()
    (draft,) = busy.stage.signed_in().campaigns.list(name="By keyboard")
    assert draft.state == "draft"

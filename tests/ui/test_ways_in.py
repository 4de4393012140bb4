"""The forms before one is signed in: another language leaves one where one is, and no other site signs anybody out."""

import re

import httpx
from playwright.sync_api import expect

from browsing import Looking, dashboard_process, settled
from serving import free_port
from stage import Stage

_FORM = {"email": "sara@shop.example", "name": "Sara", "password": "nine violet tractors sing"}


def _link(on_stage: Stage, email: str) -> str:
    """The path of an invitation."""
    return httpx.URL(on_stage.signed_in().users.invite(email, role="user").link).path


def test_who_chooses_a_language_stays_on_the_one_time_link(looking: Looking) -> None:
    path = _link(looking.stage, "layla@shop.example")
    with looking.windows.window() as page:
        page.goto(path)
        page.click("nav a")
        expect(page).to_have_url(re.compile(f"{re.escape(path)}$"))
        expect(page.locator("html")).to_have_attribute("lang", "ar")
        page.goto("/auth/sign-in?next=/contacts")
        page.click("nav a")
        expect(page).to_have_url(re.compile(r"/auth/sign-in\?next=/contacts$"))
        expect(page.locator("html")).to_have_attribute("lang", "en")


def test_the_language_leads_to_no_other_page(looking: Looking) -> None:
    for came in ("https://evil.example/x", "http://127.0.0.1/auth/language?to=ar", "http://127.0.0.1//evil.example"):
        answer = httpx.get(f"{looking.windows.url}/auth/language?to=ar", headers={"Referer": came})
        assert answer.headers["location"] == "/auth/sign-in"


def test_a_link_on_another_site_leads_to_no_third(looking: Looking) -> None:
    asked = httpx.Request(
        "GET", f"{looking.windows.url}//evil.example/x", headers={"Accept": "text/html", "Sec-Fetch-Site": "cross-site"}
    )
    with httpx.Client() as client:
        answer = client.send(asked)
    assert "evil.example" not in answer.text
    assert 'url=/"' in answer.text


def test_a_form_sent_while_the_api_is_away_says_so(on_stage: Stage) -> None:
    settings = on_stage.server.platform.settings
    with dashboard_process(settings, api_url=f"http://127.0.0.1:{free_port()}") as url:
        answer = httpx.post(f"{url}/auth/link/a-token", data={**_FORM, "again": _FORM["password"]})
    assert answer.status_code == 503
    assert "WaQtor does not answer" in answer.text


def test_the_sign_in_goes_to_no_request_of_another_site_and_outlives_a_link_there(looking: Looking) -> None:
    with looking.windows.window() as page:
        page.goto(_link(looking.stage, "noura@shop.example"))
        for name in ("name", "password"):
            page.fill(f"#{name}", _FORM[name])
        page.fill("#again", _FORM["password"])
        page.click("button")
        expect(settled(page).locator(".st-key-wq-me")).to_contain_text("Sara")
        (cookie,) = [one for one in page.context.cookies() if one["name"] == "waqtor_sign_in"]
        assert cookie["sameSite"] == "Strict"
        there = looking.windows.url
        links = f'<a id="in" href="{there}/profile">in</a> <a id="form" href="{there}/auth/sign-in">form</a>'
        page.route("http://shop.example/", lambda route: route.fulfill(content_type="text/html", body=links))
        page.goto("http://shop.example/")
        page.click("#in")
        expect(page.get_by_role("heading", level=1)).to_have_text("Your account")
        page.goto("http://shop.example/")
        page.click("#form")
        expect(page.locator("#password")).to_be_visible()
        page.goto("/profile")
        expect(page.get_by_role("heading", level=1)).to_have_text("Your account")

"""Ways that only a real browser shows: a file chosen and one downloaded, a second factor, a page behind a code, and a
sign-in that is ended while somebody looks."""

import csv
import re
import time
from pathlib import Path

import pyotp
from playwright.sync_api import Page, expect

import accounts
from browsing import Looking, settled
from stage import Stage

_SHEET = """\
Mobile,Who,Club
+966501234567,نورة,gold
12345,Short,gold
,Nobody,silver
+971501234567,Omar,silver
"""
_WORDING = "Yes, send me offers on WhatsApp."


def _at_the_code(page: Page, password: str = accounts.PASSWORD) -> None:
    page.goto("/auth/sign-in?next=/profile")
    page.fill("#email", "user@example.com")
    page.fill("#password", password)
    page.click("button")
    expect(page.locator("#code")).to_be_focused()


def _code(stage: Stage, secret: str) -> str:
    return pyotp.TOTP(secret).at(int(time.time() + stage.clock.ahead.total_seconds()))


def test_a_file_with_bad_rows_is_looked_over_taken_with_evidence_and_its_bad_rows_downloaded(
    looking: Looking, tmp_path: Path
) -> None:
    client = looking.stage.signed_in()
    sheet = {"name": "club.csv", "mimeType": "text/csv", "buffer": _SHEET.encode()}
    with looking.signed_in("admin") as page:
        page.goto("/import")
        settled(page).locator("[data-testid=stFileUploaderDropzoneInput]").set_input_files(files=[sheet])
        for column, place in (("Who", "Name"), ("Club", "Tags")):
            page.locator(f".st-key-import-column-{column}").get_by_role("combobox").click()
            page.get_by_role("option", name=place, exact=True).click()
        first, bad = page.locator(".wq-rows").first, page.locator(".wq-rows").last
        expect(first.locator("tr:has(td)").first).to_have_text(re.compile("نورة.*gold"))
        expect(first).to_contain_text("+966501234567")
        expect(bad.locator("tr:has(td) td:first-child")).to_have_text(["3", "4"])  # as the spreadsheet counts
        go = page.locator(".st-key-import-go button")
        expect(go).to_be_disabled()
        page.get_by_text("Yes, and this is how").click()
        page.locator(".st-key-import-wording textarea").fill(_WORDING)
        page.keyboard.press("Tab")
        expect(go).to_be_enabled()
        assert client.contacts.list.page(None).data == [], "nothing is saved before one says so"
        go.click()
        expect(page.get_by_role("heading", name="2 rows cannot be taken")).to_be_visible()
        with page.expect_download() as begun:
            page.get_by_role("button", name="All of them as a file").click()
        begun.value.save_as(tmp_path / "bad.csv")
    rows = list(csv.DictReader((tmp_path / "bad.csv").open(encoding="utf-8-sig", newline="")))
    assert [(row["row"], row["field"]) for row in rows] == [("2", "phone"), ("3", "phone")]
    taken = {one.phone: one for one in client.contacts.list()}
    assert {phone: (one.name, one.tags) for phone, one in taken.items()} == {
        "+966501234567": ("نورة", ["gold"]),
        "+971501234567": ("Omar", ["silver"]),
    }
    for one in taken.values():
        (agreed,) = [entry for entry in client.contacts.history(one.id) if entry.kind == "consent"]
        assert _WORDING in str(agreed)


def test_a_second_factor_is_asked_for_and_a_wrong_code_asks_again(looking: Looking) -> None:
    client = looking.stage.signed_in("user")
    secret = client.auth.begin_totp(accounts.PASSWORD).secret
    spare = client.auth.confirm_totp(_code(looking.stage, secret)).recovery_codes[0]
    looking.stage.clock.advance(seconds=60)  # the code that confirmed it is spent
    with looking.windows.window() as page:
        _at_the_code(page)
        page.fill("#code", "000000")
        page.click("button")
        expect(page.get_by_role("alert")).to_be_visible()
        page.fill("#code", _code(looking.stage, secret))
        page.click("button")
        expect(page.get_by_role("heading", level=1)).to_have_text("Your account")
    with looking.windows.window(language="ar") as page:
        _at_the_code(page)
        expect(page.locator("html")).to_have_attribute("dir", "rtl")
        page.fill("#code", spare)
        page.click("button")
        expect(page).to_have_url(re.compile("/profile"))


def test_a_protected_page_opens_with_its_code_and_only_on_that_device(looking: Looking) -> None:
    admin = looking.stage.signed_in()
    admin.protected_pages.protect("contacts")
    try:
        code = admin.protected_pages.issue_code("contacts").code
        with looking.signed_in("viewer") as page:
            page.goto("/contacts")
            expect(settled(page).get_by_role("heading", level=1)).to_have_text("This page is locked")
            field = page.get_by_label("Code")
            field.fill("0" * len(code))
            field.press("Enter")
            expect(page.get_by_role("alert")).to_be_visible()
            field.fill(code)
            field.press("Enter")
            expect(page.get_by_role("heading", level=1)).to_have_text("Contacts")
        with looking.signed_in("viewer") as elsewhere:
            elsewhere.goto("/contacts")
            expect(settled(elsewhere).get_by_role("heading", level=1)).to_have_text("This page is locked")
    finally:
        admin.protected_pages.release("contacts")


def test_a_sign_in_that_is_ended_leads_out_by_the_next_click_and_where_nobody_clicks(looking: Looking) -> None:
    with looking.signed_in("auditor") as clicks, looking.signed_in("auditor") as watches:
        watches.goto("/monitoring")  # which looks again every five seconds
        clicks.goto("/audit")
        for page in (clicks, watches):
            settled(page).get_by_role("heading", level=1).wait_for()
        looking.stage.signed_in("auditor").auth.end_sign_ins()
        clicks.locator('[data-testid=stSidebarNavLink][href$="/about"]').click()
        for page in (clicks, watches):
            expect(page).to_have_url(re.compile("/auth/sign-in"))

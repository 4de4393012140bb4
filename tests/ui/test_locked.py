"""Areas behind a one-time code: pages that look into them go on, and ask for the code where it is needed."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect
from streamlit.testing.v1 import AppTest

import scenes
from browsing import Looking, settled
from stage import Stage, said

_SCRIPT = """
from ui import frame
from ui.pages import PAGES
frame.guarded(next(one for one in PAGES if one.name == {name!r}))()
"""


@pytest.fixture(scope="module", autouse=True)
def shop(on_stage: Stage) -> None:
    platform = on_stage.server.platform
    on_stage.do(scenes.people(platform, 2))
    sender = on_stage.do(scenes.a_sender(platform))
    campaign = on_stage.do(scenes.a_campaign(platform, sender, name="Locked"))
    on_stage.do(scenes.launched(platform, campaign.id))
    on_stage.do(scenes.dispatched(platform, on_stage.connector, campaign.id))


@pytest.fixture(autouse=True)
def released(on_stage: Stage) -> Iterator[None]:
    yield
    pages = on_stage.signed_in().protected_pages
    for one in pages.list():
        pages.release(one.name)


def _guarded(on_stage: Stage, name: str, **query: object) -> AppTest:
    """As the frame draws it, with who is there as the API says now."""
    client = on_stage.signed_in()
    app = AppTest.from_string(_SCRIPT.format(name=name), default_timeout=30)
    app.session_state["_client"], app.session_state["_me"] = client, client.auth.me()
    app.session_state["language"] = "en"
    for key, value in query.items():
        app.query_params[key] = str(value)
    return app.run()


def _opened(on_stage: Stage, page: AppTest, area: str) -> AppTest:
    """With a code, as the frame finds out that it was good."""
    client = on_stage.signed_in()
    code = client.protected_pages.issue_code(area, user_id=None).code
    page.text_input(key=f"code-{area}-digits").set_value(code)
    page.button(key=f"code-{area}-open").click().run()
    page.session_state["_me"] = client.auth.me()
    return page.run()


def test_every_page_is_drawn_while_any_one_area_is_closed(on_stage: Stage) -> None:
    """Closed to all that others need; a page of that area itself asks for the code."""
    for area in ("contacts", "recipients", "notifications", "keys", "senders", "templates"):
        on_stage.signed_in().protected_pages.protect(area)
        for name in ("overview", "campaigns", "profile", "messages"):
            page = _guarded(on_stage, name)
            assert not page.exception
            assert not page.error, (area, name)
            assert any("is locked" in one.value for one in page.subheader) == ((area, name) == ("keys", "profile"))
        on_stage.signed_in().protected_pages.release(area)


def test_the_people_of_a_campaign_are_shown_after_a_code(on_stage: Stage) -> None:
    on_stage.signed_in().protected_pages.protect("recipients")
    page = _guarded(on_stage, "campaign", id=1)
    page.segmented_control(key="wq-campaign-view-1").set_value("people").run()
    assert "what became of each person" in page.subheader[-1].value
    assert "Person 0" not in said(page)
    assert "Person 0" in said(_opened(on_stage, page, "recipients"))


def test_keys_take_their_code_on_the_page_of_the_account(on_stage: Stage) -> None:
    on_stage.signed_in().protected_pages.protect("keys")
    page = _guarded(on_stage, "profile")
    assert page.text_input(key="profile-name").value == "Admin"
    assert "Last used" in said(_opened(on_stage, page, "keys"))


def test_who_wants_to_send_gives_the_code_below_the_last_step(on_stage: Stage) -> None:
    client = on_stage.signed_in()
    draft = client.campaigns.create(
        "To be sent", sender_id=1, template_id=1, purpose="service", filter='created > "2020-01-01"'
    )
    client.protected_pages.protect("recipients")
    page = _guarded(on_stage, "campaign-new", id=draft.id)
    for _step in range(3):
        page.button(key="wqd-on").click().run()
    assert not page.error
    assert not page.metric
    assert [one.value for one in _opened(on_stage, page, "recipients").metric]


def test_the_overview_says_nothing_of_notifications_that_it_may_not_see(on_stage: Stage) -> None:
    on_stage.signed_in().protected_pages.protect("notifications")
    assert "All is well" not in said(_guarded(on_stage, "overview"))


def test_the_bell_is_there_without_a_number_and_leads_to_where_the_code_is_given(looking: Looking) -> None:
    pages = looking.stage.signed_in().protected_pages
    pages.protect("notifications")
    with looking.signed_in("user") as page:
        page.goto("/campaigns")
        expect(settled(page).get_by_role("heading", level=1)).to_have_text("Campaigns")
        expect(page.get_by_test_id("stAlert")).to_have_count(0)
        page.locator(".st-key-wq-bell button").first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text("This page is locked")
        page.locator(".st-key-code-notifications-digits input").fill(pages.issue_code("notifications").code)
        page.locator(".st-key-code-notifications-open button").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Notifications")

"""The pages for who looks after an installation: people, protected pages, audit, monitoring, settings; and reports."""

from datetime import UTC, datetime, timedelta

import accounts
import scenes
from stage import Stage, said


def test_an_admin_lets_somebody_in_changes_them_and_shuts_them_out(on_stage: Stage) -> None:
    viewer = on_stage.do(accounts.a_user(on_stage.server.platform, "viewer", email="new@example.com"))
    admin = on_stage.signed_in()
    page = on_stage.page("users")
    page.text_input[0].set_value("sara@example.com")
    page.button[0].click().run()
    assert "`sara@example.com`" in said(page)
    assert page.code[0].value.startswith("http")
    assert not page.run().code  # shown once

    page.radio(key=f"role-{viewer.id}-viewer").set_value("auditor").run()
    assert "auditor" in said(page)
    page.button(key=f"role-yes-{viewer.id}").click().run()
    assert admin.users.get(viewer.id).role == "auditor"
    page.button(key=f"disable-{viewer.id}").click().run()
    assert "signed out at once" in said(page)
    page.button(key=f"off-{viewer.id}-yes").click().run()
    assert admin.users.get(viewer.id).state == "disabled"
    page.button(key=f"enable-{viewer.id}").click().run()
    assert admin.users.get(viewer.id).state == "active"


def test_a_page_is_protected_opened_by_a_code_and_released(on_stage: Stage) -> None:
    admin = on_stage.signed_in()
    page = on_stage.page("users")
    assert "No page is protected" in said(page)
    page.button(key="FormSubmitter:protect-Protect it").click().run()
    assert [one.name for one in admin.protected_pages.list()] == ["contacts"]
    page.button(key="mine-contacts").click().run()
    assert page.code[0].value.isdecimal()
    viewer = next(one for one in admin.users.list() if one.role == "auditor")
    page.button(key=f"code-make-{viewer.id}").click().run()
    assert "for nobody else" in said(page)
    assert page.code[0].value.isdecimal()
    page.button(key="free-contacts").click().run()
    page.button(key="release-contacts-yes").click().run()
    assert admin.protected_pages.list() == []


def test_the_audit_log_is_read_and_checked(on_stage: Stage) -> None:
    page = on_stage.page("audit", role="auditor")
    assert "sign_in" in said(page)
    page.button[0].click().run()
    assert "It is whole" in said(page)
    page.text_input[0].set_value("user:987").run()
    assert "No entry fits" in said(page)


def test_all_sending_stops_after_a_question_with_numbers(on_stage: Stage) -> None:
    admin = on_stage.signed_in()
    page = on_stage.page("settings")
    page.button(key="stop").click().run()
    assert "Campaigns under way now: 0" in said(page)
    page.text_input(key="stop-reason").set_value("wrong price").run()
    page.button(key="stop-all-yes").click().run()
    assert not admin.sending.get().on
    assert "wrong price" in said(page)
    assert not [one for one in on_stage.page("settings", role="viewer").button if one.key in ("stop", "start")]
    page.button(key="start").click().run()
    page.button(key="start-all-yes").click().run()
    assert admin.sending.get().on


def test_monitoring_says_what_nobody_sends_and_reports_add_up(on_stage: Stage) -> None:
    platform = on_stage.server.platform
    assert "No campaign was launched" in said(on_stage.page("reports"))
    assert "No campaign is under way" in said(on_stage.page("monitoring", role="auditor"))
    on_stage.do(scenes.people(platform, 4))
    sender = on_stage.do(scenes.a_sender(platform))
    campaign = on_stage.do(scenes.a_campaign(platform, sender, name="=Spring"))
    on_stage.do(scenes.launched(platform, campaign.id))
    shown = said(on_stage.page("monitoring", role="auditor"))
    assert "Nothing sends “=Spring” now" in shown
    on_stage.do(scenes.dispatched(platform, on_stage.connector, campaign.id))
    page = on_stage.page("reports", language="ar")
    assert "المخطط لهم" in said(page)
    assert "=Spring" in said(page)
    (download,) = page.get("download_button")
    assert download.proto.label == "نزّل ملف CSV"
    page = on_stage.page("reports")
    page.segmented_control(key="reports-days").set_value(-1).run()
    assert "=Spring" in said(page)
    before = (datetime.now(UTC) - timedelta(days=3)).date()
    page.date_input(key="reports-to").set_value(before).run()
    assert "No campaign was launched in this time" in said(page), "what was launched later is left out"
    page.date_input(key="reports-from").set_value(before + timedelta(days=2)).run()
    assert "The first day is after the last" in said(page)


def test_about_is_for_everybody(on_stage: Stage) -> None:
    for role in ("admin", "viewer"):
        assert "3.0" in said(on_stage.page("about", role=role, language="ar"))


def test_what_was_typed_stays_where_it_was_refused(on_stage: Stage) -> None:
    page = on_stage.page("users")
    page.text_input[0].set_value("sara at example")
    page.button[0].click().run()
    assert page.error
    assert page.text_input[0].value == "sara at example"
    page.text_input[0].set_value("lina@example.com")
    page.button[0].click().run()
    assert page.text_input[0].value == ""
    page = on_stage.page("notifications")
    page.text_area[0].set_value("The till is broken.")
    next(one for one in page.button if one.label == "Tell everybody").click().run()
    assert page.error
    assert page.text_area[0].value == "The till is broken."
    page.text_input[0].set_value("Till")
    next(one for one in page.button if one.label == "Tell everybody").click().run()
    assert page.text_area[0].value == ""
    assert on_stage.signed_in().notifications.list.page(None, limit=1).data[0].title == "Till"

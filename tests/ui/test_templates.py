"""Templates as a marketer writes them, on the real page."""

import scenes
from core.ports import AccountTemplate
from stage import Stage, said


def test_a_first_template_and_its_arabic(on_stage: Stage) -> None:
    assert "No templates yet" in said(on_stage.page("templates"))
    on_stage.do(scenes.people(on_stage.server.platform, 1))
    page = on_stage.page("templates", new=1)
    page.text_input(key="template:new:name").set_value("Spring")
    page.text_area(key="template:new:body").set_value("*Hello* ").run()
    page.button(key="template:new:put-name").click().run()
    assert page.text_area(key="template:new:body").value == "*Hello* {name}"
    assert "<b>Hello</b> Person 0" in said(page)
    page.selectbox(key="template-person").set_value(0).run()
    assert "<b>Hello</b> <mark>{name}</mark>" in said(page)
    assert "who lacks it is left out" in said(page)
    page.text_input(key="template:new:default-name").set_value("friend").run()
    assert "<b>Hello</b> friend" in said(page)
    page.selectbox(key="template-person").set_value(1).run()
    assert "<b>Hello</b> Person 0" in said(page)
    page.button(key="template:new:save").click().run()
    assert page.title[0].value == "Spring"
    client = on_stage.signed_in()
    (made,) = client.templates.list()
    assert (made.body, made.language, made.defaults) == ("*Hello* {name}", "en", {"name": "friend"})

    page.selectbox(key=f"template-language-{made.id}-add").set_value("ar").run()
    page.text_area(key=f"template:{made.id}-ar:body").set_value("مرحبا").run()
    page.segmented_control(key=f"template-language-{made.id}").set_value("en").run()
    page.segmented_control(key=f"template-language-{made.id}").set_value("ar").run()
    assert page.text_area(key=f"template:{made.id}-ar:body").value == "مرحبا"
    page.button(key=f"template:{made.id}-ar:save").click().run()
    assert [(one.language, one.body) for one in client.templates.get(made.id).variants] == [("ar", "مرحبا")]
    page.button(key=f"template:{made.id}-ar:delete").click().run()
    assert "Delete the text in Arabic?" in said(page)
    page.button(key=f"template:{made.id}-ar:sure-yes").click().run()
    assert client.templates.get(made.id).variants == []


def test_what_whatsapp_approved_is_filled_and_not_rewritten(on_stage: Stage) -> None:
    offer = [{"type": "BODY", "text": "Hello {{1}}, 20% off"}]
    on_stage.connector.account_templates = [AccountTemplate("offer", "en", "marketing", "paused", offer)]
    on_stage.do(scenes.a_sender(on_stage.server.platform))
    page = on_stage.page("templates")
    page.button(key="templates-sync").click().run()
    assert "1 new" in said(page)
    made = next(one for one in on_stage.signed_in().templates.list() if one.cloud_name == "offer")
    page = on_stage.page("templates", id=made.id)
    assert "paused by WhatsApp" in said(page)
    page.selectbox(key=f"template:{made.id}-en:fills-v1").set_value("name").run()
    page.button(key=f"template:{made.id}-en:save").click().run()
    assert on_stage.signed_in().templates.get(made.id).body == "Hello {name}, 20% off"


def test_in_arabic(on_stage: Stage) -> None:
    page = on_stage.page("templates", language="ar", new=1)
    assert page.title[0].value == "قالب جديد"
    assert page.text_area[0].label == "النص"


def test_a_brace_too_many_is_told_where_it_stands(on_stage: Stage) -> None:
    page = on_stage.page("templates", new=1)
    page.text_area(key="template:new:body").set_value("Hello {name").run()
    assert "does not belong to a variable" in said(page)


def test_who_may_only_look(on_stage: Stage) -> None:
    made = on_stage.signed_in().templates.create("Look", "Hello {name}")
    page = on_stage.page("templates", role="viewer", id=made.id)
    assert page.text_area[0].disabled
    assert not [one for one in page.button if one.label in ("Save", "Delete")]
    assert "may look at templates" in said(on_stage.page("templates", role="viewer", new=1))


def test_who_deletes_a_template_is_told_how_many_campaigns_use_it(on_stage: Stage) -> None:
    platform = on_stage.server.platform
    campaign = on_stage.do(scenes.a_campaign(platform, on_stage.do(scenes.a_sender(platform, name="used")), name="U"))
    page = on_stage.page("templates", id=campaign.template_id)
    page.button(key=f"template:{campaign.template_id}-en:delete").click().run()
    assert "1 campaign uses it." in said(page)


def test_what_cannot_be_taken_in_is_said_in_arabic(on_stage: Stage) -> None:
    sender = on_stage.do(scenes.a_sender(on_stage.server.platform, name="synced"))
    on_stage.connector.account_templates = [AccountTemplate("bare", "en", "utility", "approved", [])]
    told = on_stage.signed_in().senders.sync_templates(sender.id)
    page = on_stage.page("templates", language="ar")
    page.session_state["templates-synced"] = told
    assert "ليس فيه نص." in said(page.run())

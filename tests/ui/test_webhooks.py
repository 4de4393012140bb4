"""Addresses that are told what happens, on the real page."""

from core.ports import Posted
from stage import Stage, said


def test_an_address_from_its_secret_to_what_failed(on_stage: Stage) -> None:
    assert "Nobody is told yet" in said(on_stage.page("webhooks"))
    page = on_stage.page("webhooks", new=1)
    page.text_input(key="webhook-new-url").set_value("https://shop.example/hooks")
    page.text_input(key="webhook-new-description").set_value("Shop")
    page.button(key="webhook-new-go").click().run()
    assert "Choose what it is to be told of" in said(page)
    page.multiselect(key="webhook-new-events").set_value(["message.sent"])
    page.button(key="webhook-new-go").click().run()
    assert "never again" in said(page)
    secret = page.code[0].value
    assert secret.startswith("whsec_")
    page.button(key="webhook-copied").click().run()
    assert page.title[0].value == "Shop"
    assert not [one for one in page.code if one.value == secret]

    page.button(key="webhook-test").click().run()
    assert "It answered 204" in said(page)
    on_stage.poster.answering = lambda _: Posted(500, {}, b"out of memory", 0.01)
    page.button(key="webhook-test").click().run()
    assert "It answered 500; 2xx would say" in said(page)
    assert "out of memory" in [one.value for one in page.code]
    page.run()
    next(one for one in page.button if one.label == "webhook.test").click().run()
    assert "Attempts" in [one.value for one in page.subheader]
    assert "500" in page.expander[0].label

    page = on_stage.page("webhooks", id=1)
    page.text_input(key="webhook-1-url").set_value("no address")
    page.checkbox(key="webhook-1-field-text").check()
    page.button(key="webhook-1-go").click().run()
    assert page.error, "what is wrong with it stands where it was typed"
    page.text_input(key="webhook-1-url").set_value("https://shop.example/new")
    page.button(key="webhook-1-go").click().run()
    changed = on_stage.signed_in().webhooks.get(1)
    assert (changed.url, changed.events, changed.fields) == ("https://shop.example/new", ["message.sent"], ["text"])
    page.button(key="webhook-again").click().run()
    assert "None of them failed" in said(page)
    page.button(key="webhook-rotate").click().run()
    page.button(key="webhook-rotate-sure-yes").click().run()
    assert page.code[0].value != secret
    page.button(key="webhook-copied").click().run()
    page.button(key="webhook-off").click().run()
    assert "It is told nothing" in said(page)
    page.button(key="webhook-delete").click().run()
    page.button(key="webhook-delete-sure-yes").click().run()
    assert list(on_stage.signed_in().webhooks.list()) == []


def test_who_may_only_look(on_stage: Stage) -> None:
    on_stage.signed_in().webhooks.create("https://crm.example/", ["*"], description="CRM")
    page = on_stage.page("webhooks", role="user")
    assert "CRM" in [one.label for one in page.button]
    (made,) = on_stage.signed_in().webhooks.list()
    page = on_stage.page("webhooks", role="user", id=made.id)
    assert "everything" in said(page)
    assert not [one for one in page.button if str(one.key).startswith("webhook-") and one.key != "webhook-state"]

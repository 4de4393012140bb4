"""Chats on the real page: read, answered while that may be, and by a template when it may not."""

from playwright.sync_api import expect

import scenes
from browsing import Looking
from core import messages
from core.content import Text
from core.models import Sender
from core.ports import AccountTemplate, Address, Inbound
from stage import Stage, said


async def _says(stage: Stage, sender: Sender, text: str, *, phone: str = "+966500000000") -> None:
    platform = stage.server.platform
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        who = [Address("phone", phone)]
        inbound = Inbound(f"wamid.{text}", sender.phone_number_id, who, None, Text(body=text), None, now)
        await messages.receive(tx, platform.key, inbound, at=now)


def test_a_chat_is_read_answered_and_later_answered_by_a_template(on_stage: Stage) -> None:
    assert "No messages yet" in said(on_stage.page("messages"))
    on_stage.do(scenes.people(on_stage.server.platform, 2))
    sender = on_stage.do(scenes.a_sender(on_stage.server.platform))
    on_stage.do(_says(on_stage, sender, "Is the *olive* tree <there>?"))
    page = on_stage.page("messages")
    assert "Is the <b>olive</b> tree &lt;there&gt;?" in said(page)
    assert "1 unread" in said(page)
    page.text_input(key="chats-sought").set_value('Person "0').run()
    assert "Nobody found" in said(page)
    page.text_input(key="chats-sought").set_value("Person").run()
    assert "No chat yet" in said(page)
    page.toggle(key="chats-unread").set_value(True).run()
    assert "No chat yet" not in said(page)
    page.toggle(key="chats-unread").set_value(False).run()
    page.text_input(key="chats-sought").set_value("\u2066050 000 0007\u2069").run()
    assert "Nobody has this number" in said(page)
    page.text_input(key="chats-sought").set_value("050 000 0000").run()
    assert [one.label for one in page.button if one.label.startswith("Person")] == ["Person 0"]
    page.text_input(key="chats-sought").set_value("Person").run()
    next(one for one in page.button if one.label == "Person 0").click().run()

    client = on_stage.signed_in()
    assert client.chats.get("1-1").unread == 0
    assert "You can answer freely until" in said(page)
    page.text_area(key="chat-said-1-1-0").set_value("Yes, two of them")
    page.button(key="chat-send").click().run()
    assert page.text_area(key="chat-said-1-1-1").value == ""
    (sent, _asked) = client.messages.list(1)
    client.messages.wait(sent.id, every_s=0.02)
    page.run()
    assert "Yes, two of them" in said(page)
    assert "✓ sent" in said(page)
    assert [one.content for one in on_stage.connector.effects] == [Text(body="Yes, two of them")]

    page = on_stage.page("messages")
    assert "unread" not in said(page)
    page.toggle(key="chats-unread").set_value(True)
    page.text_input(key="chats-sought").set_value("Person").run()
    assert "All is read" in said(page)
    assert "No chat yet" not in said(page)

    on_stage.clock.advance(hours=25)  # which ends the sign-in too
    client = on_stage.signed_in("user")
    offer = [{"type": "BODY", "text": "Hello {{1}}, {{2}} are back"}]
    on_stage.connector.account_templates = [AccountTemplate("offer", "en", "utility", "approved", offer)]
    page = on_stage.page("messages", role="user", chat="1-1")
    assert "No approved template yet" in said(page)
    client.senders.sync_templates(sender.id)
    (template,) = client.templates.list()
    client.templates.change(template.id, {"body": "Hello {name}, {what} are back"})
    page.run()
    assert "within 24 hours" in said(page)
    page.selectbox(key="chat-template").set_value(template.id).run()
    assert page.button(key="chat-template-send").disabled
    page.text_input(key="chat-value-what").set_value("olives").run()
    assert "Hello Person 0, olives are back" in said(page)
    page.button(key="chat-template-send").click().run()
    page.button(key="chat-sure-yes").click().run()
    newest = next(iter(client.messages.list(1)))
    assert client.messages.wait(newest.id, every_s=0.02).content["text"] == "Hello Person 0, olives are back"


def test_a_chat_that_opens_again_while_one_looks_is_answered_freely(looking: Looking) -> None:
    stage, platform = looking.stage, looking.stage.server.platform
    stage.do(scenes.people(platform, 1, start=50))
    person = next(iter(stage.signed_in("user").contacts.list(filter='name = "Person 50"')))
    sender = stage.do(scenes.a_sender(platform, name="reopened"))
    stage.do(_says(stage, sender, "Hello?", phone="+966500000050"))
    stage.clock.advance(hours=25)
    with looking.signed_in("user") as page:
        page.goto(f"/messages?chat={sender.id}-{person.id}")
        expect(page.get_by_text("Now a template can go")).to_be_visible()
        stage.do(_says(stage, sender, "Are you there?", phone="+966500000050"))
        expect(page.get_by_text("You can answer freely until")).to_be_visible()
        expect(page.get_by_text("Now a template can go")).to_have_count(0)


def test_who_may_only_read_sees_no_field(on_stage: Stage) -> None:
    page = on_stage.page("messages", role="viewer")
    page.text_input(key="chats-sought").set_value("+966500000000").run()
    assert "Numbers are hidden from you" in said(page)
    page = on_stage.page("messages", role="viewer", chat="1-1")
    assert "but not answer" in said(page)
    assert not page.text_area
    assert "+966500000000" not in said(page)
    assert "no such chat" in said(on_stage.page("messages", role="viewer", chat="1-99"))

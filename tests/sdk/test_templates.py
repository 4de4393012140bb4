"""Templates through the client, against the real API."""

import pytest

from core.ports import AccountTemplate
from fakes import FakeConnector
from waqtor import AsyncClient, Error

SECRETS = {"access_token": "token", "app_secret": "secret", "verify_token": "verify"}


async def test_a_template_from_the_account_to_its_preview(waqtor: AsyncClient, connector: FakeConnector) -> None:
    body = {"type": "BODY", "text": "Hello {{1}}"}
    connector.account_templates = [AccountTemplate("offer", "en", "marketing", "approved", [body])]
    sender = await waqtor.senders.create("shop", phone_number_id="1", waba_id="2", **SECRETS)
    done = await waqtor.senders.sync_templates(sender.id)
    assert (done.created, done.updated, done.deleted, done.problems) == (1, 0, 0, [])
    (template,) = [one async for one in waqtor.templates.list()]
    changes = {"body": "Hello {name}", "header": {"type": "image", "link": "https://shop.example/a.png"}}
    assert (await waqtor.templates.change(template.id, changes)).variables == ["name"]
    contact = await waqtor.contacts.create("+966501234567", name="Nora")
    shown = await waqtor.templates.preview_for(template.id, contact.id)
    assert (shown.text, shown.parameters, shown.missing) == ("Hello Nora", ["Nora"], [])
    assert (await waqtor.templates.preview_for(template.id)).missing == ["name"]


async def test_languages_and_drafts(waqtor: AsyncClient) -> None:
    template = await waqtor.templates.create("t", "Hello {name}")
    with_arabic = await waqtor.templates.save_variant(template.id, "ar", {"body": "مرحباً {name}"})
    assert [one.body for one in with_arabic.variants] == ["مرحباً {name}"]
    assert (await waqtor.templates.delete_variant(template.id, "ar")).variants == []
    assert (await waqtor.templates.preview_draft("*Hi {a}*", values={"a": "x"})).text == "*Hi x*"
    assert (await waqtor.templates.delete(template.id)).name == "t"
    with pytest.raises(Error, match="There is no template"):
        await waqtor.templates.get(template.id)

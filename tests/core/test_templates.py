"""Messages with variables: what is filled in, what is missing, what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import scenes
from core import campaigns, contacts, templates
from core.bootstrap import Platform
from core.contacts import NewContact
from core.content import Template as TemplateContent
from core.content import Text
from core.errors import Conflict, Invalid, NotFound
from core.models import Template
from core.templates import MissingVariable, render, variables
from fakes import FakeConnector


def _template(body: str, *, cloud_name: str | None = None, **defaults: str) -> Template:
    return Template(name="t", body=body, language="ar", defaults=defaults, cloud_name=cloud_name)


def test_variables_come_in_order_of_first_use() -> None:
    assert variables("{b} {a} {b} {name_2} {اسم}") == ["b", "a", "name_2", "اسم"]
    assert variables("no variables") == []


@pytest.mark.parametrize(
    "body", ["{", "}", "{ name }", "{}", "{1a}", "{a-b}", "{{name}}", "{a}}", "{" + "x" * 51 + "}"]
)
def test_a_stray_brace_is_told(body: str) -> None:
    with pytest.raises(Invalid, match="does not belong to a variable") as refused:
        variables(body)
    assert refused.value.field == "body"


def test_a_message_is_filled_in_once_and_not_twice() -> None:
    text = render(_template("Hello {name}, {note}"), {"name": "{note}", "note": "{name}"})
    assert text == Text(body="Hello {note}, {name}")


def test_a_template_of_meta_gets_its_variables_in_order() -> None:
    content = render(_template("{b} {a} {b}", cloud_name="offer"), {"a": "1", "b": "2", "c": "3"})
    assert content == TemplateContent(name="offer", language="ar", parameters=("2", "1"), text="2 1 2")


def test_a_default_stands_in_for_what_is_missing_or_empty() -> None:
    assert render(_template("Dear {name}", name="customer"), {"name": ""}) == Text(body="Dear customer")
    with pytest.raises(MissingVariable) as missing:
        render(_template("Dear {name}"), {"name": ""})
    assert missing.value.args == ("name",)


@given(st.dictionaries(st.sampled_from(["name", "city"]), st.text(min_size=1), min_size=2))
def test_any_value_arrives_as_it_is(values: dict[str, str]) -> None:
    assert render(_template("{name}|{city}"), values) == Text.model_construct(body=f"{values['name']}|{values['city']}")


async def _create(platform: Platform, body: str, name: str = "offer", **defaults: str) -> Template:
    async with platform.database.transaction() as tx:
        return await templates.create(tx, name=name, body=body, defaults=defaults, at=await platform.clock.now(tx))


async def test_a_template_is_checked_when_it_is_made(platform: Platform) -> None:
    for body in ("", "   ", "x" * 1_025, "Hello {"):
        with pytest.raises(Invalid):
            await _create(platform, body)
    with pytest.raises(Invalid, match="no such variable"):
        await _create(platform, "Hello {name}", nmae="x")
    made = await _create(platform, "Hello {name}")
    with pytest.raises(Conflict):
        await _create(platform, "Hello")
    async with platform.database.reading() as tx:
        assert (await templates.get(tx, made.id)).body == "Hello {name}"
        assert len(await templates.listed(tx, after=0, limit=5)) == 1
        with pytest.raises(NotFound):
            await templates.get(tx, 99)


async def test_who_lacks_a_variable_is_skipped_with_its_name(platform: Platform, connector: FakeConnector) -> None:
    async with platform.database.transaction() as tx:
        rows = [
            NewContact(phone="+966500000001", name="Sara", attributes={"city": "Riyadh"}),
            NewContact(phone="+966500000002", name="Omar"),
            NewContact(phone="+966500000003", attributes={"city": "Jeddah"}),
        ]
        await contacts.save(tx, platform.key, rows, at=await platform.clock.now(tx))
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform), body="{name} in {city}")
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    progress = await scenes.progress(platform, campaign.id)
    assert (progress.sent, progress.skipped) == (1, {"missing_variable:city": 1, "missing_variable:name": 1})
    async with platform.database.transaction() as tx:
        assert await campaigns.finish_if_done(tx, campaign.id, at=await platform.clock.now(tx))


async def test_a_text_longer_than_whatsapp_takes_is_skipped(platform: Platform, connector: FakeConnector) -> None:
    async with platform.database.transaction() as tx:
        rows = [
            NewContact(phone="+966500000001", attributes={"a": "x" * 1_000}),
            NewContact(phone="+966500000002", attributes={"a": "x" * 800}),
        ]
        await contacts.save(tx, platform.key, rows, at=await platform.clock.now(tx))
    sender = await scenes.a_sender(platform)
    campaign = await scenes.a_campaign(platform, sender, body="{a}{a}{a}{a}{a}", cloud_name=None)
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    progress = await scenes.progress(platform, campaign.id)
    assert (progress.sent, progress.skipped) == (1, {"text_too_long": 1})

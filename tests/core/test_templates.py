"""Messages with variables: what is filled in, what is missing, what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

import scenes
from core import campaigns, contacts, templates
from core.bootstrap import Platform
from core.contacts import NewContact
from core.content import Media, Text, content_adapter
from core.content import Template as TemplateContent
from core.errors import Conflict, Invalid, NotFound
from core.models import Message, Template, TemplateVariant
from core.templates import Family, MissingVariable, render, variables
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


@pytest.mark.parametrize(
    ("language", "chosen"),
    [
        ("ar", "ar"),
        ("ar_SA", "ar"),
        ("AR-sa", "ar"),
        ("pt-BR", "pt_BR"),
        ("pt_PT", "en"),
        ("en_GB", "en"),
        ("de", "en"),
        ("", "en"),
        (None, "en"),
    ],
)
def test_each_person_gets_their_language_or_the_template_itself(language: str | None, chosen: str) -> None:
    own = Template(name="t", body="Hello", language="en", defaults={})
    others = [TemplateVariant(body=body, language=body, defaults={}) for body in ("ar", "pt_BR")]
    others.append(TemplateVariant(body="not yet", language="de", defaults={}, status="pending"))
    assert Family.of(own, others).wording(language).language == chosen


def test_a_variant_without_a_header_has_that_of_the_template() -> None:
    picture = {"type": "image", "link": "https://shop.example/a.png"}
    own = Template(name="t", body="Hi", language="en", defaults={}, header=picture, cloud_name="offer")
    plain = TemplateVariant(body="أهلا", language="ar", defaults={})
    other = TemplateVariant(body="Salut", language="fr", defaults={}, header={"type": "video", "media_id": "7"})
    family = Family.of(own, [plain, other])
    kinds = [family.wording(one).header for one in ("en", "ar", "fr")]
    assert [one and one.type for one in kinds] == ["image", "image", "video"]


def test_without_a_template_of_meta_the_text_is_the_caption_of_its_header() -> None:
    own = Template(
        name="t", body="Hi {a}", language="en", defaults={}, header={"type": "image", "link": "https://x.example/a"}
    )
    assert render(own, {"a": "1"}) == Media(type="image", link="https://x.example/a", caption="Hi 1")
    assert templates.is_too_long(render(own, {"a": "x" * 1_022}))
    assert not templates.is_too_long(render(own, {"a": "x" * 1_021}))


async def test_a_campaign_writes_to_each_in_their_language(platform: Platform, connector: FakeConnector) -> None:
    rows = [
        NewContact(phone="+966500000001", name="نورة", language="ar_SA"),
        NewContact(phone="+966500000002", name="Omar", language="en"),
        NewContact(phone="+966500000003", name="Sara"),
    ]
    async with platform.database.transaction() as tx:
        await contacts.save(tx, platform.key, rows, at=await platform.clock.now(tx))
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    picture = {"type": "image", "link": "https://shop.example/a.png"}
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await templates.change(tx, campaign.template_id, {"header": picture}, at=now)
        await templates.save_variant(tx, campaign.template_id, "ar", {"body": "مرحباً {name}"}, at=now)
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    sent = [one.content for one in connector.effects]
    assert sorted((one.language, one.text) for one in sent if isinstance(one, TemplateContent)) == [
        ("ar", "مرحباً نورة"),
        ("en", "Hello Omar"),
        ("en", "Hello Sara"),
    ]
    async with platform.database.reading() as tx:
        kept = (await tx.execute(select(Message.content))).scalars().all()
    assert {content_adapter.validate_python(one) for one in kept} == set(sent)

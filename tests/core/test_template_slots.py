"""What Meta's template wants filled in outside its text: named, filled, shown, taken by the simulated Meta."""

import time
from typing import Any

import pytest

import scenes
from connectors.cloud_content import body_of
from core import contacts, drafts, template_slots, template_sync, templates
from core.bootstrap import Platform
from core.contacts import NewContact
from core.content import Template as TemplateContent
from core.errors import Invalid
from core.models import Template
from core.ports import AccountTemplate, Address, Outgoing
from core.template_preview import of_wording
from core.template_slots import Slot, slots, unfillable
from core.templates import MissingVariable, render
from core.wordings import Wording
from fakes import FakeConnector
from simulator import templates as at_meta
from simulator.errors import GraphError

HEADER = {"type": "HEADER", "format": "TEXT", "text": "For {{1}}"}
BODY = {"type": "BODY", "text": "Hello {{1}}, {{2}} off"}
BUTTONS = {
    "type": "BUTTONS",
    "buttons": [
        {"type": "QUICK_REPLY", "text": "Show me"},
        {"type": "URL", "text": "Track", "url": "https://shop.example/t/{{1}}"},
        {"type": "URL", "text": "Shop", "url": "https://shop.example"},
        {"type": "COPY_CODE", "text": "Copy", "example": ["SPRING"]},
        {"type": "PHONE_NUMBER", "text": "Call", "phone_number": "+966500000000"},
    ],
}
ALL: list[dict[str, Any]] = [HEADER, BODY, BUTTONS]
VALUES = {"name": "Nora", "rate": "10 %", "header": "you", "track": "A17", "button_4": "SPRING"}


def _template(**more: Any) -> Template:
    return Template(
        name="offer",
        cloud_name="offer",
        language="en",
        defaults={},
        body="Hello {name}, {rate} off",
        components=ALL,
        **more,
    )


def test_slots_are_called_by_where_they_are() -> None:
    found = [Slot("header", "header"), Slot("button_2", "url", 1), Slot("button_4", "copy_code", 3)]
    assert slots(ALL) == found
    named = {"type": "HEADER", "format": "TEXT", "text": "For {{first_name}}"}
    assert slots([named, BODY]) == [Slot("first_name", "header", parameter_name="first_name")]
    assert slots([BODY, {"type": "HEADER", "format": "IMAGE"}, {"type": "BUTTONS"}]) == []


def test_parts_that_cannot_be_filled() -> None:
    assert unfillable(ALL) is None
    assert unfillable([{"type": "HEADER", "format": "LOCATION"}]) == "a location above its text"
    assert unfillable([{"type": "BUTTONS", "buttons": [{"type": "OTP"}]}]) == "a button of the kind otp"
    assert unfillable([{"type": "CAROUSEL"}]) == "a carousel"


def test_everything_is_filled_from_the_persons_values() -> None:
    template = _template(slots={"header": "name", "button_2": "track"})
    content = render(template, VALUES)
    assert isinstance(content, TemplateContent)
    assert [(one.place, one.index, one.value) for one in content.slots] == [
        ("header", 0, "Nora"),
        ("url", 1, "A17"),
        ("copy_code", 3, "SPRING"),
    ]
    with pytest.raises(MissingVariable) as missing:
        render(template, {**VALUES, "track": ""})
    assert missing.value.args == ("track",)
    with_default = _template(slots={"header": "name", "button_2": "track"})
    with_default.defaults = {"track": "none"}
    assert render(with_default, {**VALUES, "track": ""}) == content.model_copy(
        update={
            "slots": tuple(
                one.model_copy(update={"value": "none"}) if one.place == "url" else one for one in content.slots
            )
        }
    )


def test_the_simulated_meta_takes_it_and_nothing_less() -> None:
    meta = at_meta.Template("1", "offer", "en", "MARKETING", "APPROVED", ALL)
    content = render(_template(slots={"header": "name", "button_2": "track"}), VALUES)
    message = Outgoing("id1", Address("phone", "+966512345678"), content, time.monotonic())
    components = body_of(message)["template"]["components"]
    assert meta.hydrated(components) == "For Nora\nHello Nora, 10 % off"
    codes = []
    for place in range(len(components)):
        with pytest.raises(GraphError) as refused:
            meta.hydrated(components[:place] + components[place + 1 :])
        codes.append(refused.value.code)
    assert codes == [132000, 132000, 131008, 131008]


def test_what_is_longer_than_its_place_is_told() -> None:
    template = _template(slots={"header": "name", "button_2": "track"})
    assert not templates.is_too_long(render(template, VALUES))
    for name, value in (("name", "x" * 61), ("button_4", "x" * 16), ("track", "x" * 2_001)):
        assert templates.is_too_long(render(template, {**VALUES, name: value})), name


def test_the_preview_shows_what_stands_around_the_text() -> None:
    wording = Wording.of(_template(slots={"header": "name", "button_2": "track"}), "offer", None)
    seen = of_wording(wording, VALUES)
    assert (seen.heading, seen.text) == ("For Nora", "Hello Nora, 10 % off")
    assert seen.buttons == (
        "Show me",
        "Track: https://shop.example/t/A17",
        "Shop: https://shop.example",
        "Copy: SPRING",
        "Call: +966500000000",
    )
    assert seen.variables == ["name", "rate", "track", "button_4"]
    lacking = of_wording(wording, {"name": "Nora", "rate": "1 %"})
    assert (lacking.missing, lacking.buttons[1]) == (["track", "button_4"], "Track: https://shop.example/t/{track}")


async def test_names_stay_over_a_sync_and_who_lacks_a_value_is_skipped(
    platform: Platform, connector: FakeConnector
) -> None:
    async def synced(*components: dict[str, Any]) -> None:
        at_account = AccountTemplate("offer", "en", "marketing", "approved", list(components))
        async with platform.database.transaction() as tx:
            assert (
                await template_sync.take_in(tx, "waba", [at_account], at=await platform.clock.now(tx))
            ).problems == []

    await synced(*ALL)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        changes = {
            "slots": {"header": "name", "button_2": "order"},
            "defaults": {"button_4": "SPRING", "v1": "x", "v2": "y"},
        }
        await templates.change(tx, 1, changes, at=now)
        await drafts.change(tx, campaign.id, {"template_id": 1}, at=now)
        rows = [NewContact(phone="+966500000001", name="Nora", attributes={"order": "A17"})]
        rows.append(NewContact(phone="+966500000002", name="Omar"))
        await contacts.save(tx, platform.key, rows, at=now)
    await synced(HEADER, {"type": "BODY", "text": "Now {{1}}, {{2}}"}, BUTTONS)
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    progress = await scenes.progress(platform, campaign.id)
    assert (progress.sent, progress.skipped) == (1, {"missing_variable:order": 1})
    (sent,) = connector.effects
    assert isinstance(sent.content, TemplateContent)
    assert [one.value for one in sent.content.slots] == ["Nora", "A17", "SPRING"]
    await synced({"type": "BODY", "text": "Now {{1}}, {{2}}"})
    async with platform.database.reading() as tx:
        template = await templates.get(tx, 1)
    assert (template.slots, template.defaults) == ({}, {"v1": "x", "v2": "y"})


@pytest.mark.parametrize(("names", "says"), [({"button_1": "x"}, "no slot"), ({"header": "not a name"}, "No variable")])
def test_a_name_that_means_nothing_is_refused(names: dict[str, str], says: str) -> None:
    with pytest.raises(Invalid, match=says) as refused:
        template_slots.chosen(ALL, names)
    assert refused.value.field == "slots"

"""Templates of the account are taken in; what WhatsApp says of them pauses their campaigns and no others."""

from typing import Any

import pytest
from sqlalchemy import select

import scenes
from core import campaigns, inbox, template_status, template_sync, templates
from core.bootstrap import Platform
from core.errors import Conflict, Invalid
from core.models import Campaign, Event, Template
from core.ports import AccountTemplate, ParsedWebhook, TemplateChanged
from core.wordings import Wording, mapping
from fakes import FakeConnector


def _at_meta(name: str = "offer", text: str = "Hello {{1}}, {{2}} off", language: str = "en", **more: Any) -> Any:
    header = [{"type": "HEADER", "format": more["media"]}] if "media" in more else []
    return AccountTemplate(
        name=name,
        language=language,
        category=more.get("category", "marketing"),
        status=more.get("status", "approved"),
        components=[*header, {"type": "BODY", "text": text}, *more.get("parts", ())],
    )


async def _taken(platform: Platform, *found: AccountTemplate) -> template_sync.Synced:
    async with platform.database.transaction() as tx:
        return await template_sync.take_in(tx, "waba", found, at=await platform.clock.now(tx))


async def _changed(platform: Platform, template_id: int, **changes: Any) -> None:
    async with platform.database.transaction() as tx:
        await templates.change(tx, template_id, changes, at=await platform.clock.now(tx))


async def _first(platform: Platform) -> Template:
    async with platform.database.reading() as tx:
        return (await tx.execute(select(Template).order_by(Template.id).limit(1))).scalar_one()


async def _running(platform: Platform, sender_id: int, template_id: int, name: str = "c") -> Campaign:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        made = await campaigns.create(
            tx, name=name, sender_id=sender_id, template_id=template_id, audience={"all": True}, at=now
        )
    await scenes.launched(platform, made.id)
    return made


async def _reported(platform: Platform, status: str, *, name: str = "offer", language: str = "en") -> None:
    async with platform.database.transaction() as tx:
        change = TemplateChanged("waba", name, language, status=status)
        await template_status.apply(tx, change, at=await platform.clock.now(tx))


async def _state(platform: Platform, campaign: Campaign) -> tuple[str, str]:
    async with platform.database.reading() as tx:
        found = await campaigns.get(tx, campaign.id)
        return found.state, found.state_reason


async def test_a_template_is_taken_in_with_its_languages(platform: Platform) -> None:
    arabic = _at_meta(text="مرحباً {{1}}، خصم {{2}}", language="ar", status="pending")
    done = await _taken(platform, arabic, _at_meta(category="utility"))
    assert (done.created, done.updated, done.deleted, done.problems) == (2, 0, 0, [])
    template = await _first(platform)
    assert (template.name, template.language, template.body) == ("offer", "en", "Hello {v1}, {v2} off")
    assert (template.status, template.waba_id, template.cloud_name) == ("approved", "waba", "offer")
    async with platform.database.reading() as tx:
        (variant,) = (await templates.variants(tx, [template.id]))[template.id]
        assert (variant.language, variant.body, variant.status) == ("ar", "مرحباً {v1}، خصم {v2}", "pending")
        family = await templates.family(tx, template.id)
    assert family.wording("ar").language == "en", "nobody gets a language that is not approved"


async def test_our_names_stay_and_go_out_in_metas_order(platform: Platform) -> None:
    await _taken(platform, _at_meta(text="{{2}} off, {{1}}! {{2}}"))
    template = await _first(platform)
    with pytest.raises(Invalid, match="Meta's"):
        await _changed(platform, template.id, body="{percent} off for {name}")
    with pytest.raises(Invalid, match="both"):
        await _changed(platform, template.id, body="{a} off, {name}! {b}")
    await _changed(platform, template.id, body="{percent} off, {name}! {percent}", defaults={"name": "friend"})
    done = await _taken(platform, _at_meta(text="Now {{2}} off, {{1}}"))
    assert (done.created, done.updated) == (0, 1)
    template = await _first(platform)
    assert (template.body, template.defaults) == ("Now {percent} off, {name}", {"name": "friend"})
    content: Any = Wording.of(template, "offer", None).fill({"percent": "20 %"})
    assert (content.parameters, content.parameter_names) == (("friend", "20 %"), ())
    again = await _taken(platform, _at_meta(text="Now {{2}} off, {{1}}"))
    assert (again.created, again.updated, again.deleted) == (0, 0, 0)


async def test_named_parameters_go_by_name(platform: Platform) -> None:
    await _taken(platform, _at_meta(text="Hello {{first_name}}, order {{number}}"))
    template = await _first(platform)
    assert template.body == "Hello {first_name}, order {number}"
    await _changed(platform, template.id, body="Hello {name}, order {number}")
    content: Any = Wording.of(await _first(platform), "offer", None).fill({"name": "Sara", "number": 7})
    assert content.parameters == ("Sara", "7")
    assert content.parameter_names == ("first_name", "number")


async def test_what_cannot_be_sent_from_here_is_told(platform: Platform) -> None:
    flow = {"type": "BUTTONS", "buttons": [{"type": "FLOW", "text": "Book"}]}
    done = await _taken(
        platform,
        _at_meta("no_text", ""),
        _at_meta("braces", "Say {hello world}"),
        _at_meta("button", "Hi", parts=[flow]),
        _at_meta("picture", "Hi", media="IMAGE"),
    )
    assert [(one.name, one.message[:9]) for one in done.problems] == [
        ("no_text", "It has no"),
        ("braces", "There is "),
        ("button", "It has a "),
    ]
    async with platform.database.reading() as tx:
        by_name = {one.name: one for one in await templates.listed(tx, after=0, limit=9)}
        assert set(by_name) == {"button", "picture"}
        for name, words in (("button", "cannot be filled"), ("picture", "needs its image")):
            with pytest.raises(Conflict, match=words):
                await templates.check_sendable(tx, by_name[name], "waba")
    await _changed(platform, by_name["picture"].id, header={"type": "image", "link": "https://shop.example/a.png"})
    async with platform.database.reading() as tx:
        await templates.check_sendable(tx, await templates.get(tx, by_name["picture"].id), "waba")
        with pytest.raises(Conflict, match="another WhatsApp account"):
            await templates.check_sendable(tx, await templates.get(tx, by_name["picture"].id), "other")


async def test_a_template_that_is_gone_is_marked_and_comes_back(platform: Platform) -> None:
    await _taken(platform, _at_meta(), _at_meta(language="ar"))
    assert (await _taken(platform, _at_meta())).deleted == 1
    done = await _taken(platform)
    assert (done.deleted, (await _first(platform)).status) == (1, "deleted")
    assert (await _taken(platform)).deleted == 0
    async with platform.database.reading() as tx:
        with pytest.raises(Conflict, match="as deleted"):
            await templates.check_sendable(tx, await _first(platform), "waba")
    assert (await _taken(platform, _at_meta())).updated == 1
    assert (await _first(platform)).status == "approved"


async def test_a_name_that_is_taken_gets_the_account_behind_it(platform: Platform) -> None:
    async with platform.database.transaction() as tx:
        await templates.create(tx, name="offer", body="by hand", at=await platform.clock.now(tx))
    await _taken(platform, _at_meta())
    async with platform.database.reading() as tx:
        assert [one.name for one in await templates.listed(tx, after=0, limit=9)] == ["offer", "offer (waba)"]


async def test_sync_asks_the_senders_account(platform: Platform, connector: FakeConnector) -> None:
    connector.account_templates = [_at_meta()]
    await scenes.a_sender(platform)
    await scenes.a_sender(platform, name="second")  # of the same account
    counts = await template_sync.sync_all(platform)
    assert counts == {"accounts": 1, "created": 1, "updated": 0, "deleted": 0, "failed": 0}
    assert (await template_sync.sync(platform, 2)).created == 0


@pytest.mark.parametrize("status", ["paused", "rejected", "disabled", "deleted"])
async def test_a_stopped_template_pauses_its_own_campaigns_only(platform: Platform, status: str) -> None:
    await scenes.people(platform, 1)
    sender = await scenes.a_sender(platform)
    await _taken(platform, _at_meta(text="Hi"), _at_meta("other", "Hi"))
    async with platform.database.reading() as tx:
        ids = {one.name: one.id for one in await templates.listed(tx, after=0, limit=9)}
    mine = await _running(platform, sender.id, ids["offer"])
    other = await _running(platform, sender.id, ids["other"], "other")
    by_hand = await scenes.a_campaign(platform, sender, name="by hand", cloud_name="offer")
    await scenes.launched(platform, by_hand.id)
    await _reported(platform, status)
    await _reported(platform, status)  # WhatsApp repeats
    assert await _state(platform, mine) == ("paused", f"template_{status}")
    assert await _state(platform, by_hand) == ("paused", f"template_{status}")
    assert await _state(platform, other) == ("running", "")
    async with platform.database.reading() as tx:
        by_hand_template = await templates.get(tx, by_hand.template_id)
        with pytest.raises(Conflict, match=f"as {status}"):
            await templates.check_sendable(tx, by_hand_template, "waba")
        told = (await tx.execute(select(Event.type).where(Event.type == f"template.{status}"))).scalars().all()
        assert len(told) == 1


async def test_a_language_in_use_pauses_and_one_that_was_not_does_not(platform: Platform) -> None:
    await scenes.people(platform, 1)
    sender = await scenes.a_sender(platform)
    await _taken(platform, _at_meta(), _at_meta(language="ar"), _at_meta(language="fr", status="pending"))
    campaign = await _running(platform, sender.id, (await _first(platform)).id)
    await _reported(platform, "rejected", language="fr")
    await _reported(platform, "paused", language="de")
    assert (await _state(platform, campaign))[0] == "running"
    await _reported(platform, "paused", language="ar")
    assert await _state(platform, campaign) == ("paused", "template_paused")


async def test_a_sync_pauses_too(platform: Platform) -> None:
    await scenes.people(platform, 1)
    sender = await scenes.a_sender(platform)
    await _taken(platform, _at_meta())
    campaign = await _running(platform, sender.id, (await _first(platform)).id)
    await _taken(platform, _at_meta(status="paused"))
    assert await _state(platform, campaign) == ("paused", "template_paused")


async def test_a_webhook_changes_status_and_category(platform: Platform) -> None:
    await _taken(platform, _at_meta())
    said = ParsedWebhook(
        templates=[
            TemplateChanged("waba", "offer", "en", status="disabled"),
            TemplateChanged("waba", "offer", "en", category="utility"),
            TemplateChanged("waba", "unknown", "en", status="disabled"),
        ]
    )
    async with platform.database.transaction() as tx:
        await inbox.store(tx, b"{}", at=await platform.clock.now(tx))
    assert await inbox.apply_waiting(platform, lambda _: said) == 1
    template = await _first(platform)
    assert (template.status, template.category) == ("disabled", "utility")


def test_what_stands_in_the_same_place_is_the_same() -> None:
    components = [{"type": "BODY", "text": "{{1}}{{ 2 }}"}]
    assert mapping("{a}{b}", components) == {"1": "a", "2": "b"}

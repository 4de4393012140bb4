"""The catalogue of webhooks: what happens becomes what it promises, and nothing personal that was not asked for."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from sqlalchemy import select

import scenes
from api import webhook_catalogue
from core import campaigns, events, messages, senders, templates
from core.bootstrap import Platform
from core.content import Text
from core.errors import Invalid
from core.models import Event, Message
from core.ports import Address, Inbound, Receipt
from core.webhook_bodies import FORMS, MAX_BODY, Wanted, bodies
from core.webhook_events import CATALOGUE, PERSONAL_FIELDS, Fact, check_events, facts_of, passes, possible, wants
from fakes import FakeConnector

AT = datetime(2026, 11, 23, 20, 40, 7, 123456, tzinfo=UTC)
SECRETS = ("Person 0", "+966500000000", "966500000000", "Hello", "STOP")


async def _lived_through(platform: Platform, connector: FakeConnector) -> Message:
    """A campaign to two, one of whom reads it and answers STOP; returns the message they got."""
    await scenes.people(platform, 2)
    sender = await scenes.a_sender(platform)
    campaign = await scenes.a_campaign(platform, sender)
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await campaigns.finish_if_done(tx, campaign.id, at=now)
        message = (await tx.execute(select(Message).order_by(Message.id).limit(1))).scalar_one()
        for status in ("read", "read", "delivered"):
            receipt = Receipt(message.provider_id or "", message.client_id, status, now)
            await messages.apply_receipts(tx, [receipt], at=now)
        said = Inbound("in", "id-shop", [Address("phone", "+966500000000")], None, Text(body="STOP"), None, now)
        await messages.receive(tx, platform.key, said, at=now)
        await senders.move(tx, await senders.get(tx, sender.id), "paused", reason="token_expired", at=now)
        await templates.remove(tx, (await templates.create(tx, name="other", body="Hi", at=now)).id, at=now)
    return message


async def _all_facts(platform: Platform) -> list[Fact]:
    facts: list[Fact] = []
    async with platform.database.reading() as tx:
        for row in (await tx.execute(select(Event).order_by(Event.id))).scalars():
            types = possible(row.type, row.data)
            assert types <= set(CATALOGUE), row.type
            told = await facts_of(tx, row.type, row.data, types=types, at=row.at)
            assert {fact.type for fact in told} == types, "all that is possible, and nothing else"
            assert not await facts_of(tx, row.type, row.data, types=(), at=row.at)
            facts += told
    return facts


async def _written(platform: Platform, facts: list[Fact], **how: Any) -> list[bytes]:
    async with platform.database.reading() as tx:
        return await bodies(tx, [Wanted(fact.type, fact.data, AT, **how) for fact in facts])


async def test_what_happens_is_told_in_the_form_the_catalogue_promises(
    platform: Platform, connector: FakeConnector
) -> None:
    message = await _lived_through(platform, connector)
    facts = await _all_facts(platform)
    assert {fact.type for fact in facts} >= {
        *("message.sent", "message.delivered", "message.read", "message.received", "contact.opted_out"),
        *("campaign.launched", "campaign.finished", "sender.moved", "template.removed"),
        *("message_received", "message_sent", "campaign_executed", "campaign_completed"),
        *("client_connected", "client_disconnected"),
    }
    for form in FORMS:
        for fields in ((), PERSONAL_FIELDS):
            for fact, body in zip(facts, await _written(platform, facts, form=form, fields=fields), strict=True):
                told = orjson.loads(body)
                assert told.pop("type" if form == "v3" else "event") == fact.type
                assert told.pop("timestamp") == (
                    "2026-11-23T20:40:07.123456Z" if form == "v3" else "2026-11-23T20:40:07.123Z"
                )
                CATALOGUE[fact.type].payload.model_validate(told.pop("data"))
                assert not told
                if not fields:
                    assert not any(secret.encode() in body for secret in SECRETS), body

    mine = [fact for fact in facts if fact.data.get("message_id") == message.id]
    stages = [fact.type for fact in mine]
    assert stages.count("message.sent") == 4, "as often as it is reported"
    assert len({fact.id for fact in mine}) == 4, "but sent, delivered, read and message_sent are one fact each"
    assert {(fact.sender_id, fact.campaign_id, fact.contact_id, fact.chat) for fact in mine} == {
        (message.sender_id, 1, message.contact_id, f"{message.sender_id}:{message.contact_id}")
    }
    assert len({fact.id for fact in facts if fact.type == "sender.moved"}) == 2
    assert all(fact.sender_id == 1 for fact in facts if fact.type.startswith(("campaign", "client")))


async def test_an_endpoint_gets_of_a_person_what_it_asks_for(platform: Platform, connector: FakeConnector) -> None:
    await _lived_through(platform, connector)
    by_type = {fact.type: fact for fact in await _all_facts(platform)}
    facts = [by_type[name] for name in ("message.received", "contact.opted_out", "message_received", "message_sent")]
    received, opted_out, old, old_sent = (
        orjson.loads(body)["data"] for body in await _written(platform, facts, fields=("text", "phone"))
    )
    assert (received["text"], received["phone"], "name" in received) == ("STOP", "+966500000000", False)
    assert (opted_out["phone"], "text" in opted_out) == ("+966500000000", False)
    assert (old["from"], old["to"], old["body"], old["type"]) == ("966500000000@c.us", "id-shop", "STOP", "chat")
    assert (old_sent["to"], old_sent["ack"], old["fromMe"]) == ("966500000000@c.us", 1, False)
    named, *_ = await _written(platform, facts, fields=("name",))
    assert orjson.loads(named)["data"]["name"] == "Person 0"
    gone = Fact("message.received", {"message_id": 999, "contact_id": 999, "sender_id": 1})
    (body,) = await _written(platform, [gone], fields=PERSONAL_FIELDS)
    assert orjson.loads(body)["data"] == {**gone.data, "text": None, "phone": None, "name": None}


async def test_what_is_too_large_is_told_thinly(platform: Platform) -> None:
    data = {
        "campaign_id": 7,
        "sender_id": 1,
        "reason": "opted_out",
        "recipient_ids": list(range(10**6, 10**6 + 40_000)),
    }
    (body,) = await _written(platform, [Fact("recipients.skipped", data)])
    told = orjson.loads(body)["data"]
    assert len(body) < MAX_BODY
    assert (told["truncated"], told["path"], told["reason"]) == (True, "/api/v3/campaigns/7", "opted_out")
    assert "recipient_ids" not in told


def test_one_asks_by_name_by_area_or_for_all() -> None:
    assert check_events(["message.*", "message.sent", "message.*", "session_qr"]) == [
        *("message.*", "message.sent", "session_qr")
    ]
    for wrong in (["message"], ["message.*.sent"], ["mess*"], ["*.*"], [".*"], ["message.flown"], []):
        with pytest.raises(Invalid):
            check_events(wrong)
    assert wants(["message.*"], "message.sent")
    assert not wants(["message.*"], "messages.sent")
    assert wants(["*"], "template.not_known_yet")
    assert not wants(["*"], "message_sent")
    assert wants(["message_sent"], "message_sent")
    assert not wants(["message_sent"], "message.sent")
    fact = Fact("message.sent", {}, sender_id=1, campaign_id=7)
    assert passes(fact, None, None)
    assert passes(fact, [1], [7])
    assert not passes(fact, [2], None)
    assert not passes(Fact("contact.saved", {}), [1], None)


def test_every_event_of_ours_is_in_the_catalogue_or_nobodys_business() -> None:
    for one in events._Event.__subclasses__():
        if hasattr(one, "TYPE") and one.TYPE not in ("messages.moved", "messages.receipts", "notification.withdrawn"):
            assert one.TYPE in CATALOGUE
    assert not possible("notification.read", {})
    assert {name for name, kind in CATALOGUE.items() if kind.since is None} == {"smartbot_reply", "session_qr"}


def test_the_pages_are_those_of_the_catalogue() -> None:
    committed = (webhook_catalogue.SCHEMAS.read_text(), webhook_catalogue.PAGE.read_text())
    assert committed == webhook_catalogue.generated(), "run: python -m api.webhook_catalogue"

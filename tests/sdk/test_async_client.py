"""Every method of the client, awaited, against the real app on both databases."""

from datetime import UTC, datetime

import pytest

import scenes
import waqtor as sdk
from core import campaigns, planning
from fakes import FakeConnector
from serving import Server
from waqtor import AsyncClient

SECRETS = {"access_token": "t", "app_secret": "s", "verify_token": "v"}


async def test_a_campaign_from_the_file_to_the_outcomes(
    server: Server, waqtor: AsyncClient, connector: FakeConnector
) -> None:
    report = await waqtor.contacts.import_file(
        b"phone,name,tags\n0501234567,Nora,vip\n+966501234568,Sara,vip\n12,X,vip\n"
    )
    assert (report.created, report.rejected) == (2, 1)
    assert report.report is not None
    assert report.report[0].field == "phone"
    assert (await waqtor.contacts.get_import(report.id)) == report
    sender = await waqtor.senders.create("shop", phone_number_id="1", waba_id="2", rate=1000, **SECRETS)
    template = await waqtor.templates.create("t", "Hello {name}", cloud_name="hello")
    assert (await waqtor.templates.preview(template.id, {"name": "Nora"})).text == "Hello Nora"
    campaign = await waqtor.campaigns.create(
        "spring", sender_id=sender.id, template_id=template.id, tag="vip", purpose="service"
    )
    assert (await waqtor.campaigns.launch(campaign.id)).state == "running"
    platform = server.platform
    async with platform.database.transaction() as tx:
        await planning.plan_chunk(tx, campaign.id, at=await platform.clock.now(tx))
    await scenes.dispatched(platform, connector, campaign.id)
    async with platform.database.transaction() as tx:
        assert await campaigns.finish_if_done(tx, campaign.id, at=await platform.clock.now(tx))
    heard: list[int] = []
    done = await waqtor.campaigns.wait(campaign.id, on_progress=lambda now: heard.append(now.id), every_s=0.01)
    assert done.progress is not None
    assert (done.state, done.progress.sent, done.progress.done, heard) == ("finished", 2, 2, [campaign.id])
    people = [one async for one in waqtor.campaigns.recipients(campaign.id, state="sent", limit=1)]
    assert [one.name for one in people] == ["Nora", "Sara"]
    chat = [one async for one in waqtor.messages.list(people[0].contact_id)]
    assert [one.content["text"] for one in chat] == ["Hello Nora"]
    assert [one.id async for one in waqtor.campaigns.list(state="finished")] == [campaign.id]


async def test_everything_else(waqtor: AsyncClient) -> None:
    contact = await waqtor.contacts.create("+966501234567", name="نورة", tags=["a"], attributes={"city": "Riyadh"})
    assert (await waqtor.contacts.get(contact.id)) == contact
    assert (await waqtor.contacts.opt_out(contact.id, wording="no more")).opted_out
    assert [one.name async for one in waqtor.contacts.list(tag="a")] == ["نورة"]
    sender = await waqtor.senders.create("shop", phone_number_id="1", waba_id="2", **SECRETS)
    assert (await waqtor.senders.health(sender.id)).ok
    assert (await waqtor.senders.pause(sender.id, reason="holiday")).state_reason == "holiday"
    assert (await waqtor.senders.resume(sender.id)).state == "active"
    assert (await waqtor.senders.replace_token(sender.id, "new")).id == sender.id
    assert [one.name async for one in waqtor.senders.list()] == ["shop"]
    assert (await waqtor.senders.get(sender.id)).rate == 80
    template = await waqtor.templates.create("t", "Hi", defaults={})
    assert [await waqtor.templates.get(template.id)] == [one async for one in waqtor.templates.list()]
    campaign = await waqtor.campaigns.create("c", sender_id=sender.id, template_id=template.id, purpose="service")
    assert campaign.audience["all"] is True
    await waqtor.campaigns.launch(campaign.id)
    assert (await waqtor.campaigns.pause(campaign.id, reason="x")).state == "paused"
    assert (await waqtor.campaigns.resume(campaign.id)).launches == 2
    assert (await waqtor.campaigns.progress(campaign.id)).total == 0
    assert (await waqtor.campaigns.cancel(campaign.id)).state == "cancelled"
    assert (await waqtor.sending.stop("wrong price")).on is False
    assert (await waqtor.sending.start()).on is True
    assert (await waqtor.sending.get()).reason == ""
    key = await waqtor.api_keys.create("k", ["read"], expires_at=datetime(2099, 1, 1, tzinfo=UTC))
    assert key.key not in repr(key)
    assert (await waqtor.api_keys.revoke(key.id)).revoked_at is not None
    assert len([one async for one in waqtor.api_keys.list()]) == 2
    assert (await waqtor.events.since(0)).pruned == 0
    assert [one async for one in waqtor.contacts.imports()] == []


async def test_a_key_of_ones_own_makes_a_repetition_harmless(waqtor: AsyncClient) -> None:
    first = await waqtor.api_keys.create("k", ["read"], idempotency_key="mine")
    assert await waqtor.api_keys.create("k", ["read"], idempotency_key="mine") == first
    with pytest.raises(sdk.Invalid) as refusal:
        await waqtor.api_keys.create("other", ["read"], idempotency_key="mine")
    assert refusal.value.code == "idempotency_key_reused"


async def test_errors_are_typed_and_say_what_to_do(server: Server, waqtor: AsyncClient) -> None:
    with pytest.raises(sdk.NotFound) as missing:
        await waqtor.contacts.get(99)
    assert (missing.value.status, missing.value.field) == (404, "contact_id")
    assert missing.value.request_id
    with pytest.raises(sdk.Invalid, match="number"):
        await waqtor.contacts.create("123")
    await waqtor.templates.create("t", "Hi")
    with pytest.raises(sdk.Conflict):
        await waqtor.templates.create("t", "Hi")
    async with AsyncClient("http://waqtor", await server.new_key("read"), transport=server.transport) as reader:
        with pytest.raises(sdk.NotAllowed):
            await reader.contacts.create("+966501234567")
    async with AsyncClient("http://waqtor", "wq_none_none", transport=server.transport) as nobody:
        with pytest.raises(sdk.NotSignedIn):
            await nobody.contacts.get(1)


async def test_waiting_ends_when_its_time_is_up(waqtor: AsyncClient) -> None:
    sender = await waqtor.senders.create("shop", phone_number_id="1", waba_id="2", **SECRETS)
    template = await waqtor.templates.create("t", "Hi")
    campaign = await waqtor.campaigns.create("c", sender_id=sender.id, template_id=template.id, purpose="service")
    with pytest.raises(sdk.Error, match="still draft"):
        await waqtor.campaigns.wait(campaign.id, every_s=0.01, timeout_s=0.05)

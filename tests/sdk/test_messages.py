"""Single messages through the client, against the real API."""

import scenes
from serving import Server
from waqtor import AsyncClient


async def test_one_many_and_what_became_of_them(server: Server, waqtor: AsyncClient) -> None:
    sender = await scenes.a_sender(server.platform)
    contact = await waqtor.contacts.create("+966501234567", name="Nora")
    message = await waqtor.messages.send(sender.id, "Hello", to="+966501234567")
    assert message.contact_id == contact.id
    done = await waqtor.messages.wait(message.id, every_s=0.01, timeout_s=10)
    assert (done.state, done.content) == ("sent", {"type": "text", "body": "Hello"})
    place = {"type": "location", "latitude": 1.0, "longitude": 2.0}
    one = {"sender_id": sender.id, "contact_id": contact.id, "content": place}
    bulk = await waqtor.messages.send_many([one, {**one, "contact_id": 99}])
    assert (bulk.accepted, bulk.refused) == (1, 1)
    assert bulk.results[1].error is not None
    assert bulk.results[1].error.field == "contact_id"
    assert bulk.results[0].message is not None
    assert (await waqtor.messages.wait(bulk.results[0].message.id, every_s=0.01)).state == "sent"
    assert len([one async for one in waqtor.messages.list(contact.id)]) == 2
    assert (await waqtor.messages.get(message.id)).id == message.id
    campaign = await scenes.a_campaign(server.platform, sender)
    tried = await waqtor.campaigns.test(campaign.id, contact_id=contact.id)
    assert (await waqtor.messages.wait(tried.id, every_s=0.01)).test_of == campaign.id

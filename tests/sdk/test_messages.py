"""Single messages through the client, against the real API."""

from pathlib import Path

import pytest

import scenes
from serving import Server
from waqtor import AsyncClient, Client, NotFound


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


async def test_a_file_goes_with_a_message(server: Server, waqtor: AsyncClient, tmp_path: Path) -> None:
    sender = await scenes.a_sender(server.platform)
    path = tmp_path / "receipt.png"
    path.write_bytes(scenes.PICTURE)
    file = await waqtor.media.upload(path)
    assert (file.kind, file.filename) == ("image", "receipt.png")
    as_bytes = await waqtor.media.upload(scenes.PICTURE, filename="b.png")
    assert as_bytes.sha256 == file.sha256
    message = await waqtor.messages.send(sender.id, {"type": "image", "media_id": file.id}, to="+966501234567")
    assert (await waqtor.messages.wait(message.id, every_s=0.01)).state == "sent"
    assert await waqtor.media.of_message(message.id) == await waqtor.media.wait(file.id) == file
    assert await waqtor.media.content(file.id) == scenes.PICTURE
    assert [one.id async for one in waqtor.media.list(direction="out")] == [file.id, as_bytes.id]
    assert (await waqtor.media.delete(as_bytes.id)).id == as_bytes.id
    with pytest.raises(NotFound):
        await waqtor.media.get(as_bytes.id)


def test_a_file_at_once_over_a_socket(socket_client: Client, tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_bytes(b"many lines\n" * 500_000)
    file = socket_client.media.upload(path)
    assert (file.mime_type, file.size) == ("text/plain", 5_500_000)
    assert socket_client.media.content(file.id) == path.read_bytes()


async def test_chats(server: Server, waqtor: AsyncClient) -> None:
    sender = await scenes.a_sender(server.platform)
    for text in ("one", "two"):
        message = await waqtor.messages.send(sender.id, text, to="+966501234567")
        await waqtor.messages.wait(message.id, every_s=0.01)
    (chat,) = [one async for one in waqtor.chats.list(sender_id=sender.id)]
    assert chat.last_message is not None
    assert (chat.unread, chat.window_until, chat.last_message.id) == (0, None, message.id)
    assert await waqtor.chats.get(chat.id) == await waqtor.chats.mark_read(chat.id, message_id=message.id) == chat
    page = await waqtor.chats.messages(chat.id, limit=1)
    assert [one.id for one in page.data] == [message.id]
    assert (await waqtor.chats.messages(chat.id, cursor=page.previous_cursor)).data == []
    assert len([one async for one in waqtor.chats.history(chat.id, limit=1)]) == 2
    assert [one async for one in waqtor.chats.list(unread=True)] == []

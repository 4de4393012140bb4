"""Chats: the latest first, what is unread, and a way on in both directions."""

import asyncio
from typing import Any

import httpx
import pytest

import scenes
from accounts import signed_in
from core import contacts, merges, messages
from core.content import Text
from core.models import Sender
from core.ports import Address, Inbound
from core.roles import Role
from fakes import FakeClock, FakeConnector
from serving import Server


async def say(server: Server, sender: Sender, person: int, *words: str) -> list[int]:
    """Person 1 is +966500000000."""
    platform, ids = server.platform, []
    for word in words:
        async with platform.database.transaction() as tx:
            now = await platform.clock.now(tx)
            who = [Address("phone", f"+9665{person - 1:08d}")]
            inbound = Inbound(f"wamid.{person}.{word}", sender.phone_number_id, who, None, Text(body=word), None, now)
            ids.append(await messages.receive(tx, platform.key, inbound, at=now) or 0)
    return ids


@pytest.fixture
async def sender(server: Server) -> Sender:
    await scenes.people(server.platform, 4)
    return await scenes.a_sender(server.platform)


async def got(api: httpx.AsyncClient, path: str, **query: Any) -> Any:
    answer = await api.get(f"/api/v3/chats{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_latest_first_with_what_is_unread_and_till_when_free_text_goes(
    api: httpx.AsyncClient, server: Server, sender: Sender, connector: FakeConnector, clock: FakeClock
) -> None:
    await say(server, sender, 1, "hello", "are you there?")
    clock.advance(hours=1)
    await say(server, sender, 2, "hi")
    clock.advance(hours=1)
    body = {"sender_id": sender.id, "contact_id": 3, "content": {"type": "text", "body": "news"}}
    sent = (await api.post("/api/v3/messages", json=body)).json()
    async with asyncio.timeout(10):
        while not connector.effects:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    chats = (await got(api, ""))["data"]
    assert [(one["id"], one["unread"]) for one in chats] == [
        (f"{sender.id}-3", 0),
        (f"{sender.id}-2", 1),
        (f"{sender.id}-1", 2),
    ]
    assert [one["last_message"]["content"]["body"] for one in chats] == ["news", "hi", "are you there?"]
    assert chats[0]["last_message"]["id"] == sent["id"]
    assert [one["window_until"] is not None for one in chats] == [False, True, True]
    assert await got(api, f"/{sender.id}-2") == chats[1]
    pages, cursor = [], None
    while True:
        found = await got(api, "", limit=1, **({"cursor": cursor} if cursor else {}))
        pages += [one["id"] for one in found["data"]]
        if (cursor := found["next_cursor"]) is None:
            break
    assert pages == [one["id"] for one in chats]
    assert len((await got(api, "", unread=True))["data"]) == 2
    assert [one["contact_id"] for one in (await got(api, "", contact_id=2))["data"]] == [2]
    assert (await got(api, "", sender_id=99))["data"] == []
    clock.advance(hours=23)
    assert (await got(api, f"/{sender.id}-1"))["window_until"] is None


async def test_messages_are_gone_through_both_ways(api: httpx.AsyncClient, server: Server, sender: Sender) -> None:
    ids = await say(server, sender, 1, *(f"word {number}" for number in range(5)))
    await say(server, sender, 2, "somebody else's")
    path = f"/{sender.id}-1/messages"
    newest = await got(api, path, limit=2)
    older = await got(api, path, limit=2, cursor=newest["next_cursor"])
    oldest = await got(api, path, limit=2, cursor=older["next_cursor"])
    told = [[one["id"] for one in page["data"]] for page in (newest, older, oldest)]
    assert told == [ids[:2:-1], ids[2:0:-1], ids[:1]]
    assert oldest["next_cursor"] is None
    back = await got(api, path, limit=2, cursor=oldest["previous_cursor"])
    assert [one["id"] for one in back["data"]] == ids[2:0:-1]
    nothing = await got(api, path, cursor=newest["previous_cursor"])
    assert nothing["data"] == []
    ids += await say(server, sender, 1, "later")
    later = await got(api, path, cursor=nothing["previous_cursor"])
    assert [one["id"] for one in later["data"]] == ids[-1:]
    assert [one["id"] for one in (await got(api, path, cursor=later["next_cursor"]))["data"]] == ids[-2::-1]


async def _of_type(api: httpx.AsyncClient, kind: str) -> list[dict[str, Any]]:
    return [one for one in (await api.get("/api/v3/events")).json()["data"] if one["type"] == kind]


async def test_what_was_read_stays_read(
    api: httpx.AsyncClient, server: Server, sender: Sender, connector: FakeConnector
) -> None:
    first, second = await say(server, sender, 1, "one", "two")
    path = f"/api/v3/chats/{sender.id}-1/read"
    assert (await api.post(path, json={"message_id": first})).json()["unread"] == 1
    assert connector.read == []
    assert (await api.post(path, json={"tell": True})).json()["unread"] == 0
    assert (await api.post(path, json={"message_id": first})).json()["unread"] == 0
    async with asyncio.timeout(5):
        while connector.read != ["wamid.1.two"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    async with asyncio.timeout(5):  # on PostgreSQL events are numbered a moment later
        while len(events := await _of_type(api, "chat.read")) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert [one["data"]["message_id"] for one in events] == [first, second]
    await say(server, sender, 1, "three")
    assert (await got(api, f"/{sender.id}-1"))["unread"] == 1


async def test_who_may_not_see_numbers_reads_chats_without_them(server: Server, sender: Sender) -> None:
    await say(server, sender, 1, "call +966501234567")
    seen: list[tuple[Role, str]] = [("user", "+966501234567"), ("viewer", "+9665•••••67")]
    for role, shown in seen:
        person = await signed_in(server, role)
        async with person.client as client:
            (chat,) = (await got(client, ""))["data"]
            assert chat["last_message"]["content"]["body"] == f"call {shown}"
            marked = await client.post(f"/api/v3/chats/{chat['id']}/read", json={})
            assert marked.status_code == (200 if role == "user" else 403)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("GET", "1-9", None, 404, "chat_id"),
        ("GET", "1-9/messages", None, 404, "chat_id"),
        ("GET", "1", None, 422, "chat_id"),
        ("GET", "1-1/messages?cursor=x", None, 422, "cursor"),
        ("GET", "?cursor=YWZ0ZXI6MQ", None, 422, "cursor"),
        ("POST", "1-9/read", {}, 404, "chat_id"),
        ("POST", "1-1/read", {"message_id": 99}, 404, "message_id"),
        ("POST", "1-1/read", {"message_id": 2}, 404, "message_id"),
    ],
)
async def test_what_is_not_there_is_told(
    api: httpx.AsyncClient, server: Server, sender: Sender, method: str, path: str, body: Any, status: int, field: str
) -> None:
    await say(server, sender, 1, "hello")
    await say(server, sender, 2, "the second message")
    answer = await api.request(method, f"/api/v3/chats/{path}".replace("/?", "?"), json=body)
    assert (answer.status_code, answer.json()["error"]["field"]) == (status, field), answer.text


async def test_a_merged_person_has_one_chat_and_nothing_of_it_is_lost(
    api: httpx.AsyncClient, server: Server, sender: Sender
) -> None:
    await say(server, sender, 1, "one")
    await say(server, sender, 2, "two")
    await api.post(f"/api/v3/chats/{sender.id}-1/read", json={})
    platform = server.platform
    async with platform.database.transaction() as tx:
        merged = await merges.merge(tx, 1, 2, at=await platform.clock.now(tx))
    (chat,) = (await got(api, ""))["data"]
    assert (chat["contact_id"], chat["last_message"]["content"]["body"]) == (1, "two")
    assert chat["unread"] == 2, "rather read twice than never"
    async with platform.database.transaction() as tx:
        await merges.unmerge(tx, merged.id, at=await platform.clock.now(tx))
        assert (await contacts.get(tx, 2)).id == 2
    assert {one["contact_id"] for one in (await got(api, ""))["data"]} == {1, 2}

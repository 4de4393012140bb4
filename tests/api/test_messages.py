"""Single messages over HTTP: accepted, refused each with its own error, sent by the process itself."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

import scenes
from core import messages
from core.content import Location, Media, Reaction, Template, Text
from core.models import Contact, Message
from core.ports import Address as To
from core.ports import Inbound
from fakes import FakeConnector
from serving import Server

TEXT = {"type": "text", "body": "hello"}


@pytest.fixture
async def sender_id(server: Server) -> int:
    await scenes.people(server.platform, 3)
    return (await scenes.a_sender(server.platform)).id


async def settled(api: httpx.AsyncClient, message_id: int) -> Any:
    async with asyncio.timeout(10):
        while True:
            message = (await api.get(f"/api/v3/messages/{message_id}")).json()
            if message["state"] not in ("queued", "intent"):
                return message
            await asyncio.sleep(0.01)


async def test_a_message_is_taken_and_leaves_by_itself(
    api: httpx.AsyncClient, sender_id: int, connector: FakeConnector
) -> None:
    answer = await api.post("/api/v3/messages", json={"sender_id": sender_id, "to": "0500000001", "content": TEXT})
    assert answer.status_code == 202, answer.text
    taken = answer.json()
    assert (taken["state"], taken["contact_id"], taken["purpose"]) == ("queued", 2, "service")
    done = await settled(api, taken["id"])
    assert (done["state"], done["provider_id"]) == ("sent", f"wamid.{done['client_id']}")
    assert [(call.to.value, call.content) for call in connector.calls] == [("+966500000001", Text(body="hello"))]


async def test_the_same_request_again_sends_nothing_more(
    api: httpx.AsyncClient, sender_id: int, connector: FakeConnector
) -> None:
    body = {"sender_id": sender_id, "contact_id": 1, "content": TEXT}
    key = {"Idempotency-Key": "order-17"}
    first, second = await asyncio.gather(*(api.post("/api/v3/messages", json=body, headers=key) for _ in range(2)))
    assert first.json() == second.json()
    other = await api.post("/api/v3/messages", json=body | {"contact_id": 2}, headers=key)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")
    await settled(api, first.json()["id"])
    assert len(connector.calls) == 1


async def test_who_is_new_becomes_a_contact(api: httpx.AsyncClient, server: Server, sender_id: int) -> None:
    body = {"sender_id": sender_id, "to": "+966512345678", "content": TEXT}
    taken = (await api.post("/api/v3/messages", json=body)).json()
    found = (await api.get(f"/api/v3/contacts/{taken['contact_id']}")).json()
    assert found["identities"][0]["value"] == "+966512345678"
    assert (await api.post("/api/v3/messages", json=body)).json()["contact_id"] == taken["contact_id"]


async def test_each_kind_of_content(
    api: httpx.AsyncClient, server: Server, sender_id: int, connector: FakeConnector
) -> None:
    template = await api.post("/api/v3/templates", json={"name": "t", "body": "Hi {name}: {order}", "cloud_name": "c"})
    platform = server.platform
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        inbound = Inbound("wamid.in", "id-shop", [To("phone", "+966500000000")], None, Text(body="?"), None, now)
        question = await messages.receive(tx, platform.key, inbound, at=now)
    link = "https://shop.example/a"
    wanted: list[tuple[dict[str, Any], Any]] = [
        (TEXT, Text(body="hello")),
        (
            {"type": "template", "template_id": template.json()["id"], "variables": {"order": "A-17"}},
            Template(name="c", language="en", parameters=("Person 0", "A-17"), text="Hi Person 0: A-17"),
        ),
        ({"type": "location", "latitude": 24.7, "longitude": 46.6}, Location(latitude=24.7, longitude=46.6)),
        ({"type": "reaction", "message_id": question, "emoji": "👍"}, Reaction(provider_id="wamid.in", emoji="👍")),
    ]
    for kind in ("image", "video", "audio", "document", "sticker"):
        wanted.append(({"type": kind, "link": link}, Media(type=kind, link=link)))
    for content, expected in wanted:
        body = {"sender_id": sender_id, "contact_id": 1, "content": content, "reply_to": question}
        answer = await api.post("/api/v3/messages", json=body)
        assert answer.status_code == 202, answer.text
        assert (await settled(api, answer.json()["id"]))["state"] == "sent"
        assert (connector.calls[-1].content, connector.calls[-1].reply_to) == (expected, "wamid.in")


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"to": "12"}, 422, "to"),
        ({"to": None}, 422, "to"),
        ({"contact_id": 1}, 422, "to"),
        ({"to": None, "contact_id": 99}, 404, "contact_id"),
        ({"sender_id": 99}, 404, "sender_id"),
        ({"purpose": "Not a word"}, 422, "purpose"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, 422, "expires_at"),
        ({"expires_at": "2040-01-01T00:00:00"}, 422, "expires_at"),
        ({"reply_to": 99}, 404, "reply_to"),
        ({"content": {"type": "text", "body": ""}}, 422, "content.text.body"),
        ({"content": {"type": "text", "body": "a\0b"}}, 422, "content.text.body"),
        ({"content": {"type": "poll"}}, 422, "content"),
        ({"content": {"type": "image", "link": "ftp://x"}}, 422, "content.image.link"),
        ({"content": {"type": "audio", "link": "https://x.example/a", "caption": "x"}}, 422, "content.audio"),
        ({"content": {"type": "template", "template_id": 99}}, 404, "template_id"),
        ({"content": {"type": "reaction", "message_id": 99, "emoji": ""}}, 404, "content.message_id"),
        ({"more": 1}, 422, "more"),
    ],
)
async def test_what_cannot_be_sent_is_told(
    api: httpx.AsyncClient, server: Server, sender_id: int, change: dict[str, Any], status: int, field: str
) -> None:
    body = {"sender_id": sender_id, "to": "+966512345678", "content": TEXT} | change
    answer = await api.post("/api/v3/messages", json=body)
    assert (answer.status_code, answer.json()["error"]["field"]) == (status, field), answer.text
    async with server.platform.database.reading() as tx:
        assert (await tx.execute(select(func.count(Message.id)))).scalar() == 0
        assert (await tx.execute(select(func.count(Contact.id)))).scalar() == 3, "nobody was added"


async def test_many_at_once_each_with_its_own_answer(
    api: httpx.AsyncClient, server: Server, sender_id: int, connector: FakeConnector
) -> None:
    template = (await api.post("/api/v3/templates", json={"name": "t", "body": "In {city}"})).json()["id"]
    good = {"sender_id": sender_id, "to": "+966512345678", "content": TEXT}
    filled = {"type": "template", "template_id": template, "variables": {"city": "Jeddah"}}
    rows: list[Any] = [
        good,
        good | {"to": "nobody"},
        good | {"content": {"type": "poll"}},
        good | {"content": filled},
        good | {"content": filled | {"variables": {}}, "to": "+966512345679"},
        {},
    ]
    answer = await api.post("/api/v3/messages/bulk", json={"messages": rows})
    assert answer.status_code == 202, answer.text
    told = answer.json()
    assert (told["accepted"], told["refused"]) == (2, 4)
    assert [one["index"] for one in told["results"]] == list(range(6))
    wrong = [(one["error"] or {}).get("field") for one in told["results"]]
    assert wrong == [None, "to", "content", None, "content.variables.city", "sender_id"]
    ids = [one["message"]["id"] for one in told["results"] if one["message"]]
    assert [(await settled(api, one))["state"] for one in ids] == ["sent", "sent"]
    assert {call.to.value for call in connector.calls} == {"+966512345678"}
    async with server.platform.database.reading() as tx:
        assert (await tx.execute(select(func.count(Contact.id)))).scalar() == 4


async def test_a_bulk_has_its_limits(api: httpx.AsyncClient, sender_id: int) -> None:
    one = {"sender_id": sender_id, "contact_id": 1, "content": TEXT}
    for rows in ([], [one] * 1001, ["x"]):
        assert (await api.post("/api/v3/messages/bulk", json={"messages": rows})).status_code == 422
    whole, key = {"messages": [one] * 1000}, {"Idempotency-Key": "k"}
    assert (await api.post("/api/v3/messages/bulk", json=whole, headers=key)).json()["accepted"] == 1000
    again = await api.post("/api/v3/messages/bulk", json=whole, headers=key)
    assert again.headers["Idempotency-Replayed"] == "true"


async def test_a_slow_sender_holds_up_no_other(
    api: httpx.AsyncClient, server: Server, sender_id: int, connector: FakeConnector
) -> None:
    slow = await scenes.a_sender(server.platform, name="slow", rate=0.1)
    for _ in range(3):
        await api.post("/api/v3/messages", json={"sender_id": slow.id, "contact_id": 2, "content": TEXT})
    fast = await api.post("/api/v3/messages", json={"sender_id": sender_id, "contact_id": 1, "content": TEXT})
    assert (await settled(api, fast.json()["id"]))["state"] == "sent"
    assert sum(call.to.value == "+966500000001" for call in connector.calls) <= 1


async def test_what_comes_while_an_answer_is_awaited_does_not_wait_for_it(
    api: httpx.AsyncClient, server: Server, sender_id: int, connector: FakeConnector
) -> None:
    released = connector.held["+966500000000"] = asyncio.Event()
    await api.post("/api/v3/messages", json={"sender_id": sender_id, "contact_id": 1, "content": TEXT})
    other = await api.post("/api/v3/messages", json={"sender_id": sender_id, "contact_id": 2, "content": TEXT})
    assert (await settled(api, other.json()["id"]))["state"] == "sent"
    released.set()
    assert (await settled(api, other.json()["id"] - 1))["state"] == "sent"


async def test_a_message_that_is_not_there(api: httpx.AsyncClient) -> None:
    assert (await api.get("/api/v3/messages/7")).status_code == 404


async def test_only_with_the_right_to_send(api: httpx.AsyncClient, server: Server, sender_id: int) -> None:
    body = {"sender_id": sender_id, "contact_id": 1, "content": TEXT}
    async with server.client(await server.new_key("write")) as other:
        assert (await other.post("/api/v3/messages", json=body)).status_code == 403


async def test_a_campaign_is_tried_out_on_one_person(
    api: httpx.AsyncClient, server: Server, sender_id: int, connector: FakeConnector
) -> None:
    sender = await scenes.a_sender(server.platform, name="other")
    campaign = await scenes.a_campaign(server.platform, sender, purpose="marketing")
    base = f"/api/v3/campaigns/{campaign.id}"
    taken = await api.post(f"{base}/test", json={"to": "+966512345678", "as_contact_id": 2})
    assert taken.status_code == 202, taken.text
    done = await settled(api, taken.json()["id"])
    assert (done["state"], done["test_of"], done["sender_id"]) == ("sent", campaign.id, sender.id)
    (call,) = connector.calls
    assert (call.to.value, call.content.text) == ("+966512345678", "Hello Person 1")  # type: ignore[union-attr]
    assert (await api.get(f"{base}/progress")).json()["total"] == 0
    for body, status, field in (
        ({"to": "+966512345678"}, 422, "content.variables.name"),
        ({"to": "+966512345678", "as_contact_id": 99}, 404, "as_contact_id"),
        ({}, 422, "to"),
    ):
        refused = await api.post(f"{base}/test", json=body)
        assert (refused.status_code, refused.json()["error"]["field"]) == (status, field)
    assert (await api.post("/api/v3/campaigns/99/test", json={"contact_id": 1})).status_code == 404
    await api.post("/api/v3/contacts/1/opt-out")
    stopped = await api.post(f"{base}/test", json={"contact_id": 1})
    assert (await settled(api, stopped.json()["id"]))["reason"] == "opted_out"

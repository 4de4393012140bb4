"""Files over HTTP: taken once, checked by their bytes, sent with messages, given back as they came."""

import asyncio
from typing import Any

import httpx
import pytest

import scenes
from core import media_files, media_types, messages
from core.content import Media
from core.ports import Address, Attached, Inbound
from fakes import FakeConnector
from serving import Server

PNG = scenes.PICTURE


def upload(content: bytes = PNG, *, name: str = "receipt.png") -> dict[str, Any]:
    return {"files": {"file": (name, content)}}


def kept(server: Server) -> list[str]:
    folder = media_files.folder(server.platform.settings)
    return [path.name for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
async def sender_id(server: Server) -> int:
    await scenes.people(server.platform, 3)
    return (await scenes.a_sender(server.platform)).id


async def until(api: httpx.AsyncClient, path: str, *states: str) -> Any:
    async with asyncio.timeout(10):
        while True:
            found = (await api.get(f"/api/v3/{path}")).json()
            if found["state"] in states:
                return found
            await asyncio.sleep(0.01)


async def test_a_file_is_taken_sent_given_back_and_deleted(
    api: httpx.AsyncClient, server: Server, sender_id: int, connector: FakeConnector
) -> None:
    answer = await api.post("/api/v3/media", **upload(name="إيصال.png"))
    assert answer.status_code == 201, answer.text
    taken = answer.json()
    assert (taken["kind"], taken["mime_type"], taken["size"]) == ("image", "image/png", len(PNG))
    assert (taken["filename"], taken["state"], taken["direction"]) == ("إيصال.png", "stored", "out")
    given = await api.get(f"/api/v3/media/{taken['id']}/content")
    assert (given.content, given.headers["x-content-type-options"]) == (PNG, "nosniff")
    assert given.headers["content-disposition"].startswith("attachment; filename*=UTF-8''%D8")
    part = await api.get(f"/api/v3/media/{taken['id']}/content", headers={"Range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, PNG[1:4])
    content = {"type": "image", "media_id": taken["id"], "caption": "c"}
    body = {"sender_id": sender_id, "contact_id": 1, "content": content}
    queued = (await api.post("/api/v3/messages", json=body)).json()
    sent = await until(api, f"messages/{queued['id']}", "sent")
    assert sent["content"]["media_id"] == taken["id"]
    assert getattr(connector.calls[0].content, "handle", None) == "handle-1"
    assert (await api.get(f"/api/v3/messages/{queued['id']}/media")).json() == taken
    assert (await api.get("/api/v3/media?direction=out")).json()["data"] == [taken]
    assert (await api.get("/api/v3/media?direction=in")).json()["data"] == []
    assert (await api.delete(f"/api/v3/media/{taken['id']}")).json() == taken
    async with asyncio.timeout(5):
        while kept(server):  # noqa: ASYNC110  the file goes after the answer
            await asyncio.sleep(0.01)
    for path in (f"media/{taken['id']}", f"media/{taken['id']}/content", f"messages/{queued['id']}/media"):
        assert (await api.get(f"/api/v3/{path}")).status_code == 404


async def test_the_same_request_again_takes_it_once(api: httpx.AsyncClient, server: Server) -> None:
    key = {"Idempotency-Key": "photo-1"}
    first, second = await asyncio.gather(*(api.post("/api/v3/media", headers=key, **upload()) for _ in range(2)))
    assert first.json() == second.json()
    assert [first.headers.get("idempotency-replayed"), second.headers.get("idempotency-replayed")].count("true") == 1
    assert len((await api.get("/api/v3/media")).json()["data"]) == 1
    other = await api.post("/api/v3/media", headers=key, **upload(PNG + b"more"))
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")
    assert len(kept(server)) == 1, "what was refused leaves nothing behind"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (upload(b""), 422),
        (upload(b"MZ\x90\0program", name="a.png"), 422),
        (upload(PNG + bytes(5 * 1024 * 1024)), 413),
        ({"data": {"file": "no file"}}, 422),
        ({"content": b"{}", "headers": {"Content-Type": "application/json"}}, 422),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, 422),
    ],
)
async def test_what_is_no_such_file_is_told_and_not_kept(
    api: httpx.AsyncClient, server: Server, request_: dict[str, Any], status: int
) -> None:
    answer = await api.post("/api/v3/media", **request_)
    assert (answer.status_code, answer.json()["error"]["field"]) == (status, "file"), answer.text
    assert (await api.get("/api/v3/media")).json()["data"] == []
    assert kept(server) == []


async def test_more_than_whatsapp_takes_of_anything_is_not_even_read(api: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b", "Content-Length": str(media_types.LARGEST * 2)}
    answer = await api.post("/api/v3/media", content=b"", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    ("content", "status", "field"),
    [
        ({"type": "image", "media_id": 99}, 404, "content.media_id"),
        ({"type": "video", "media_id": 1}, 422, "content.media_id"),
        ({"type": "image"}, 422, "content.image"),
        ({"type": "image", "media_id": 1, "link": "https://x.example/a"}, 422, "content.image"),
        ({"type": "image", "media_id": 0}, 422, "content.image.media_id"),
    ],
)
async def test_a_message_names_a_file_that_fits(
    api: httpx.AsyncClient, sender_id: int, content: dict[str, Any], status: int, field: str
) -> None:
    await api.post("/api/v3/media", **upload())
    answer = await api.post("/api/v3/messages", json={"sender_id": sender_id, "contact_id": 1, "content": content})
    assert (answer.status_code, answer.json()["error"]["field"]) == (status, field), answer.text


async def test_many_messages_share_one_upload_and_a_template_may_have_it_too(
    api: httpx.AsyncClient, sender_id: int, connector: FakeConnector
) -> None:
    media_id = (await api.post("/api/v3/media", **upload())).json()["id"]
    header = {"type": "image", "media_id": media_id}
    template = await api.post("/api/v3/templates", json={"name": "t", "body": "Hi {name}", "header": header})
    assert template.json()["header"] == header | {"link": None, "filename": None}
    contents = [{"type": "document", "media_id": media_id}, {"type": "template", "template_id": template.json()["id"]}]
    rows = [{"sender_id": sender_id, "contact_id": one, "content": content} for one in (1, 2) for content in contents]
    results = (await api.post("/api/v3/messages/bulk", json={"messages": rows})).json()["results"]
    for one in results:
        await until(api, f"messages/{one['message']['id']}", "sent")
    assert {getattr(call.content, "handle", None) for call in connector.calls} == {"handle-1"}
    assert len(connector.uploads) == 1


async def test_what_a_person_sends_comes_by_itself(
    api: httpx.AsyncClient, server: Server, sender_id: int, connector: FakeConnector
) -> None:
    connector.files["in-1"] = b"%PDF-1.4"
    platform = server.platform
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        inbound = Inbound(
            "wamid.in",
            "id-shop",
            [Address("phone", "+966500000000")],
            None,
            Media(type="document", filename="+966501234567.pdf"),
            None,
            now,
            Attached("in-1", "application/pdf", None),
        )
        message_id = await messages.receive(tx, platform.key, inbound, at=now)
    found = (await api.get(f"/api/v3/messages/{message_id}/media")).json()
    stored = await until(api, f"media/{found['id']}", "stored")
    assert (await api.get(f"/api/v3/media/{stored['id']}/content")).content == b"%PDF-1.4"
    viewer = await server.new_key("write")  # which has numbers.read, but may not read messages
    async with server.client(viewer) as other:
        assert (await other.get(f"/api/v3/media/{stored['id']}/content")).status_code == 403
    assert (await api.get("/api/v3/messages/99/media")).status_code == 404

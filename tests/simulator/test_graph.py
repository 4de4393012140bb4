"""The rest of the Graph API: media, numbers, templates, subscriptions, faults around them."""

import hashlib

import aiohttp
import pytest

from simulator.config import NUMBER_ID, TOKEN

ACCOUNT = "/v23.0/200000000000001"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


async def upload(sim, content=b"\x89PNG picture", kind="image/png", **fields):
    form = aiohttp.FormData()
    for name, value in ({"messaging_product": "whatsapp"} | fields).items():
        form.add_field(name, value)
    form.add_field("file", content, filename="a", content_type=kind)
    async with sim.session.post(f"{sim.url}/v23.0/{NUMBER_ID}/media", data=form, headers=HEADERS) as answer:
        return answer.status, await answer.json()


async def test_media_goes_up_is_described_sent_fetched_and_deleted(sim):
    content = bytes(range(256)) * 1000
    status, answer = await upload(sim, content)
    assert status == 200
    path = f"/v23.0/{answer['id']}"
    described = await sim.get(path)
    assert described["sha256"] == hashlib.sha256(content).hexdigest()
    assert (described["mime_type"], described["file_size"]) == ("image/png", str(len(content)))
    assert (await sim.send("491701234567", type="image", image={"id": answer["id"]}))[0] == 200
    async with sim.session.get(described["url"], headers=HEADERS) as download:
        assert await download.read() == content
    async with sim.session.get(described["url"]) as download:
        assert download.status == 401
    await sim.post("/_sim/clock", {"advance_s": 301})
    async with sim.session.get(described["url"], headers=HEADERS) as download:
        assert download.status == 404
    assert (await sim.call("DELETE", path))[1] == {"success": True}
    assert (await sim.call("GET", path))[0] == 400


@pytest.mark.parametrize(
    ("kind", "size", "expected"),
    [
        ("image/png", 5 * 1024 * 1024, None),
        ("image/png", 5 * 1024 * 1024 + 1, 131053),
        ("image/webp", 500 * 1024 + 1, 131053),
        ("audio/ogg", 16 * 1024 * 1024 + 1, 131053),
        ("application/pdf", 17 * 1024 * 1024, None),
        ("application/x-sh", 10, 100),
    ],
)
async def test_media_limits(sim, kind, size, expected):
    status, answer = await upload(sim, bytes(size), kind)
    assert answer.get("error", {}).get("code") == expected, (status, answer)


async def test_bad_uploads(sim):
    assert (await upload(sim, messaging_product="sms"))[1]["error"]["code"] == 100
    path = f"/v23.0/{NUMBER_ID}/media"
    assert (await sim.call("POST", path, {"file": "x"}))[1]["error"]["code"] == 100
    headers = HEADERS | {"Content-Type": "multipart/form-data; boundary=x"}
    for raw in (b"", b"--x", b"--x\r\n\r\n--x--", b"nonsense"):
        async with sim.session.post(sim.url + path, data=raw, headers=headers) as answer:
            assert answer.status == 400, raw
            assert (await answer.json())["error"]["code"] == 100


async def test_a_number_shows_what_is_asked_for(sim):
    full = await sim.get(f"/v23.0/{NUMBER_ID}")
    assert full["display_phone_number"] == "+15550000001"
    assert full["quality_rating"] == "GREEN"
    some = await sim.get(f"/v23.0/{NUMBER_ID}?fields=verified_name,throughput")
    assert set(some) == {"id", "verified_name", "throughput"}
    listed = await sim.get(f"{ACCOUNT}/phone_numbers")
    assert [number["id"] for number in listed["data"]] == [NUMBER_ID]


async def test_deregistered_until_registered_with_a_pin(sim):
    assert await sim.post(f"/v23.0/{NUMBER_ID}/deregister", {}) == {"success": True}
    assert (await sim.send("491701234567"))[1]["error"]["code"] == 133010
    register = f"/v23.0/{NUMBER_ID}/register"
    assert (await sim.call("POST", register, {"pin": "12"}))[0] == 400
    await sim.post(register, {"messaging_product": "whatsapp", "pin": "123456"})
    assert (await sim.send("491701234567"))[0] == 200


async def test_templates_are_listed_made_used_and_removed(sim):
    listed = await sim.get(f"{ACCOUNT}/message_templates?limit=2")
    assert len(listed["data"]) == 2
    more = await sim.get(f"{ACCOUNT}/message_templates?after={listed['paging']['cursors']['after']}")
    names = [t["name"] for t in listed["data"] + more["data"]]
    assert {"hello_world", "order_update", "spring_offer"} <= set(names)
    components = [{"type": "BODY", "text": "Hi {{first_name}}"}]
    wanted = {"name": "greeting", "language": "en", "category": "MARKETING", "components": components}
    made = await sim.post(f"{ACCOUNT}/message_templates", wanted)
    assert made["status"] == "APPROVED"
    parameters = [{"type": "text", "parameter_name": "first_name", "text": "Ann"}]
    template = {"name": "greeting", "language": {"code": "en"}}
    template["components"] = [{"type": "body", "parameters": parameters}]
    assert (await sim.send("491701234567", type="template", template=template))[0] == 200
    assert (await sim.rows())[0]["text"] == "Hi Ann"
    assert (await sim.get(f"/v23.0/{made['id']}"))["name"] == "greeting"
    assert (await sim.call("DELETE", f"{ACCOUNT}/message_templates?name=greeting"))[0] == 200
    assert (await sim.call("DELETE", f"{ACCOUNT}/message_templates?name=greeting"))[0] == 404
    assert (await sim.template("491701234567", "greeting", "Ann"))[1]["error"]["code"] == 132001


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v23.0/1", 400),
        ("GET", f"/v23.0/{NUMBER_ID}/songs", 400),
        ("PUT", f"/v23.0/{NUMBER_ID}/messages", 400),
        ("GET", "/vX/1", 404),
        ("GET", "/v23/1", 400),
        ("GET", "/nothing/here", 404),
        ("GET", "/v23.0/%00%ff", 400),
        ("GET", f"/v23.0/{NUMBER_ID}/messages/1/2", 400),
        ("GET", "/../../etc/passwd", 404),
    ],
)
async def test_unknown_paths_are_graph_errors(sim, method, path, status):
    answer = await sim.call(method, path)
    assert answer[0] == status
    assert answer[1]["error"]["type"] == "OAuthException"

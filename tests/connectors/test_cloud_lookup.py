"""Everything but sending, against an answer sheet of the Graph API."""

import base64
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from connectors.cloud import CloudConnector
from connectors.cloud_history import number_in
from core.ports import Address, Found, Lookup, PermanentContent, RateLimited, Retryable, SessionLost
from tests.connectors.conftest import PHONE, TOKEN

NUMBER = "/v23.0/106540352242922"
SINCE = datetime.fromtimestamp(1_750_000_000, UTC)
UNKNOWN = Found(Lookup.UNKNOWN)


def wamid(digits=PHONE[1:], tail="A", direction=0x11):
    body = b"9A3DA067F0F8E4F" + tail.encode()
    head = b"\x1c\x18" + bytes([len(digits)]) + digits.encode()
    raw = head + b"\x15\x02\x00" + bytes([direction, 0x18, len(body)]) + body + b"\x00"
    return "wamid." + base64.b64encode(raw).decode()


def entry(message_id, at=1_750_000_001, status="SENT"):
    events = [{"id": "1", "delivery_status": status, "timestamp": at}]
    return {"id": "1", "message_id": message_id, "events": {"data": events}}


class Graph:
    """Answers by method and path; a list of answers is given one by one."""

    def __init__(self) -> None:
        self.answers: dict[str, object] = {}
        self.asked: list[tuple[str, dict]] = []
        self.bodies: list[bytes] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        self.asked.append((f"{request.method} {request.path}", dict(request.query)))
        self.bodies.append(await request.read())
        answer = self.answers.get(f"{request.method} {request.path}")
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, bytes):
            return web.Response(body=answer)
        if isinstance(answer, tuple):
            return web.json_response(answer[1], status=answer[0])
        if answer is None:
            error = {"message": "Unknown path components", "code": 2500}
            return web.json_response({"error": error}, status=400)
        return web.json_response(answer)


@pytest_asyncio.fixture
async def graph():
    sheet = Graph()
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", sheet.handle)
    server = TestServer(app)
    await server.start_server()
    sheet.origin = f"http://127.0.0.1:{server.port}"
    yield sheet
    await server.close()


@pytest_asyncio.fixture
async def cloud(graph, sender):
    connector = CloudConnector(sender, base_url=f"{graph.origin}/v23.0", request_timeout_s=2)
    yield connector
    await connector.close()


HISTORY = f"GET {NUMBER}/message_history"


async def looked_up(cloud, graph, outgoing, *pages, to=None):
    graph.answers[HISTORY] = list(pages)
    return await cloud.lookup(outgoing(to=to), since=SINCE)


async def test_only_message_to_that_number_at_that_time_is_ours(cloud, graph, outgoing):
    page = {"data": [entry(wamid("4915112345678")), entry(wamid())]}
    assert await looked_up(cloud, graph, outgoing, page) == Found(Lookup.ACCEPTED, wamid())


async def test_message_that_failed_later_is_said_to_have_failed(cloud, graph, outgoing):
    page = {"data": [entry(wamid(), status="FAILED")]}
    assert await looked_up(cloud, graph, outgoing, page) == Found(Lookup.FAILED, wamid())


@pytest.mark.parametrize(
    "page",
    [
        pytest.param({"data": []}, id="nothing: never proof of absence"),
        pytest.param({"data": [entry(wamid(tail="A")), entry(wamid(tail="B"))]}, id="two that look alike"),
        pytest.param({"data": [entry(wamid(direction=0x12))]}, id="from the person, not to"),
        pytest.param({"data": [entry(wamid(), at=1_749_999_000)]}, id="long before"),
        pytest.param({"data": [entry(wamid(), at=1_750_000_600)]}, id="long after"),
        pytest.param({"data": [{"id": "1", "message_id": wamid()}]}, id="without a time"),
        pytest.param({"data": [entry("wamid.!!!"), entry(7), None, 3]}, id="unreadable"),
        pytest.param({"data": "x"}, id="odd"),
        pytest.param((400, {"error": {"code": 100}}), id="no such endpoint"),
        pytest.param((500, {}), id="broken"),
        pytest.param(b"not json", id="not JSON"),
    ],
)
async def test_anything_less_says_nothing(cloud, graph, outgoing, page):
    assert await looked_up(cloud, graph, outgoing, page) == UNKNOWN


def paged(cursor, *entries):
    return {"data": list(entries), "paging": {"cursors": {"after": cursor}}}


async def test_pages_are_followed_until_the_time_is_covered(cloud, graph, outgoing):
    pages = [
        paged("a", entry(wamid("491"), at=1_750_000_090)),
        paged("b", entry(wamid())),
        paged("c", entry(wamid("491"), at=1_749_000_000)),
    ]
    assert (await looked_up(cloud, graph, outgoing, *pages)).outcome is Lookup.ACCEPTED
    assert [query.get("after") for _, query in graph.asked] == [None, "a", "b"]


async def test_second_candidate_on_a_later_page_is_seen(cloud, graph, outgoing):
    pages = [paged("a", entry(wamid(tail="A"))), paged("b", entry(wamid(tail="B"))), {"data": []}]
    assert await looked_up(cloud, graph, outgoing, *pages) == UNKNOWN


async def test_history_too_long_to_read_says_nothing(cloud, graph, outgoing):
    pages = [paged(str(n), entry(wamid() if n == 0 else wamid("491"))) for n in range(50)]
    assert await looked_up(cloud, graph, outgoing, *pages) == UNKNOWN
    assert len(graph.asked) == 10


async def test_person_without_a_number_cannot_be_looked_up(cloud, graph, outgoing):
    assert await looked_up(cloud, graph, outgoing, to=Address("bsuid", "US.1")) == UNKNOWN
    assert graph.asked == []


def test_wamids_of_metas_own_examples():
    assert number_in("wamid.HBgLMTY1MDM4Nzk0MzkVAgARGBI4QTAyNkI5NkExNjFFMkY1MjYA") == "16503879439"
    assert number_in("wamid.HBgLMTY1MDM4Nzk0MzkVAgASGBQzQTRBNjU5OUFFRTAzODEwMTQ0RgA=") is None
    for odd in ("", "wamid.", "wamid.AAAA", "x", "wamid.é"):
        assert number_in(odd) is None


async def test_health_of_a_connected_number(cloud, graph):
    graph.answers[f"GET {NUMBER}"] = {
        "display_phone_number": "+1 555 078 3881",
        "verified_name": "Shop",
        "quality_rating": "GREEN",
        "whatsapp_business_manager_messaging_limit": "TIER_2K",
        "status": "CONNECTED",
    }
    health = await cloud.health()
    assert (health.ok, health.quality, health.tier) == (True, "GREEN", "TIER_2K")
    assert (health.display_phone, health.verified_name) == ("+1 555 078 3881", "Shop")


async def test_health_of_a_banned_number(cloud, graph):
    graph.answers[f"GET {NUMBER}"] = {"status": "BANNED"}
    assert (await cloud.health()).detail == "banned"
    assert not (await cloud.health()).ok


async def test_health_with_a_dead_token(cloud, graph):
    graph.answers[f"GET {NUMBER}"] = (401, {"error": {"code": 190, "message": f"Malformed {TOKEN}"}})
    health = await cloud.health()
    assert (health.ok, health.detail) == (False, "token_expired")


async def test_mark_read(cloud, graph):
    graph.answers[f"POST {NUMBER}/messages"] = {"success": True}
    await cloud.mark_read("wamid.x")
    assert graph.bodies == [b'{"messaging_product":"whatsapp","status":"read","message_id":"wamid.x"}']


async def test_mark_read_with_a_dead_token(cloud, graph):
    graph.answers[f"POST {NUMBER}/messages"] = (401, {"error": {"code": 190}})
    with pytest.raises(SessionLost):
        await cloud.mark_read("wamid.x")


async def test_harmless_call_without_an_answer_may_be_repeated(cloud, graph):
    graph.answers[f"POST {NUMBER}/messages"] = (500, {})
    with pytest.raises(Retryable):
        await cloud.mark_read("wamid.x")


@pytest.fixture
def png(tmp_path):
    path = tmp_path / "a file"
    path.write_bytes(b"\x89PNG" * 100_000)
    return path


async def fetched(cloud, *, limit=1000):
    return b"".join([piece async for piece in cloud.fetch_media("77", limit=limit)])


async def test_upload(cloud, graph, png):
    graph.answers[f"POST {NUMBER}/media"] = {"id": "77"}
    assert await cloud.upload_media(png, mime_type="image/png", filename="صورة.png") == "77"
    form = graph.bodies[0]
    for part in (b'name="messaging_product"', b'name="file"', b"image/png", png.read_bytes()):
        assert part in form


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        ({}, Retryable),
        ({"id": 7}, Retryable),
        (b"no json", Retryable),
        ((500, {}), Retryable),
        ((400, {"error": {"code": 131053}}), PermanentContent),
        ((401, {"error": {"code": 190}}), SessionLost),
        ((400, {"error": {"code": 130429}}), RateLimited),
    ],
)
async def test_an_upload_that_is_refused(cloud, graph, png, answer, refused):
    graph.answers[f"POST {NUMBER}/media"] = answer
    with pytest.raises(refused):
        await cloud.upload_media(png, mime_type="image/png", filename="a.png")


async def test_download(cloud, graph):
    graph.answers["GET /v23.0/77"] = {"url": f"{graph.origin}/files/77"}
    graph.answers["GET /files/77"] = b"\x89PNG"
    assert await fetched(cloud) == b"\x89PNG"
    with pytest.raises(PermanentContent) as refused:
        await fetched(cloud, limit=3)
    assert refused.value.code == "media_too_large"


@pytest.mark.parametrize(
    ("place", "file", "refused", "code"),
    [
        ((400, {"error": {"code": 100, "error_subcode": 33}}), b"", PermanentContent, "media_gone"),
        ((400, {"error": {"code": 190}}), b"", SessionLost, "token_expired"),
        ((503, {}), b"", Retryable, "no_answer"),
        ({"url": "{origin}/files/77"}, (404, {}), Retryable, "no_answer"),
        ({"url": "{origin}/files/77"}, (401, {}), SessionLost, "token_expired"),
        ({"url": "http://127.0.0.1:1/files/77"}, b"", PermanentContent, "media_unusable"),
    ],
)
async def test_a_download_that_is_refused(cloud, graph, place, file, refused, code):
    if isinstance(place, dict):
        place = {"url": place["url"].replace("{origin}", graph.origin)}
    graph.answers |= {"GET /v23.0/77": place, "GET /files/77": file}
    with pytest.raises(refused) as error:
        await fetched(cloud)
    assert (error.value.code, TOKEN in repr(error.value)) == (code, False)


@pytest.mark.parametrize(
    "url",
    [
        "http://elsewhere.example/f",
        "https://elsewhere.example/f",
        "http://lookaside.fbsbx.com/f",
        "file:///etc/passwd",
        "",
        "//x",
        "http://[",
        None,
        7,
    ],
)
async def test_token_goes_to_no_unsafe_address(cloud, graph, url):
    graph.answers["GET /v23.0/77"] = {"url": url}
    with pytest.raises(PermanentContent):
        await fetched(cloud)
    assert len(graph.asked) == 1

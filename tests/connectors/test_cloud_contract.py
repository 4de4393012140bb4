"""The connector and the webhook reader against our simulator, a process of its own with its own ledger."""

import asyncio
import subprocess
import sys
import time
from datetime import UTC, datetime
from hashlib import sha256

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from connectors.cloud import CloudConnector
from connectors.cloud_errors import TABLE
from connectors.cloud_webhook import claims, parse, verify
from core.content import Buttons, Card, Contacts, Header, Location, Media, Reaction, Template, Text
from core.ports import (
    Address,
    Ambiguous,
    Lookup,
    Outgoing,
    PermanentContent,
    PermanentTemplate,
    RateLimited,
    Retryable,
    SenderConfig,
    SendError,
    SessionLost,
    TemplateSource,
)

NUMBER, TOKEN, SECRET = "100000000000001", "sim-token", "sim-app-secret"


@pytest.fixture(scope="module")
def simulator():
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator", "--port", "0", "--profile", "bench"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said = process.stdout.readline()
    assert " on http://" in said, "the simulator did not start"
    yield said.rsplit(" on ", 1)[1].strip()
    process.terminate()
    process.wait(timeout=10)


class Sim:
    """The simulator's control side, and the webhook it posts to."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url, self.session = url, session
        self.hooks: list[tuple[bytes, str | None]] = []

    async def control(self, method: str, path: str, **body):
        async with self.session.request(method, f"{self.url}/_sim/{path}", json=body) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def fault(self, kind: str, **params):
        await self.control("POST", "faults", kind=kind, params=params)

    async def accepted(self) -> list[dict]:
        rows = (await self.control("GET", "ledger/requests"))["data"]
        return [row for row in rows if row["accepted"]]

    async def receive(self, request: web.Request) -> web.Response:
        self.hooks.append((await request.read(), request.headers.get("X-Hub-Signature-256")))
        return web.Response()

    async def parsed(self, what: str, count: int) -> list:
        """What came in so far, once there is enough of it."""
        until = time.monotonic() + 5
        while True:
            found = [item for body, _ in self.hooks for item in getattr(parse(body), what)]
            if len(found) >= count:
                return found
            assert time.monotonic() < until, f"only {len(found)} {what}"
            await asyncio.sleep(0.02)


@pytest_asyncio.fixture
async def sim(simulator):
    async with aiohttp.ClientSession() as session:
        world = Sim(simulator, session)
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/hook", world.receive)
        server = TestServer(app)
        await server.start_server()
        await world.control("POST", "reset")
        hook = f"http://127.0.0.1:{server.port}/hook"
        await world.control("POST", "accounts", phone_number_id=NUMBER, callback_url=hook)
        await world.control(
            "POST", "templates", name="offer", language="ar", body="Hello {{1}}, {{2}} off", status="APPROVED"
        )
        yield world
        await world.control("DELETE", "faults")
        await server.close()


def config(token=TOKEN, number=NUMBER):
    return SenderConfig(
        sender_id=1,
        kind="cloud",
        phone_number_id=number,
        waba_id="200000000000001",
        access_token=token,
        app_secret=SECRET,
    )


def connect(sim, **sender):
    return CloudConnector(config(**sender), base_url=f"{sim.url}/v23.0", request_timeout_s=1)


@pytest_asyncio.fixture
async def cloud(sim):
    connector = connect(sim)
    yield connector
    await connector.close()


def outgoing(content=None, client_id="3EB0C1", to="+966512345678", reply_to=None):
    content = content or Text(body="مرحبا")
    return Outgoing(client_id, Address("phone", to), content, time.monotonic() + 5, reply_to)


async def failure(cloud, message) -> SendError:
    with pytest.raises(SendError) as caught:
        await cloud.send(message)
    return caught.value


CONTENT = [
    Text(body="مرحبا"),
    Template(name="offer", language="ar", parameters=("Amal", "10 %")),
    Media(type="image", link="https://example.com/a.png", caption="c"),
    Media(type="document", link="https://example.com/a.pdf", filename="a.pdf"),
    Location(latitude=24.7, longitude=46.6, name="Riyadh"),
    Contacts(cards=(Card(name="Bo", phone="+491"),)),
    Buttons(body="Which?", buttons=(("a", "One"), ("b", "Two"))),
]


@pytest.mark.parametrize("content", CONTENT, ids=lambda content: content.type)
async def test_every_kind_is_accepted(sim, cloud, content):
    accepted = await cloud.send(outgoing(content))
    assert [row["wamid"] for row in await sim.accepted()] == [accepted.provider_id]


async def test_reaction_to_what_was_sent(cloud):
    sent = await cloud.send(outgoing())
    await cloud.send(outgoing(Reaction(provider_id=sent.provider_id, emoji="👍")))


async def test_receipts_come_signed_and_find_their_message(sim, cloud):
    sent = await cloud.send(outgoing(client_id="3EB0RECEIPT"))
    receipts = await sim.parsed("receipts", 2)
    assert {receipt.client_id for receipt in receipts} == {"3EB0RECEIPT"}
    assert {receipt.provider_id for receipt in receipts} == {sent.provider_id}
    assert {receipt.status for receipt in receipts} >= {"sent", "delivered"}
    for body, header in sim.hooks:
        assert claims(body).numbers == {NUMBER}
        verify(body, header, SECRET)


async def test_person_not_on_whatsapp_is_told_apart(sim, cloud):
    await sim.control("PUT", "contacts/966500000404", on_whatsapp=False)
    code = None
    try:
        await cloud.send(outgoing(to="+966500000404"))
    except SendError as refused:
        code = refused.code
    else:
        receipts = await sim.parsed("receipts", 1)
        code = next(receipt.error.code for receipt in receipts if receipt.status == "failed")
    assert code == "not_on_whatsapp"


async def test_what_a_person_says(sim, cloud):
    await sim.control("POST", "contacts/966512345678/say", text="STOP")
    (inbound,) = await sim.parsed("inbound", 1)
    assert inbound.content == Text(body="STOP")
    assert Address("phone", "+966512345678") in inbound.addresses
    await cloud.mark_read(inbound.provider_id)


async def fetched(cloud, handle):
    return b"".join([piece async for piece in cloud.fetch_media(handle, limit=1_000_000)])


@pytest.mark.parametrize("kind", ["image", "document", "audio", "video", "sticker"])
async def test_a_file_a_person_sends_can_be_fetched(sim, cloud, kind):
    await sim.control("POST", "contacts/966512345678/say", media={"type": kind, "caption": "c"})
    (inbound,) = await sim.parsed("inbound", 1)
    assert isinstance(inbound.content, Media)
    content = await fetched(cloud, inbound.attached.handle)
    assert sha256(content).hexdigest() == inbound.attached.sha256


async def test_preference_of_a_person(sim):
    await sim.control("POST", "contacts/966512345678/say", preference="stop")
    (preference,) = await sim.parsed("preferences", 1)
    assert preference.stop
    assert Address("phone", "+966512345678") in preference.addresses


async def test_uploaded_media_can_be_sent_till_it_is_forgotten(sim, cloud, tmp_path):
    png = tmp_path / "a"
    png.write_bytes(bytes.fromhex("89504e470d0a1a0a0000000d49484452"))
    handle = await cloud.upload_media(png, mime_type="image/png", filename="a.png")
    picture = outgoing(Media(type="image", handle=handle))
    await cloud.send(picture)
    assert await fetched(cloud, handle) == png.read_bytes()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with sim.session.delete(f"{sim.url}/v23.0/{handle}", headers=headers) as answer:
        assert answer.status == 200
    refused = await failure(cloud, picture)
    assert (type(refused), refused.code) == (PermanentContent, "bad_parameter"), "then it is uploaded again"
    with pytest.raises(PermanentContent) as gone:
        await fetched(cloud, handle)
    assert gone.value.code == "media_gone"


async def test_health(cloud):
    health = await cloud.health()
    assert health.ok
    assert health.display_phone


@pytest.mark.parametrize("code", sorted(set(TABLE) - set(range(201, 300))))
async def test_refusal_is_classed_and_leaves_no_effect(sim, cloud, code):
    await sim.fault("graph_error", code=code)
    error = await failure(cloud, outgoing())
    assert error.provider_code == code
    assert type(error) is type(TABLE[code]("", code))
    assert await sim.accepted() == []


@pytest.mark.parametrize(
    ("kind", "accepted"),
    [
        ("reset_before", 0),
        ("hang_before", 0),
        ("reset_after", 1),
        ("hang_after", 1),
        ("partial_answer", 1),
        ("error_after", 1),
    ],
)
async def test_broken_exchange_is_in_doubt_whatever_the_truth(sim, cloud, kind, accepted):
    await sim.fault(kind, seconds=1.5)
    assert type(await failure(cloud, outgoing())) is Ambiguous
    assert len(await sim.accepted()) == accepted


async def test_lookup_finds_what_the_answer_hid(sim, cloud):
    await sim.fault("reset_after")
    since = datetime.now(UTC)
    assert type(await failure(cloud, outgoing(to="+966512340001"))) is Ambiguous
    await cloud.send(outgoing(to="+966512340002"))
    await sim.parsed("receipts", 2)
    (hidden, _) = sorted(await sim.accepted(), key=lambda row: row["to"])
    found = await cloud.lookup(outgoing(to="+966512340001"), since=since)
    assert (found.outcome, found.provider_id) == (Lookup.ACCEPTED, hidden["wamid"])
    absent = await cloud.lookup(outgoing(to="+966512340009"), since=since)
    assert absent.outcome is Lookup.UNKNOWN


async def test_missing_template(cloud):
    error = await failure(cloud, outgoing(Template(name="nope", language="ar")))
    assert (type(error), error.code) == (PermanentTemplate, "template_missing")
    error = await failure(cloud, outgoing(Template(name="offer", language="ar", parameters=("one",))))
    assert (type(error), error.code) == (PermanentTemplate, "template_parameters")


@pytest.mark.parametrize("sender", [{"token": "wrong"}, {"number": "999"}])
async def test_wrong_credentials_lose_the_session(sim, sender):
    stranger = connect(sim, **sender)
    assert type(await failure(stranger, outgoing())) is SessionLost
    assert not (await stranger.health()).ok
    await stranger.close()


async def test_too_fast_is_slowed_and_burns_nothing(sim, cloud):
    await sim.control("POST", "accounts", phone_number_id=NUMBER, rate=5)
    try:
        results = await asyncio.gather(*(cloud.send(outgoing()) for _ in range(20)), return_exceptions=True)
    finally:
        await sim.control("POST", "accounts", phone_number_id=NUMBER, rate=0)
    refused = [error for error in results if isinstance(error, SendError)]
    assert {type(error) for error in refused} == {RateLimited}
    assert len(await sim.accepted()) == 20 - len(refused)


async def test_stopped_simulator_had_no_effect():
    gone = CloudConnector(config(), base_url="http://127.0.0.1:9/v23.0", request_timeout_s=1)
    assert type(await failure(gone, outgoing())) is Retryable
    await gone.close()


async def test_templates_are_listed_page_by_page(sim, cloud):
    for number in range(120):
        await sim.control("POST", "templates", name=f"many_{number}", body="Hello {{first_name}}", status="PENDING")
    assert isinstance(cloud, TemplateSource)
    found = {(one.name, one.language): one for one in await cloud.templates()}
    assert len([name for name, _ in found if name.startswith("many_")]) == 120
    offer = found["spring_offer", "ar"]
    assert (offer.status, offer.category, offer.components[0]["type"]) == ("approved", "marketing", "BODY")
    assert found["rude_offer", "en"].status == "rejected"
    stranger = connect(sim, token="nobody's")
    with pytest.raises(SessionLost):
        await stranger.templates()
    await stranger.close()


async def test_a_picture_above_the_text_is_checked(sim, cloud):
    parts = [{"type": "HEADER", "format": "IMAGE"}, {"type": "BODY", "text": "Hello {{first_name}}"}]
    await sim.control("POST", "templates", name="picture", components=parts)
    content = Template(name="picture", language="en", parameters=("Amal",), parameter_names=("first_name",))
    assert isinstance(await failure(cloud, outgoing(content)), PermanentTemplate)
    for header in (Header(type="image", link="https://example.com/a.png"), Header(type="image", media_id=7)):
        handle = "7" if header.media_id else None
        await cloud.send(outgoing(content.model_copy(update={"header": header, "handle": handle})))
    video = content.model_copy(update={"header": Header(type="video", media_id=7), "handle": "7"})
    assert isinstance(await failure(cloud, outgoing(video)), PermanentTemplate)
    unnamed = content.model_copy(update={"header": header, "handle": handle, "parameter_names": ()})
    assert isinstance(await failure(cloud, outgoing(unnamed)), PermanentTemplate)


async def test_a_new_status_is_told_to_the_webhook(sim, cloud):
    await sim.control("POST", "templates", name="tired", body="Hi", status="APPROVED")
    await sim.control("POST", "templates", name="tired", status="PAUSED")
    (changed,) = await sim.parsed("templates", 1)
    assert (changed.waba_id, changed.name, changed.language) == ("200000000000001", "tired", "en")
    assert (changed.status, changed.category) == ("paused", None)
    body, signature = sim.hooks[-1]
    verify(body, signature, SECRET)
    assert claims(body).accounts == {"200000000000001"}
    assert {one.status for one in await cloud.templates() if one.name == "tired"} == {"paused"}

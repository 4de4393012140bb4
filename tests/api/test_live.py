"""What happens is seen live: every event, in order, by whoever may, and again by who was away."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

import scenes
from api import topics
from api.app import Server as Listening
from api.frames import Prepared
from cli.local import free_port
from core import apikeys, bus, events, handshakes
from core.handshakes import Signed
from core.settings import Settings
from fakes import FakeClock, FakeConnector, FakeConnectors, FakeJobs
from live import ask, at_port, joined, told
from serving import Server, inside


@pytest.fixture
async def url(server: Server) -> AsyncIterator[str]:
    async with at_port(server) as url:
        yield url


async def happens(server: Server, number: int, *, campaign: int = 7) -> None:
    async with server.platform.database.transaction() as tx:
        now = await server.platform.clock.now(tx)
        moved = events.CampaignMoved(campaign_id=campaign, what="paused", reason=str(number))
        await events.publish(tx, moved, at=now)


async def test_who_follows_sees_what_happens_in_order(server: Server, url: str) -> None:
    async with joined(url, server.key) as ws:
        answer = await ask(ws, type="subscribe", topics=["campaigns", "campaign:7"], id="a")
        assert (answer["type"], answer["topics"], answer["id"]) == ("subscribed", ["campaign:7", "campaigns"], "a")
        for number in range(20):
            await happens(server, number, campaign=7 + number % 2)
        seen = [await told(ws) for _ in range(30)]
    of_all = [one for one in seen if one["topic"] == "campaigns"]
    assert [one["data"]["reason"] for one in of_all] == [str(number) for number in range(20)]
    assert [one["data"]["reason"] for one in seen if one["topic"] == "campaign:7"] == [str(n) for n in range(0, 20, 2)]
    for before, after in pairwise(of_all):
        assert after["prev"] == before["seq"] < after["seq"]
    assert of_all[0]["prev"] <= answer["seq"] < of_all[0]["seq"]
    assert isinstance(of_all[0]["timestamp"], int)


async def test_who_was_away_gets_what_was_missed_without_gap_or_repetition(server: Server, url: str) -> None:
    async with joined(url, server.key) as ws:
        await ask(ws, type="subscribe", topics=["campaigns"])
        await happens(server, 0)
        since = (await told(ws))["seq"]
    await happens(server, 1)
    busy = asyncio.create_task(_go_on(server, 2, 120))
    await asyncio.sleep(0.1)
    async with joined(url, server.key) as ws:
        answer = await ask(ws, type="subscribe", topics=["campaigns"], since=since)
        assert (answer["recovered"], answer["seq"]) == (True, since)
        seen = [await told(ws) for _ in range(119)]
    await busy
    assert [one["data"]["reason"] for one in seen] == [str(number) for number in range(1, 120)]
    assert [one["prev"] for one in seen] == [since, *[one["seq"] for one in seen[:-1]]]


async def _go_on(server: Server, first: int, end: int) -> None:
    for number in range(first, end):
        await happens(server, number)


async def test_what_was_published_before_one_followed_is_not_told_again(server: Server, url: str) -> None:
    """It may wait to be written when somebody new follows, who was told a later position."""
    connections = server.app.state.live.connections
    async with joined(url, server.key) as ws:
        (client,) = connections.clients
        connections.follow(client, "campaigns", after=0)
        connections.publish("campaigns", Prepared(b'{"seq":5}'), seq=5)
        connections.follow(client, "campaigns", after=5)
        connections.publish("campaigns", Prepared(b'{"seq":6}'), seq=6)
        assert (await told(ws))["seq"] == 6
        connections.publish("campaigns", Prepared(b'{"seq":7}'), seq=7)
        connections.publish("contacts", Prepared(b'{"seq":8}'), seq=8)
        assert (await told(ws))["seq"] == 7


async def test_what_nobody_has_numbered_yet_is_not_told_as_new(server: Server, url: str) -> None:
    await happens(server, 1)
    async with connect(url, additional_headers={"X-API-Key": server.key}) as ws:
        begins = (await told(ws))["seq"]
    async with server.platform.database.reading() as tx:
        assert (await bus.since(tx, begins), (await bus.reach(tx)).head) == ([], begins)


async def test_other_topics_events_are_no_gap_to_who_resumes(server: Server, url: str) -> None:
    async with joined(url, server.key) as other, joined(url, server.key) as ws:
        since = (await ask(ws, type="subscribe", topics=["campaign:8"]))["seq"]
        await ask(ws, type="unsubscribe", topics=["campaign:8"])
        await happens(server, 0, campaign=7)
        await ask(other, type="subscribe", topics=["campaign:8"])
        assert (await ask(ws, type="subscribe", topics=["campaign:8"], since=since))["seq"] == since
        await happens(server, 1, campaign=8)
        assert (await told(ws))["prev"] <= since


async def test_where_the_log_does_not_reach_it_says_so(server: Server, url: str) -> None:
    async with joined(url, server.key) as ws:
        answer = await ask(ws, type="subscribe", topics=["campaigns"], since=10_000)
        assert answer["recovered"] is False
        await happens(server, 1)
        assert (await told(ws))["prev"] <= answer["seq"]


@pytest.mark.parametrize(
    ("said", "code", "field"),
    [
        ("{", "not_understood", None),
        ('{"type":"dance"}', "not_understood", "type"),
        ('{"topics":[]}', "not_understood", None),
        ('{"type":"subscribe","topics":["nothing"]}', "invalid", "topics"),
        ('{"type":"subscribe","topics":["campaign:x"]}', "invalid", "topics"),
        ('{"type":"subscribe","since":-1}', "invalid", "since"),
        ('{"type":"ping","more":1}', "invalid", "more"),
    ],
)
async def test_what_is_not_understood_gets_an_error_and_may_go_on(
    server: Server, url: str, said: str, code: str, field: str | None
) -> None:
    async with joined(url, server.key) as ws:
        await ws.send(said)
        answer = await told(ws)
        assert (answer["type"], answer["code"], answer["field"]) == ("error", code, field)
        assert (await ask(ws, type="ping"))["type"] == "pong"


async def test_as_in_2_3_0(server: Server, url: str) -> None:
    async with connect(f"{url}?apiKey={server.key}") as ws:
        assert (await told(ws))["type"] == "welcome"
        state = await told(ws)
        assert (state["type"], state["data"]["status"]) == ("session_state", "disconnected")
        assert (await ask(ws, type="subscribe", events=["all"]))["events"] != []
        assert (await told(ws))["type"] == "notification:count"
        assert (await ask(ws, type="get_qr"))["data"] == {"qr": None}
        assert (await ask(ws, type="get_state"))["type"] == "session_state"
    async with connect(f"{url}?apiKey=wrong") as ws:
        with pytest.raises(ConnectionClosed) as closed:
            await ws.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "Invalid API key")


async def test_only_what_one_may_see(server: Server, url: str) -> None:
    await scenes.a_sender(server.platform)
    for scope, names in (("read", ["shop"]), ("write", [])):
        async with joined(url, await server.new_key(scope)) as ws:
            state = await ask(ws, type="get_state")
            assert [one["name"] for one in state["data"]["senders"]] == names
    async with joined(url, await server.new_key("write")) as ws:
        answer = await ask(ws, type="subscribe", topics=["campaigns"])
        assert (answer["type"], answer["code"]) == ("error", "not_allowed")


async def test_a_revoked_key_loses_its_connections(server: Server, url: str) -> None:
    full = await server.new_key("read")
    async with joined(url, full) as ws, joined(url, server.key) as other:
        await ask(ws, type="subscribe", topics=["campaigns"])
        async with server.platform.database.transaction() as tx:
            now = await server.platform.clock.now(tx)
            (key,) = [one for one in await apikeys.listed(tx, after=0, limit=9) if full.startswith(f"wq_{one.prefix}")]
            await apikeys.revoke(tx, key.id, at=now)
        with pytest.raises(ConnectionClosed) as closed:
            async with asyncio.timeout(5):
                await ws.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        assert (await ask(other, type="ping"))["type"] == "pong"


async def test_a_campaign_under_way_shows_its_progress(server: Server, url: str) -> None:
    await scenes.people(server.platform, 3)
    campaign = await scenes.a_campaign(server.platform, await scenes.a_sender(server.platform))
    async with joined(url, server.key) as ws:
        await ask(ws, type="subscribe", topics=[f"campaign:{campaign.id}"])
        await scenes.launched(server.platform, campaign.id)
        while (one := await told(ws))["type"] != "campaign.progress" or not one["data"]["total"]:
            assert one["type"] != "error"
        assert (one["data"]["total"], "seq" in one) == (3, False)


async def test_a_ticket_is_good_once(server: Server, url: str) -> None:
    async with server.client(await server.new_key("read")) as client:
        ticket = (await client.post("/api/v3/ws-tickets")).json()["ticket"]
    async with connect(f"{url}?ticket={ticket}") as ws:
        assert (await told(ws))["type"] == "welcome"
    assert await refusal(f"{url}?ticket={ticket}") == (1008, "This was used before: it is good once.")
    assert (await refusal(f"{url}?ticket={ticket}x"))[0] == 1008


def signed(full: str, *, at_ms: int, nonce: str, bound_to: str = "") -> str:
    prefix, _, secret = full.removeprefix("wq_").partition("_")
    said = Signed(key=prefix, timestamp_ms=at_ms, nonce=nonce, signature="", bound_to=bound_to)
    signature = handshakes.signature(secret, said.text)
    return f"key={prefix}&ts={at_ms}&nonce={nonce}&sig={signature}" + (f"&ip={bound_to}" if bound_to else "")


async def test_a_signed_handshake(server: Server, url: str) -> None:
    full = await server.new_key("read")
    async with server.platform.database.reading() as tx:
        now = int((await server.platform.clock.now(tx)).timestamp() * 1000)
    good = signed(full, at_ms=now, nonce="first-one", bound_to="127.0.0.1")
    async with connect(f"{url}?{good}") as ws:
        assert (await told(ws))["type"] == "welcome"
    assert (await refusal(f"{url}?{good}"))[1].startswith("This was used before")
    for wrong, why in (
        (signed(full, at_ms=now - 301_000, nonce="too-long-ago"), "too old"),
        (signed(full, at_ms=now + 301_000, nonce="in-the-future"), "too old"),
        (signed(full, at_ms=now, nonce="elsewhere", bound_to="10.0.0.1"), "another address"),
        (signed(full, at_ms=now, nonce="short"), "8 to 100"),
        (signed(full + "x", at_ms=now, nonce="wrong-key"), "signature"),
        (signed(full, at_ms=now, nonce="changed-1").replace("changed-1", "changed-2"), "signature"),
        (f"sig=00&key={full[3:13]}", "also says"),
    ):
        code, told_why = await refusal(f"{url}?{wrong}")
        assert code == 1008
        assert why in told_why
    refused = server.app.state.live.connections.counts.refused
    assert (refused["bad_signature"], refused["expired_signature"]) == (6, 2)


async def refusal(address: str) -> tuple[int, str]:
    async with connect(address) as ws:
        with pytest.raises(ConnectionClosed) as closed:
            await ws.recv()
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code, closed.value.rcvd.reason


async def test_over_plain_http_on_the_same_cursor(server: Server, url: str) -> None:
    base = url.replace("ws://", "http://").removesuffix("/ws")
    headers = {"X-API-Key": server.key}
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=10) as client:
        await happens(server, 0)
        async with client.stream("GET", "/api/v3/events/stream", params={"topic": "campaigns", "since": 0}) as stream:
            lines = stream.aiter_lines()
            first = await _event(lines)
            await happens(server, 1)
            second = await _event(lines)
        assert [one["data"]["reason"] for one in (first, second)] == ["0", "1"]
        again = {**headers, "Last-Event-ID": str(first["seq"])}
        async with client.stream("GET", "/api/v3/events/stream", headers=again) as stream:
            assert (await _event(stream.aiter_lines()))["seq"] == second["seq"]
        gone = await client.get("/api/v3/events/stream", params={"since": 10_000})
        assert (gone.status_code, gone.json()["error"]["code"]) == (410, "log_pruned")


async def _event(lines: AsyncIterator[str]) -> dict[str, Any]:
    async with asyncio.timeout(10):
        async for line in lines:
            if line.startswith("data: "):
                found: dict[str, Any] = json.loads(line.removeprefix("data: "))
                return found
    raise AssertionError("the stream ended")


async def test_who_does_not_read_misses_events_and_sees_it(server: Server, url: str) -> None:
    """The buffer of one who reads nothing stays small, the others go on, and `prev` tells what to ask for again."""
    connections = server.app.state.live.connections
    async with (
        joined(url, server.key, max_queue=1, compression=None) as slow,
        joined(url, server.key, compression=None) as other,
    ):
        for ws in (slow, other):
            await ask(ws, type="subscribe", topics=["campaigns"])
        async with server.platform.database.transaction() as tx:
            start = (await bus.reach(tx)).head
        long = "x" * 20_000

        async def fill() -> None:
            for _ in range(3):
                async with server.platform.database.transaction() as tx:
                    now = await server.platform.clock.now(tx)
                    for _ in range(200):
                        moved = events.CampaignMoved(campaign_id=7, what="paused", reason=long)
                        await events.publish(tx, moved, at=now)

        filling = asyncio.create_task(fill())
        seen = [(await told(other))["seq"] for _ in range(600)]
        await filling
        assert seen == list(range(start + 1, start + 601))
        assert connections.counts.missed > 0
        had, is_told = start, False
        with suppress(TimeoutError):
            while True:
                async with asyncio.timeout(1):
                    one = json.loads(await slow.recv())
                    assert one["type"] != "missed" or one["seq"] == had
                    is_told |= one["type"] == "missed"
                    had = one["seq"]
        assert is_told
        assert had < start + 600
        await happens(server, 1)
        after = await told(slow)
        assert after["prev"] > had
        answer = await ask(slow, type="subscribe", topics=["campaigns"], since=had)
        assert answer["recovered"] is True
        again = [(await told(slow))["seq"] for _ in range(after["seq"] - had)]
        assert again == list(range(had + 1, after["seq"] + 1))


async def test_other_sites_pages_stay_outside(server: Server, url: str) -> None:
    headers = {"X-API-Key": server.key}
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url, additional_headers=headers, origin=Origin("https://evil.example")):
            pass
    assert refused.value.response.status_code == 403
    async with connect(url, additional_headers=headers, origin=Origin("http://127.0.0.1:8501")) as ws:
        assert (await told(ws))["type"] == "welcome"


async def test_who_says_too_much_is_not_read(server: Server, url: str) -> None:
    async with joined(url, server.key) as ws:
        for _ in range(30):
            await ws.send('{"type":"ping"}')
        kinds = [(await told(ws))["type"] for _ in range(30)]
    assert kinds[:20] == ["pong"] * 20
    assert "error" in kinds[20:]


async def test_when_the_process_ends_clients_are_told_when_to_come_back(server: Server) -> None:
    port = free_port()
    listening = Listening(server.app, server.platform.settings, host="127.0.0.1", port=port)
    task = asyncio.create_task(listening.serve())
    while not listening.started:  # noqa: ASYNC110  uvicorn's own flag
        await asyncio.sleep(0.01)
    async with joined(f"ws://127.0.0.1:{port}/ws", server.key) as ws:
        listening.should_exit = True
        goodbye = await told(ws)
        assert (goodbye["type"], goodbye["retry_in_ms"] >= 0) == ("goodbye", True)
        with pytest.raises(ConnectionClosed) as closed:
            await ws.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
    await task


@asynccontextmanager
async def strict(settings: Settings, **changes: Any) -> AsyncIterator[tuple[Server, str]]:
    """Another app with other settings, and its address."""
    changed = settings.model_copy(update=changes)
    connectors = FakeConnectors(FakeConnector())
    async with (
        inside(changed, connectors=connectors, jobs=FakeJobs(), clock=FakeClock()) as server,
        at_port(server) as url,
    ):
        yield server, url


async def test_those_who_come_at_the_same_moment_do_not_pass_the_limits(settings: Settings) -> None:
    async with strict(settings, live_per_principal=3, live_per_address=5) as (server, url):
        key = await server.new_key("read")

        async def come(with_key: str, stay: asyncio.Event) -> int:
            try:
                async with connect(url, additional_headers={"X-API-Key": with_key}):
                    await stay.wait()
                    return 101
            except InvalidStatus as refused:
                return refused.response.status_code

        stay = asyncio.Event()
        comers: list[asyncio.Task[int]] = []
        for who, refused in ((key, 5), (server.key, 11)):
            comers += [asyncio.create_task(come(who, stay)) for _ in range(8)]
            async with asyncio.timeout(10):
                while sum(one.done() for one in comers) < refused:  # noqa: ASYNC110  they answer one by one
                    await asyncio.sleep(0.01)
        base, headers = url.replace("ws://", "http://").removesuffix("/ws"), {"X-API-Key": key}
        async with httpx.AsyncClient(base_url=base, headers=headers, timeout=10) as client:
            one_more = await client.get("/api/v3/events/stream")
            assert (one_more.status_code, one_more.json()["error"]["code"]) == (429, "too_many_connections")
            stay.set()
            answers = await asyncio.gather(*comers)
            assert (answers.count(101), answers.count(429)) == (5, 11)
            places = server.app.state.live.entrance.places
            while places.taken:  # noqa: ASYNC110  they leave one by one
                await asyncio.sleep(0.01)
            async with client.stream("GET", "/api/v3/events/stream") as stream:
                assert (stream.status_code, places.taken["all"]) == (200, 1)
            while places.taken:  # noqa: ASYNC110  it notices that its reader has gone
                await asyncio.sleep(0.01)


async def test_who_guesses_tickets_and_signatures_is_soon_not_even_looked_at(settings: Settings) -> None:
    async with strict(settings, strangers_per_s=0.4) as (server, url):
        for wrong in ("ticket=wrong", "key=0123456789&ts=1&nonce=n&sig=00"):
            assert (await refusal(f"{url}?{wrong}"))[0] == 1008
        for given in ("ticket=wrong", f"apiKey={server.key}"):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(f"{url}?{given}"):
                    pass
            assert refused.value.response.status_code == 429


async def test_a_ticket_is_bound_to_where_its_key_is(settings: Settings) -> None:
    async with strict(settings, trusted_proxies="127.0.0.1") as (server, url):
        async with server.platform.database.transaction() as tx:
            now = await server.platform.clock.now(tx)
            key = await apikeys.create(
                tx, server.platform.key, name="t", scopes=["read"], addresses=["192.0.2.7"], at=now
            )
        base = url.replace("ws://", "http://").removesuffix("/ws")
        here, elsewhere = ({"X-Forwarded-For": address} for address in ("192.0.2.7", "192.0.2.8"))
        async with httpx.AsyncClient(base_url=base, headers={"X-API-Key": key.full, **here}) as client:
            ticket = (await client.post("/api/v3/ws-tickets")).json()["ticket"]
        async with connect(f"{url}?ticket={ticket}", additional_headers=elsewhere) as ws:
            with pytest.raises(ConnectionClosed):
                await ws.recv()
        async with connect(f"{url}?ticket={ticket}", additional_headers=here) as ws:
            assert (await told(ws))["type"] == "welcome"


def test_what_a_sender_does_is_shown_under_its_own_topic_also_as_it_was_logged_before() -> None:
    moved = events.SenderMoved(sender_id=7, state="active")
    for topic in (moved.topic, "senders"):
        event = bus.Logged(seq=1, type=moved.type, topic=topic, data=asdict(moved), at=datetime.now(UTC))
        assert list(topics.of(event)) == ["senders", "sender:7"]

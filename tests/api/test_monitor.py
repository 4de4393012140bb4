"""The gateway's figures add up with what was done, and only who may sees them."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

import scenes
from accounts import signed_in
from api.counting import BOUNDS_MS, Durations, quantile
from api.frames import Prepared
from api.monitor_view import shortened
from core import events, figures, inbox
from core.bootstrap import Platform
from core.roles import Role
from core.settings import Settings
from fakes import FakeClock, FakeConnector, FakeConnectors, FakeJobs
from live import ask, at_port, joined, told
from serving import Server, inside

SAMPLE = re.compile(
    r'(?P<name>[a-z_]+)(\{(?P<label>[a-z]+)="(?P<value>[^"\\\n]*)"\})? (?P<number>\d+(\.\d+)?(e-?\d+)?)'
)


@pytest.fixture
async def url(server: Server) -> AsyncIterator[str]:
    async with at_port(server) as found:
        yield found


async def happens(server: Server, times: int) -> None:
    async with server.platform.database.transaction() as tx:
        now = await server.platform.clock.now(tx)
        for number in range(times):
            moved = events.CampaignMoved(campaign_id=7, what="paused", reason=f"{number} " * 100)
            await events.publish(tx, moved, at=now)


async def seen(server: Server, path: str, key: str | None = None) -> dict[str, Any]:
    async with server.client(key) as client:
        answer = await client.get(f"/api/{path}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


async def test_the_figures_add_up_with_what_was_done(server: Server, url: str) -> None:
    async with joined(url, server.key) as one, joined(url, server.key, compression=None) as other:
        for ws in (one, other):
            await ask(ws, type="subscribe", topics=["campaigns"])
        await happens(server, 5)
        since, *_ = [(await told(ws))["seq"] for _ in range(5) for ws in (one, other)]
        await ask(other, type="subscribe", topics=["campaign:7"], since=since)
        assert len([await told(other) for _ in range(4)]) == 4
        assert (await ask(other, type="subscribe", topics=["campaign:8"], since=99_999))["recovered"] is False
        assert (await ask(other, type="dance"))["type"] == "error"

        stats = await seen(server, "ws-stats")
        assert stats["connections"] | {"disconnections": 0} == {
            **{"total": 2, "authenticated": 2, "alive": 2, "dead": 0},
            **{"peak": 2, "sinceStart": 2, "disconnections": 0},
        }
        said = stats["messages"]
        # two welcomes, two states, four answers and an error, five events for each, and four again
        assert (said["received"], said["sent"], stats["errors"]["total"]) == (5, 4 + 5 + 10 + 4, 1)
        assert said["bytesIn"] == 231
        assert said["bytesOut"] > 4_000
        found = await seen(server, "ws-metrics")
        assert found["topics"] == {"campaigns": 2, "campaign:7": 1, "campaign:8": 1}
        assert found["delivery"]["count"] == 10
        assert found["readers"] | {"slow": 0} == {
            **{"slow": 0, "coalesced": 0, "gaps": 0, "sentAway": 0, "unanswered": 0},
            **{"resumed": 2, "replayed": 4, "notRecovered": 1},
        }
        shrunk = found["compression"]
        assert (shrunk["clients"], shrunk["compressed"], shrunk["deliveries"]) == (1, 5, 5)
        assert shrunk["bytesAfter"] < shrunk["bytesBefore"] / 2
        assert found["errors"] == {"not_understood": 1}
    stats = await seen(server, "ws-stats")
    assert (stats["connections"]["total"], stats["connections"]["disconnections"]) == (0, 2)


async def refused(address: str, **options: Any) -> None:
    with pytest.raises((InvalidStatus, ConnectionClosed)):
        async with connect(address, **options) as ws:
            await ws.recv()


async def test_each_refusal_is_counted_under_its_reason(
    settings: Settings, connector: FakeConnector, jobs: FakeJobs, clock: FakeClock
) -> None:
    few = {"live_connections": 3, "live_per_address": 2, "live_addresses_refused": "127.0.0.9"}
    made = inside(settings.model_copy(update=few), connectors=FakeConnectors(connector), jobs=jobs, clock=clock)
    async with made as server, at_port(server) as url:
        key = {"X-API-Key": server.key}
        await refused(url, additional_headers=key, local_addr=("127.0.0.9", 0))
        await refused(url, additional_headers=key, origin=Origin("https://evil.example"))
        await refused(f"{url}?apiKey=wrong")
        await refused(f"{url}?key=x&ts=1&nonce=12345678&sig=00")
        await refused(f"{url}?ticket=x")
        await refused(url.removesuffix("/ws") + "/elsewhere", additional_headers=key)
        async with by_hand(url, "Connection: Upgrade\r\n") as (reader, _):
            assert b" 426 " in await reader.readline()
        for payload, code in ((b"x" * (1024 * 1024 + 1), 1009), (b"\xff", 1007)):
            async with joined(url, server.key, max_size=None) as ws:
                await ws.send(payload, text=True)
                with pytest.raises(ConnectionClosed) as closed:
                    await ws.recv()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == code
        async with joined(url, server.key) as ws, joined(url, server.key):
            for _ in range(30):
                await ws.send('{"type":"ping"}')
            limited = [(await told(ws))["type"] for _ in range(30)].count("error")
            await refused(url, additional_headers=key)
            async with joined(url, server.key, local_addr=("127.0.0.2", 0)):
                await refused(url, additional_headers=key, local_addr=("127.0.0.3", 0))
        found = await seen(server, "ws-metrics")
        security = found["security"]
        assert security["refused"] == {
            **{"bad_address": 1, "bad_origin": 1, "unauthorized": 1, "bad_signature": 2, "not_found": 1},
            **{"malformed": 1, "too_many_of_address": 1, "full": 1},
        }
        assert (security["invalidOrigins"], security["invalidSignatures"], security["oversizedMessages"]) == (1, 2, 1)
        assert 0 < security["rateLimitViolations"] == limited == found["errors"]["rate_limited"]
        assert found["closed"] == {"1009": 1, "1007": 1}


async def test_a_drain_is_seen_and_who_comes_meanwhile_is_counted(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "api")
    async with at_port(server) as url:
        needed = "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eHh4eHh4eHh4eHh4eHh4eA==\r\n"
        async with by_hand(url, f"{needed}X-API-Key: {server.key}\r\n") as (reader, _):  # answers no goodbye
            assert b" 101 " in await reader.readline()
            draining = asyncio.create_task(server.app.state.live.drain())
            await asyncio.sleep(0)
            await refused(url, additional_headers={"X-API-Key": server.key})
            found = await seen(server, "ws-monitor")
            assert found["status"] == "draining"
            assert found["security"]["refused"] == {"closing": 1}
            assert [one["text"] for one in found["log"]] == ["websocket_refused why=closing from=127.0.0.1"]
            shortened = await seen(server, "ws-monitor", await server.new_key("monitor"))
            assert shortened["log"][0]["text"].endswith("from=127.0.•.•")
        await draining


@asynccontextmanager
async def by_hand(url: str, headers: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.split(":")[2].split("/")[0]))
    writer.write(f"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n{headers}\r\n".encode())
    try:
        yield reader, writer
    finally:
        writer.close()


async def test_who_reads_too_slowly_is_in_the_table_and_an_alert_says_so(server: Server, url: str) -> None:
    async with joined(url, server.key, max_queue=1, compression=None, close_timeout=0.1) as ws:
        await ask(ws, type="subscribe", topics=["campaigns"])
        connections = server.app.state.live.connections
        for number in range(200):
            connections.publish("campaigns", Prepared(b"x" * 50_000), seq=10_000 + number)
            await asyncio.sleep(0)
        connections.publish("campaigns", Prepared(b"state"))
        async with asyncio.timeout(10):
            found = await seen(server, "ws-monitor")
            while "slow_readers" not in [one["code"] for one in found["alerts"]]:
                await asyncio.sleep(0.2)
                found = await seen(server, "ws-monitor")
        (client,) = found["clients"]
        assert (client["isFull"], client["subscriptions"], client["principal"]) == (True, ["campaigns"], "api_key:1")
        assert client["buffered"] > 512 * 1024
        assert client["missed"] == found["readers"]["gaps"] > 0
        assert found["readers"]["coalesced"] == 1
        assert found["status"] != "ok"
        assert found["history"][-1]["connections"] == 1
        newest = found["history"][-1]["at"]
        assert all(one["at"] > newest for one in (await seen(server, f"ws-monitor?since={newest}"))["history"])


async def test_prometheus_reads_it_with_a_key_that_may_nothing_else(server: Server, url: str) -> None:
    key = await server.new_key("monitor")
    async with joined(url, server.key) as ws, server.client(key) as prometheus:
        await ask(ws, type="subscribe", topics=["campaigns"])
        await happens(server, 3)
        for _ in range(3):
            await told(ws)
        await ask(ws, type="dance")
        answer = await prometheus.get("/metrics")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        found = {(name, label): number for name, label, number in samples(answer.text)}
        assert found["waqtor_live_connections", ""] == found["waqtor_live_connected_total", ""] == 1
        assert found["waqtor_live_messages_sent_total", ""] == 2 + 2 + 3
        assert found["waqtor_live_errors_total", "not_understood"] == 1
        assert found["waqtor_live_delivery_seconds_bucket", "+Inf"] == 3
        assert found["waqtor_live_delivery_seconds_count", ""] == 3
        assert found["waqtor_outbox_messages", ""] == found["waqtor_inbox_webhooks", ""] == 0
        assert found["process_resident_memory_bytes", ""] > 10_000_000
        assert (await prometheus.get("/api/ws-monitor")).json()["clients"][0]["ip"] == "127.0.•.•"
        assert (await prometheus.get("/api/v3/contacts")).status_code == 403


def samples(text: str) -> Iterator[tuple[str, str, float]]:
    """As Prometheus reads it; every series has been said to be something before."""
    known = ""
    for line in text.splitlines():
        if line.startswith("# "):
            _, what, name, rest = line.split(" ", 3)
            known = name if what == "TYPE" else known
            assert what == "HELP" or rest in ("counter", "gauge", "histogram"), line
            continue
        found = SAMPLE.fullmatch(line)
        assert found, line
        assert found["name"].removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") in (
            known,
            found["name"],
        )
        assert found["name"].startswith(known), line
        yield found["name"], found["value"] or "", float(found["number"])


@pytest.mark.parametrize(("role", "may"), [("viewer", False), ("user", True), ("auditor", True), ("admin", True)])
async def test_who_may_look(server: Server, url: str, role: Role, may: bool) -> None:
    person = await signed_in(server, role)
    async with joined(url, server.key), person.client as client:
        for path in ("/api/ws-stats", "/api/ws-metrics", "/api/ws-monitor", "/metrics"):
            assert (await client.get(path)).status_code == (200 if may else 403), path
        if may:
            shown = (await client.get("/api/ws-monitor")).json()["clients"][0]["ip"]
            assert shown == ("127.0.•.•" if role == "user" else "127.0.0.1")


async def test_nobody_is_believed_about_where_he_comes_from(server: Server, url: str) -> None:
    """Only proxies that the settings name are, also where they are on this machine."""
    says = {"X-API-Key": server.key, "X-Forwarded-For": "203.0.113.7"}
    async with connect(url, additional_headers=says) as ws:
        await told(ws)
        found = await seen(server, "ws-monitor")
        assert [one["ip"] for one in found["clients"]] == ["127.0.0.1"]


def test_addresses_are_shortened_to_their_network() -> None:
    assert [shortened(one) for one in ("203.0.113.7", "2001:db8::1", "")] == ["203.0.•.•", "2001:0db8:•", "•"]


def test_quantiles() -> None:
    taken = Durations()
    assert quantile(taken.counts, 0.99) is None
    taken.add(8.0, times=99)
    taken.add(60.0)
    assert 5.0 < (quantile(taken.counts, 0.5) or 0) < 10.0
    assert quantile(taken.counts, 0.99) == 10.0
    taken.add(99_000.0, times=100)
    assert quantile(taken.counts, 0.99) == BOUNDS_MS[-1]


async def test_what_waits_is_counted_by_an_index(platform: Platform) -> None:
    await scenes.people(platform, 3)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await inbox.store(tx, b"{}", b"{}", at=now)
        found = await figures.look(tx, at=now)
    assert (found.inbox, found.outbox, dict(found.campaigns), dict(found.senders)) == (
        *(2, 0, {"running": 1}),
        {"active": 1},
    )

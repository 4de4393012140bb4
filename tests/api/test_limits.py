"""How often somebody may ask, how much they may send, and what every answer says to browsers."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from api.app import ROUTERS
from api.idempotent import MAX_BODY_BYTES, Open, Signed, Streamed
from api.limits import Buckets
from core.errors import TooMany
from fakes import FakeClock, FakeConnector, FakeConnectors, FakeJobs
from serving import Server, inside, new_installation

ALSO_BOUND = {"/webhooks/cloud/{sender_id}"}  # by a limit of its own, and by the signature
NOT_COUNTED = ("/healthz", "/readyz", "/webhooks/cloud/1")


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_holds_five_seconds_worth_and_fills_again() -> None:
    clock = Hand()
    buckets = Buckets(2, clock)
    for _ in range(10):
        buckets.take("a")
    with pytest.raises(TooMany) as refused:
        buckets.take("a")
    assert refused.value.retry_after_s == 1
    buckets.take("b")
    clock.now += 0.6
    buckets.take("a")
    with pytest.raises(TooMany):
        buckets.take("a")
    clock.now += 60
    for _ in range(10):
        buckets.take("a")
    with pytest.raises(TooMany):
        buckets.take("a", tokens=0)


def test_a_slow_rate_tells_how_long_it_takes_and_lets_at_least_one_through() -> None:
    buckets = Buckets(0.1, Hand())
    buckets.take("a")
    with pytest.raises(TooMany) as refused:
        buckets.take("a")
    assert refused.value.retry_after_s == 10


def test_a_million_addresses_take_no_more_than_their_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.limits._MOST", 100)
    clock = Hand()
    buckets = Buckets(1, clock)
    for one in range(1000):
        clock.now += 0.001
        buckets.take(f"address {one}")
    assert len(buckets._left) <= 100
    for _ in range(4):
        buckets.take("address 999")
    with pytest.raises(TooMany):
        buckets.take("address 999")


@pytest.fixture
async def strict(tmp_path: Path, sqlite_template: Path) -> AsyncIterator[Server]:
    """Two requests at once, the third 2.5 s later, from anywhere behind 10.0.0.0/8."""
    settings = new_installation(tmp_path, sqlite_template).model_copy(
        update={"requests_per_s": 0.4, "strangers_per_s": 0.4, "trusted_proxies": "10.0.0.0/8"}
    )
    async with inside(settings, connectors=FakeConnectors(FakeConnector()), jobs=FakeJobs(), clock=FakeClock()) as made:
        yield made


def _client(server: Server, key: str = "", *, peer: str = "192.0.2.1") -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    transport = httpx.ASGITransport(server.app, raise_app_exceptions=False, client=(peer, 1))
    return httpx.AsyncClient(transport=transport, base_url="http://waqtor", headers=headers)


async def test_one_key_too_often_is_told_when_to_come_again_and_others_go_on(strict: Server) -> None:
    async with _client(strict, await strict.new_key("read")) as greedy, _client(strict, strict.key) as other:
        answers = [await greedy.get("/api/v3/templates") for _ in range(3)]
        assert [one.status_code for one in answers] == [200, 200, 429]
        said = answers[-1]
        assert (said.json()["error"]["code"], int(said.headers["retry-after"]) >= 1) == ("too_many", True)
        assert (await other.get("/api/v3/templates")).status_code == 200


async def test_an_address_that_guesses_is_not_even_looked_up(strict: Server) -> None:
    async with _client(strict, "wq_a_b") as guessing:
        answers = [(await guessing.get("/api/v3/templates")).status_code for _ in range(4)]
    assert answers == [401, 401, 429, 429]
    async with _client(strict) as nobody:
        body = {"email": "a@b.co", "password": "x"}
        for way_in in ("/api/v3/auth/sign-in", "/api/auth/login"):
            assert (await nobody.post(way_in, json=body)).status_code == 429
        assert (await nobody.get("/links/guessed")).status_code == 429
        for path in NOT_COUNTED:
            assert (await nobody.get(path)).status_code != 429
    async with _client(strict, peer="192.0.2.2") as elsewhere:
        assert (await elsewhere.get("/api/v3/templates")).status_code == 401
    async with _client(strict, peer="2001:db8::1") as first, _client(strict, peer="2001:db8::ffff") as second:
        answers = [(await one.get("/links/x")).status_code for one in (first, second, first, second)]
    assert answers == [404, 404, 429, 429]


async def test_who_was_let_in_before_is_not_kept_out_by_strangers_of_the_same_address(strict: Server) -> None:
    key, new = await strict.new_key("read"), await strict.new_key("read")
    async with _client(strict, key) as good, _client(strict, new) as newcomer, _client(strict, "wq_a_b") as guessing:
        assert (await good.get("/api/v3/templates")).status_code == 200
        answers = [(await guessing.get("/api/v3/templates")).status_code for _ in range(3)]
        assert answers == [401, 401, 429]
        assert (await newcomer.get("/api/v3/templates")).status_code == 429
        assert (await good.get("/api/v3/templates")).status_code == 200
        async with strict.client() as admin:
            (found,) = [
                one["id"]
                for one in (await admin.get("/api/v3/api-keys")).json()["data"]
                if key.startswith(f"wq_{one['prefix']}_")
            ]
            assert (await admin.delete(f"/api/v3/api-keys/{found}")).status_code == 200
        assert (await good.get("/api/v3/templates")).status_code == 429, "it counts among the strangers at once"
        assert not strict.app.state.limits.was_good(key)


async def test_whatsapps_webhooks_are_never_too_many(strict: Server) -> None:
    async with _client(strict, peer="192.0.2.7") as meta:
        answers = {(await meta.post("/webhooks/cloud/1", content=b"{}")).status_code for _ in range(40)}
    assert answers == {404}, "the sender is not there; none was turned away for the number of them"


def _routes() -> list[APIRoute]:
    return [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


async def test_no_route_takes_a_body_without_end(server: Any) -> None:
    large = b'{"name": "' + b"x" * MAX_BODY_BYTES + b'"}'
    headers = {"Content-Type": "application/json"}
    async with server.client() as api:
        for route in (one for one in _routes() if not one.methods <= {"GET", "HEAD"}):
            is_bound = isinstance(route, Open | Signed) or route.path in ALSO_BOUND
            assert is_bound, route.path
            if isinstance(route, Streamed) or route.path in ALSO_BOUND:
                continue
            path = re.sub(r"{\w+}", "1", route.path)
            answer = await api.request(next(iter(route.methods)), path, content=large, headers=headers)
            is_refused_before = answer.status_code == 403  # a person's route, asked with a key
            assert answer.status_code == 413 or is_refused_before, (route.path, answer.status_code)


async def test_every_answer_says_what_browsers_are_to_keep_to(server: Any) -> None:
    async with server.client() as api:
        for path in ("/", "/docs", "/healthz", "/links/x", "/nowhere", "/api/v3/contacts"):
            headers = (await api.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert headers["referrer-policy"] == "no-referrer"
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "access-control-allow-origin" not in headers
            assert "strict-transport-security" not in headers, "not over plain HTTP"
            assert headers["cache-control"] == "no-store"
            assert len(headers.get_list("content-security-policy")) == 1


async def test_over_tls_browsers_are_told_to_stay_there(strict: Server) -> None:
    async with _client(strict, peer="10.0.0.1") as proxied, _client(strict, peer="192.0.2.9") as direct:
        said = {"X-Forwarded-Proto": "https"}
        assert "strict-transport-security" in (await proxied.get("/healthz", headers=said)).headers
        assert "strict-transport-security" not in (await direct.get("/healthz", headers=said)).headers

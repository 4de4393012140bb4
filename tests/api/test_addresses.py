"""Where a request comes from: what a header says counts only from a proxy that a setting names."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import Request

from accounts import PASSWORD, a_user
from api.addresses import address_of
from core import service_credentials
from core.settings import Settings
from fakes import FakeClock, FakeConnector, FakeConnectors, FakeJobs
from serving import Server, inside, new_installation
from ui.session import forwarded

SIGN_IN = "/api/v3/auth/sign-in"


@asynccontextmanager
async def behind(folder: Path, template: Path, proxies: str) -> AsyncIterator[Server]:
    settings = new_installation(folder, template).model_copy(update={"trusted_proxies": proxies})
    async with inside(settings, connectors=FakeConnectors(FakeConnector()), jobs=FakeJobs(), clock=FakeClock()) as made:
        yield made


def client_from(server: Server, peer: str, headers: Mapping[str, str], key: str = "") -> httpx.AsyncClient:
    told = {**headers, **({"Authorization": f"Bearer {key}"} if key else {})}
    transport = httpx.ASGITransport(server.app, raise_app_exceptions=False, client=(peer, 1))
    return httpx.AsyncClient(transport=transport, base_url="http://waqtor", headers=told)


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "seen"),
    [
        ("", "198.51.100.9", "203.0.113.7", "198.51.100.9"),
        ("10.0.0.0/8", "198.51.100.9", "203.0.113.7", "198.51.100.9"),
        ("10.0.0.0/8", "10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.0/8", "10.0.0.1", "192.0.2.66, 203.0.113.7", "203.0.113.7"),
        ("10.0.0.0/8", "10.0.0.1", "192.0.2.66, 203.0.113.7, 10.0.0.2", "203.0.113.7"),
        ("10.0.0.0/8", "10.0.0.1", "192.0.2.66|203.0.113.7", "203.0.113.7"),
        ("10.0.0.0/8", "10.0.0.1", "203.0.113.7, unknown", "10.0.0.1"),
        ("10.0.0.0/8", "10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.0/8", "::ffff:10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::1", "2001:db8:7::5", "2001:db8:7::5"),
    ],
)
def test_where_somebody_is_seen_to_come_from(proxies: str, peer: str, forwarded: str, seen: str) -> None:
    app = SimpleNamespace(state=SimpleNamespace(platform=SimpleNamespace(settings=Settings(trusted_proxies=proxies))))
    headers = [(b"x-forwarded-for", one.encode()) for one in forwarded.split("|")]
    assert address_of(Request({"type": "http", "app": app, "client": (peer, 1), "headers": headers})) == seen


async def test_the_dashboard_is_believed_where_its_people_come_from(
    tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with behind(tmp_path, sqlite_template, "") as server:
        user = await a_user(server.platform)
        credential = service_credentials.for_dashboard(server.platform.settings)
        assert credential
        for said, address in ((credential, "203.0.113.7"), ("a guess", "127.0.0.1")):
            monkeypatch.setenv("WAQTOR_DASHBOARD_CREDENTIAL", said)
            headers = forwarded({"X-Forwarded-For": "192.0.2.1"}, "203.0.113.7")
            async with client_from(server, "127.0.0.1", headers) as dashboard:
                answer = await dashboard.post(SIGN_IN, json={"email": user.email, "password": PASSWORD})
                dashboard.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
                newest = (await dashboard.get("/api/v3/auth/sign-ins")).json()[0]
            assert newest["address"] == address


async def test_neither_a_header_nor_another_address_of_the_same_network_gives_more_tries(
    tmp_path: Path, sqlite_template: Path
) -> None:
    async with behind(tmp_path, sqlite_template, "10.0.0.0/8") as server:
        for peer in ("198.51.100.9", "10.0.0.1", "2001:db8:7:1::{one:x}"):
            answers = []
            for one in range(32):
                said = f"nonsense {one}" if peer == "10.0.0.1" else f"203.0.113.{one}"
                headers = {"X-Forwarded-For": said, "Forwarded": f"for={said}"}
                async with client_from(server, peer.format(one=one), headers) as thief:
                    body = {"email": f"guess{one}@example.com", "password": PASSWORD}
                    answers.append((await thief.post(SIGN_IN, json=body)).status_code)
            assert answers == [401] * 30 + [429] * 2, peer


@pytest.mark.parametrize("proxies", ["", "10.0.0.0/8"])
async def test_a_cookie_is_secure_where_a_trusted_proxy_speaks_tls(
    tmp_path: Path, sqlite_template: Path, proxies: str
) -> None:
    async with behind(tmp_path, sqlite_template, proxies) as server:
        await a_user(server.platform)
        async with client_from(server, "10.0.0.1", {"X-Forwarded-Proto": "https"}) as client:
            body = {"email": "admin@example.com", "password": PASSWORD, "kind": "browser"}
            cookie = (await client.post(SIGN_IN, json=body)).headers["set-cookie"].lower()
    assert ("secure" in cookie) is bool(proxies)


async def test_a_key_is_taken_only_from_its_addresses(tmp_path: Path, sqlite_template: Path) -> None:
    async with behind(tmp_path, sqlite_template, "10.0.0.0/8") as server, server.client() as api:
        body: dict[str, Any] = {"name": "office", "scopes": ["read"], "addresses": ["203.0.113.0/24", "2001:db8::/32"]}
        made = (await api.post("/api/v3/api-keys", json=body)).json()
        assert made["addresses"] == body["addresses"]
        for peer, forwarded, status in (
            ("203.0.113.7", "", 200),
            ("2001:db8::9", "", 200),
            ("::ffff:203.0.113.7", "", 200),
            ("198.51.100.9", "", 401),
            ("198.51.100.9", "203.0.113.7", 401),
            ("10.0.0.1", "203.0.113.7", 200),
            ("10.0.0.1", "203.0.113.7, 198.51.100.9", 401),
        ):
            headers = {"X-Forwarded-For": forwarded} if forwarded else {}
            async with client_from(server, peer, headers, made["key"]) as program:
                assert (await program.get("/api/v3/contacts")).status_code == status, (peer, forwarded)
        wrong = await api.post("/api/v3/api-keys", json={**body, "addresses": ["everywhere"]})
        assert (wrong.status_code, wrong.json()["error"]["field"]) == (422, "addresses")


async def test_a_setting_that_is_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match="trusted_proxies"):
        Settings(trusted_proxies="everywhere")


async def test_last_use_is_noted_without_a_write_per_request(server: Any, clock: FakeClock) -> None:
    async with server.client(await server.new_key("read")) as program:
        async with server.platform.database.reading() as tx:
            before = await server.platform.clock.now(tx)
        for _ in range(3):
            assert (await program.get("/api/v3/templates")).status_code == 200
    async with server.client() as api:
        shown = (await api.get("/api/v3/api-keys")).json()["data"][1]
        assert shown["last_used_at"] is None, "remembered, not written"
        clock.advance(minutes=5)
        await server.app.state.uses.write()
        await server.app.state.uses.write()
        shown = (await api.get("/api/v3/api-keys")).json()["data"][1]
    assert shown["last_used_at"] >= before.isoformat().replace("+00:00", "Z")[:19]

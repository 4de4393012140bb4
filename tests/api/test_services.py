"""Keys of services: apart from people's and programs', by name in the audit log; and a revoked key, seen from two
processes at once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench.redis_server import RedisServer
from fakes import FakeClock
from serving import api_process, made_key, new_installation

KEYS = "/api/v3/api-keys"


def _wanted(name: str = "reports", **more: Any) -> dict[str, Any]:
    return {"name": name, "scopes": ["read", "send"], "kind": "service", **more}


async def test_a_service_is_known_by_its_name_and_shown_apart(server: Any, api: httpx.AsyncClient) -> None:
    made = (await api.post(KEYS, json=_wanted())).json()
    assert made["kind"] == "service"
    async with server.client(made["key"]) as service:
        assert (await service.get("/api/v3/campaigns")).status_code == 200
        assert (await service.put("/api/v3/sending", json={"on": False, "reason": "x"})).status_code == 200
        for path in ("/api/v3/auth/me", "/api/v3/users", KEYS, "/api/v3/audit", "/api/auth/me"):
            assert (await service.get(path)).status_code == 403, path
    listed = (await api.get(KEYS, params={"kind": "service"})).json()["data"]
    assert [one["name"] for one in listed] == ["reports"]
    assert "reports" not in [one["name"] for one in (await api.get(KEYS, params={"kind": "program"})).json()["data"]]
    done = (await api.get("/api/v3/audit", params={"actor": "service:reports"})).json()["data"]
    assert [one["action"] for one in done] == ["turn_sending"]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"scopes": ["read", "admin"]}, "scopes"),
        ({"name": "flows"}, "name"),
        ({"name": "api"}, "name"),
        ({"name": "Reports of Noura"}, "name"),
        ({"name": "x" * 31}, "name"),
    ],
)
async def test_what_is_no_service_is_refused(api: httpx.AsyncClient, more: dict[str, Any], field: str) -> None:
    answer = await api.post(KEYS, json=_wanted(**more))
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)


async def test_of_the_keys_in_force_one_has_a_services_name(api: httpx.AsyncClient, clock: FakeClock) -> None:
    first = (await api.post(KEYS, json=_wanted())).json()
    assert (await api.post(KEYS, json=_wanted())).status_code == 409
    await api.delete(f"{KEYS}/{first['id']}")
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert (await api.post(KEYS, json=_wanted(expires_at=soon))).status_code == 201
    assert (await api.post(KEYS, json=_wanted())).status_code == 409
    clock.advance(hours=2)
    assert (await api.post(KEYS, json=_wanted())).status_code == 201, "the one that expired makes room"


def test_a_revoked_key_is_dead_at_once_in_every_process(
    tmp_path: Path, sqlite_template: Path, redis: RedisServer
) -> None:
    settings = new_installation(tmp_path, sqlite_template).model_copy(update={"redis_url": redis.url})
    with api_process(settings) as one, api_process(settings) as two:
        admin = {"Authorization": f"Bearer {made_key(settings)}"}
        for kind in ("program", "service"):
            made = httpx.post(f"{one.url}{KEYS}", json=_wanted(kind=kind), headers=admin).json()
            theirs = {"Authorization": f"Bearer {made['key']}"}
            urls = [f"{process.url}/api/v3/campaigns" for process in (one, two)]
            for _ in range(5):  # each has seen it, and has what it may keep of it
                assert [httpx.get(url, headers=theirs).status_code for url in urls] == [200, 200]
            assert httpx.delete(f"{one.url}{KEYS}/{made['id']}", headers=admin).status_code == 200
            answers = [httpx.get(url, headers=theirs).status_code for url in urls]
            assert answers == [401, 401], "from the next request on"

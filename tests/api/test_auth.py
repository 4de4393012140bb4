"""Nobody comes in without a key, and a key does no more than its scopes say."""

import ast
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from inspect import isasyncgenfunction, iscoroutinefunction, isfunction
from typing import Any

import httpx
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from api import permissions
from api.app import ROUTERS
from api.auth import demanded
from api.idempotent import Once, Signed
from core import apikeys, roles
from fakes import FakeClock
from serving import ROOT

OPEN = {
    ("GET", "/"),
    ("GET", "/docs"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/ws-monitor.html"),
    ("GET", "/webhooks/cloud/{sender_id}"),
    ("POST", "/webhooks/cloud/{sender_id}"),
    ("POST", "/api/v3/auth/sign-in"),
    ("POST", "/api/v3/auth/refresh"),
    ("POST", "/api/v3/auth/accept"),
    ("POST", "/api/v3/auth/link"),
    ("POST", "/api/auth/register"),
    ("POST", "/api/auth/login"),
    ("POST", "/api/auth/refresh"),
    ("GET", "/links/{token}"),
    ("POST", "/links/{token}"),
}
NOT_ONE_TRANSACTION = {
    ("POST", "/api/v3/contacts/import"),  # a file is many; it keeps its answer itself
    ("POST", "/api/v3/media"),  # the file is on disk before its row; it keeps its answer itself
    ("POST", "/api/v3/contacts/import/preview"),  # writes nothing
    ("POST", "/api/v3/templates/{template_id}/preview"),  # changes nothing
    ("POST", "/api/v3/campaigns/{campaign_id}/schedule/preview"),  # changes nothing
    ("POST", "/api/v3/templates/preview"),  # changes nothing
    ("POST", "/api/v3/campaigns/{campaign_id}/why"),  # changes nothing
    ("POST", "/api/v3/segments/count"),  # changes nothing
    ("POST", "/api/v3/contacts/find"),  # changes nothing
    ("POST", "/api/v3/webhooks/{webhook_id}/replays/count"),  # changes nothing
    ("POST", "/api/v3/webhooks/{webhook_id}/test"),  # posts between two transactions; each test is another
    ("POST", "/api/webhooks/{webhook_id}/test"),  # the same
    ("POST", "/api/v3/campaigns/{campaign_id}/preflight"),  # only looks; safe to repeat
    ("POST", "/api/v3/ws-tickets"),  # signed, and in no books
    ("POST", "/api/v3/senders/{sender_id}/sync-templates"),  # asks WhatsApp first; safe to repeat
    # Work on a password is in no transaction; done again they change nothing, or say so.
    ("POST", "/api/v3/auth/password"),
    ("POST", "/api/v3/auth/totp"),
    ("POST", "/api/v3/auth/totp/confirm"),
    ("POST", "/api/v3/auth/totp/off"),
    ("PUT", "/api/auth/password"),
    # A try is committed before its code is looked at.
    ("POST", "/api/v3/auth/pages/{name}/open"),
}

WHERE_SECRETS_ARE = (
    *("core/apikeys.py", "core/signins.py", "core/totp.py", "core/users.py", "core/passwords.py", "core/audit.py"),
    *("core/protected_pages.py", "api/auth.py", "api/cookies.py", "connectors/cloud_webhook.py"),
)
SECRET = re.compile(r"^(secret|token|cookie|csrf|signature|code|password|expected|given)$|_(secret|token|hash|digest)$")


def routes() -> Iterator[tuple[str, str, APIRoute]]:
    for router in ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            for method in sorted(route.methods - {"HEAD"}):
                yield method, route.path, route


def test_every_route_but_a_few_demands_a_permission() -> None:
    for method, path, route in routes():
        if (method, path) in OPEN:
            assert demanded(route) is None, path
            continue
        assert isinstance(route, Signed), path
        assert demanded(route) in roles.PERMISSIONS, path


def test_nothing_a_route_depends_on_goes_through_a_thread() -> None:
    """FastAPI runs what is no coroutine in a thread: the way there and back cost more than all the rest."""

    def calls(dependant: Dependant) -> Iterator[Callable[..., Any]]:
        for needed in dependant.dependencies:
            assert needed.call is not None
            yield needed.call
            yield from calls(needed)

    for _, path, route in routes():
        for call in calls(route.dependant):
            function = call if isfunction(call) else type(call).__call__
            assert iscoroutinefunction(function) or isasyncgenfunction(function), (path, call)


def test_the_page_about_permissions_is_what_the_code_does() -> None:
    assert permissions.PATH.read_text() == permissions.generated(), "run: python -m api.permissions"


def test_every_write_is_one_transaction_with_an_idempotency_key() -> None:
    for method, path, route in routes():
        if method == "GET" or (method, path) in OPEN | NOT_ONE_TRANSACTION:
            continue
        assert isinstance(route, Once), path
        assert "parameters" in (route.openapi_extra or {}), path


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer wq_0000000000_nothing"},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Bearer wq__"},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer \t"},
        {"X-API-Key": "wq_\u00fc_\u00fc".encode("latin-1")},
    ],
)
async def test_a_key_that_is_none(server: Any, headers: dict[str, Any]) -> None:
    async with server.client("") as nobody:
        assert (await nobody.get("/api/v3/contacts", headers=headers)).status_code == 401


async def test_a_right_prefix_with_a_wrong_secret(server: Any) -> None:
    async with server.client(server.key[:-1] + ("a" if server.key[-1] != "a" else "b")) as thief:
        assert (await thief.get("/api/v3/contacts")).status_code == 401


async def test_the_key_in_a_header_of_its_own(server: Any) -> None:
    async with server.client("") as client:
        assert (await client.get("/api/v3/contacts", headers={"X-API-Key": server.key})).status_code == 200


async def test_a_key_does_no_more_than_its_scopes(server: Any) -> None:
    async with server.client(await server.new_key("read", "write")) as client:
        assert (await client.get("/api/v3/contacts")).status_code == 200
        assert (await client.post("/api/v3/contacts", json={"phone": "+966501234567"})).status_code == 201
        for method, path in (("POST", "campaigns/1/launch"), ("GET", "api-keys"), ("PUT", "senders/1/token")):
            answer = await client.request(method, f"/api/v3/{path}", json={"access_token": "x"})
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_allowed")


async def test_a_revoked_key_is_refused_at_once(server: Any, api: httpx.AsyncClient) -> None:
    made = (await api.post("/api/v3/api-keys", json={"name": "short", "scopes": ["read"]})).json()
    async with server.client(made["key"]) as client:
        assert (await client.get("/api/v3/contacts")).status_code == 200
        assert (await api.delete(f"/api/v3/api-keys/{made['id']}")).json()["revoked_at"]
        answer = await client.get("/api/v3/contacts")
    assert (answer.status_code, answer.json()["error"]["message"]) == (401, "This API key was revoked.")
    listed = (await api.get("/api/v3/api-keys")).text
    assert made["prefix"] in listed
    assert made["key"] not in listed


async def test_an_expired_key_is_refused(server: Any, clock: FakeClock) -> None:
    async with server.platform.database.transaction() as tx:
        now = await clock.now(tx)
        made = await apikeys.create(
            tx, server.platform.key, name="day", scopes=["read"], expires_at=now + timedelta(days=1), at=now
        )
    async with server.client(made.full) as client:
        assert (await client.get("/api/v3/contacts")).status_code == 200
        clock.advance(days=2)
        assert (await client.get("/api/v3/contacts")).status_code == 401


@pytest.mark.parametrize("name", WHERE_SECRETS_ARE)
def test_a_secret_is_compared_in_constant_time_or_looked_up_by_its_hash(name: str) -> None:
    for node in ast.walk(ast.parse((ROOT / name).read_text())):
        if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
            sides = [node.left, *node.comparators]
            is_sql = any(ast.unparse(side)[0].isupper() for side in sides)  # a column: the database looks it up
            said = {ast.unparse(side).rpartition(".")[2] for side in sides}
            assert is_sql or not [one for one in said if SECRET.search(one)], ast.unparse(node)

"""Every route of the reference against every role, every scope, a service and nobody; and one person's things against
another person. Routes that are added are taken in by themselves."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from accounts import a_user, signed_in
from api import openapi
from api.app import ROUTERS
from api.auth import demanded
from core import apikeys, roles, signins
from core.models import User
from core.roles import ROLE_NAMES, SCOPE_NAMES, Permission
from core.signins import Here
from fakes import FakeClock, FakeConnector, FakeConnectors, FakeJobs
from serving import Server, inside, new_installation

SPEC: dict[str, Any] = json.loads(openapi.generated())
SHARED = {
    *("contact_id", "merge_id", "segment_id", "import_id", "name"),
    *("template_id", "campaign_id", "message_id", "media_id", "chat_id", "sender_id", "language", "notification_id"),
    *("webhook_id", "delivery_id", "replay_id"),
}
"""What belongs to the installation: whoever has the permission may."""
OF_ADMINS = {"user_id", "api_key_id"}
OF_ONE_PERSON = {"sign_in_id"}


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    needs: Permission

    @property
    def filled(self) -> str:
        """Of things that are not there."""
        parts = (("987654" if part.endswith("_id}") else "nobodys") if "{" in part else part for part in self._parts)
        return "/".join(parts) + ("?since=987654" if self.is_endless else "")

    @property
    def is_endless(self) -> bool:
        """It answers as long as something may happen; of a moment that is not there, at once."""
        return self.path.endswith("/stream")

    @property
    def _parts(self) -> list[str]:
        return self.path.split("/")


def _guarded() -> Iterator[Route]:
    for router in ROUTERS:
        for route in router.routes:
            if needs := demanded(route):  # type: ignore[arg-type]
                for method in sorted(route.methods - {"HEAD"}):  # type: ignore[attr-defined]
                    yield Route(method, route.path, needs)  # type: ignore[attr-defined]


ROUTES = list(_guarded())


def test_the_reference_has_no_route_that_is_not_asked_here() -> None:
    asked = {(one.method.lower(), one.path) for one in ROUTES}
    signed = {
        (method, path)
        for path, methods in SPEC["paths"].items()
        for method, operation in methods.items()
        if "security" in operation
    }
    assert signed == asked


@pytest.fixture
async def server(tmp_path: Path, sqlite_template: Path) -> AsyncIterator[Server]:
    settings = new_installation(tmp_path, sqlite_template).model_copy(update={"strangers_per_s": 10_000})
    async with inside(settings, connectors=FakeConnectors(FakeConnector()), jobs=FakeJobs(), clock=FakeClock()) as made:
        yield made


async def _token(server: Server, user: User) -> str:
    """Of a new sign-in: some routes end the one they are asked with."""
    async with server.platform.database.transaction() as tx:
        now = await server.platform.clock.now(tx)
        user = await tx.merge(user)
        begun = await signins.begin(tx, user, kind="tokens", here=Here("192.0.2.1"), at=now)
        return signins.access_token(server.platform.key, begun, at=now)


async def _ask(server: Server, route: Route, key: str) -> httpx.Response:
    body: dict[str, Any] = {} if route.method == "GET" else {"json": {}}
    async with server.client(key) as client:
        return await client.request(route.method, route.filled, **body)


def _is_refused(answer: httpx.Response) -> bool:
    said = answer.json() if answer.status_code == 403 else {}
    return "not_allowed" in (said.get("code"), said.get("error", {}).get("code") if "code" not in said else None)


@pytest.mark.parametrize("role", ROLE_NAMES)
async def test_a_role_may_what_the_table_says_and_nothing_else(server: Server, role: roles.Role) -> None:
    user = await a_user(server.platform, role)
    await a_user(server.platform, email="another@example.com")
    for route in ROUTES:
        answer = await _ask(server, route, await _token(server, user))
        assert answer.status_code not in (401, 429, 500), (route, answer.text)
        assert _is_refused(answer) is (route.needs not in roles.ROLES[role]), (route, answer.text)


@pytest.mark.parametrize("kind", ["program", "service"])
@pytest.mark.parametrize("scope", SCOPE_NAMES)
async def test_a_scope_may_what_the_table_says_and_nothing_else(
    server: Server, scope: roles.Scope, kind: apikeys.Kind
) -> None:
    if kind == "service" and scope == "admin":
        async with server.client() as api:
            refused = await api.post("/api/v3/api-keys", json={"name": "reports", "scopes": ["admin"], "kind": kind})
        assert refused.status_code == 422, "a service is no admin"
        return
    async with server.platform.database.transaction() as tx:
        now = await server.platform.clock.now(tx)
        key = (await apikeys.create(tx, server.platform.key, name="reports", scopes=[scope], kind=kind, at=now)).full
    for route in ROUTES:
        answer = await _ask(server, route, key)
        assert answer.status_code not in (401, 429, 500), (route, answer.text)
        assert _is_refused(answer) is (route.needs not in roles.SCOPES[scope]), (route, answer.text)


async def test_nobody_may_anything_and_is_told_nothing(server: Server) -> None:
    user = await a_user(server.platform)
    ended = await _token(server, user)
    async with server.client(ended) as client:
        assert (await client.delete("/api/v3/auth/sign-ins")).status_code == 200
    for key in ("", "wq_a_b", ended):
        for route in ROUTES:
            answer = await _ask(server, route, key)
            said = answer.json()
            code = said["code"] if "code" in said else said["error"]["code"]  # as 2.3.0 says it, or as we do
            assert (answer.status_code, code) == (401, "not_signed_in"), (route, key)


def _parameters() -> set[str]:
    return {
        one["name"]
        for path, methods in SPEC["paths"].items()
        for method, operation in methods.items()
        for one in operation.get("parameters", ())
        if one["in"] == "path" and "security" in operation
    }


def test_of_everything_that_has_an_id_it_is_said_whose_it_is() -> None:
    assert _parameters() == SHARED | OF_ADMINS | OF_ONE_PERSON
    for route in ROUTES:
        named = {part.strip("{}") for part in route.path.split("/") if "{" in part}
        if named & OF_ADMINS:
            assert route.needs in ("users.manage", "keys.manage"), route
        elif named & OF_ONE_PERSON:
            assert route.needs == "account.own", route


def test_no_way_to_ones_own_account_takes_the_id_of_another() -> None:
    for route in (one for one in ROUTES if one.needs == "account.own"):
        operation = SPEC["paths"][route.path][route.method.lower()]
        assert not [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"], route
        content = operation.get("requestBody", {}).get("content", {})
        for schema in (one["schema"]["$ref"].rsplit("/", 1)[1] for one in content.values()):
            fields = SPEC["components"]["schemas"][schema]["properties"]
            assert not [name for name in fields if name.endswith(("_id", "Id"))], route


async def test_what_is_one_persons_is_out_of_reach_of_another(server: Server) -> None:
    mine = await signed_in(server, "admin")
    theirs = await signed_in(server, "admin", email="other@example.com")
    async with mine.client as me, theirs.client as thief:
        before = (await me.get("/api/v3/auth/me")).json()
        for route in (one for one in ROUTES if "{sign_in_id}" in one.path and one.needs == "account.own"):
            path = route.path.replace("{sign_in_id}", str(mine.said["sign_in_id"]))
            assert (await thief.request(route.method, path, json={})).status_code == 404, route
        kept = {"Idempotency-Key": "the same"}
        named = await me.patch("/api/v3/auth/me", json={"name": "Me"}, headers=kept)
        copied = await thief.patch("/api/v3/auth/me", json={"name": "Me"}, headers=kept)
        assert (named.json()["email"], copied.json()["email"]) == ("admin@example.com", "other@example.com")
        assert "idempotency-replayed" not in copied.headers
        link = (await thief.post("/api/v3/users/1/reset-link")).json()["token"]
        body = {"token": link, "password": "another marble kettle", "email": "other@example.com"}
        async with server.client("") as nobody:
            assert (await nobody.post("/api/v3/auth/accept", json=body)).json()["email"] == "admin@example.com"
        assert (await me.get("/api/v3/auth/me")).status_code == 401, "a new password signs out, and is in the audit log"
        assert before["has_second_factor"] is False


async def test_an_answer_that_was_kept_is_not_given_to_who_lost_the_permission(server: Server) -> None:
    admin = await signed_in(server, "admin")
    boss = await signed_in(server, "admin", email="boss@example.com")
    async with admin.client as client, boss.client as other:
        body, kept = {"name": "k", "scopes": ["admin"]}, {"Idempotency-Key": "k"}
        made = await client.post("/api/v3/api-keys", json=body, headers=kept)
        assert (await client.post("/api/v3/api-keys", json=body, headers=kept)).json() == made.json()
        assert (await other.patch("/api/v3/users/1", json={"role": "viewer"})).status_code == 200
        again = await client.post("/api/v3/api-keys", json=body, headers=kept)
        assert (again.status_code, made.json()["key"] in again.text) == (403, False)


async def test_who_may_not_see_numbers_sees_none_in_any_answer(server: Server) -> None:
    async with server.client() as api:
        sender = {"name": "shop", "phone_number_id": "1", "waba_id": "2"}
        secrets = {"access_token": "a", "app_secret": "b", "verify_token": "c"}
        await api.post("/api/v3/senders", json={**sender, **secrets})
        await api.post("/api/v3/contacts", json={"phone": "+966501234567", "name": "call +966 50 123 4567"})
        await api.post("/api/v3/templates", json={"name": "t", "body": "Hello {name}"})
        campaign = {"name": "c", "sender_id": 1, "template_id": 1, "audience": {"all": True}}
        await api.post("/api/v3/campaigns", json=campaign)
        await api.post("/api/v3/campaigns/1/launch")
        message = {"sender_id": 1, "contact_id": 1, "content": {"type": "text", "body": "or +966501234567"}}
        await api.post("/api/v3/messages", json=message)
    for role in ("viewer", "auditor"):
        user = await a_user(server.platform, role)  # type: ignore[arg-type]
        for route in (one for one in ROUTES if one.method == "GET" and not one.is_endless):
            async with server.client(await _token(server, user)) as client:
                path = "/".join("1" if part.endswith("_id}") else part for part in route.path.split("/"))
                answer = await client.get(path.replace("{name}", "users"))
            digits = "".join(char for char in answer.text if char not in " ()-.")
            assert "501234567" not in digits, (role, route, answer.text)
        async with server.client(await _token(server, user)) as client:
            history = (await client.get("/api/v3/contacts/1/history")).json()["data"]
            chats = [one["details"] for one in history if one["kind"] == "message"]
            assert chats
            assert all(("content" in one) is (role == "viewer") for one in chats), "an auditor reads no chats"
            why = await client.post("/api/v3/campaigns/1/why", json={"phone": "+966501234567"})
            assert "501234567" not in why.text

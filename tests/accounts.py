"""People who sign in, for tests."""

from dataclasses import dataclass
from typing import Any

import httpx

from core import users
from core.bootstrap import Platform
from core.models import User
from core.passwords import Passwords
from core.roles import Role
from serving import Server

PASSWORD = "olive kettle marble 7"


async def a_user(platform: Platform, role: Role = "admin", *, email: str = "", password: str = PASSWORD) -> User:
    """Somebody with an account, made as the link of an invitation makes it."""
    kept = await Passwords().hash(password)
    email = email or f"{role}@example.com"
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        token = await users.invite(tx, role=role, email=email, at=now)
        return await users.use_link(tx, platform.key, token, password_hash=kept, email=None, name=role.title(), at=now)


@dataclass
class Person:
    """Signed in, with tokens."""

    client: httpx.AsyncClient
    said: dict[str, Any]

    @property
    def access(self) -> str:
        return str(self.said["access_token"])

    @property
    def refresh(self) -> str:
        return str(self.said["refresh_token"])


async def signed_in(server: Server, role: Role = "admin", *, email: str = "") -> Person:
    """A new user of this role, and a client that is signed in as them."""
    user = await a_user(server.platform, role, email=email)
    async with server.client("") as nobody:
        answer = await nobody.post("/api/v3/auth/sign-in", json={"email": user.email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    said = answer.json()
    return Person(server.client(said["access_token"]), said)

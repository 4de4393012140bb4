"""Signing in as programs of version 2.3.0 do: its addresses, its shapes, its flat errors."""

from typing import Any

import httpx
import pytest

from accounts import PASSWORD, a_user

NEXT = "another marble kettle"
USER_FIELDS = {"id", "email", "name", "role", "is_active", "last_login_at", "created_at", "updated_at"}


async def _login(client: httpx.AsyncClient, password: str = PASSWORD, email: str = "user@example.com") -> Any:
    return await client.post("/api/auth/login", json={"email": email, "password": password, "rememberMe": True})


async def test_a_program_of_before_comes_in_stays_in_and_goes(server: Any) -> None:
    await a_user(server.platform, "user")
    async with server.client("") as nobody:
        said = (await _login(nobody)).json()
        assert (said["success"], said["message"]) == (True, "Login successful")
        assert set(said["data"]) == {"user", "token", "refreshToken"}
        assert set(said["data"]["user"]) == USER_FIELDS
        async with server.client(said["data"]["token"]) as program:
            assert (await program.get("/api/auth/me")).json()["data"]["user"]["role"] == "user"
            for name in ("verify", "profile"):
                assert (await program.get(f"/api/auth/{name}")).json()["user"]["email"] == "user@example.com"
            named = await program.put("/api/auth/profile", json={"name": "Noura", "email": "user@example.com"})
            assert named.json()["user"]["name"] == "Noura"
            assert (await program.put("/api/auth/profile", json={"email": "x@example.com"})).status_code == 403
            assert (await program.get("/api/v3/contacts")).status_code == 200, "one sign-in for all of the API"
            renewed = await nobody.post("/api/auth/refresh", json={"refreshToken": said["data"]["refreshToken"]})
            assert set(renewed.json()["data"]) == {"token", "refreshToken"}
            assert (await program.post("/api/auth/logout")).json()["message"] == "Logged out successfully"
            gone = await program.get("/api/auth/me")
            assert (gone.status_code, gone.json()["success"], gone.json()["code"]) == (401, False, "not_signed_in")
        after = {"refreshToken": renewed.json()["data"]["refreshToken"]}
        assert (await nobody.post("/api/auth/refresh", json=after)).status_code == 401


async def test_a_stolen_refresh_token_and_a_new_password_end_it_here_too(server: Any) -> None:
    await a_user(server.platform, "user")
    async with server.client("") as nobody:
        stolen, other, third = [(await _login(nobody)).json()["data"] for _ in range(3)]
        body = {"refreshToken": stolen["refreshToken"]}
        statuses = [(await nobody.post("/api/auth/refresh", json=body)).status_code for _ in range(2)]
        assert statuses == [200, 401]
        async with server.client(stolen["token"]) as thief, server.client(other["token"]) as owner:
            assert (await thief.get("/api/auth/me")).status_code == 401
            change = {"currentPassword": "not this one", "newPassword": NEXT}
            assert (await owner.put("/api/auth/password", json=change)).status_code == 400
            change["currentPassword"] = PASSWORD
            changed = await owner.put("/api/auth/password", json=change)
            assert changed.json()["message"] == "Password changed successfully"
            assert (await owner.get("/api/auth/me")).status_code == 401
        async with server.client(third["token"]) as elsewhere:
            assert (await elsewhere.get("/api/auth/me")).status_code == 401
        assert (await _login(nobody)).status_code == 401
        fresh = [(await _login(nobody, NEXT)).json()["data"]["token"] for _ in range(2)]
        async with server.client(fresh[0]) as here, server.client(fresh[1]) as there:
            assert (await here.post("/api/auth/logout-all")).json()["success"] is True
            assert (await there.get("/api/auth/me")).status_code == 401


async def test_only_who_was_invited_registers(server: Any, api: httpx.AsyncClient) -> None:
    async with server.client("") as nobody:
        form = {"email": "noura@example.com", "password": PASSWORD, "name": "Noura", "role": "admin"}
        refused = await nobody.post("/api/auth/register", json=form)
        assert (refused.status_code, refused.json()["success"]) == (403, False)
        invite = {"email": "noura@example.com", "role": "viewer"}
        token = (await api.post("/api/v3/users/invite", json=invite)).json()["token"]
        made = await nobody.post("/api/auth/register", json={**form, "invite": token})
        assert (made.status_code, made.json()["data"]["user"]["role"]) == (201, "viewer")
        assert (await nobody.post("/api/auth/register", json={**form, "invite": token})).status_code == 404


@pytest.mark.parametrize("body", [{}, {"email": "a@b.co"}, {"email": 1, "password": []}, []])
async def test_what_is_wrong_is_said_flat(server: Any, body: Any) -> None:
    async with server.client("") as nobody:
        answer = await nobody.post("/api/auth/login", json=body)
    assert (answer.status_code, answer.json()["success"], answer.json()["error"]) == (400, False, "Validation failed")


async def test_brute_force_is_slowed_here_by_the_same_count(server: Any) -> None:
    await a_user(server.platform, "user")
    async with server.client("") as thief:
        statuses = [(await _login(thief, f"olive kettle {one}")).status_code for one in range(6)]
        assert statuses == [401] * 5 + [429]
        closed = await thief.post("/api/v3/auth/sign-in", json={"email": "user@example.com", "password": PASSWORD})
        assert closed.status_code == 429, "the other way in is no second chance"
        assert (await _login(thief)).headers["retry-after"]

"""Signing in over HTTP: what a thief tries, and what the owner can do about it."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx
import jwt
import pyotp
import pytest

from accounts import PASSWORD, a_user, signed_in
from core import audit
from fakes import FakeClock

SIGN_IN = "/api/v3/auth/sign-in"
ME = "/api/v3/auth/me"


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def _sign_in(client: httpx.AsyncClient, email: str = "admin@example.com", **more: Any) -> httpx.Response:
    return await client.post(SIGN_IN, json={"email": email, "password": PASSWORD, **more})


async def _actions(server: Any) -> list[tuple[str, str]]:
    async with server.platform.database.reading() as tx:
        rows = await audit.listed(tx, before=None, limit=100)
        assert (await audit.verify(tx, server.platform.key)).state == "whole"
    return [(row.actor, row.action) for row in reversed(rows)]


async def test_in_by_address_and_password_and_out_again(server: Any) -> None:
    person = await signed_in(server)
    async with person.client as client:
        me = (await client.get(ME)).json()
        assert (me["email"], me["role"], me["csrf_token"]) == ("admin@example.com", "admin", None)
        assert "users.manage" in me["permissions"]
        assert (await client.get("/api/v3/contacts")).status_code == 200
        assert (await client.post("/api/v3/auth/sign-out")).status_code == 200
        assert code_of(await client.get("/api/v3/contacts")) == (401, "not_signed_in")
    assert ("user:1", "sign_in") in await _actions(server)


async def test_a_wrong_password_and_an_unknown_account_are_told_alike(server: Any) -> None:
    await a_user(server.platform)
    async with server.client("") as nobody:
        wrong = await _sign_in(nobody, password="olive kettle marble 8")
        unknown = await _sign_in(nobody, "nobody@example.com")
    assert code_of(wrong) == code_of(unknown) == (401, "not_signed_in")
    assert wrong.json()["error"]["message"] == unknown.json()["error"]["message"]
    assert [one for one in await _actions(server) if one[1] == "sign_in.failed"] == [
        ("user:1", "sign_in.failed"),
        ("nobody", "sign_in.failed"),
    ]


@pytest.mark.parametrize("email", ["admin@example.com", "nobody@example.com"])
async def test_brute_force_is_slowed_also_at_once_and_for_accounts_that_are_none(
    server: Any, clock: FakeClock, email: str
) -> None:
    await a_user(server.platform)
    async with server.client("") as thief:
        tries = [_sign_in(thief, email, password=f"olive kettle marble {one}") for one in range(10, 22)]
        statuses = [answer.status_code for answer in await asyncio.gather(*tries)]
        assert sorted(statuses) == [401] * 5 + [429] * 7
        closed = await _sign_in(thief, email)
        assert code_of(closed) == (429, "too_many"), "also with the right password"
        assert int(closed.headers["retry-after"]) >= 1
        clock.advance(minutes=16)
        assert (await _sign_in(thief, email)).status_code == (200 if email.startswith("admin") else 401)


async def test_many_accounts_from_one_address_are_slowed_too(server: Any) -> None:
    async with server.client("") as thief:
        answers = [(await _sign_in(thief, f"guess{one}@example.com")).status_code for one in range(32)]
    assert answers == [401] * 30 + [429] * 2


async def test_a_cookie_is_for_our_pages_only(server: Any) -> None:
    await a_user(server.platform)
    async with server.client("") as browser:
        said = await _sign_in(browser, kind="browser")
        cookie = said.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert said.json()["access_token"] is None
        token = said.json()["csrf_token"]
        assert (await browser.get(ME)).json()["csrf_token"] == token
        body = {"name": "short", "scopes": ["read"]}
        for headers in (
            {},
            {"X-CSRF-Token": "x"},
            {"X-CSRF-Token": "\u00fc".encode("latin-1")},
            {"X-CSRF-Token": token, "Origin": "https://evil.example"},
            {"X-CSRF-Token": token, "Origin": "null"},
            {"X-CSRF-Token": token, "Origin": "http://waqtor:8501"},
            {"X-CSRF-Token": token, "Origin": "http://waqtor:443"},
            {"X-CSRF-Token": token, "Origin": "ftp://waqtor"},
        ):
            assert code_of(await browser.post("/api/v3/api-keys", json=body, headers=headers)) == (403, "not_allowed")
        own = {"X-CSRF-Token": token, "Origin": "http://waqtor"}
        dashboards = {"X-CSRF-Token": token, "Origin": server.platform.settings.public_dashboard_url}
        assert (await browser.post("/api/v3/api-keys", json=body, headers=own)).status_code == 201
        assert (await browser.post("/api/v3/auth/sign-out", headers=dashboards)).status_code == 200
        assert (await browser.get(ME)).status_code == 401


async def test_another_sites_page_cannot_sign_a_browser_in(server: Any) -> None:
    await a_user(server.platform)
    async with server.client("") as browser:
        body = {"email": "admin@example.com", "password": PASSWORD, "kind": "browser"}
        answer = await browser.post(SIGN_IN, json=body, headers={"Origin": "https://evil.example"})
    assert code_of(answer) == (403, "not_allowed")
    assert "set-cookie" not in answer.headers


async def test_a_cookie_planted_before_the_sign_in_is_worth_nothing_after_it(server: Any) -> None:
    await a_user(server.platform)
    async with server.client("") as browser, server.client("") as thief:
        planted = {"waqtor_sign_in": "planted-by-somebody"}
        browser.cookies.update(planted)
        said = await _sign_in(browser, kind="browser")
        given = said.headers["set-cookie"].split(";")[0].split("=", 1)[1]
        assert given != planted["waqtor_sign_in"]
        thief.cookies.update(planted)
        assert (await thief.get(ME)).status_code == 401


async def test_the_cookie_is_secure_behind_a_trusted_proxy_that_speaks_tls(server: Any) -> None:
    await a_user(server.platform)
    async with server.client("") as client:
        said = await client.post(
            SIGN_IN,
            json={"email": "admin@example.com", "password": PASSWORD, "kind": "browser"},
            headers={"X-Forwarded-Proto": "https"},
        )
    assert "secure" not in said.headers["set-cookie"].lower(), "nobody is trusted unless a setting says so"


async def test_a_stolen_refresh_token_ends_the_sign_in_for_both(server: Any) -> None:
    person = await signed_in(server)
    async with server.client("") as nobody, person.client as owner:
        renewed = await nobody.post("/api/v3/auth/refresh", json={"refresh_token": person.refresh})
        assert renewed.status_code == 200
        newer = renewed.json()
        assert newer["refresh_token"] != person.refresh
        assert (await owner.get(ME)).status_code == 200
        again = await nobody.post("/api/v3/auth/refresh", json={"refresh_token": person.refresh})
        assert code_of(again) == (401, "not_signed_in")
        assert (await owner.get(ME)).status_code == 401
        last = await nobody.post("/api/v3/auth/refresh", json={"refresh_token": newer["refresh_token"]})
        assert last.status_code == 401
    assert ("nobody", "refresh_token.reused") in await _actions(server)


async def test_a_refresh_token_that_two_use_at_once_serves_at_most_one(server: Any) -> None:
    person = await signed_in(server)
    async with server.client("") as nobody, person.client as owner:
        body = {"refresh_token": person.refresh}
        both = await asyncio.gather(*(nobody.post("/api/v3/auth/refresh", json=body) for _ in range(2)))
        assert sorted(answer.status_code for answer in both) == [200, 401]
        assert (await owner.get(ME)).status_code == 401


async def test_an_access_token_lives_fifteen_minutes_and_dies_with_its_sign_in(server: Any, clock: FakeClock) -> None:
    person = await signed_in(server)
    async with person.client as client:
        clock.advance(minutes=14)
        assert (await client.get(ME)).status_code == 200
        clock.advance(minutes=2)
        assert code_of(await client.get(ME)) == (401, "not_signed_in")
    async with server.client("") as nobody:
        clock.advance(days=31)
        old = await nobody.post("/api/v3/auth/refresh", json={"refresh_token": person.refresh})
        assert old.status_code == 401


async def test_access_tokens_that_are_not_ours(server: Any) -> None:
    person = await signed_in(server)
    said = jwt.decode(person.access, options={"verify_signature": False})
    forged = [
        jwt.encode(said, "a secret of their own that is long enough", algorithm="HS256"),
        jwt.encode(said, None, algorithm="none"),
        person.access[:-4] + "AAAA",
        "a.b.c",
        "..",
    ]
    for token in forged:
        async with server.client(token) as thief:
            assert (await thief.get(ME)).status_code == 401, token


async def test_a_new_password_signs_out_everywhere(server: Any) -> None:
    person = await signed_in(server)
    async with person.client as client, server.client("") as browser:
        await _sign_in(browser, kind="browser")
        change = {"current_password": "not this one at all", "new_password": "another marble kettle"}
        assert (await client.post("/api/v3/auth/password", json=change)).status_code == 422
        change["current_password"] = PASSWORD
        weak = {**change, "new_password": "password123"}
        assert (await client.post("/api/v3/auth/password", json=weak)).json()["error"]["field"] == "password"
        assert (await client.post("/api/v3/auth/password", json=change)).status_code == 200
        for signed_out in (client, browser):
            assert (await signed_out.get(ME)).status_code == 401
        assert (await _sign_in(browser)).status_code == 401
        assert (await _sign_in(browser, password="another marble kettle")).status_code == 200
        refreshed = await browser.post("/api/v3/auth/refresh", json={"refresh_token": person.refresh})
        assert refreshed.status_code == 401


async def test_sign_ins_are_seen_and_ended_by_their_owner_only(server: Any) -> None:
    mine = await signed_in(server)
    theirs = await signed_in(server, "user")
    async with mine.client as client, theirs.client as other:
        await _sign_in(client)
        listed = (await client.get("/api/v3/auth/sign-ins")).json()
        assert [one["kind"] for one in listed] == ["tokens", "tokens"]
        assert {one["address"] for one in listed} == {"127.0.0.1"}
        refused = await other.delete(f"/api/v3/auth/sign-ins/{mine.said['sign_in_id']}")
        assert code_of(refused) == (404, "not_found")
        assert (await client.delete(f"/api/v3/auth/sign-ins/{listed[0]['id']}")).status_code == 200
        assert len((await client.get("/api/v3/auth/sign-ins")).json()) == 1
        assert (await client.delete("/api/v3/auth/sign-ins")).json() == {"ended": 1}
        assert (await client.get(ME)).status_code == 401
        assert (await other.get(ME)).status_code == 200


async def test_a_second_factor_from_begin_to_lost_phone(server: Any, clock: FakeClock) -> None:
    person = await signed_in(server)
    async with person.client as client, server.client("") as nobody:
        assert (await client.post("/api/v3/auth/totp", json={"password": "not this one"})).status_code == 422
        secret = (await client.post("/api/v3/auth/totp", json={"password": PASSWORD})).json()["secret"]
        assert (await _sign_in(nobody)).status_code == 200, "not in force yet"
        now = datetime.now(UTC)
        confirmed = await client.post("/api/v3/auth/totp/confirm", json={"code": pyotp.TOTP(secret).at(now)})
        codes = confirmed.json()["recovery_codes"]
        assert code_of(await _sign_in(nobody)) == (401, "second_factor_needed")
        assert code_of(await _sign_in(nobody, code="000000")) == (401, "not_signed_in")
        assert (await _sign_in(nobody, code=codes[0])).status_code == 200
        assert (await _sign_in(nobody, code=codes[0])).status_code == 401
        assert (await client.get(ME)).json()["recovery_codes_left"] == 9
        assert (await client.post("/api/v3/auth/totp/off", json={"password": PASSWORD})).status_code == 200
        assert (await _sign_in(nobody)).status_code == 200


async def test_the_first_half_of_a_right_sign_in_uses_up_no_try_of_the_address(server: Any) -> None:
    person = await signed_in(server)
    async with person.client as client, server.client("") as office:
        secret = (await client.post("/api/v3/auth/totp", json={"password": PASSWORD})).json()["secret"]
        confirmed = await client.post("/api/v3/auth/totp/confirm", json={"code": pyotp.TOTP(secret).now()})
        for one in range(29):
            await _sign_in(office, f"guess{one}@example.com")
        assert code_of(await _sign_in(office)) == (401, "second_factor_needed")
        code = confirmed.json()["recovery_codes"][0]
        assert (await _sign_in(office, code=code)).status_code == 200
        assert (await _sign_in(office, "guess@example.com")).status_code == 401
        assert (await _sign_in(office, "guess@example.com")).status_code == 429


async def test_codes_of_a_second_factor_cannot_be_tried_through(server: Any) -> None:
    person = await signed_in(server)
    async with person.client as client, server.client("") as thief:
        await client.post("/api/v3/auth/totp", json={"password": PASSWORD})
        answers = [
            (await client.post("/api/v3/auth/totp/confirm", json={"code": f"{one:06}"})).status_code for one in range(7)
        ]
        assert answers[-1] == 429
        assert (await _sign_in(thief)).status_code == 429


async def test_an_invitation_and_a_reset_by_their_links(server: Any) -> None:
    admin = await signed_in(server)
    async with admin.client as client, server.client("") as nobody:
        made = (await client.post("/api/v3/users/invite", json={"email": "noura@example.com", "role": "viewer"})).json()
        path = "/links/" + made["token"]
        assert made["link"].endswith("/auth" + path.replace("/links/", "/link/")), "to the dashboard"
        page = await nobody.get(path)
        assert "noura@example.com" in page.text
        assert page.headers["referrer-policy"] == "no-referrer"
        form = {"name": "Noura <b>", "password": PASSWORD, "again": PASSWORD + "x"}
        wrong = await nobody.post(path, data=form)
        assert wrong.status_code == 422
        assert "&lt;b&gt;" in wrong.text
        assert PASSWORD not in wrong.text
        form["again"] = PASSWORD
        done = await nobody.post(path, data=form)
        assert (done.status_code, "You can sign in" in done.text) == (200, True)
        assert (await nobody.post(path, data=form)).status_code == 404
        assert (await nobody.get("/links/guessed")).status_code == 404
        assert (await _sign_in(nobody, "noura@example.com")).status_code == 200
        link = (await client.post("/api/v3/users/2/reset-link")).json()
        accepted = await nobody.post(
            "/api/v3/auth/accept", json={"token": link["token"], "password": "another marble kettle"}
        )
        assert accepted.status_code == 201
        assert (await _sign_in(nobody, "noura@example.com")).status_code == 401
    actions = await _actions(server)
    for entry in (("user:1", "invite_user"), ("user:2", "user.joined"), ("user:2", "user.password_reset")):
        assert entry in actions


async def test_an_admin_changes_a_role_and_it_counts_at_once(server: Any) -> None:
    admin = await signed_in(server)
    other = await signed_in(server, "user")
    async with admin.client as client, other.client as them:
        person = {"phone": "+966501234567"}
        assert (await them.post("/api/v3/contacts", json=person)).json()["phone"] == "+966501234567"
        changed = await client.patch("/api/v3/users/2", json={"role": "viewer"})
        assert changed.json()["role"] == "viewer"
        assert code_of(await them.post("/api/v3/contacts", json=person)) == (403, "not_allowed")
        shown = await them.get("/api/v3/contacts")
        assert "1234567" not in shown.text
        assert shown.json()["data"][0]["phone"] == "+9665•••••67"
        assert code_of(await client.patch("/api/v3/users/1", json={"role": "user"})) == (403, "not_allowed")
        assert (await client.patch("/api/v3/users/2", json={"disabled": True})).json()["state"] == "disabled"
        assert (await them.get(ME)).status_code == 401
        async with server.client("") as nobody:
            assert (await _sign_in(nobody, "user@example.com")).status_code == 401
        assert len((await client.get("/api/v3/users")).json()["data"]) == 2
        assert (await client.delete("/api/v3/users/2/sign-ins")).json() == {"ended": 0}
    actions = await _actions(server)
    assert ("user:1", "change_user") in actions
    assert ("user:2", "list_contacts") in actions, "a person read personal data"


async def test_the_body_of_a_way_in_is_small_and_well_formed(server: Any) -> None:
    async with server.client("") as nobody:
        large = await nobody.post(SIGN_IN, json={"email": "a@b.co", "password": "x" * 150_000})
        assert code_of(large) == (413, "too_large")
        for body in ({}, {"email": "a@b.co"}, {"email": "a\0@b.co", "password": "x"}, {"email": 1, "password": {}}):
            answer = await nobody.post(SIGN_IN, json=body)
            assert code_of(answer) == (422, "invalid")
        assert (
            await nobody.post("/links/x", content=b"\xff", headers={"Content-Type": "text/plain"})
        ).status_code < 500

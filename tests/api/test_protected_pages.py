"""Pages behind a one-time code: on the server, for one device, for a while."""

from typing import Any

import httpx
import pytest

from accounts import PASSWORD, signed_in
from fakes import FakeClock

PAGES = "/api/v3/protected-pages"
OWN = "/api/v3/auth/pages"


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_an_area_is_closed_until_the_code_was_given_and_then_on_this_device_for_a_while(
    server: Any, api: httpx.AsyncClient, clock: FakeClock
) -> None:
    person = await signed_in(server, "user")
    async with person.client as client, server.client("") as nobody:
        assert (await client.get("/api/v3/contacts")).status_code == 200
        assert (await api.put(f"{PAGES}/contacts", json={"open_minutes": 5})).json()["open_minutes"] == 5
        closed = await client.get("/api/v3/contacts")
        assert code_of(closed) == (403, "page_closed")
        assert f"{OWN}/contacts/open" in closed.json()["error"]["hint"]
        assert code_of(await client.post("/api/v3/contacts", json={"phone": "+966501234567"})) == (403, "page_closed")
        assert (await client.get("/api/v3/templates")).status_code == 200
        assert (await api.get("/api/v3/contacts")).status_code == 200, "a program is not asked for a code"
        code = (await api.post(f"{PAGES}/contacts/codes", json={})).json()["code"]
        opened = (await client.post(f"{OWN}/contacts/open", json={"code": f"{code[:3]} {code[3:]}"})).json()
        assert (opened["is_open"], opened["is_protected"]) == (True, True)
        assert (await client.get("/api/v3/contacts")).status_code == 200
        body = {"email": "user@example.com", "password": PASSWORD}
        elsewhere = (await nobody.post("/api/v3/auth/sign-in", json=body)).json()["access_token"]
        async with server.client(elsewhere) as other_device:
            assert code_of(await other_device.get("/api/v3/contacts")) == (403, "page_closed")
            again = await other_device.post(f"{OWN}/contacts/open", json={"code": code})
            assert code_of(again) == (422, "invalid"), "good once"
        clock.advance(minutes=6)
        assert code_of(await client.get("/api/v3/contacts")) == (403, "page_closed")
        assert (await client.get(OWN)).json() == [
            {"name": "contacts", "is_protected": True, "is_open": False, "until": None}
        ]
        assert (await api.delete(f"{PAGES}/contacts")).status_code == 200
        assert (await client.get("/api/v3/contacts")).status_code == 200
    audited = [(one["actor"], one["action"], one["subject"]) for one in (await api.get("/api/v3/audit")).json()["data"]]
    for entry in (
        ("user:1", "page.opened", "protected_page:contacts"),
        ("user:1", "page.refused", "protected_page:contacts"),
        ("api_key:1", "protect_page", "protected_page:contacts"),
        ("api_key:1", "issue_page_code", "protected_page:contacts"),
    ):
        assert entry in audited


async def test_a_page_of_the_dashboard_asks_whether_it_may_be_shown(server: Any, api: httpx.AsyncClient) -> None:
    person = await signed_in(server, "viewer")
    async with person.client as client:
        free = (await client.get(f"{OWN}/reports")).json()
        assert (free["is_protected"], free["is_open"]) == (False, True)
        await api.put(f"{PAGES}/reports", json={})
        assert (await client.get(f"{OWN}/reports")).json()["is_open"] is False
        code = (await api.post(f"{PAGES}/reports/codes", json={"user_id": 1})).json()["code"]
        assert (await client.post(f"{OWN}/reports/open", json={"code": code})).json()["until"]
        assert (await client.get(f"{OWN}/reports")).json()["is_open"] is True
        assert (await client.post(f"{OWN}/reports/close")).json()["is_open"] is False
        assert (await client.get(f"{OWN}/reports")).json()["is_open"] is False
        assert code_of(await client.put(f"{PAGES}/reports", json={})) == (403, "not_allowed")
    assert [one["name"] for one in (await api.get(PAGES)).json()] == ["reports"]


async def test_a_code_is_for_its_page_its_person_and_ten_minutes(
    server: Any, api: httpx.AsyncClient, clock: FakeClock
) -> None:
    one, two = await signed_in(server, "user"), await signed_in(server, "viewer")
    async with one.client as first, two.client as second:
        for name in ("contacts", "templates"):
            await api.put(f"{PAGES}/{name}", json={})
        for_first = (await api.post(f"{PAGES}/contacts/codes", json={"user_id": 1})).json()["code"]
        assert code_of(await second.post(f"{OWN}/contacts/open", json={"code": for_first})) == (422, "invalid")
        assert code_of(await first.post(f"{OWN}/templates/open", json={"code": for_first})) == (422, "invalid")
        assert (await first.post(f"{OWN}/contacts/open", json={"code": for_first})).status_code == 200
        late = (await api.post(f"{PAGES}/templates/codes", json={})).json()["code"]
        clock.advance(minutes=11)
        assert code_of(await second.post(f"{OWN}/templates/open", json={"code": late})) == (422, "invalid")
        assert code_of(await first.post(f"{OWN}/nothing/open", json={"code": late})) == (404, "not_found")
    assert code_of(await api.post(f"{PAGES}/contacts/codes", json={"user_id": 99})) == (404, "not_found")
    assert code_of(await api.post(f"{PAGES}/nothing/codes", json={})) == (404, "not_found")
    assert code_of(await api.put(f"{PAGES}/Not a name", json={})) == (422, "invalid")


async def test_codes_cannot_be_tried_through(server: Any, api: httpx.AsyncClient, clock: FakeClock) -> None:
    person = await signed_in(server, "user")
    async with person.client as client:
        await api.put(f"{PAGES}/contacts", json={})
        code = (await api.post(f"{PAGES}/contacts/codes", json={})).json()["code"]
        wrong = [f"{number:06}" for number in range(7) if f"{number:06}" != code]
        answers = [(await client.post(f"{OWN}/contacts/open", json={"code": one})).status_code for one in wrong]
        assert answers[:6] == [422] * 5 + [429]
        right = await client.post(f"{OWN}/contacts/open", json={"code": code})
        assert (right.status_code, int(right.headers["retry-after"]) >= 1) == (429, True)
        clock.advance(minutes=1)
        assert (await client.post(f"{OWN}/contacts/open", json={"code": code})).status_code == 200


async def test_an_admin_who_closed_the_way_in_for_everybody_opens_it_again(server: Any) -> None:
    admin = await signed_in(server)
    async with admin.client as client:
        for name in ("users", "audit", "keys", "account", "pages"):
            assert (await client.put(f"{PAGES}/{name}", json={})).status_code == 200
        assert code_of(await client.get("/api/v3/users")) == (403, "page_closed")
        code = (await client.post(f"{PAGES}/users/codes", json={})).json()["code"]
        assert (await client.post(f"{OWN}/users/open", json={"code": code})).status_code == 200
        assert (await client.get("/api/v3/users")).status_code == 200


@pytest.mark.parametrize("ends", ["sign_out", "password"])
async def test_what_was_open_closes_with_the_sign_in(server: Any, api: httpx.AsyncClient, ends: str) -> None:
    person = await signed_in(server, "user")
    async with person.client as client, server.client("") as nobody:
        await api.put(f"{PAGES}/contacts", json={})
        code = (await api.post(f"{PAGES}/contacts/codes", json={})).json()["code"]
        await client.post(f"{OWN}/contacts/open", json={"code": code})
        next_password = PASSWORD if ends == "sign_out" else "another marble kettle"
        if ends == "sign_out":
            await client.post("/api/v3/auth/sign-out")
        else:
            change = {"current_password": PASSWORD, "new_password": next_password}
            await client.post("/api/v3/auth/password", json=change)
        body = {"email": "user@example.com", "password": next_password}
        token = (await nobody.post("/api/v3/auth/sign-in", json=body)).json()["access_token"]
        async with server.client(token) as anew:
            assert code_of(await anew.get("/api/v3/contacts")) == (403, "page_closed")

"""People over HTTP."""

import httpx

from accounts import signed_in
from serving import Server


async def test_a_contact_is_known_by_the_number(api: httpx.AsyncClient) -> None:
    first = await api.post("/api/v3/contacts", json={"phone": "0501234567", "name": "نورة", "tags": ["a"]})
    again = await api.post(
        "/api/v3/contacts", json={"phone": "+966 50 123 4567", "tags": ["b"], "attributes": {"x": "1"}}
    )
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() | {"updated_at": None} == first.json() | {
        "tags": ["a", "b"],
        "attributes": {"x": "1"},
        "updated_at": None,
    }
    assert again.json()["phone"] == "+966501234567"


async def test_one_is_found_by_the_number_by_who_may_see_numbers(server: Server, api: httpx.AsyncClient) -> None:
    find = "/api/v3/contacts/find"
    made = (await api.post("/api/v3/contacts", json={"phone": "+966501234567", "name": "نورة"})).json()
    for written in ("0501234567", "00966 50 123-4567", "\u202a+966 (50) 1234567\u202c", "٠٥٠١٢٣٤٥٦٧"):
        assert (await api.post(find, json={"phone": written})).json() == {"contact": made}
    assert (await api.post(find, json={"phone": "01001234567", "country": "eg"})).json() == {"contact": None}
    for wrong in ({"phone": "12"}, {"phone": "0501234567", "country": "EGY"}, {}):
        assert (await api.post(find, json=wrong)).status_code == 422
    refused = await (await signed_in(server, "viewer")).client.post(find, json={"phone": "0501234567"})
    assert (refused.status_code, refused.json()["error"]["message"]) == (403, "This takes the permission numbers.read.")


async def test_a_number_that_does_not_exist(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/v3/contacts", json={"phone": "123"})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "phone")


async def test_lists_are_gone_through_page_by_page(api: httpx.AsyncClient) -> None:
    for number in range(5):
        tags = ["even"] if number % 2 == 0 else []
        await api.post("/api/v3/contacts", json={"phone": f"+96650123456{number}", "tags": tags})
    seen, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await api.get("/api/v3/contacts", params=params)).json()
        seen += [one["phone"] for one in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [f"+96650123456{number}" for number in range(5)]
    tagged = (await api.get("/api/v3/contacts", params={"tag": "even"})).json()["data"]
    assert len(tagged) == 3


async def test_opting_out_is_for_good(api: httpx.AsyncClient) -> None:
    contact = (await api.post("/api/v3/contacts", json={"phone": "+966501234567"})).json()
    answer = await api.post(f"/api/v3/contacts/{contact['id']}/opt-out", json={"wording": "leave me alone"})
    assert answer.json()["opted_out"] is True
    again = await api.post(f"/api/v3/contacts/{contact['id']}/opt-out")
    assert again.json()["opted_out"] is True
    assert (await api.post("/api/v3/contacts/99/opt-out")).status_code == 404
    events = (await api.get("/api/v3/events")).json()["data"]
    assert [event["type"] for event in events].count("contact.opted_out") <= 1


async def test_by_tag_and_by_a_filter_over_tags(api: httpx.AsyncClient) -> None:
    for number, tags in ((1, ["vip", "new"]), (2, ["vip"]), (3, ["new"])):
        await api.post("/api/v3/contacts", json={"phone": f"+96650123456{number}", "tags": tags})
    found = await api.get("/api/v3/contacts", params={"tag": "vip", "filter": 'tag = "new"'})
    assert [one["id"] for one in found.json()["data"]] == [1]

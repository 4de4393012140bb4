"""Segments, attributes, and one person's merges and history, over HTTP."""

from typing import Any

import httpx
import pytest

import scenes
from accounts import signed_in
from core.errors import Invalid
from core.filters_text import parse


async def _people(api: httpx.AsyncClient) -> None:
    for number, city in enumerate(("Riyadh", "Jeddah", "Riyadh")):
        body = {"phone": f"+96650123456{number}", "tags": ["vip"] if number else [], "attributes": {"city": city}}
        assert (await api.post("/api/v3/contacts", json=body)).status_code == 201


async def test_a_segment_from_its_text_to_its_end(api: httpx.AsyncClient) -> None:
    await _people(api)
    made = await api.post("/api/v3/segments", json={"name": "VIPs", "filter": "tag='vip' AND city in ('Riyadh')"})
    assert made.status_code == 201, made.text
    segment = made.json()
    assert segment["filter"] == 'tag = "vip" and city in ("Riyadh")'
    counted = (await api.get(f"/api/v3/segments/{segment['id']}/count")).json()
    assert (counted["count"], counted["sample"]) == (1, [3])
    again = await api.post("/api/v3/segments/count", json={"structure": segment["structure"]})
    assert again.json() == counted
    changed = await api.patch(f"/api/v3/segments/{segment['id']}", json={"filter": "has tag"})
    assert (changed.json()["name"], changed.json()["filter"]) == ("VIPs", "has tag")
    assert [one["id"] for one in (await api.get("/api/v3/segments")).json()["data"]] == [segment["id"]]
    assert (await api.get(f"/api/v3/segments/{segment['id']}")).json() == changed.json()
    assert (await api.delete(f"/api/v3/segments/{segment['id']}")).status_code == 200
    assert (await api.get(f"/api/v3/segments/{segment['id']}")).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"filter": "tag ="},
        {"filter": "tag = 5"},
        {"structure": {"all": []}},
        {"filter": "has tag", "structure": {"field": "tag", "op": "has"}},
    ],
)
async def test_what_is_no_filter_is_refused_with_its_field(api: httpx.AsyncClient, body: dict[str, object]) -> None:
    answer = await api.post("/api/v3/segments/count", json=body)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "filter")


async def test_the_list_of_contacts_takes_a_filter(api: httpx.AsyncClient) -> None:
    await _people(api)
    found = await api.get("/api/v3/contacts", params={"filter": 'not city = "Riyadh" or tag = "vip"', "limit": 1})
    assert [one["id"] for one in found.json()["data"]] == [2]
    after = {"filter": 'not city = "Riyadh" or tag = "vip"', "cursor": found.json()["next_cursor"]}
    assert [one["id"] for one in (await api.get("/api/v3/contacts", params=after)).json()["data"]] == [3]
    wrong = await api.get("/api/v3/contacts", params={"filter": "tag = "})
    with pytest.raises(Invalid) as refused:
        parse("tag = ")
    assert (wrong.status_code, wrong.json()["error"]["message"]) == (422, refused.value.message)


async def test_attributes_have_kinds(api: httpx.AsyncClient) -> None:
    assert (await api.put("/api/v3/attributes/age", json={"kind": "number"})).json() == {
        "name": "age",
        "kind": "number",
    }
    body = {"phone": "+966501234567", "attributes": {"age": "٣٠٫٠", "size": 40}}
    made = (await api.post("/api/v3/contacts", json=body)).json()
    assert made["attributes"] == {"age": "30", "size": "40"}
    wrong = await api.patch(f"/api/v3/contacts/{made['id']}", json={"attributes": {"age": "old"}})
    assert (wrong.status_code, wrong.json()["error"]["field"]) == (422, "attributes.age")
    changed = await api.patch(
        f"/api/v3/contacts/{made['id']}",
        json={"attributes": {"age": 31, "size": None}, "tags": ["b"], "timezone": "Asia/Riyadh"},
    )
    assert changed.status_code == 200, changed.text
    found = changed.json()
    assert (found["attributes"], found["tags"], found["timezone"]) == ({"age": "31"}, ["b"], "Asia/Riyadh")
    assert (await api.get("/api/v3/attributes")).json()["data"] == [
        {"name": "age", "kind": "number"},
        {"name": "size", "kind": "text"},
    ]
    assert (await api.put("/api/v3/attributes/a`b", json={"kind": "text"})).status_code == 422


async def test_two_become_one_and_part_again(api: httpx.AsyncClient) -> None:
    await _people(api)
    merge = await api.post("/api/v3/contacts/1/merge", json={"gone_id": 2})
    assert merge.status_code == 201, merge.text
    one = (await api.get("/api/v3/contacts/1")).json()
    assert (one["tags"], len(one["identities"])) == (["vip"], 2)
    gone = await api.get("/api/v3/contacts/2")
    assert (gone.status_code, "merged into contact 1" in gone.json()["error"]["message"]) == (404, True)
    undone = await api.post(f"/api/v3/contacts/merges/{merge.json()['id']}/undo")
    assert undone.json()["undone_at"]
    assert (await api.get("/api/v3/contacts/2")).json()["tags"] == ["vip"]
    page = (await api.get("/api/v3/contacts/1/history", params={"limit": 1})).json()
    assert page["data"][0]["kind"] == "parted"
    then = (await api.get("/api/v3/contacts/1/history", params={"cursor": page["next_cursor"]})).json()
    assert [one["kind"] for one in then["data"]] == ["merged"]
    assert then["data"][0]["details"] == {"kept_id": 1, "gone_id": 2}
    assert (await api.get("/api/v3/contacts/1/history", params={"cursor": "x"})).status_code == 422
    assert (await api.post("/api/v3/contacts/1/merge", json={"gone_id": 1})).status_code == 422


async def test_a_kind_stays_while_a_filter_needs_it(server: Any, api: httpx.AsyncClient) -> None:
    async def declared(name: str, kind: str) -> httpx.Response:
        return await api.put(f"/api/v3/attributes/{name}", json={"kind": kind})

    await api.post("/api/v3/segments", json={"name": "adults", "filter": "age >= 18"})
    for kind, status in (("number", 200), ("number", 200), ("boolean", 409), ("date", 409), ("text", 200)):
        answer = await declared("age", kind)
        assert answer.status_code == status, answer.text
    refused = (await declared("age", "date")).json()["error"]
    assert (refused["field"], "segment 1 (adults)" in refused["message"]) == ("kind", True)
    assert (await declared("member", "boolean")).status_code == 200
    campaign = await scenes.a_campaign(
        server.platform, await scenes.a_sender(server.platform), audience={"filter": "vip = true"}
    )
    assert "the audience of campaign" in (await declared("vip", "number")).json()["error"]["message"]
    await api.post(f"/api/v3/campaigns/{campaign.id}/cancel")
    assert (await declared("vip", "number")).status_code == 200


@pytest.mark.parametrize(
    ("filter", "whole", "masked"),
    [
        ('name contains "12345"', 1, 0),
        ('name in ("+966501234567")', 1, 0),
        ("other > 966501234566 and other < 966501234568", 1, 0),
        ('chat contains "4567@"', 1, 0),
        ('name != "+966501234567"', 1, 2),
        ('city contains "iy" and born = "1990-01-31"', 1, 1),
    ],
)
async def test_who_may_not_see_numbers_learns_none_by_filters(
    server: Any, api: httpx.AsyncClient, filter: str, whole: int, masked: int
) -> None:
    attributes = {"other": "966501234567", "chat": "966501234567@c.us", "city": "Riyadh", "born": "1990-01-31"}
    body = {"phone": "+966501234567", "name": "+966501234567", "attributes": attributes}
    for one in (body, {"phone": "+966501234568", "name": "Noura"}):
        assert (await api.post("/api/v3/contacts", json=one)).status_code == 201
    viewer = (await signed_in(server, "viewer")).client
    for client, count in ((api, whole), (viewer, masked)):
        assert (await client.post("/api/v3/segments/count", json={"filter": filter})).json()["count"] == count
        assert len((await client.get("/api/v3/contacts", params={"filter": filter})).json()["data"]) == count

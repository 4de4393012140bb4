"""Templates over REST: preview, change, languages, sync."""

from typing import Any

import httpx

import scenes
from core import contacts
from core.contacts import NewContact
from core.ports import AccountTemplate
from fakes import FakeConnector

PICTURE = {"type": "image", "link": "https://shop.example/spring.png"}


async def _made(api: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    answer = await api.post("/api/v3/templates", json={"name": "t", "body": "*Hello {name}* of {city}"} | more)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_a_draft_is_shown_as_it_would_come(api: httpx.AsyncClient) -> None:
    draft = {"body": "*Hello {name}* of {city}, {name}", "defaults": {"name": "friend"}, "values": {}}
    shown = (await api.post("/api/v3/templates/preview", json=draft)).json()
    assert shown["text"] == "*Hello friend* of {city}, friend"
    assert (shown["variables"], shown["missing"]) == (["name", "city"], ["city"])
    wrong = await api.post("/api/v3/templates/preview", json={"body": "Hello {"})
    assert (wrong.status_code, wrong.json()["error"]["field"]) == (422, "body")


async def test_a_contact_sees_their_own_language_and_values(server: Any, api: httpx.AsyncClient) -> None:
    platform = server.platform
    async with platform.database.transaction() as tx:
        people = [
            NewContact(phone="+966500000001", name="نورة", language="ar-SA"),
            NewContact(phone="+966500000002", name="Omar", attributes={"city": "Riyadh"}),
        ]
        await contacts.save(tx, platform.key, people, at=await platform.clock.now(tx))
    made = await _made(api, cloud_name="offer")
    path = f"/api/v3/templates/{made['id']}"
    with_arabic = await api.put(f"{path}/variants/ar", json={"body": "مرحباً {name}"})
    assert [one["language"] for one in with_arabic.json()["variants"]] == ["ar"]
    first = (await api.get(f"{path}/preview", params={"contact_id": 1})).json()
    assert (first["text"], first["language"], first["parameters"]) == ("مرحباً نورة", "ar", ["نورة"])
    second = (await api.get(f"{path}/preview", params={"contact_id": 2})).json()
    assert (second["text"], second["missing"]) == ("*Hello Omar* of Riyadh", [])
    assert (await api.get(f"{path}/preview")).json()["missing"] == ["name", "city"]
    assert (await api.get(f"{path}/preview", params={"contact_id": 9})).status_code == 404
    assert (await api.get("/api/v3/templates")).json()["data"][0]["variants"][0]["body"] == "مرحباً {name}"
    assert (await api.delete(f"{path}/variants/ar")).json()["variants"] == []
    assert (await api.delete(f"{path}/variants/ar")).status_code == 404


async def test_a_template_is_changed_and_checked_as_when_it_was_made(api: httpx.AsyncClient) -> None:
    made = await _made(api, defaults={"name": "friend", "city": "here"}, header=PICTURE)
    path = f"/api/v3/templates/{made['id']}"
    changed = (await api.patch(path, json={"body": "Hi {name}"})).json()
    assert (changed["body"], changed["defaults"]) == ("Hi {name}", {"name": "friend"})
    assert changed["header"] == PICTURE | {"media_id": None, "filename": None}
    assert (await api.patch(path, json={"header": None})).json()["header"] is None
    for wrong in (
        {"body": "Hi {"},
        {"body": ""},
        {"defaults": {"nmae": "x"}},
        {"header": {"type": "image"}},
        {"header": PICTURE | {"media_id": 1}},
        {"header": PICTURE | {"filename": "a.png"}},
        {"header": {"type": "image", "link": "not a link"}},
    ):
        answer = await api.patch(path, json=wrong)
        assert answer.status_code == 422, wrong
        assert answer.json()["error"]["field"], wrong
    for language, body, status in (("en", "x", 409), ("fr", "Bonjour {", 422), ("fr", "", 422), ("!", "x", 422)):
        assert (await api.put(f"{path}/variants/{language}", json={"body": body})).status_code == status, language


async def test_what_a_campaign_uses_stays(server: Any, api: httpx.AsyncClient) -> None:
    await scenes.people(server.platform, 1)
    campaign = await scenes.a_campaign(server.platform, await scenes.a_sender(server.platform))
    path = f"/api/v3/templates/{campaign.template_id}"
    assert (await api.patch(path, json={"body": "Hi {name}"})).status_code == 200
    await scenes.launched(server.platform, campaign.id)
    for refused in (
        await api.patch(path, json={"body": "Hello"}),
        await api.put(f"{path}/variants/ar", json={"body": "x"}),
        await api.delete(path),
    ):
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")
    unused = await _made(api)
    assert (await api.delete(f"/api/v3/templates/{unused['id']}")).json()["name"] == "t"
    assert (await api.get(f"/api/v3/templates/{unused['id']}")).status_code == 404


async def test_templates_are_synced(server: Any, api: httpx.AsyncClient, connector: FakeConnector) -> None:
    sender = await scenes.a_sender(server.platform)
    body = {"type": "BODY", "text": "Hello {{1}}"}
    url = {"type": "URL", "text": "Track", "url": "https://shop.example/{{1}}"}
    button = {"type": "BUTTONS", "buttons": [url]}
    connector.account_templates = [AccountTemplate("offer", "en", "utility", "approved", [body, button])]
    done = (await api.post(f"/api/v3/senders/{sender.id}/sync-templates")).json()
    assert (done["created"], done["problems"]) == (1, [])
    shown = (await api.get("/api/v3/templates/1")).json()
    assert (shown["body"], shown["status"], shown["category"]) == ("Hello {v1}", "approved", "utility")
    assert (shown["slots"], shown["variables"]) == ({"button_1": "button_1"}, ["v1", "button_1"])
    changes = {"body": "Hello {name}", "slots": {"button_1": "order"}, "defaults": {"order": "A0"}}
    changed = (await api.patch("/api/v3/templates/1", json=changes)).json()
    assert (changed["variables"], changed["defaults"]) == (["name", "order"], {"order": "A0"})
    preview = (await api.post("/api/v3/templates/1/preview", json={"values": {"name": "Nora", "order": "A7"}})).json()
    assert (preview["heading"], preview["buttons"]) == ("", ["Track: https://shop.example/A7"])
    for wrong in ({"button_2": "order"}, {"button_1": "not a name"}):
        refused = await api.patch("/api/v3/templates/1", json={"slots": wrong})
        assert (refused.status_code, refused.json()["error"]["field"]) == (422, "slots")
    assert (await api.patch("/api/v3/templates/1", json={"body": "Bye {name}"})).status_code == 422
    assert (await api.put("/api/v3/templates/1/variants/ar", json={"body": "x"})).status_code == 409
    assert (await api.post("/api/v3/senders/9/sync-templates")).status_code == 404


async def test_language_and_cloud_name_of_one_made_by_hand(api: httpx.AsyncClient) -> None:
    made = (await api.post("/api/v3/templates", json={"name": "by hand", "body": "Hi"})).json()
    at = f"/api/v3/templates/{made['id']}"
    changed = (await api.patch(at, json={"language": "en_US", "cloud_name": "hi"})).json()
    assert (changed["language"], changed["cloud_name"]) == ("en_US", "hi")
    assert (await api.patch(at, json={"cloud_name": None})).json()["cloud_name"] is None
    await api.put(f"{at}/variants/ar", json={"body": "أهلا"})
    refused = await api.patch(at, json={"language": "AR"})
    assert (refused.status_code, refused.json()["error"]["field"]) == (409, "language")

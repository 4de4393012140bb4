"""Endpoints of webhooks over REST: made, changed, shown without their secrets, and as 2.3.0 did it."""

import httpx
from sqlalchemy import select

from core.models import AuditEntry, Webhook
from serving import Server

URL = "https://example.com/hooks/waqtor"


async def _made(api: httpx.AsyncClient, **more: object) -> dict[str, object]:
    answer = await api.post("/api/v3/webhooks", json={"url": URL, "events": ["message.*"], **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, object] = answer.json()
    return made


async def test_an_endpoint_is_made_changed_and_removed_and_its_secret_is_shown_once(
    api: httpx.AsyncClient, server: Server
) -> None:
    headers = {"X-Api-Key": "s3cret-of-the-receiver"}
    made = await _made(api, description="shop", fields=["text", "text"], headers=headers, signs_v1a=True, rate=5)
    assert str(made["secret"]).startswith("whsec_")
    assert str(made["public_key"]).startswith("whpk_")
    shown = (await api.get("/api/v3/webhooks/1")).json()
    assert shown == {name: value for name, value in made.items() if name not in ("secret", "public_key")}
    assert (shown["fields"], shown["header_names"], shown["is_enabled"]) == (["text"], ["X-Api-Key"], True)

    changed = await api.patch("/api/v3/webhooks/1", json={"events": ["*"], "rate": None, "sender_ids": [1]})
    assert (changed.json()["events"], changed.json()["rate"], changed.json()["sender_ids"]) == (["*"], None, [1])
    assert changed.json()["description"] == "shop"
    rotated = (await api.post("/api/v3/webhooks/1/rotate", json={"overlap_s": 3600})).json()
    assert rotated["secret"] not in (made["secret"], None)
    assert (await api.post("/api/v3/webhooks/1/disable")).json()["disabled_reason"] == "by_hand"
    assert (await api.post("/api/v3/webhooks/1/enable")).json()["is_enabled"] is True

    listed = (await api.get("/api/v3/webhooks")).text
    for secret in (made["secret"], rotated["secret"], *headers.values()):
        assert str(secret) not in listed
    async with server.platform.database.reading() as tx:
        row = (await tx.execute(select(Webhook))).scalar_one()
        assert b"s3cret" not in (row.headers or b"")
        assert str(made["secret"]).encode() not in row.secrets
        noted = (await tx.execute(select(AuditEntry.action, AuditEntry.subject).order_by(AuditEntry.seq))).all()
    assert [tuple(one) for one in noted] == [
        (f"{what}_webhook{more}", "webhook:1")
        for what, more in (("create", ""), ("change", ""), ("rotate", "_secret"), ("disable", ""), ("enable", ""))
    ]
    assert (await api.delete("/api/v3/webhooks/1")).json()["id"] == 1
    for gone in (await api.get("/api/v3/webhooks/1"), await api.get("/api/v3/webhooks/1/statistics")):
        assert (gone.status_code, gone.json()["error"]["code"]) == (404, "not_found")
    assert (await _made(api))["id"] == 2, "a number is never given again"


async def test_the_same_request_twice_makes_one_endpoint(api: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "one"}
    answers = [
        (await api.post("/api/v3/webhooks", json={"url": URL, "events": ["*"]}, headers=key)).json() for _ in range(2)
    ]
    assert answers[0] == answers[1], "with the secret, whose first answer may have been lost"
    assert len((await api.get("/api/v3/webhooks")).json()["data"]) == 1


async def test_what_cannot_be_an_endpoint_is_refused_by_name(api: httpx.AsyncClient) -> None:
    for wrong, field in (
        ({"url": "http://example.com/x"}, "url"),
        ({"url": "https://127.0.0.1/x"}, "url"),
        ({"url": "https://[::ffff:10.0.0.1]/x"}, "url"),
        ({"url": "https://user:pw@example.com/"}, "url"),
        ({"url": "not an address"}, "url"),
        ({"events": ["message.flown"]}, "events"),
        ({"events": []}, "events"),
        ({"fields": ["address"]}, "fields.0"),
        ({"headers": {"webhook-id": "mine"}}, "headers"),
        ({"headers": {"Host": "internal"}}, "headers"),
        ({"secret": "whsec_c2hvcnQ="}, "secret"),
        ({"secret": "my dog's name"}, "secret"),
        ({"rate": 0}, "rate"),
        ({"schedule": [0]}, "schedule.0"),
        ({"overlap": 1}, "overlap"),
    ):
        answer = await api.post("/api/v3/webhooks", json={"url": URL, "events": ["*"], **wrong})
        assert (answer.status_code, answer.json()["error"]["field"]) == (422, field), (wrong, answer.text)
    assert (await api.get("/api/v3/webhooks")).json()["data"] == []
    await _made(api)
    assert (await api.post("/api/v3/webhooks/1/rotate", json={"overlap_s": 8 * 86_400})).status_code == 422
    assert (await api.patch("/api/v3/webhooks/1", json={"url": "https://10.0.0.1/"})).status_code == 422
    assert (await api.patch("/api/v3/webhooks/1", json={"events": ["nothing.*"]})).status_code == 422


async def test_the_catalogue_is_there_to_choose_from(api: httpx.AsyncClient) -> None:
    told = {one["name"]: one for one in (await api.get("/api/v3/webhooks/events")).json()["data"]}
    assert told["message.sent"]["fields"] == ["text", "phone", "name"]
    assert "message_id" in told["message.sent"]["data"]["properties"]
    assert (told["session_qr"]["since"], told["message_received"]["since"]) == (None, "3.0")


async def test_who_may_not_manage_them_looks_only(server: Server) -> None:
    async with server.client() as admin:
        await _made(admin)
    async with server.client(await server.new_key("read")) as reader:
        assert (await reader.get("/api/v3/webhooks/1")).status_code == 200
        for refused in (
            await reader.post("/api/v3/webhooks", json={"url": URL, "events": ["*"]}),
            await reader.post("/api/v3/webhooks/1/rotate"),
            await reader.delete("/api/webhooks/1"),
        ):
            assert refused.status_code == 403


# ---- as 2.3.0 did it ----------------------------------------------------------------------------------------


async def test_an_endpoint_as_2_3_0_had_it(api: httpx.AsyncClient, server: Server) -> None:
    asked = {"url": URL, "events": ["message_received"], "secret": "my-old-webhook-secret", "unknown": True}
    made = await api.post("/api/webhooks", json={**asked, "retryAttempts": 3, "retryDelay": 2000})
    assert made.status_code == 201
    assert (made.json()["success"], made.json()["message"]) == (True, "Webhook created successfully")
    data = made.json()["data"]
    assert data == {
        "id": "1",
        "url": URL,
        "events": ["message_received"],
        "secret": "***cret",
        "enabled": True,
        "retryAttempts": 3,
        "retryDelay": 2000,
        "createdAt": data["createdAt"],
    }
    assert (await api.get("/api/webhooks")).json() == {"success": True, "data": [data]}
    as_v3 = (await api.get("/api/v3/webhooks/1")).json()
    assert (as_v3["form"], as_v3["signs_v2"], as_v3["schedule"]) == ("v2", True, [2, 4])
    assert as_v3["fields"] == ["text", "phone", "name"]

    saved = await api.put("/api/webhooks/1", json={**data, "enabled": False})  # what the form of 2.3.0 gives back
    assert saved.json()["message"] == "Webhook updated successfully"
    assert (saved.json()["data"]["secret"], saved.json()["data"]["enabled"]) == ("***cret", False)
    assert await _secret(server) == "my-old-webhook-secret"
    await api.put("/api/webhooks/1", json={"secret": "another-secret-of-ours", "enabled": True})
    assert await _secret(server) == "another-secret-of-ours"
    assert (await api.get("/api/webhooks/1")).json()["data"]["secret"] == "***ours"

    assert (await api.get("/api/webhooks/1/logs")).json() == {"success": True, "data": []}
    for path in ("/api/webhooks/1/stats", "/api/webhooks/stats/all"):
        assert (await api.get(path)).json()["data"] == {
            **{"total": 0, "success": 0, "failed": 0, "pending": 0, "successRate": 0, "avgDuration": 0}
        }
    gone = {"success": True, "message": "Webhook deleted successfully"}
    assert (await api.delete("/api/webhooks/1")).json() == gone
    for answer in (await api.get("/api/webhooks/1"), await api.get("/api/webhooks/mhx1abc/logs")):
        assert (answer.status_code, answer.json()["error"]) == (404, "Webhook not found")


_NO_BASE64 = "The secret is not base64 behind its mark."


async def test_what_2_3_0_refused_is_refused_in_its_words(api: httpx.AsyncClient) -> None:
    for body, words in (
        ({}, "URL is required"),
        ({"url": URL}, "At least one event is required"),
        ({"url": URL, "events": ["message_sent"]}, "Secret is required for HMAC signing"),
        ({"url": URL, "events": ["message_sent"], "secret": "***cret"}, "Secret is required for HMAC signing"),
        ({"url": "https://localhost./", "events": ["message_sent"], "secret": "s"}, None),
        ({"url": URL, "events": ["message_flown"], "secret": "s"}, None),
        ({"url": URL, "events": ["message_sent"], "secret": "whsec_my-secret"}, _NO_BASE64),
        ({"url": URL, "events": ["message_sent"], "secret": "whsk_c2hvcnQ="}, "An Ed25519 key has 32 bytes."),
    ):
        answer = await api.post("/api/webhooks", json=body)
        if words is None and answer.status_code == 201:
            continue  # a name is judged when it is connected to
        assert (answer.status_code, answer.json()["success"]) == (400, False)
        assert words is None or answer.json()["error"] == words
    asked = {"url": URL, "events": ["message_sent"], "secret": "a text of theirs"}
    made = (await api.post("/api/webhooks", json=asked)).json()["data"]
    refused = await api.put(f"/api/webhooks/{made['id']}", json={"secret": "whsec_my-secret"})
    assert (refused.status_code, refused.json()["error"]) == (400, _NO_BASE64)


async def _secret(server: Server) -> str:
    from core import webhook_secrets

    async with server.platform.database.reading() as tx:
        row = (await tx.execute(select(Webhook))).scalar_one()
        return webhook_secrets.opened(server.platform.key, row)[0].text

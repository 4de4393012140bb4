"""The audit log over HTTP: who sees it, what is in it, and that looking at it is an entry too."""

from typing import Any

import httpx

from accounts import PASSWORD, signed_in

AUDIT = "/api/v3/audit"
SENDER = {
    "name": "shop",
    "phone_number_id": "1",
    "waba_id": "2",
    "access_token": "EAAtop-secret-token",
    "app_secret": "app-secret-never-shown",
    "verify_token": "verify-never-shown",
}


async def _entries(client: httpx.AsyncClient, **asked: Any) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = (await client.get(AUDIT, params=asked)).json()["data"]
    return data


async def test_what_was_done_is_there_with_who_and_on_what(server: Any, api: httpx.AsyncClient) -> None:
    admin = await signed_in(server)
    async with admin.client as client:
        assert (await client.post("/api/v3/senders", json=SENDER)).status_code == 201
        for move in ("pause", "resume"):
            assert (await client.post(f"/api/v3/senders/1/{move}")).status_code == 200
        key = (await client.post("/api/v3/api-keys", json={"name": "k", "scopes": ["read"]})).json()
        assert (await client.delete(f"/api/v3/api-keys/{key['id']}")).status_code == 200
        await client.post("/api/v3/templates", json={"name": "t", "body": "Hello"})
        campaign = {"name": "c", "sender_id": 1, "template_id": 1, "audience": {"all": True}}
        assert (await client.post("/api/v3/campaigns", json=campaign)).status_code == 201
        assert (await client.post("/api/v3/contacts", json={"phone": "+966501234567"})).status_code == 201
        assert (await client.post("/api/v3/campaigns/1/launch")).status_code == 200
        assert (await client.get("/api/v3/campaigns/1/recipients.csv")).status_code == 200
        assert (await client.put("/api/v3/sending", json={"on": False, "reason": "x"})).status_code == 200
    done = [(one["action"], one["subject"]) for one in await _entries(api, actor="user:1")]
    for entry in (
        ("sign_in", "sign_in:1"),
        ("create_sender", "sender:1"),
        ("pause_sender", "sender:1"),
        ("create_api_key", f"api_key:{key['id']}"),
        ("revoke_api_key", f"api_key:{key['id']}"),
        ("launch_campaign", "campaign:1"),
        ("turn_sending", ""),
    ):
        assert entry in done, entry
    assert [one["action"] for one in await _entries(api, subject="campaign:1")][-1] == "launch_campaign"
    assert "list_audit" in [one["action"] for one in await _entries(api)], "looking at it is an entry too"
    whole = (await api.get(AUDIT)).text
    for never in ("966501234567", "never-shown", "top-secret", key["key"], "admin@example.com"):
        assert never not in whole


async def test_what_was_given_to_whom_is_there_by_what_it_was_before(server: Any, api: httpx.AsyncClient) -> None:
    viewer = await signed_in(server, "viewer")
    who = viewer.said["user"]["id"]
    assert (await api.patch(f"/api/v3/users/{who}", json={"role": "auditor", "name": "N"})).status_code == 200
    assert (await api.patch(f"/api/v3/users/{who}", json={"disabled": True})).status_code == 200
    link = (await api.post("/api/v3/users/invite", json={"email": "noura@example.com", "role": "user"})).json()
    body = {"token": link["token"], "password": PASSWORD}
    async with server.client("") as nobody:
        assert (await nobody.post("/api/v3/auth/accept", json=body)).status_code == 201
    key = (await api.post("/api/v3/api-keys", json={"name": "k", "scopes": ["read", "send"]})).json()
    said = {(one["action"], one["subject"]): one["details"] for one in await _entries(api)}
    changed = [one["details"] for one in await _entries(api, subject=f"user:{who}") if one["action"] == "change_user"]
    assert changed == [
        {"fields": ["disabled"], "state": "disabled"},
        {"fields": ["name", "role"], "role_before": "viewer", "role": "auditor"},
    ]
    assert said["create_api_key", f"api_key:{key['id']}"] == {"kind": "program", "scopes": ["read", "send"]}
    (invited,) = [one for one in said if one[0] == "invite_user"]
    assert said[invited] == {"role": "user"}
    (joined,) = [details for one, details in said.items() if one[0] == "user.joined"]
    assert joined == {"role": "user", "user_link": int(invited[1].removeprefix("user_link:"))}
    assert "noura@example.com" not in (await api.get(AUDIT)).text


async def test_pages_go_back_in_time_without_a_gap(server: Any, api: httpx.AsyncClient) -> None:
    for number in range(5):
        await api.post("/api/v3/api-keys", json={"name": f"k{number}", "scopes": ["read"]})
    seen: list[int] = []
    cursor: str | None = None
    while True:
        page = (await api.get(AUDIT, params={"limit": 2, **({"cursor": cursor} if cursor else {})})).json()
        seen += [one["seq"] for one in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == sorted(seen, reverse=True)
    assert {1, 2, 3, 4, 5} <= set(seen)


async def test_what_is_refused_or_rolled_back_leaves_no_entry_of_having_been_done(
    server: Any, api: httpx.AsyncClient
) -> None:
    assert (await api.delete("/api/v3/api-keys/99")).status_code == 404
    key = {"Idempotency-Key": "once"}
    for _ in range(2):
        assert (await api.post("/api/v3/api-keys", json={"name": "k", "scopes": ["read"]}, headers=key)).is_success
    assert [one["action"] for one in await _entries(api)] == ["create_api_key"]


async def test_only_admins_and_auditors_look_and_nobody_learns_a_number(server: Any) -> None:
    for role, status in (("auditor", 200), ("user", 403), ("viewer", 403)):
        person = await signed_in(server, role)  # type: ignore[arg-type]
        async with person.client as client:
            assert (await client.get(AUDIT)).status_code == status, role
            assert (await client.get(f"{AUDIT}/verdict")).status_code == status, role
    async with server.client(await server.new_key("read", "write", "send")) as program:
        assert (await program.get(AUDIT)).status_code == 403

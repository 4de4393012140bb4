"""What WhatsApp posts: signed or refused, stored before it is answered, applied right after."""

import asyncio
import hashlib
import hmac
import json
import sqlite3
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

import scenes
from core.models import InboxItem, Message
from core.settings import Settings
from fakes import FakeClock, FakeConnector, FakeConnectors, FakeJobs
from serving import inside


def signed(body: bytes, secret: str = "app-secret") -> dict[str, Any]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"content": body, "headers": {"X-Hub-Signature-256": f"sha256={digest}"}}


def says(text: str, *, number_id: str = "id-shop", message_id: str = "wamid.1") -> bytes:
    message = {"from": "966501234567", "id": message_id, "timestamp": "1700000000", "type": "text"}
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "1", "phone_number_id": number_id},
        "contacts": [{"profile": {"name": "Nora"}, "wa_id": "966501234567"}],
        "messages": [{**message, "text": {"body": text}}],
    }
    document = {
        "object": "whatsapp_business_account",
        "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}],
    }
    return json.dumps(document).encode()


def paused_template(waba_id: str) -> bytes:
    value = {"event": "PAUSED", "message_template_name": "spring_offer", "message_template_language": "en"}
    change = {"field": "message_template_status_update", "value": value}
    return json.dumps({"entry": [{"id": waba_id, "changes": [change]}]}).encode()


async def stored(server: Any) -> int:
    async with server.platform.database.reading() as tx:
        return int((await tx.execute(select(func.count()).select_from(InboxItem))).scalar_one())


async def test_the_challenge_is_answered_to_who_knows_the_token(server: Any) -> None:
    await scenes.a_sender(server.platform)
    query = {"hub.mode": "subscribe", "hub.verify_token": "verify", "hub.challenge": "1158201444"}
    async with server.client("") as meta:
        answer = await meta.get("/webhooks/cloud/1", params=query)
        assert (answer.status_code, answer.text) == (200, "1158201444")
        wrong = await meta.get("/webhooks/cloud/1", params=query | {"hub.verify_token": "no"})
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "bad_signature")
        assert (await meta.get("/webhooks/cloud/9", params=query)).status_code == 404


async def test_a_message_is_stored_answered_and_applied(server: Any, api: httpx.AsyncClient) -> None:
    await scenes.a_sender(server.platform)
    async with server.client("") as meta:
        for _ in range(2):  # WhatsApp repeats
            assert (await meta.post("/webhooks/cloud/1", **signed(says("Hello")))).status_code == 200
    for _ in range(200):
        page = await api.get("/api/v3/messages", params={"contact_id": 1})
        if page.status_code == 200 and page.json()["data"]:
            break
        await asyncio.sleep(0.02)
    assert [(one["direction"], one["content"]["body"]) for one in page.json()["data"]] == [("in", "Hello")]
    assert (await api.get("/api/v3/contacts/1")).json()["name"] == "Nora"


@pytest.mark.parametrize("header", [None, "", "sha256=", "sha256=00", "sha1=00", "\u00e9"])
async def test_a_webhook_with_a_wrong_signature_is_refused_and_not_stored(server: Any, header: str | None) -> None:
    await scenes.a_sender(server.platform)
    headers = {} if header is None else {"X-Hub-Signature-256": header.encode("latin-1")}
    async with server.client("") as meta:
        answer = await meta.post("/webhooks/cloud/1", content=says("STOP"), headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "bad_signature")
    assert await stored(server) == 0


async def test_nobody_signs_for_one_account_and_speaks_of_another(server: Any) -> None:
    await scenes.a_sender(server.platform)
    async with server.client() as admin:
        other = {"name": "other", "phone_number_id": "id-other", "waba_id": "w", "access_token": "t"}
        await admin.post("/api/v3/senders", json=other | {"app_secret": "theirs", "verify_token": "v"})
    async with server.client("") as meta:
        answer = await meta.post("/webhooks/cloud/1", **signed(says("STOP", number_id="id-other")))
        assert answer.status_code == 401
    assert await stored(server) == 0


async def test_nobody_pauses_the_templates_of_another_account(server: Any) -> None:
    await scenes.a_sender(server.platform)
    async with server.client() as admin:
        other = {"name": "other", "phone_number_id": "id-other", "waba_id": "other-waba", "access_token": "t"}
        await admin.post("/api/v3/senders", json=other | {"app_secret": "theirs", "verify_token": "v"})
    async with server.client("") as meta:
        assert (await meta.post("/webhooks/cloud/1", **signed(paused_template("other-waba")))).status_code == 401
        assert (await meta.post("/webhooks/cloud/1", **signed(paused_template("waba")))).status_code == 200
    assert await stored(server) == 1


async def test_a_webhook_larger_than_any_of_metas(server: Any) -> None:
    await scenes.a_sender(server.platform)
    async with server.client("") as meta:
        assert (await meta.post("/webhooks/cloud/1", **signed(b" " * (4 * 1024 * 1024 + 1)))).status_code == 413


async def test_many_at_once_are_all_stored(server: Any) -> None:
    await scenes.a_sender(server.platform)
    async with server.client("") as meta:
        bodies = [says("Hello", message_id=f"wamid.{number}") for number in range(100)]
        answers = await asyncio.gather(*(meta.post("/webhooks/cloud/1", **signed(body)) for body in bodies))
    assert {answer.status_code for answer in answers} == {200}
    assert await stored(server) == 100
    for _ in range(300):
        async with server.platform.database.reading() as tx:
            if (await tx.execute(select(func.count()).select_from(Message))).scalar_one() == 100:
                return
        await asyncio.sleep(0.02)
    pytest.fail("not all were applied")


@pytest.mark.only_on("sqlite")  # a lock of the whole database is SQLite's
async def test_while_the_database_is_locked_whatsapp_is_asked_to_repeat(
    settings: Settings, connector: FakeConnector, jobs: FakeJobs, clock: FakeClock
) -> None:
    impatient = settings.model_copy(update={"sqlite_busy_timeout_s": 1})
    async with inside(impatient, connectors=FakeConnectors(connector), jobs=jobs, clock=clock) as server:
        await scenes.a_sender(server.platform)
        file = settings.data_dir / "waqtor.db"
        with sqlite3.connect(file, isolation_level=None, check_same_thread=False) as other:
            # In a thread: the server is in this loop, and may be about to commit something of its own.
            await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
            async with server.client("") as meta:
                answer = await meta.post("/webhooks/cloud/1", **signed(says("Hello")))
                assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
                assert answer.headers["retry-after"]
                other.execute("ROLLBACK")
                assert (await meta.post("/webhooks/cloud/1", **signed(says("Hello")))).status_code == 200
        assert await stored(server) == 1

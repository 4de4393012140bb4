"""Webhooks are signed, come in order and in batches, and come again until they are answered 200."""

import hashlib
import hmac

import orjson
import pytest

from simulator.config import APP_SECRET, NUMBER_ID

ALICE = "491701234567"
ACCOUNT = "/v23.0/200000000000001"


async def test_receipts_come_in_order_signed_and_with_the_callback_data(sim, hook):
    _, answer = await sim.send(ALICE, callback="wq1:77:1")
    await sim.idle()
    assert [s["status"] for s in hook.statuses()] == ["sent", "delivered", "read"]
    for status in hook.statuses():
        assert status["id"] == answer["messages"][0]["id"]
        assert status["recipient_id"] == ALICE
        assert status["biz_opaque_callback_data"] == "wq1:77:1"
        assert status["timestamp"].isdigit()
    for headers, body in hook.posts:
        expected = hmac.new(APP_SECRET.encode(), body, hashlib.sha256).hexdigest()
        assert headers["X-Hub-Signature-256"] == f"sha256={expected}"
    assert hook.values()[0]["metadata"] == {
        "display_phone_number": "15550000001",
        "phone_number_id": NUMBER_ID,
    }


async def test_only_versions_before_24_tell_of_conversations(sim, hook):
    body = {"messaging_product": "whatsapp", "to": ALICE, "text": {"body": "hi"}}
    for version in ("v23.0", "v24.0"):
        await sim.post(f"/{version}/{NUMBER_ID}/messages", body)
        await sim.idle()
    sent = [s for s in hook.statuses() if s["status"] == "sent"]
    assert ["conversation" in s for s in sent] == [True, False]
    assert all(s["pricing"]["category"] == "service" for s in sent)


async def test_it_comes_again_byte_for_byte_until_200(sim, hook):
    hook.answers = [500, 404, 302]
    await sim.send(ALICE)
    await sim.idle(within_s=15)
    bodies = [body for _, body in hook.posts]
    assert len(bodies) > len(set(bodies))
    rows = await sim.rows("statuses")
    assert all(row["answered_200"] for row in rows)
    posts = await sim.rows("posts")
    assert [post["http_status"] for post in posts][:3] == [500, 404, 302]
    assert max(post["attempt"] for post in posts) >= 2


async def test_a_dead_webhook_is_tried_on_and_another_number_does_not_wait(start, hook):
    async with start("bench", callback="http://127.0.0.1:9/hook", read_s=0.02, delivered_s=0.02) as sim:
        other = await sim.post("/_sim/accounts", {"callback_url": hook.url})
        await sim.send(ALICE)
        await sim.send(ALICE, number=other["phone_number_id"])
        await hook.until(lambda: len(hook.statuses()) >= 2)
        idle = await sim.get(f"/_sim/idle?phone_number_id={NUMBER_ID}")
        assert idle["statuses_due"] > 0
        await sim.post("/_sim/accounts", {"phone_number_id": NUMBER_ID, "callback_url": hook.url})
        await sim.idle(within_s=15)


async def test_many_statuses_share_a_post_up_to_the_limit(start, hook):
    async with start("bench", callback=hook.url, statuses_per_post=50, linger_s=0.2) as sim:
        for n in range(120):
            await sim.send(f"4917{n:06d}")
        await sim.idle()
    sizes = [len(value["statuses"]) for value in hook.values()]
    assert max(sizes) == 50
    assert len(hook.statuses()) == len({(s["id"], s["status"]) for s in hook.statuses()})


async def test_duplicates_and_reordering_happen_and_only_repeat_what_happened(start, hook):
    async with start("chaos", callback=hook.url, answer_latency_s=(0, 0), linger_s=0.005) as sim:
        for n in range(80):
            await sim.send(f"4917{n:06d}", callback=f"c:{n}")
        await sim.idle(within_s=20)
        happened = {(row["wamid"], row["status"]) for row in await sim.rows("statuses")}
    came = [(s["id"], s["status"]) for s in hook.statuses()]
    assert set(came) == happened
    assert len(came) > len(happened)


async def test_what_a_contact_says(sim, hook):
    await sim.call("PUT", f"/_sim/contacts/{ALICE}", {"name": "سارة"})
    _, sent = await sim.send(ALICE)
    for said in (
        {"text": "كم السعر؟"},
        {"button": "Show me"},
        {"button": {"id": "yes", "title": "Yes"}},
        {"media": {"type": "image", "caption": "look"}},
    ):
        await sim.post(f"/_sim/contacts/{ALICE}/say", said)
    await sim.idle()
    text, button, reply, image = hook.messages()
    assert (text["from"], text["type"], text["text"]) == (ALICE, "text", {"body": "كم السعر؟"})
    assert (button["type"], button["button"]["text"]) == ("button", "Show me")
    assert button["context"]["id"] == sent["messages"][0]["id"]
    assert reply["interactive"] == {"type": "button_reply", "button_reply": {"id": "yes", "title": "Yes"}}
    inbound = next(value for value in hook.values() if "messages" in value)
    [contact] = inbound["contacts"]
    assert (contact["profile"], contact["wa_id"]) == ({"name": "سارة"}, ALICE)
    assert contact["user_id"] == text["from_user_id"], "the id that will outlive the number"
    described = await sim.get(f"/v23.0/{image['image']['id']}")
    headers = {"Authorization": "Bearer sim-token"}
    async with sim.session.get(described["url"], headers=headers) as answer:
        assert hashlib.sha256(await answer.read()).hexdigest() == described["sha256"]


async def test_marking_as_read(sim, hook):
    said = await sim.post(f"/_sim/contacts/{ALICE}/say", {"text": "hello"})
    mark = {"messaging_product": "whatsapp", "status": "read", "message_id": said["id"]}
    path = f"/v23.0/{NUMBER_ID}/messages"
    assert await sim.post(path, mark | {"typing_indicator": {"type": "text"}}) == {"success": True}
    status, _ = await sim.call("POST", path, mark | {"message_id": "wamid.other"})
    assert status == 400
    assert await sim.rows() == [], "a mark is no message"


@pytest.mark.parametrize("path", [f"{ACCOUNT}/subscribed_apps", f"/v23.0/{NUMBER_ID}"])
async def test_an_override_is_taken_only_when_the_challenge_comes_back(sim, hook, path):
    def wanted(token):
        override = {"override_callback_uri": hook.url + "?o=1", "verify_token": token}
        return override if path.endswith("apps") else {"webhook_configuration": override}

    status, answer = await sim.call("POST", path, wanted("wrong"))
    assert (status, answer["error"]["code"]) == (400, 2200)
    await sim.post(path, wanted("told"))
    await sim.send(ALICE)
    await sim.idle()
    assert all(post["url"].endswith("?o=1") for post in await sim.rows("posts"))


async def test_without_a_subscription_nothing_is_told(sim, hook):
    assert (await sim.call("DELETE", f"{ACCOUNT}/subscribed_apps"))[0] == 200
    assert await sim.get(f"{ACCOUNT}/subscribed_apps") == {"data": []}
    await sim.send(ALICE)
    await sim.idle()
    assert hook.posts == []
    assert {row["outcome"] for row in await sim.rows("statuses")} == {"no webhook"}


async def test_a_body_is_compact_json_of_one_account(sim, hook):
    await sim.send(ALICE)
    await sim.idle()
    body = orjson.loads(hook.posts[0][1])
    assert body["object"] == "whatsapp_business_account"
    assert [entry["id"] for entry in body["entry"]] == ["200000000000001"]

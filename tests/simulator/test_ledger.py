"""The ledger is the truth: complete, ordered, and still there after a restart."""

import asyncio
import base64

from simulator.config import NUMBER_ID

ALICE = "491701234567"
BOB = "491701234568"


async def answered(sim, what):
    """Wait for the first row that a webhook answered, or did not."""
    for _ in range(200):
        if any(row.get("answered_200", True) for row in await sim.rows(what)):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"no {what}")


async def test_a_row_says_all_of_a_request(sim):
    _, answer = await sim.template(ALICE, callback="wq1:5:1")
    [row] = await sim.rows()
    expected = {
        "phone_number_id": NUMBER_ID,
        "to": ALICE,
        "callback": "wq1:5:1",
        "wamid": answer["messages"][0]["id"],
        "type": "template",
        "template": "order_update",
        "text": "Hello Ann, your order 77 is on its way.",
        "accepted": True,
        "effect": True,
        "error": None,
        "fault": "",
        "answer_written": True,
    }
    assert row | expected == row


async def test_a_wamid_holds_the_recipient_and_is_unique(sim):
    answers = await asyncio.gather(*(sim.send(ALICE) for _ in range(200)))
    wamids = {answer["messages"][0]["id"] for _, answer in answers}
    assert len(wamids) == 200
    for wamid in wamids:
        raw = base64.b64decode(wamid.removeprefix("wamid."))
        assert raw.startswith(b"\x1c\x18\x0c" + ALICE.encode() + b"\x15\x02\x00\x11\x18\x12")
        assert len(wamid) == len("wamid.HBgMNDkxNzAxMjM0NTY3FQIAERgSQzA2NEQxOUUzNzc5Qjk3RjRCAA==")


async def test_the_summary_counts_by_prefix_and_number(sim):
    other = (await sim.post("/_sim/accounts", {}))["phone_number_id"]
    for to, callback in ((ALICE, "a:1"), (ALICE, "a:2"), (BOB, "a:3"), (BOB, "b:1"), (BOB, "a")):
        await sim.send(to, callback=callback)
    await sim.send(BOB, callback="a:9", number=other)
    await sim.idle()
    summary = await sim.get(f"/_sim/ledger/summary?callback_prefix=a:&phone_number_id={NUMBER_ID}")
    assert (summary["accepted"], summary["effects"]) == (3, 3)
    assert (summary["unique_recipients"], summary["recipients_with_2_or_more"]) == (2, 1)
    assert summary["statuses"] == {"sent": 3, "delivered": 3, "read": 3}
    rows = await sim.rows("statuses", "callback_prefix=b:")
    assert [row["status"] for row in rows] == ["sent", "delivered", "read"]
    assert all(row["answered_200"] and row["attempts"] == 1 for row in rows)


async def test_pages_follow_each_other(sim):
    for n in range(5):
        await sim.send(ALICE, callback=f"n:{n}")
    first = await sim.get("/_sim/ledger/requests?limit=3")
    second = await sim.get(f"/_sim/ledger/requests?limit=3&after={first['next_after']}")
    assert [row["callback"] for row in first["data"] + second["data"]] == [f"n:{n}" for n in range(5)]
    assert second["next_after"] is None
    status, answer = await sim.call("GET", "/_sim/ledger/requests?limit=0")
    assert (status, answer["error"]["field"]) == (400, "limit")


async def test_a_restart_keeps_the_ledger_settings_and_what_is_owed(start, hook, tmp_path):
    state = tmp_path / "state.sqlite"
    async with start("bench", state=state, sent_s=0.01, delivered_s=600) as sim:
        await sim.post("/_sim/accounts", {"phone_number_id": NUMBER_ID, "callback_url": hook.url})
        await sim.call("PUT", f"/_sim/contacts/{BOB}", {"name": "Bob"})
        await sim.post("/_sim/templates", {"name": "fresh", "body": "Hi {{1}}"})
        await sim.send(ALICE, callback="r:1")
        await hook.until(hook.statuses)
        before = await sim.rows()
    async with start("bench", state=state, sent_s=0.01, delivered_s=600) as sim:
        assert await sim.rows() == before
        assert (await sim.get(f"/_sim/contacts/{BOB}"))["name"] == "Bob"
        assert (await sim.template(BOB, "fresh", "Bob"))[0] == 200
        await sim.post("/_sim/clock", {"advance_s": 7200})
        await sim.idle()
        kinds = [s["status"] for s in hook.statuses() if s.get("biz_opaque_callback_data") == "r:1"]
        assert kinds[:2] == ["sent", "delivered"]
        assert kinds.count("sent") == 1
        assert (await sim.rows())[1]["seq"] == 2


async def test_unanswered_inbounds_come_again_after_a_restart(start, hook, tmp_path):
    state = tmp_path / "state.sqlite"
    async with start("bench", state=state, callback="http://127.0.0.1:9/") as sim:
        await sim.post(f"/_sim/contacts/{ALICE}/say", {"text": "are you there?"})
        await answered(sim, "posts")
    async with start("bench", state=state, callback=hook.url) as sim:
        await sim.idle()
        [message] = hook.messages()
        assert message["text"]["body"] == "are you there?"


async def test_reset_forgets_messages_and_faults_but_not_accounts(sim, hook):
    await sim.post("/_sim/accounts", {"phone_number_id": "100000000000009"})
    await sim.post("/_sim/faults", {"kind": "error_before", "match": {"to": BOB}})
    await sim.send(ALICE)
    await sim.post("/_sim/reset", {})
    assert await sim.rows() == []
    assert (await sim.get("/_sim/idle"))["idle"]
    assert (await sim.get("/_sim/faults"))["data"] == []
    assert len((await sim.get("/_sim/accounts"))["data"]) == 2


async def test_a_frozen_clock_holds_receipts_back_until_it_is_advanced(sim, hook):
    await sim.post("/_sim/clock", {"frozen": True})
    await sim.send(ALICE)
    await asyncio.sleep(0.2)
    assert hook.posts == []
    clock = await sim.post("/_sim/clock", {"advance_s": 60})
    assert clock["frozen"]
    await sim.idle()
    assert [s["status"] for s in hook.statuses()] == ["sent", "delivered", "read"]


async def test_a_fast_clock_shortens_the_wait(start):
    async with start("bench", delivered_s=600, read_s=600) as sim:
        await sim.post("/_sim/clock", {"speed": 10_000})
        await sim.send(ALICE)
        await sim.idle()
    for wrong in ({"speed": 0}, {"speed": "fast"}, {"advance_s": -1}, {"frozen": 1}, {"pace": 2}):
        async with start() as sim:
            assert (await sim.call("POST", "/_sim/clock", wrong))[0] == 400


async def test_message_history_tells_statuses_and_webhook_states(sim):
    _, answer = await sim.send(ALICE)
    await sim.send(BOB)
    await sim.idle()
    wamid = answer["messages"][0]["id"]
    history = await sim.get(f"/v23.0/{NUMBER_ID}/message_history?message_id={wamid}")
    [entry] = history["data"]
    assert entry["message_id"] == wamid
    states = [(e["delivery_status"], e["webhook_update_state"]) for e in entry["events"]["data"]]
    assert states == [("SENT", "DELIVERED"), ("DELIVERED", "DELIVERED"), ("READ", "DELIVERED")]
    assert (await sim.call("GET", f"/v23.0/{NUMBER_ID}/message_history?message_id=wamid.none"))[0] == 422


async def test_chats_and_threads_for_the_page(sim):
    await sim.send(ALICE, "first")
    await sim.post(f"/_sim/contacts/{BOB}/say", {"text": "مرحبا"})
    await sim.idle()
    chats = (await sim.get("/_sim/chats"))["data"]
    assert [chat["contact"] for chat in chats] == [BOB, ALICE]
    assert [c["contact"] for c in (await sim.get("/_sim/chats?q=مرحبا"))["data"]] == [BOB]
    thread = await sim.get(f"/_sim/chats/{ALICE}")
    assert [(m["from"], m["text"], m["status"]) for m in thread["messages"]] == [("business", "first", "read")]
    for path in ("/", "/app.js", "/app.css"):
        async with sim.session.get(sim.url + path) as page:
            assert page.status == 200
            assert (
                "script-src" in page.headers["Content-Security-Policy"]
                or "default-src 'self'" in (page.headers["Content-Security-Policy"])
            )

"""Faults do what they are named for, and the ledger knows what really took effect."""

import asyncio

import aiohttp
import pytest

from simulator.config import NUMBER_ID

ALICE = "491701234567"


async def fault(sim, kind, **more):
    return await sim.post("/_sim/faults", {"kind": kind} | more)


@pytest.mark.parametrize(
    ("kind", "effect"),
    [("reset_before", False), ("reset_after", True), ("partial_answer", True)],
)
async def test_a_broken_connection_leaves_the_truth_in_the_ledger(sim, hook, kind, effect):
    await fault(sim, kind)
    with pytest.raises(aiohttp.ClientError):
        await sim.send(ALICE, callback="x:1")
    await sim.idle()
    [row] = await sim.rows()
    assert (row["fault"], row["accepted"], row["effect"], row["answer_written"]) == (
        kind,
        effect,
        effect,
        False,
    )
    assert [s["status"] for s in hook.statuses()] == (["sent", "delivered", "read"] if effect else [])
    assert (await sim.send(ALICE, callback="x:2"))[0] == 200, "a fault of count 1 comes once"


@pytest.mark.parametrize(
    ("kind", "params", "status", "code", "effect"),
    [
        ("error_before", {}, 500, 131000, False),
        ("error_before", {"status": 503, "code": 2}, 503, 2, False),
        ("error_after", {}, 500, 131000, True),
        ("graph_error", {"code": 130429}, 429, 130429, False),
        ("token_expired", {}, 401, 190, False),
    ],
)
async def test_errors_before_and_after_the_effect(sim, kind, params, status, code, effect):
    await fault(sim, kind, params=params)
    answer = await sim.send(ALICE)
    assert (answer[0], answer[1]["error"]["code"]) == (status, code)
    [row] = await sim.rows()
    assert (row["effect"], row["answer_written"]) == (effect, True)


@pytest.mark.parametrize(("kind", "effect"), [("hang_before", False), ("hang_after", True)])
async def test_a_client_that_gives_up_while_the_answer_hangs(sim, kind, effect):
    await fault(sim, kind, params={"seconds": 0.3})
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(sim.send(ALICE), 0.1)
    await asyncio.sleep(0.4)
    [row] = await sim.rows()
    assert (row["effect"], row["answer_written"]) == (effect, False)


async def test_a_client_that_waits_out_the_hang_is_served(sim):
    await fault(sim, "hang_before", params={"seconds": 0.1})
    assert (await sim.send(ALICE))[0] == 200


async def test_a_late_graph_error_is_accepted_and_fails(sim, hook):
    await fault(sim, "graph_error", params={"code": 131049, "late": True})
    assert (await sim.send(ALICE))[0] == 200
    await sim.idle()
    assert [s["status"] for s in hook.statuses()] == ["failed"]


async def test_faults_match_what_they_name_and_nothing_else(sim):
    await fault(sim, "error_before", match={"to": "+49170000001"}, count=5)
    await fault(sim, "error_before", match={"callback_prefix": "bad:"}, count=5)
    await fault(sim, "error_before", match={"path": "/media"}, count=5)
    await fault(sim, "error_before", match={"phone_number_id": "1"}, count=5)
    assert (await sim.send(ALICE, callback="good:1"))[0] == 200
    assert (await sim.send("49170000001"))[0] == 500
    assert (await sim.send(ALICE, callback="bad:1"))[0] == 500
    assert (await sim.call("POST", f"/v23.0/{NUMBER_ID}/media", {}))[0] == 500
    applied = {f["id"]: f["applied"] for f in (await sim.get("/_sim/faults"))["data"]}
    assert applied == {"f1": 1, "f2": 1, "f3": 1, "f4": 0}
    assert (await sim.call("DELETE", "/_sim/faults/f1"))[1] == {"removed": 1}
    assert (await sim.call("DELETE", "/_sim/faults"))[1] == {"removed": 3}
    assert (await sim.send("49170000001"))[0] == 200


async def test_a_share_of_messages_fails_the_same_in_any_order(sim):
    async def failed(order):
        await sim.post("/_sim/reset", {})
        await fault(sim, "error_before", probability=0.3)

        async def one(n):
            return n, (await sim.send(f"4917{n:06d}", callback=f"p:{n}"))[0]

        results = await asyncio.gather(*(one(n) for n in order))
        return {n for n, status in results if status == 500}

    forwards = await failed(range(100))
    assert await failed(reversed(range(100))) == forwards
    assert 15 < len(forwards) < 45


async def test_a_lost_webhook_never_comes_though_the_status_happened(sim, hook):
    await fault(sim, "webhook_lost", match={"status": "delivered"})
    await sim.send(ALICE)
    await sim.idle()
    assert [s["status"] for s in hook.statuses()] == ["sent", "read"]
    summary = await sim.get("/_sim/ledger/summary")
    assert summary["statuses"] == {"sent": 1, "delivered": 1, "read": 1}
    assert summary["webhooks"] == {"answered": 2, "lost": 1, "no_webhook": 0, "pending": 0}


async def test_a_duplicated_webhook_comes_twice(sim, hook):
    await fault(sim, "webhook_duplicated", match={"status": "sent"}, params={"copies": 3})
    await sim.send(ALICE)
    await sim.idle()
    assert sorted(s["status"] for s in hook.statuses()) == ["delivered", "read", "sent", "sent", "sent"]
    [sent] = [row for row in await sim.rows("statuses") if row["status"] == "sent"]
    assert (sent["attempts"], sent["answered_200"]) == (3, True)


async def test_a_delayed_webhook_overtakes_nothing_and_is_overtaken(sim, hook):
    await fault(sim, "webhook_delayed", match={"status": "sent"}, params={"seconds": 0.3})
    await sim.send(ALICE)
    await sim.idle()
    assert [s["status"] for s in hook.statuses()] == ["delivered", "read", "sent"]


@pytest.mark.parametrize("kind", ["webhook_unsigned", "webhook_bad_signature"])
async def test_a_badly_signed_webhook_is_sent_right_when_it_is_refused(sim, hook, kind):
    await fault(sim, kind, match={"status": "sent"})
    hook.answers = [401]
    await sim.send(ALICE)
    await sim.idle()
    assert sorted(s["status"] for s in hook.statuses()) == ["delivered", "read", "sent", "sent"]
    signatures = [headers.get("X-Hub-Signature-256", "") for headers, _ in hook.posts]
    assert signatures[0] in ("", "sha256=" + "0" * 64)
    assert all(len(s) == 71 and s != "sha256=" + "0" * 64 for s in signatures[1:])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "kind"),
        ({"kind": "explode"}, "kind"),
        ({"kind": "reset_after", "count": 0}, "count"),
        ({"kind": "reset_after", "probability": 2}, "probability"),
        ({"kind": "reset_after", "match": {"colour": "red"}}, "match.colour"),
        ({"kind": "reset_after", "params": {"seconds": "5"}}, "params.seconds"),
        ({"kind": "reset_after", "often": 1}, "often"),
    ],
)
async def test_a_wrong_fault_is_told_what_is_wrong(sim, body, field):
    status, answer = await sim.call("POST", "/_sim/faults", body)
    assert (status, answer["error"]["field"]) == (400, field)
    assert (await sim.get("/_sim/faults"))["data"] == []

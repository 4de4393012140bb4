"""Contacts behave as drawn, whatever the order, and as told."""

import asyncio
import random
from base64 import b64decode

import pytest

from simulator.config import NUMBER_ID, TOKEN
from simulator.contacts import Contacts
from simulator.profiles import PROFILES

ALICE = "491701234567"


async def outcome(start, order, *, seed=1, at_once=20):
    """What happened to each contact, when one message went to each of `order`."""
    async with start("chaos", seed=seed, answer_latency_s=(0, 0.01)) as sim:
        gate = asyncio.Semaphore(at_once)

        async def one(n):
            async with gate:
                await sim.send(f"4917{n:06d}", callback=f"c:{n}")

        await asyncio.gather(*(one(n) for n in order))
        await sim.post("/_sim/clock", {"advance_s": 3600})
        await sim.idle()
        statuses = {(row["callback"], row["status"], row["error"]) for row in await sim.rows("statuses")}
        said = {(row["contact"], row["kind"], row["text"]) for row in await sim.rows("inbounds")}
        return statuses, said


async def test_the_same_seed_gives_the_same_lives_in_any_order_and_concurrency(start):
    shuffled = list(range(150))
    random.Random(7).shuffle(shuffled)
    first = await outcome(start, range(150), at_once=1)
    assert await outcome(start, shuffled, at_once=50) == first
    assert await outcome(start, range(150), seed=2) != first
    assert {status for _, status, _ in first[0]} == {"sent", "delivered", "read", "failed"}
    assert first[1], "some contacts answer"


def test_shares_of_the_demo_are_what_the_table_says():
    demo = PROFILES["demo"]
    contacts = [Contacts(1, demo).get(f"4917{n:07d}") for n in range(5000)]
    assert abs(sum(not c.on_whatsapp for c in contacts) / 5000 - demo.not_on_whatsapp) < 0.01
    assert abs(sum(c.chatty for c in contacts) / 5000 - demo.replies) < 0.02
    assert {c.language for c in contacts} == {"ar", "en"}


def test_most_demo_reads_arrive_within_thirty_seconds():
    contacts = Contacts(1, PROFILES["demo"])
    reads = [contacts.receipts(contacts.get(f"4917{n:07d}"), "k").read_s for n in range(2000)]
    read = [delay for delay in reads if delay is not None]
    assert sum(delay < 30 for delay in read) > 0.8 * len(read)


def test_bench_receipts_are_out_in_two_seconds():
    contacts = Contacts(1, PROFILES["bench"])
    receipts = [contacts.receipts(contacts.get(f"4917{n:07d}"), "k") for n in range(5000)]
    assert max(r.read_s or r.delivered_s for r in receipts) < 2.5
    told = sum(2 + (r.read_s is not None) for r in receipts)
    assert told / 5000 == pytest.approx(2.6, abs=0.05)


async def test_overrides(sim, hook):
    shown = (await sim.call("PUT", f"/_sim/contacts/+{ALICE}", {"reads": False, "delivery_delay_s": 0}))[1]
    assert shown["overridden"] == ["delivery_delay_s", "reads"]
    await sim.send(ALICE)
    await sim.idle()
    assert [s["status"] for s in hook.statuses()] == ["sent", "delivered"]
    for wrong in (
        {"mood": "good"},
        {"reads": "no"},
        {"stop_after": True},
        {"replies": [5]},
        {"offline_s": -1},
    ):
        status, answer = await sim.call("PUT", f"/_sim/contacts/{ALICE}", wrong)
        assert status == 400
        assert answer["error"]["field"] in wrong


async def test_scripted_replies_come_in_turn_and_by_pattern(sim, hook):
    replies = ["one", {"say": "two", "delay_s": 0}, {"on": "price", "say": "too much"}]
    await sim.call("PUT", f"/_sim/contacts/{ALICE}", {"replies": replies, "reply_delay_s": 0})
    for body in ("hi", "hi again", "the price is 5", "bye"):
        await sim.send(ALICE, body)
        await sim.idle()
    assert [m["text"]["body"] for m in hook.messages()] == ["one", "two", "too much", "two"]


async def test_stop_after_and_block_after(sim, hook):
    await sim.call("PUT", f"/_sim/contacts/{ALICE}", {"stop_after": 2, "block_after": 3, "language": "ar"})
    await sim.call("PUT", f"/_sim/contacts/{ALICE}", {"reply_delay_s": 0})
    for n in range(4):
        await sim.send(ALICE, callback=f"s:{n}")
        await sim.idle()
    assert [m["text"]["body"] for m in hook.messages()] == ["إيقاف"]
    assert [row["effect"] for row in await sim.rows()] == [True, True, True, False]


async def test_who_is_not_on_whatsapp_says_nothing(sim):
    await sim.call("PUT", f"/_sim/contacts/{ALICE}", {"on_whatsapp": False})
    status, answer = await sim.call("POST", f"/_sim/contacts/{ALICE}/say", {"text": "hi", "to": NUMBER_ID})
    assert (status, answer["error"]["code"]) == (409, "not_on_whatsapp")


async def test_a_contact_answers_with_a_picture(sim, hook):
    await sim.call("PUT", f"/_sim/contacts/{ALICE}", {"replies": [{"media": "image", "say": "here", "delay_s": 0}]})
    await sim.send(ALICE)
    await hook.until(lambda: hook.messages())
    (said,) = hook.messages()
    assert (said["type"], said["image"]["caption"], said["image"]["mime_type"]) == ("image", "here", "image/png")
    place = await sim.get(f"/v23.0/{said['image']['id']}")
    assert b64decode(said["image"]["sha256"]).hex() == place["sha256"]
    headers = {"Authorization": f"Bearer {TOKEN}"}
    await sim.post("/_sim/faults", {"kind": "error_before", "match": {"path": "/_media/"}, "count": 1})
    for status in (500, 200):
        async with sim.session.get(place["url"], headers=headers) as answer:
            assert answer.status == status
            content = await answer.read()
    assert content.startswith(b"\x89PNG")
    await sim.idle()
    status, refused = await sim.call("PUT", f"/_sim/contacts/{ALICE}", {"replies": [{"media": "smell"}]})
    assert (status, refused["error"]["field"]) == (400, "replies")

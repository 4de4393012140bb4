"""What the simulated Meta refuses, with which code, and when it stops refusing."""

import pytest

from simulator.config import NUMBER_ID

ALICE = "491701234567"


def code(answer):
    return answer["error"]["code"]


async def test_free_form_is_refused_until_the_contact_writes_and_a_day_after(strict):
    status, answer = await strict.send(ALICE)
    assert (status, code(answer)) == (400, 131047)
    assert answer["error"]["error_data"]["messaging_product"] == "whatsapp"
    await strict.post(f"/_sim/contacts/{ALICE}/say", {"text": "hello"})
    assert (await strict.send(ALICE))[0] == 200
    await strict.post("/_sim/clock", {"advance_s": 86400})
    assert code((await strict.send(ALICE))[1]) == 131047


async def test_a_late_refusal_is_accepted_and_fails_by_webhook(strict, hook):
    await strict.post("/_sim/accounts", {"phone_number_id": NUMBER_ID, "late_refusals": [131047]})
    status, _ = await strict.send(ALICE, callback="late:1")
    assert status == 200
    await hook.until(hook.statuses)
    [failed] = hook.statuses()
    assert (failed["status"], failed["errors"][0]["code"]) == ("failed", 131047)
    [row] = await strict.rows(query="callback_prefix=late:")
    assert (row["accepted"], row["effect"], row["error"]) == (True, False, 131047)


@pytest.mark.parametrize(
    ("name", "words", "language", "expected"),
    [
        ("order_update", ("Ann",), "en", 132000),
        ("order_update", ("Ann", "1", "2"), "en", 132000),
        ("order_update", ("Ann", "1"), "fr", 132001),
        ("no_such", ("Ann",), "en", 132001),
        ("tired_offer", ("Ann",), "en", 132015),
        ("rude_offer", ("Ann",), "en", 132001),
    ],
)
async def test_template_refusals(strict, name, words, language, expected):
    assert code((await strict.template(ALICE, name, *words, language=language))[1]) == expected


async def test_a_template_is_shown_with_its_parameters_in_either_direction_of_writing(strict):
    await strict.template(ALICE, "spring_offer", "سارة", language="ar")
    [row] = await strict.rows()
    assert row["text"].startswith("مرحباً سارة،")
    assert row["template"] == "spring_offer"


async def test_the_tier_counts_unique_contacts_outside_the_window(strict):
    await strict.post("/_sim/accounts", {"phone_number_id": NUMBER_ID, "tier": 2})
    for to in ("49170000001", "49170000002", "49170000001"):
        assert (await strict.template(to))[0] == 200
    assert code((await strict.template("49170000003"))[1]) == 131048
    await strict.post("/_sim/contacts/49170000004/say", {"text": "hello"})
    assert (await strict.template("49170000004"))[0] == 200
    await strict.post("/_sim/clock", {"advance_s": 86400})
    assert (await strict.template("49170000003"))[0] == 200


async def test_throughput_and_its_recovery(strict):
    await strict.post("/_sim/accounts", {"phone_number_id": NUMBER_ID, "rate": 5})
    await strict.post("/_sim/clock", {"frozen": True})
    codes = [(await strict.template(f"4917000001{n}"))[0] for n in range(6)]
    assert codes == [200] * 5 + [429]
    assert code((await strict.template("49170000019"))[1]) == 130429
    await strict.post("/_sim/clock", {"advance_s": 0.2})
    assert (await strict.template("49170000019"))[0] == 200


async def test_a_pair_may_borrow_45_and_then_waits_6_s_for_each(strict):
    await strict.post("/_sim/clock", {"frozen": True})
    await strict.post("/_sim/contacts/" + ALICE + "/say", {"text": "hello"})
    for _ in range(45):
        assert (await strict.send(ALICE))[0] == 200
    assert code((await strict.send(ALICE))[1]) == 131056
    await strict.post("/_sim/clock", {"advance_s": 6})
    assert (await strict.send(ALICE))[0] == 200
    assert code((await strict.send(ALICE))[1]) == 131056


async def test_who_stopped_marketing_gets_no_more_of_it_but_orders_still(strict, hook):
    await strict.post(f"/_sim/contacts/{ALICE}/say", {"preference": "stop"})
    await hook.until(lambda: hook.values("user_preferences"))
    [preference] = hook.values("user_preferences")[0]["user_preferences"]
    assert (preference["wa_id"], preference["value"]) == (ALICE, "stop")
    assert code((await strict.template(ALICE, "spring_offer", "Ann"))[1]) == 131050
    assert (await strict.template(ALICE))[0] == 200
    await strict.post(f"/_sim/contacts/{ALICE}/say", {"preference": "resume"})
    assert (await strict.template(ALICE, "spring_offer", "Ann"))[0] == 200


async def test_too_much_marketing_fails_later_with_131049(strict):
    for n in range(6):
        assert (await strict.template(ALICE, "spring_offer", "Ann", callback=f"m:{n}"))[0] == 200
    rows = await strict.rows()
    assert [row["effect"] for row in rows] == [True] * 5 + [False]
    assert rows[-1]["error"] == 131049


async def test_a_contact_not_on_whatsapp_is_accepted_and_fails(sim, hook):
    await sim.call("PUT", f"/_sim/contacts/{ALICE}", {"on_whatsapp": False})
    status, answer = await sim.send(ALICE, callback="gone:1")
    assert status == 200
    await sim.idle()
    [failed] = hook.statuses()
    assert failed["id"] == answer["messages"][0]["id"]
    assert failed["errors"][0]["code"] == 131026
    assert failed["biz_opaque_callback_data"] == "gone:1"
    summary = await sim.get("/_sim/ledger/summary")
    assert (summary["accepted"], summary["effects"], summary["statuses"]) == (1, 0, {"failed": 1})


@pytest.mark.parametrize(
    ("change", "status", "expected"),
    [
        ({"locked": True}, 403, 131031),
        ({"registered": False}, 400, 133010),
        ({"token_expired": True}, 401, 190),
    ],
)
async def test_states_of_the_account(sim, change, status, expected):
    await sim.post("/_sim/accounts", {"phone_number_id": NUMBER_ID} | change)
    answer = await sim.send(ALICE)
    assert (answer[0], code(answer[1])) == (status, expected)


async def test_tokens(sim):
    path = f"/v23.0/{NUMBER_ID}/messages"
    assert code((await sim.call("POST", path, {}, token="nobody"))[1]) == 190
    other = await sim.post("/_sim/accounts", {"token": "other-token"})
    status, answer = await sim.call("POST", path, {}, token="other-token")
    assert (status, code(answer), answer["error"]["error_subcode"]) == (400, 100, 33)
    assert (await sim.send(ALICE, number=other["phone_number_id"]))[1]["error"]["code"] == 100
    assert (await sim.call("GET", f"/v30.0/{other['phone_number_id']}", token="other-token"))[0] == 200


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"messaging_product": "sms"}, 100),
        ({"to": ""}, 100),
        ({"to": "nobody"}, 131009),
        ({"type": "song"}, 100),
        ({"text": {}}, 131008),
        ({"text": {"body": "x" * 4097}}, 100),
        ({"text": {"body": 5}}, 100),
        ({"type": "image", "image": {}}, 131008),
        ({"type": "image", "image": {"id": "1"}}, 131009),
        ({"type": "location", "location": {"latitude": 91, "longitude": 0}}, 131009),
        ({"type": "contacts", "contacts": {}}, 100),
        ({"type": "interactive", "interactive": {"type": "button", "action": {}}}, 131008),
        ({"type": "template", "template": "hello"}, 100),
        ({"type": "template", "template": {"name": "hello_world"}}, 131008),
        ({"biz_opaque_callback_data": "x" * 513}, 100),
        ({"recipient_type": "crowd"}, 100),
    ],
)
async def test_bad_messages_get_graph_errors_and_a_row_without_effect(sim, body, expected):
    good = {"messaging_product": "whatsapp", "to": ALICE, "type": "text", "text": {"body": "hi"}}
    status, answer = await sim.raw_send(good | body)
    assert (status, code(answer)) == (400, expected)
    assert set(answer["error"]) >= {"message", "type", "code", "fbtrace_id"}
    [row] = await sim.rows()
    assert (row["accepted"], row["effect"], row["error"], row["wamid"]) == (False, False, expected, "")


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"1" * 2_000_000])
async def test_no_body_makes_the_server_stumble(sim, raw):
    for path in (
        f"/v23.0/{NUMBER_ID}/messages",
        f"/v23.0/{NUMBER_ID}",
        "/v23.0/200000000000001/message_templates",
    ):
        status, answer = await sim.call("POST", path, raw=raw)
        assert status in (200, 400, 413), answer
    for path in (
        "/_sim/accounts",
        "/_sim/faults",
        "/_sim/clock",
        "/_sim/templates",
        f"/_sim/contacts/{ALICE}/say",
    ):
        status, answer = await sim.call("POST", path, raw=raw)
        assert status in (200, 400, 413), answer
        assert status == 200 or set(answer["error"]) == {"code", "message", "field"}


async def test_every_message_type_is_accepted(sim):
    buttons = [{"type": "reply", "reply": {"id": "a", "title": "Yes"}}]
    contents = {
        "text": {"body": "hi"},
        "image": {"link": "https://example.com/a.png", "caption": "look"},
        "audio": {"link": "https://example.com/a.ogg"},
        "video": {"link": "https://example.com/a.mp4"},
        "document": {"link": "https://example.com/a.pdf", "filename": "a.pdf"},
        "sticker": {"link": "https://example.com/a.webp"},
        "location": {"latitude": 31.9, "longitude": 35.9, "name": "Amman"},
        "contacts": [{"name": {"formatted_name": "Ann", "first_name": "Ann"}}],
        "reaction": {"message_id": "wamid.X", "emoji": "👍"},
        "interactive": {"type": "button", "body": {"text": "Really?"}, "action": {"buttons": buttons}},
        "template": {"name": "hello_world", "language": {"code": "en_US"}},
    }
    for kind, content in contents.items():
        status, answer = await sim.send(ALICE, **{"type": kind, kind: content})
        assert status == 200, (kind, answer)
    assert [row["type"] for row in await sim.rows()] == list(contents)

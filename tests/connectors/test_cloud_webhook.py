"""What Meta posts: signed, at least once, in any order, and never quite as described."""

import base64
import hashlib
import hmac
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.cloud_webhook import claims, parse, verify
from core.content import Contacts, Location, Media, Other, Reaction, Text
from core.errors import BadSignature, Invalid
from core.ports import Address, Attached, PermanentContent, PermanentRecipient, TemplateChanged

SPEC = Path(__file__).parents[3] / "shared/contracts/meta-business-messaging-api-v23.yaml"
NUMBER = "106540352242922"
HASH = hashlib.sha256(b"a file").digest()


def change(field="messages", number=NUMBER, **value):
    metadata = {"display_phone_number": "15550783881", "phone_number_id": number}
    return {"field": field, "value": {"messaging_product": "whatsapp", "metadata": metadata, **value}}


def webhook(*changes):
    return orjson.dumps({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": list(changes)}]})


def status(name="sent", **more):
    return {
        "id": "wamid.A",
        "status": name,
        "timestamp": "1750000000",
        "recipient_id": "966512345678",
        "biz_opaque_callback_data": "wq1:c1",
        **more,
    }


def received(kind, part, **more):
    message = {"from": "966512345678", "id": "wamid.B", "timestamp": "1750000000", "type": kind, kind: part, **more}
    contacts = [{"profile": {"name": "Amal"}, "wa_id": "966512345678"}]
    return parse(webhook(change(messages=[message], contacts=contacts)))


# Signature


def signature(body, secret="s"):
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def test_signature_of_the_app_passes():
    verify(b"{}", signature(b"{}"), "s")


@pytest.mark.parametrize(
    "header", [None, "", "sha256=", signature(b"{} "), signature(b"{}", "t"), "sha1=abc", "sha256=ß", "\udcff"]
)
def test_anything_else_does_not(header):
    with pytest.raises(BadSignature):
        verify(b"{}", header, "s")


def test_empty_secret_lets_nobody_in():
    with pytest.raises(BadSignature):
        verify(b"{}", signature(b"{}", ""), "")


def test_all_numbers_of_a_body_are_named_even_when_the_key_is_disguised():
    body = webhook(change(number="1"), change(number="2"))
    assert claims(body).numbers == {"1", "2"}
    disguised = body.replace(b'"phone_number_id":"2"', b'"phone\\u005fnumber_id":"2"')
    assert claims(disguised).numbers == {"1", "2"}


# Statuses


@pytest.mark.parametrize("name", ["sent", "delivered", "read", "failed"])
def test_status_finds_its_message_by_our_mark(name):
    (receipt,) = parse(webhook(change(statuses=[status(name)]))).receipts
    assert (receipt.provider_id, receipt.client_id, receipt.status) == ("wamid.A", "c1", name)
    assert receipt.at == datetime.fromtimestamp(1750000000, UTC)


def test_played_voice_note_was_read():
    assert parse(webhook(change(statuses=[status("played")]))).receipts[0].status == "read"


def test_failed_status_says_why_in_our_words():
    error = {"code": 131026, "title": "Undeliverable", "error_data": {"details": "to 966512345678"}}
    (receipt,) = parse(webhook(change(statuses=[status("failed", errors=[error])]))).receipts
    assert isinstance(receipt.error, PermanentRecipient)
    assert receipt.error.code == "not_on_whatsapp"
    assert "966512345678" not in str(receipt.error)


def test_failed_status_with_a_code_we_do_not_know():
    (receipt,) = parse(webhook(change(statuses=[status("failed", errors=[{"code": 7777777}])]))).receipts
    assert isinstance(receipt.error, PermanentContent)
    assert receipt.error.provider_code == 7777777


def test_message_of_another_program_has_no_mark_of_ours():
    (receipt,) = parse(webhook(change(statuses=[status(biz_opaque_callback_data="theirs")]))).receipts
    assert receipt.client_id is None


@pytest.mark.parametrize(
    "broken",
    [{"timestamp": None}, {"timestamp": "soon"}, {"timestamp": "9" * 30}, {"id": None}, {"status": "warning"}],
)
def test_status_we_cannot_use_is_counted_and_the_next_one_still_read(broken):
    parsed = parse(
        webhook(change(statuses=[status(**broken) if "status" not in broken else status("warning"), status()]))
    )
    assert (len(parsed.receipts), parsed.ignored) == (1, 1)


# Messages


@pytest.mark.parametrize(
    ("kind", "part", "content"),
    [
        ("text", {"body": "STOP"}, Text(body="STOP")),
        ("text", {"body": "x" * 5000}, Text(body="x" * 4096)),
        ("text", {"body": ""}, Other(kind="text")),
        ("button", {"payload": "p", "text": "Yes"}, Text(body="Yes")),
        ("interactive", {"type": "button_reply", "button_reply": {"id": "a", "title": "One"}}, Text(body="One")),
        ("interactive", {"type": "list_reply", "list_reply": {"id": "a", "title": "Row"}}, Text(body="Row")),
        ("interactive", {"type": "nfm_reply", "nfm_reply": {"body": "Sent"}}, Other(kind="interactive")),
        ("image", {"id": "9", "caption": "c"}, Media(type="image", caption="c")),
        ("document", {"id": "9", "filename": "a.pdf"}, Media(type="document", filename="a.pdf")),
        ("audio", {"id": "9", "voice": True}, Media(type="audio")),
        ("sticker", {}, Other(kind="sticker")),
        ("location", {"latitude": 24.7, "longitude": 46.6}, Location(latitude=24.7, longitude=46.6)),
        ("location", {"latitude": 240, "longitude": 46.6}, Other(kind="location")),
        ("reaction", {"message_id": "wamid.A", "emoji": "👍"}, Reaction(provider_id="wamid.A", emoji="👍")),
        ("reaction", {"message_id": "wamid.A"}, Reaction(provider_id="wamid.A", emoji="")),
        ("order", {"catalog_id": "1"}, Other(kind="order")),
        ("unsupported", None, Other(kind="unsupported")),
        ("contacts", [{"name": {"formatted_name": "Bo"}}], Other(kind="contacts")),
    ],
)
def test_every_kind_of_message(kind, part, content):
    (inbound,) = received(kind, part).inbound
    assert inbound.content == content
    assert inbound.addresses == [Address("phone", "+966512345678")]
    assert (inbound.profile_name, inbound.sender_phone_number_id) == ("Amal", NUMBER)


@pytest.mark.parametrize(
    "written", [HASH.hex(), base64.b64encode(HASH).decode(), "not a hash", HASH.hex()[:62], 7, None]
)
def test_the_file_that_came_with_it(written):
    part = {"id": "9", "mime_type": "audio/ogg; codecs=opus", "sha256": written}
    (inbound,) = received("audio", part).inbound
    known = HASH.hex() if isinstance(written, str) and len(written) in (44, 64) else None
    assert inbound.attached == Attached("9", "audio/ogg; codecs=opus", known)
    assert received("audio", {"id": "9"}).inbound[0].attached == Attached("9", "application/octet-stream", None)
    assert received("image", {"id": "9" * 300}).inbound[0].attached is None
    assert received("text", {"body": "x", "id": "9"}).inbound[0].attached is None


def test_shared_contact_card():
    (inbound,) = received("contacts", [{"name": {"formatted_name": "Bo"}, "phones": [{"phone": "+49 1"}]}]).inbound
    assert isinstance(inbound.content, Contacts)
    assert inbound.content.cards[0].name == "Bo"


def test_reply_names_what_it_answers():
    (inbound,) = received("text", {"body": "x"}, context={"id": "wamid.A"}).inbound
    assert inbound.reply_to == "wamid.A"


def person(message, contact):
    text = {"id": "wamid.B", "timestamp": "1750000000", "type": "text", "text": {"body": "x"}}
    return parse(webhook(change(messages=[{**text, **message}], contacts=[contact]))).inbound


def test_number_and_user_id_belong_to_one_person():
    both = [Address("phone", "+966512345678"), Address("bsuid", "US.1")]
    (inbound,) = person({"from": "966512345678"}, {"wa_id": "966512345678", "user_id": "US.1"})
    assert inbound.addresses == both
    (inbound,) = person({"from_user_id": "US.1"}, {"wa_id": "966512345678", "user_id": "US.1"})
    assert inbound.addresses == both


def test_person_who_hides_the_number_is_known_by_user_id_alone():
    (inbound,) = person({"from_user_id": "US.1"}, {"profile": {"name": "A", "username": "a"}, "user_id": "US.1"})
    assert inbound.addresses == [Address("bsuid", "US.1")]
    assert inbound.profile_name == "A"
    (inbound,) = person({}, {"user_id": "US.1"})
    assert inbound.addresses == [Address("bsuid", "US.1")]


def test_two_people_in_one_webhook_are_not_mixed_up():
    text = {"timestamp": "1750000000", "type": "text", "text": {"body": "x"}}
    contacts = [{"wa_id": "1", "user_id": "US.1"}, {"wa_id": "2", "user_id": "US.2"}]
    messages = [{**text, "id": "m2", "from": "2"}, {**text, "id": "m1", "from": "1"}, {**text, "id": "m3", "from": "3"}]
    parsed = parse(webhook(change(messages=messages, contacts=contacts)))
    assert [[a.value for a in inbound.addresses] for inbound in parsed.inbound] == [
        ["+2", "US.2"],
        ["+1", "US.1"],
        ["+3"],
    ]


def test_notice_of_the_system_and_group_message_open_no_window():
    parsed = received("system", {"body": "changed number"})
    assert (len(parsed.inbound), parsed.ignored) == (0, 1)
    parsed = received("text", {"body": "x"}, group_id="g1")
    assert (len(parsed.inbound), parsed.ignored) == (0, 1)


# Preferences and the unknown


@pytest.mark.parametrize(("value", "stop"), [("stop", True), ("resume", False)])
def test_marketing_preference(value, stop):
    item = {"wa_id": "966512345678", "category": "marketing_messages", "value": value, "timestamp": 1750000000}
    contact = {"wa_id": "966512345678", "user_id": "SA.1"}
    parsed = parse(webhook(change("user_preferences", user_preferences=[item], contacts=[contact])))
    (preference,) = parsed.preferences
    assert preference.stop is stop
    assert [a.value for a in preference.addresses] == ["+966512345678", "SA.1"]


def test_changes_we_do_not_know_are_counted_not_refused():
    parsed = parse(webhook(change("account_update", event="X"), change(statuses=[status()]), {"field": 7}, {}))
    assert (len(parsed.receipts), parsed.ignored) == (1, 3)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"7", b"\xff\xfe"])
def test_body_that_is_no_json_object_is_invalid(body):
    with pytest.raises(Invalid):
        parse(body)
    with pytest.raises(Invalid):
        claims(body)


KEYS = st.sampled_from(
    "entry changes field value metadata phone_number_id statuses messages contacts errors id status timestamp from "
    "from_user_id type text body image location latitude longitude contacts phones name profile wa_id user_id "
    "interactive button_reply title context user_preferences category code error_data details reaction".split()
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["messages", "user_preferences", "failed", "sent", "text", "image", "location", "contacts", "1"])
    | st.text(max_size=8)
)
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=25
)
ITEM = st.dictionaries(KEYS, ANYTHING, max_size=8)
ITEMS = st.lists(ITEM, max_size=3) | ANYTHING
SHAPED = st.builds(
    lambda field, statuses, messages, contacts, preferences, number: {
        "entry": [
            {
                "changes": [
                    {
                        "field": field,
                        "value": {
                            "metadata": {"phone_number_id": number},
                            "statuses": statuses,
                            "messages": messages,
                            "contacts": contacts,
                            "user_preferences": preferences,
                        },
                    }
                ]
            }
        ]
    },
    st.sampled_from(["messages", "user_preferences"]) | ANYTHING,
    ITEMS,
    ITEMS,
    ITEMS,
    ITEMS,
    st.just(NUMBER) | ANYTHING,
)
GOOD = orjson.loads(
    webhook(
        change(
            statuses=[status("failed", errors=[{"code": 131026, "error_data": {"details": "x"}}])],
            messages=[{"from": "1", "id": "m", "timestamp": "1", "type": "text", "text": {"body": "x"}}],
            contacts=[{"wa_id": "1", "profile": {"name": "A"}}],
        )
    )
)


def paths(node, prefix=()):
    yield prefix
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from paths(value, (*prefix, key))


@settings(max_examples=300, deadline=None)
@given(ANYTHING | SHAPED)
def test_no_shape_breaks_the_reader(document):
    body = orjson.dumps(document)
    try:
        parse(body)
        claims(body)
    except Invalid:
        assert not isinstance(document, dict)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([p for p in paths(GOOD) if p]), ANYTHING)
def test_no_single_odd_part_breaks_the_reader(path, oddity):
    document = orjson.loads(orjson.dumps(GOOD))
    node = document
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = oddity
    parse(orjson.dumps(document))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader(body):
    for read in (parse, claims):
        with suppress(Invalid):
            read(body)


def meta_examples():
    if not SPEC.exists():
        return {}
    document = yaml.load(SPEC.read_text(), yaml.CSafeLoader)
    content = document["paths"]["/whatsapp/webhooks"]["post"]["requestBody"]["content"]["application/json"]
    return {name: example["value"] for name, example in content["examples"].items()}


def test_every_example_of_meta_is_read():
    examples = meta_examples()
    if not examples:
        missing = f"not here: ../shared/contracts/{SPEC.name} (Meta's OpenAPI)"
        if os.environ.get("WAQTOR_REQUIRE_ALL") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    unread = {}
    for name, example in examples.items():
        parsed = parse(orjson.dumps(example))
        assert parsed.receipts or parsed.inbound or parsed.ignored, name
        if parsed.ignored:
            unread[name] = parsed.ignored
    assert not [name for name in unread if not name.startswith(("System", "Group"))], unread


def about_template(field="message_template_status_update", account="waba", **value):
    told = {"message_template_name": "offer", "message_template_language": "en_US", "message_template_id": 7, **value}
    entry = {"id": account, "time": 1700000000, "changes": [{"field": field, "value": told}]}
    return orjson.dumps({"object": "whatsapp_business_account", "entry": [entry]})


@pytest.mark.parametrize(
    ("event", "status"),
    [("PAUSED", "paused"), ("REJECTED", "rejected"), ("REINSTATED", "approved"), ("APPROVED", "approved")],
)
def test_a_templates_status_is_read(event, status):
    body = about_template(event=event)
    assert parse(body).templates == [TemplateChanged("waba", "offer", "en_US", status=status)]
    assert claims(body).accounts == {"waba"}


def test_a_templates_category_is_read():
    body = about_template("template_category_update", previous_category="UTILITY", new_category="MARKETING")
    assert parse(body).templates == [TemplateChanged("waba", "offer", "en_US", category="marketing")]


@pytest.mark.parametrize(
    "value", [{"event": "FLAGGED"}, {"event": 7}, {}, {"event": "PAUSED", "message_template_name": None}]
)
def test_what_says_nothing_of_a_template_is_ignored(value):
    found = parse(about_template(**value))
    assert (found.templates, found.ignored) == ([], 1)

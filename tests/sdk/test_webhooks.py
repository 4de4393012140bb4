"""The SDK's side of webhooks: what `waqtor.webhooks.verify` takes, and what it does not."""

import base64
import datetime
import secrets
import subprocess
import sys
import time

import pytest
from standardwebhooks import Webhook

import waqtor
from core import webhook_signing
from waqtor.webhooks import NotVerified, verify

SECRET = webhook_signing.new_secret().shown
BODY = '{"type":"message.received","timestamp":"2026-11-23T19:00:00Z","data":{"text":"سلام"}}'.encode()


def signed(
    *private: str, body: bytes = BODY, ago: float = 0, event_id: str = "evt_1", v2: bool = False
) -> dict[str, str]:
    keys = [one.encode() for one in private or (SECRET,)]
    return webhook_signing.headers(event_id, "message.received", int(time.time() - ago), body, keys, v2=v2)


def code(body: bytes | str, headers: dict[str, str], secret: str | list[str] = SECRET, tolerance: float = 300) -> str:
    with pytest.raises(NotVerified) as refused:
        verify(body, headers, secret, tolerance)
    assert SECRET not in str(refused.value)
    return refused.value.code


def test_what_we_sign_is_verified_and_parsed() -> None:
    event = waqtor.webhooks.verify(BODY, signed(), SECRET)
    assert (event.id, event.type, event.data) == ("evt_1", "message.received", {"text": "سلام"})
    assert verify(BODY.decode(), {name.upper(): value for name, value in signed().items()}, SECRET) == event
    old = b'{"event":"message_received","timestamp":"2026-11-23T19:00:00.000Z","data":{}}'
    assert verify(old, signed(body=old, v2=True), SECRET).type == "message_received"


def test_what_the_library_of_the_specification_signs_is_verified() -> None:
    for size in (24, 32, 64):
        key = "whsec_" + base64.b64encode(secrets.token_bytes(size)).decode()
        # It takes a naive time for UTC.
        at = int(time.time())
        moment = datetime.datetime.fromtimestamp(at, datetime.UTC)
        headers = {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(at),
            "webhook-signature": Webhook(key).sign("msg_1", moment, BODY.decode()),
        }
        assert verify(BODY, headers, key).id == "msg_1"


def test_svixs_published_vector() -> None:
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    # Signed as published; but it is no event of ours, and years old.
    assert code(b'{"test": 2432232314}', headers, key, tolerance=1e10) == "bad_body"
    assert code(b'{"test": 2432232314}', headers, key) == "too_old"


def test_several_secrets_on_either_side_while_one_is_changed() -> None:
    new = webhook_signing.new_secret().shown
    pair = webhook_signing.new_secret("v1a")
    both = signed(new, SECRET, pair.private)
    for known in (new, SECRET, pair.shown, [webhook_signing.new_secret().shown, new], (pair.shown, SECRET)):
        assert verify(BODY, both, known).id == "evt_1"
    assert code(BODY, signed(new)) == "no_match"
    assert code(BODY, signed(), pair.shown) == "no_match"
    assert code(BODY, signed(), [new]) == "no_match"


def test_a_pair_verifies_and_a_shared_secret_is_not_taken_for_its_key() -> None:
    """Whoever knows the public half must not be able to sign with it."""
    pair = webhook_signing.new_secret("v1a")
    assert verify(BODY, signed(pair.private), pair.shown).id == "evt_1"
    forged = "whsec_" + pair.shown.removeprefix("whpk_")
    assert code(BODY, signed(forged), pair.shown) == "no_match"
    assert code(BODY + b" ", signed(pair.private), pair.shown) == "no_match"


@pytest.mark.parametrize(
    ("ago", "why"), [(301.5, "too_old"), (-301.5, "too_new"), (86400, "too_old"), (290, None), (-290, None)]
)
def test_five_minutes_either_way(ago: float, why: str | None) -> None:
    if why is None:
        assert verify(BODY, signed(ago=ago), SECRET)
        assert code(BODY, signed(ago=ago), tolerance=60) in ("too_old", "too_new")
    else:
        assert code(BODY, signed(ago=ago)) == why
        assert verify(BODY, signed(ago=ago), SECRET, tolerance=90_000)


def test_nothing_of_it_can_be_changed() -> None:
    headers = signed()
    assert code(BODY.replace(b"{", b"{ ", 1), headers) == "no_match"
    assert code(BODY, {**headers, "webhook-id": "evt_2"}) == "no_match"
    assert code(BODY, {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}) == "no_match"
    # The point between the parts is not to be moved.
    assert code(b"1." + BODY, {**headers, "webhook-id": "evt"}) == "no_match"


@pytest.mark.parametrize(
    "signature",
    [
        "v1",
        "v1,",
        "v1,====",
        "v1,not base64",
        "v0,{}",
        "v1a,{}",
        "v2,{} v1",
        ",",
        " ",
        "v1,{}x",
        "v1,\x00",
        "v1," + "A" * 9999,
    ],
)
def test_a_broken_signature_is_no_match_and_never_another_error(signature: str) -> None:
    fitting = signed()["webhook-signature"].removeprefix("v1,")
    headers = {**signed(), "webhook-signature": signature.replace("{}", fitting)}
    assert code(BODY, headers) == "no_match"
    assert code(BODY, headers, webhook_signing.new_secret("v1a").shown) == "no_match"


def test_a_missing_or_broken_header_is_named() -> None:
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        headers = signed()
        del headers[name]
        with pytest.raises(NotVerified, match=name) as refused:
            verify(BODY, headers, SECRET)
        assert refused.value.code == "missing_header"
    for timestamp in ("nan", "inf", "-1", "1e9", "0x1", "٣", " 1", "9" * 400, "1614265330.5"):
        assert code(BODY, {**signed(), "webhook-timestamp": timestamp}) == "bad_header"


@pytest.mark.parametrize("secret", ["", "whsec_", "hello", "whsec_%%%", "whpk_AAAA", "whsk_AAAA", "whsec_سر"])
def test_a_secret_that_is_none_is_said_to_be_so(secret: str) -> None:
    assert code(BODY, signed(), secret) == "bad_secret"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"1", b"\xff", b"{}", b'{"type":"x"}', b'{"type":1,"timestamp":"","data":{}}']
)
def test_what_is_signed_and_is_no_event_is_not_taken(body: bytes) -> None:
    assert code(body, signed(body=body)) == "bad_body"


def test_a_shared_secret_needs_no_other_package() -> None:
    """A process in which `cryptography` cannot be imported."""
    pair = webhook_signing.new_secret("v1a")
    script = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from waqtor.webhooks import NotVerified, verify\n"
        f"headers = {signed(SECRET, pair.private)!r}; body = {BODY!r}\n"
        f"assert verify(body, headers, {SECRET!r}).id == 'evt_1'\n"
        f"try: verify(body, headers, {pair.shown!r})\n"
        "except NotVerified as error: print(error.code, error.hint)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("needs_cryptography pip install waqtor[ed25519]")

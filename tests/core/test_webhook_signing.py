import base64
import hashlib
import hmac
from datetime import UTC, datetime

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError

from core import webhook_signing
from core.errors import Invalid

SVIX_KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = '{"to":"سلام","at":1}'.encode()


def now() -> int:
    return int(datetime.now(UTC).timestamp())


def signed(*secrets: str, body: bytes = BODY, at: int | None = None, v2: bool = False) -> dict[str, str]:
    at = now() if at is None else at
    return webhook_signing.headers("evt_1", "message.sent", at, body, [one.encode() for one in secrets], v2=v2)


def test_svixs_published_vector() -> None:
    headers = webhook_signing.headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", "test", 1614265330, b'{"test": 2432232314}', [SVIX_KEY.encode()], v2=False
    )
    assert headers == {
        "Content-Type": "application/json",
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_the_library_of_the_specification_takes_what_we_sign_with_any_of_several_secrets() -> None:
    new, old, strange = (webhook_signing.new_secret().shown for _ in range(3))
    headers = signed(new, old)
    for secret in (new, old):
        assert Webhook(secret).verify(BODY, headers) == {"to": "سلام", "at": 1}
    with pytest.raises(WebhookVerificationError):
        Webhook(strange).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new).verify(BODY.replace(b"1", b"2"), headers)


def test_a_pair_signs_v1a_beside_the_shared_secret_and_only_the_public_half_is_shown() -> None:
    pair, shared = webhook_signing.new_secret("v1a"), webhook_signing.new_secret()
    assert pair.private.startswith("whsk_")
    assert pair.shown.startswith("whpk_")
    assert webhook_signing.shown(pair.private) == pair.shown
    assert webhook_signing.shown(shared.private) == shared.private
    headers = signed(pair.private, shared.private)
    v1a, v1 = headers["webhook-signature"].split(" ")
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(pair.shown.removeprefix("whpk_")))
    content = b".".join((b"evt_1", headers["webhook-timestamp"].encode(), BODY))
    public.verify(base64.b64decode(v1a.removeprefix("v1a,")), content)
    with pytest.raises(InvalidSignature):
        public.verify(base64.b64decode(v1a.removeprefix("v1a,")), content + b" ")
    Webhook(shared.private).verify(BODY, headers)
    assert v1.startswith("v1,")


def test_a_receiver_of_2_3_0_finds_its_two_headers_over_the_exact_body() -> None:
    new, old = webhook_signing.new_secret().private, "what they chose themselves"
    assert "X-WaQtor-Signature" not in signed(new)
    headers = signed(new, old, v2=True)
    assert headers["X-WaQtor-Event"] == "message.sent"
    assert headers["X-WaQtor-Signature"] == "sha256=" + hmac.new(new.encode(), BODY, hashlib.sha256).hexdigest()
    headers = signed(old, v2=True)
    assert headers["X-WaQtor-Signature"] == "sha256=" + hmac.new(old.encode(), BODY, hashlib.sha256).hexdigest()
    assert "webhook-signature" not in headers


def test_secrets_are_long_and_never_in_a_representation() -> None:
    made = [webhook_signing.new_secret("v1"), webhook_signing.new_secret("v1a")]
    for one in made:
        webhook_signing.check(one.private)
        assert one.private not in repr(one)
        assert one.shown not in repr(one)
        assert len(base64.b64decode(one.private.partition("_")[2])) == 32


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "hello",
        "whsec_",
        "whsec_not base64",
        "whsec_" + base64.b64encode(b"x" * 23).decode(),
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
        "whsk_" + base64.b64encode(b"x" * 31).decode(),
        "whsec_سر",
    ],
)
def test_a_weak_or_broken_secret_is_refused(secret: str) -> None:
    with pytest.raises(Invalid) as refused:
        webhook_signing.check(secret)
    assert refused.value.field == "secret"
    assert refused.value.hint

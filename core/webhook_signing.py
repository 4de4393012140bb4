"""Signs what webhooks carry: Standard Webhooks `v1` (HMAC-SHA256) and `v1a` (Ed25519), and as 2.3.0 did.

A secret is kept and shown as text: `whsec_…` (one that both sides know), `whsk_…` (the private half of a pair, whose
public half `whpk_…` the receiver gets), or what a receiver of 2.3.0 chose itself, without either mark.
"""

import base64
import hashlib
import hmac
import secrets as randomness
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.errors import Invalid

SECRET_BYTES: Final = 32
LEAST_BYTES: Final = 24  # the specification's bounds for a secret that is brought along
MOST_BYTES: Final = 64
SHARED: Final = "whsec_"
PRIVATE: Final = "whsk_"
PUBLIC: Final = "whpk_"

Scheme = Literal["v1", "v1a"]


@dataclass(frozen=True, slots=True)
class NewSecret:
    """`private` signs and is kept encrypted; `shown` is what the receiver verifies with: for `v1` the same text."""

    private: str = field(repr=False)
    shown: str = field(repr=False)


def new_secret(scheme: Scheme = "v1") -> NewSecret:
    if scheme == "v1":
        text = SHARED + _text(randomness.token_bytes(SECRET_BYTES))
        return NewSecret(text, text)
    private = PRIVATE + _text(randomness.token_bytes(SECRET_BYTES))
    return NewSecret(private, shown(private))


def shown(secret: str) -> str:
    """What of it the receiver may have."""
    if secret.startswith(PRIVATE):
        return PUBLIC + _text(_pair(secret).public_key().public_bytes_raw())
    return secret


def check(secret: str) -> None:
    """One that somebody brings along. Raises `Invalid`."""
    if not secret.startswith((SHARED, PRIVATE)):
        raise Invalid(
            "This is no secret of a webhook.", field="secret", hint=f"{SHARED}… with 24 to 64 bytes in base64, or none."
        )
    try:
        size = len(_key(secret))
    except ValueError:
        raise Invalid(
            "The secret is not base64 behind its mark.", field="secret", hint="Leave it out, and one is made."
        ) from None
    if secret.startswith(PRIVATE):
        if size not in (32, 64):
            raise Invalid("An Ed25519 key has 32 bytes.", field="secret", hint="Leave it out, and one is made.")
    elif not LEAST_BYTES <= size <= MOST_BYTES:
        raise Invalid(
            f"The secret has {size} bytes.",
            field="secret",
            hint=f"{LEAST_BYTES} to {MOST_BYTES}; without one it is made.",
        )


def check_all(secrets: Sequence[bytes]) -> None:
    """Raises `ValueError` where `headers` could not sign with one of them."""
    for secret in (one.decode() for one in secrets):
        if secret.startswith((SHARED, PRIVATE)):
            _signature(secret, b"")


def headers(
    event_id: str, event_type: str, timestamp: int, body: bytes, secrets: Sequence[bytes], *, v2: bool
) -> dict[str, str]:
    """All that goes with `body`. `secrets` are those in force, as text in UTF-8, the newest first: each signs, so that
    a receiver may have any of them. What 2.3.0 sent has room for one signature: that of the newest."""
    texts = [secret.decode() for secret in secrets]
    about = {
        "Content-Type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
    }
    signed = f"{event_id}.{timestamp}.".encode() + body
    if signatures := [_signature(secret, signed) for secret in texts if secret.startswith((SHARED, PRIVATE))]:
        about["webhook-signature"] = " ".join(signatures)
    if v2 and texts:
        about["X-WaQtor-Event"] = event_type
        about["X-WaQtor-Signature"] = f"sha256={hmac.new(texts[0].encode(), body, hashlib.sha256).hexdigest()}"
    return about


def _signature(secret: str, signed: bytes) -> str:
    if secret.startswith(PRIVATE):
        return f"v1a,{_text(_pair(secret).sign(signed))}"
    return f"v1,{_text(hmac.digest(_key(secret), signed, 'sha256'))}"


@lru_cache(maxsize=256)
def _pair(secret: str) -> Ed25519PrivateKey:
    # Some libraries write the private key with the public one behind it: the first 32 bytes are the seed.
    return Ed25519PrivateKey.from_private_bytes(_key(secret)[:SECRET_BYTES])


def _key(secret: str) -> bytes:
    encoded = secret.partition("_")[2]
    return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()

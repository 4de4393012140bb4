"""For receivers of webhooks: is this from WaQtor, as it was sent, and now? Nothing here asks the server.

event = waqtor.webhooks.verify(request.body, request.headers, "whsec_…")
"""

import base64
import binascii
import hmac
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from waqtor.asking import Model
from waqtor.errors import Error

_TIMESTAMP = re.compile(r"[0-9]{1,12}")

Reason = Literal[
    "missing_header", "bad_header", "too_old", "too_new", "no_match", "bad_body", "bad_secret", "needs_cryptography"
]


class NotVerified(Error):
    """Do not act on it, and answer 400. `code` is a `Reason`."""

    def __init__(self, message: str, *, code: Reason, hint: str | None = None) -> None:
        super().__init__(message, code=code, hint=hint)


class ReceivedEvent(Model):
    """`id` is the same each time it is brought: keep those of the last week, and do nothing for one you know."""

    id: str
    type: str
    timestamp: str
    data: Mapping[str, Any]


def verify(
    body: bytes | str, headers: Mapping[str, str], secret: str | Iterable[str], tolerance: float = 300
) -> ReceivedEvent:
    """`body` exactly as it came, not parsed and written anew. `secret` as it was shown: `whsec_…`, or `whpk_…` of a
    pair (for that `pip install waqtor[ed25519]`); several while you change from one to another. `tolerance`: so many
    seconds old, or ahead, may it be. Raises `NotVerified`."""
    exact = body.encode() if isinstance(body, str) else bytes(body)
    given = {name.lower(): value for name, value in headers.items()}
    event_id, timestamp, signatures = (
        _header(given, name) for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
    )
    _require_now(timestamp, tolerance)
    signed = b".".join((event_id.encode(), timestamp.encode(), exact))
    secrets = [secret] if isinstance(secret, str) else list(secret)
    if not any([_is_signed(one, signed, signatures) for one in secrets]):  # noqa: C419  each, however many fit
        raise NotVerified(
            "None of the signatures is of this secret over this body.",
            code="no_match",
            hint="Is it the secret of this endpoint, and the body as it came, byte by byte?",
        )
    return _parsed(event_id, exact)


def _header(given: Mapping[str, str], name: str) -> str:
    if not (value := given.get(name)):
        raise NotVerified(
            f"There is no header {name}.", code="missing_header", hint="Does something on the way take headers away?"
        )
    return value


def _require_now(timestamp: str, tolerance: float) -> None:
    if not _TIMESTAMP.fullmatch(timestamp):
        raise NotVerified("webhook-timestamp is not a number of seconds.", code="bad_header")
    age = time.time() - int(timestamp)
    if abs(age) <= tolerance:
        return
    raise NotVerified(
        f"It was signed {abs(age):.0f} s {'ago' if age > 0 else 'ahead of this clock'}.",
        code="too_old" if age > 0 else "too_new",
        hint="Somebody may have kept it to send it again; or one of the clocks is wrong.",
    )


def _is_signed(secret: str, signed: bytes, signatures: str) -> bool:
    version, fits = _checking(secret, signed)
    found = False
    for one in signatures.split():
        kind, _, encoded = one.partition(",")
        if kind == version:
            try:
                found |= fits(base64.b64decode(encoded, validate=True))
            except (binascii.Error, ValueError):
                continue
    return found


def _checking(secret: str, signed: bytes) -> tuple[str, Callable[[bytes], bool]]:
    kind, _, encoded = secret.partition("_")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if kind == "whsec" and key:
        expected = hmac.digest(key, signed, "sha256")
        return "v1", lambda signature: hmac.compare_digest(signature, expected)
    if kind == "whpk" and len(key) == 32:
        return "v1a", _ed25519(key, signed)
    raise NotVerified(
        "The secret is not one to verify with.",
        code="bad_secret",
        hint="Give it as it was shown: whsec_… or whpk_…, whole.",
    )


def _ed25519(key: bytes, signed: bytes) -> Callable[[bytes], bool]:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        raise NotVerified(
            "A whpk_… key needs the package cryptography.",
            code="needs_cryptography",
            hint="pip install waqtor[ed25519], or use the endpoint's whsec_… secret.",
        ) from None

    def fits(signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
        except InvalidSignature:
            return False
        return True

    return fits


def _parsed(event_id: str, body: bytes) -> ReceivedEvent:
    try:
        told = json.loads(body)
        return ReceivedEvent(
            id=event_id, type=told.get("type") or told["event"], timestamp=told["timestamp"], data=told["data"]
        )
    except (ValueError, KeyError, AttributeError, TypeError):  # pydantic's error is a ValueError
        raise NotVerified("It is signed, but it is no event of WaQtor.", code="bad_body") from None

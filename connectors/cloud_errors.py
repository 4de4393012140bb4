"""Meta's error codes in our words. One table serves the answer to a send and the `failed` status of a webhook."""

import re
from collections.abc import Callable
from typing import Any, Final

import orjson

from core.ports import (
    Ambiguous,
    Deferred,
    PermanentContent,
    PermanentRecipient,
    PermanentTemplate,
    RateLimited,
    Retryable,
    SenderBlocked,
    SendError,
    SessionLost,
    WindowClosed,
)

HOUR_S: Final = 3600.0
Make = Callable[[str, int], SendError]


def _plain(kind: type[SendError], code: str) -> Make:
    return lambda detail, provider_code: kind(code, detail, provider_code=provider_code)


def _limited(code: str, retry_after_s: float) -> Make:
    return lambda detail, provider_code: RateLimited(
        code, detail, scope="sender", retry_after_s=retry_after_s, provider_code=provider_code
    )


def _pair_limited(detail: str, provider_code: int) -> SendError:
    return RateLimited("rate_pair", detail, scope="pair", retry_after_s=6.0, provider_code=provider_code)


def _capped(detail: str, provider_code: int) -> SendError:
    return Deferred("capped_by_whatsapp", detail, wait_s=24 * HOUR_S, provider_code=provider_code)


def _stopped(detail: str, provider_code: int) -> SendError:
    return PermanentRecipient("user_stopped_marketing", detail, opted_out=True, provider_code=provider_code)


TABLE: Final[dict[int, Make]] = {
    **dict.fromkeys((0, 190), _plain(SessionLost, "token_expired")),
    **dict.fromkeys((3, 10, *range(200, 300)), _plain(SessionLost, "permission")),
    **dict.fromkeys((4, 80007), _limited("rate_account", 600.0)),
    130429: _limited("rate_sender", 2.0),
    131056: _pair_limited,
    131048: _limited("spam_limited", 6 * HOUR_S),
    131049: _capped,
    131050: _stopped,
    130472: _plain(PermanentRecipient, "experiment"),
    131026: _plain(PermanentRecipient, "not_on_whatsapp"),
    131021: _plain(PermanentRecipient, "same_as_sender"),
    131030: _plain(PermanentRecipient, "not_on_allowed_list"),
    131062: _plain(PermanentRecipient, "needs_phone_number"),
    131047: _plain(WindowClosed, "window_closed"),
    **dict.fromkeys((33, 100, 131008, 131009), _plain(PermanentContent, "bad_parameter")),
    131051: _plain(PermanentContent, "type_unsupported"),
    **dict.fromkeys((131052, 131053), _plain(PermanentContent, "media_unusable")),
    **dict.fromkeys((132000, 132012, 132018), _plain(PermanentTemplate, "template_parameters")),
    132001: _plain(PermanentTemplate, "template_missing"),
    132005: _plain(PermanentTemplate, "template_too_long"),
    132007: _plain(PermanentTemplate, "template_policy"),
    132008: _plain(PermanentTemplate, "template_mismatch"),
    132015: _plain(PermanentTemplate, "template_paused"),
    132016: _plain(PermanentTemplate, "template_disabled"),
    **dict.fromkeys((132068, 132069), _plain(PermanentTemplate, "template_flow_blocked")),
    **dict.fromkeys((368, 131031, 131064), _plain(SenderBlocked, "account_restricted")),
    130497: _plain(SenderBlocked, "country_restricted"),
    131042: _plain(SenderBlocked, "payment_missing"),
    **dict.fromkeys((131044, 131045, 133010), _plain(SenderBlocked, "number_not_registered")),
    **dict.fromkeys((131037, 131063), _plain(SenderBlocked, "name_not_approved")),
    **dict.fromkeys((131016, 131057, 133016), _plain(Retryable, "service_busy")),
    **dict.fromkeys((1, 2, 131000, 135000), _plain(Ambiguous, "in_doubt")),
}

_NUMBERS_AND_TOKENS = re.compile(r"\+?\d[\d\s().-]{5,}\d|[A-Za-z0-9_|-]{24,}")


def scrubbed(text: object) -> str:
    """Meta repeats numbers and even tokens in its texts; ours go to logs and events."""
    return _NUMBERS_AND_TOKENS.sub("…", text)[:200] if isinstance(text, str) else ""


def from_code(code: int, detail: str = "") -> SendError | None:
    """None for a code that is not in the table."""
    make = TABLE.get(code)
    return make(detail, code) if make else None


def from_error(error: dict[str, Any]) -> tuple[int | None, str]:
    """Code and readable detail of an error object, as answers and webhooks both carry it."""
    code = error.get("code")
    data = error.get("error_data")
    detail = data.get("details") if isinstance(data, dict) else None
    text = detail or error.get("error_user_msg") or error.get("message") or error.get("title")
    return (code if type(code) is int else None), scrubbed(text)


def from_answer(status: int, body: bytes, retry_after: str | None = None) -> SendError:
    """Why a whole answer that is not an acceptance means what it means."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    error = document.get("error") if isinstance(document, dict) else None
    code, detail = from_error(error) if isinstance(error, dict) else (None, "")
    if code == 100 and isinstance(error, dict) and error.get("error_subcode") == 33:
        # "Object does not exist or no permission": the object is our own number, no other message would pass.
        return SessionLost("permission", detail, provider_code=code)
    known = from_code(code, detail) if code is not None else None
    if known is not None:
        if isinstance(known, RateLimited) and retry_after and retry_after.isdigit():
            known.retry_after_s = max(known.retry_after_s, float(retry_after))
        return known
    if status == 429:
        wait_s = float(retry_after) if retry_after and retry_after.isdigit() else 2.0
        return RateLimited("rate_sender", detail, scope="sender", retry_after_s=wait_s, provider_code=code)
    if status == 401:
        return SessionLost("token_expired", detail, provider_code=code)
    if 400 <= status < 500 and status != 408:
        return PermanentContent("refused", detail or f"HTTP {status}", provider_code=code)
    return Ambiguous("in_doubt", detail or f"HTTP {status}", provider_code=code)

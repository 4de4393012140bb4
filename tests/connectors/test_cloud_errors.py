"""Meta's codes, one by one, as answers to a send and as texts of a failed status."""

import orjson
import pytest

from connectors.cloud_errors import TABLE, from_answer, from_code, from_error, scrubbed
from core.ports import (
    Ambiguous,
    Deferred,
    PermanentContent,
    PermanentRecipient,
    PermanentTemplate,
    RateLimited,
    Retryable,
    SenderBlocked,
    SessionLost,
    WindowClosed,
)

EXPECTED = [
    (SessionLost, "token_expired", (0, 190)),
    (SessionLost, "permission", (3, 10, *range(200, 300))),
    (RateLimited, "rate_account", (4, 80007)),
    (RateLimited, "rate_sender", (130429,)),
    (RateLimited, "rate_pair", (131056,)),
    (RateLimited, "spam_limited", (131048,)),
    (Deferred, "capped_by_whatsapp", (131049,)),
    (PermanentRecipient, "user_stopped_marketing", (131050,)),
    (PermanentRecipient, "experiment", (130472,)),
    (PermanentRecipient, "not_on_whatsapp", (131026,)),
    (PermanentRecipient, "same_as_sender", (131021,)),
    (PermanentRecipient, "not_on_allowed_list", (131030,)),
    (PermanentRecipient, "needs_phone_number", (131062,)),
    (WindowClosed, "window_closed", (131047,)),
    (PermanentContent, "bad_parameter", (33, 100, 131008, 131009)),
    (PermanentContent, "type_unsupported", (131051,)),
    (PermanentContent, "media_unusable", (131052, 131053)),
    (PermanentTemplate, "template_parameters", (132000, 132012, 132018)),
    (PermanentTemplate, "template_missing", (132001,)),
    (PermanentTemplate, "template_too_long", (132005,)),
    (PermanentTemplate, "template_policy", (132007,)),
    (PermanentTemplate, "template_mismatch", (132008,)),
    (PermanentTemplate, "template_paused", (132015,)),
    (PermanentTemplate, "template_disabled", (132016,)),
    (PermanentTemplate, "template_flow_blocked", (132068, 132069)),
    (SenderBlocked, "account_restricted", (368, 131031, 131064)),
    (SenderBlocked, "country_restricted", (130497,)),
    (SenderBlocked, "payment_missing", (131042,)),
    (SenderBlocked, "number_not_registered", (131044, 131045, 133010)),
    (SenderBlocked, "name_not_approved", (131037, 131063)),
    (Retryable, "service_busy", (131016, 131057, 133016)),
    (Ambiguous, "in_doubt", (1, 2, 131000, 135000)),
]
CASES = [(number, kind, code) for kind, code, numbers in EXPECTED for number in numbers]


@pytest.mark.parametrize(("number", "kind", "code"), CASES)
@pytest.mark.parametrize("status", [400, 500])
def test_code_decides_whatever_the_status(number, kind, code, status):
    body = orjson.dumps({"error": {"code": number, "message": "m", "error_data": {"details": "why"}}})
    error = from_answer(status, body)
    assert (type(error), error.code, error.provider_code, error.detail) == (kind, code, number, "why")
    assert error.effect == ("unknown" if kind is Ambiguous else "none")


def test_every_code_of_the_table_is_expected_here():
    assert {number for number, *_ in CASES} == set(TABLE)


def test_waits_are_long_enough():
    assert from_code(131049).wait_s >= 24 * 3600
    assert from_code(131048).retry_after_s >= 3600
    assert from_code(131048).scope == "sender"
    assert from_code(131056).scope == "pair"
    assert from_code(131050).opted_out
    assert not from_code(131026).opted_out


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b"", PermanentContent),
        (404, b"<html>", PermanentContent),
        (400, b'{"error":"text"}', PermanentContent),
        (400, b'{"error":{"code":"190"}}', PermanentContent),
        (400, b'{"error":{"code":true}}', PermanentContent),
        (401, b"", SessionLost),
        (408, b"", Ambiguous),
        (429, b"", RateLimited),
        (500, b"[]", Ambiguous),
        (504, b"", Ambiguous),
        (302, b"", Ambiguous),
        (101, b"", Ambiguous),
    ],
)
def test_answer_without_a_known_code(status, body, kind):
    assert type(from_answer(status, body)) is kind


@pytest.mark.parametrize(
    "text",
    ["+966 51 234 5678", "966512345678", "(650) 555-1234-99", "EAAGm0PX4ZCpsBAKZCZBq2x8dq0b1", "a" * 24],
)
def test_numbers_and_tokens_do_not_survive(text):
    assert text not in scrubbed(f"before {text} after")
    assert scrubbed(f"before {text} after").startswith("before")


def test_detail_of_odd_types_is_empty():
    assert from_error({"code": "x", "message": ["a"], "error_data": "b"}) == (None, "")

"""What receivers say about when to come again, also those who say nonsense."""

from datetime import UTC, datetime

import pytest

from core import webhook_health

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "wait_s"),
    [
        ("120", 120.0),
        ("999999999999999999999999", 86_400.0),
        ("Sun, 29 Nov 2026 12:01:00 GMT", 60.0),
        ("Sun, 29 Nov 2026 13:01:00 +0100", 60.0),
        ("Sun, 29 Nov 2026 11:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 86_400.0),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 99999999999999999999 Jan 2026 00:00:00 GMT", None),
        ("Mon, 01 Jan 2026 99999999999999999999:00:00 GMT", None),
        ("Mon, 01 Jan 2026 00:00:00 +99999999999999999999", None),
        ("9" * 5_000 + " Jan 2026 00:00:00 GMT", None),
        ("-5", None),
        ("1e9", None),
        ("٣", None),
        ("soon", None),
        ("", None),
    ],
)
def test_any_retry_after_is_a_wait_of_a_day_at_most_or_none(said: str, wait_s: float | None) -> None:
    assert webhook_health.retry_after_s({"retry-after": said}, now=NOW) == wait_s

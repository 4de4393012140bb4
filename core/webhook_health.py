"""What an endpoint's answers say about it: when it is tried again, when it gets a rest, and when it is given up."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal

from core.models import Webhook

SCHEDULE_S = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""The waits of Standard Webhooks: with the first, 10 attempts over 75 hours."""
GIVEN_UP_AFTER = timedelta(days=5)
LONGEST_RETRY_AFTER_S = 86_400.0
_JITTER = 0.1
_STRIKES_APART = timedelta(hours=12)
_STRIKES = 3
_WARNINGS = (90, 70, 50)
_OVERLOADED = frozenset({429, 502, 503, 504})
_TRIPS = 3
_REST_S = 5.0
_LONGEST_REST_S = 300.0
_SPARED_S = 60.0  # at least, of one that says that it is too much, or does not answer in time
_TOO_LATE = ("timeout", "connect_timeout")
CONTROL = "webhook-delivery"
DISABLE, ABORT = "disable", "abort-message"
"""What a receiver may say in that header: nothing any more, or no more of this."""
GONE = 410
TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` of a whole answer, or `error`: why there is none."""

    status: int | None
    error: str | None = None
    retry_after_s: float | None = None
    control: str = ""

    @property
    def asks_to_be_spared(self) -> bool:
        return self.status == TOO_MANY or self.error in _TOO_LATE

    @property
    def ends_endpoint(self) -> bool:
        return self.status == GONE or self.control == DISABLE

    @property
    def is_success(self) -> bool:
        return self.error is None and self.status is not None and 200 <= self.status < 300


def wait_s(webhook: Webhook, tries: int, answer: Answer, *, spread: float | None = None) -> float | None:
    """Till the next attempt after so many; None: that was the last. `spread`: 0 to 1 where a test wants to know."""
    schedule = SCHEDULE_S if webhook.schedule is None else webhook.schedule
    if tries > len(schedule):
        return None
    spread = random.random() if spread is None else spread  # noqa: S311
    wait = schedule[tries - 1] * (1 - _JITTER + 2 * _JITTER * spread)
    if webhook.schedule is None and answer.retry_after_s is None and answer.asks_to_be_spared:
        wait = max(wait, _SPARED_S)
    return max(wait, answer.retry_after_s or 0.0)


def answer(status: int | None, error: str | None, headers: Mapping[str, str], *, now: datetime) -> Answer:
    """With what its headers ask for."""
    return Answer(status, error, retry_after_s(headers, now=now), headers.get(CONTROL, "").strip().lower())


def retry_after_s(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Of `Retry-After`, in seconds or as a date; at most a day."""
    said = headers.get("retry-after", "").strip()
    if not said:
        return None
    if said.isascii() and said.isdigit():
        wait = float(said[:9])
    else:
        try:
            moment = parsedate_to_datetime(said)
        except (ValueError, OverflowError):  # the latter of numbers that no date has
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        wait = (moment - now).total_seconds()
    return min(max(wait, 0.0), LONGEST_RETRY_AFTER_S)


def forget(webhook: Webhook) -> None:
    """As if it had never failed."""
    webhook.failing_since = webhook.last_failed_at = webhook.last_strike_at = webhook.paused_until = None
    webhook.failures = webhook.strikes = webhook.trips = webhook.warned = 0


def succeeded(webhook: Webhook, *, now: datetime) -> Literal["recovered"] | None:
    """Any success resets everything."""
    was_told = webhook.warned > 0
    if webhook.failures or webhook.paused_until or webhook.trips or webhook.failing_since:
        forget(webhook)
    if webhook.last_success_at is None or now - webhook.last_success_at > timedelta(seconds=1):
        webhook.last_success_at = now
    return "recovered" if was_told else None


def failed(webhook: Webhook, answer: Answer, *, now: datetime) -> int | None:
    """Remember it. Returns how far the endpoint is on the way to being disabled, in percent, where that is to be told:
    50, 70, 90, and 100 when it is there."""
    webhook.failures += 1
    _rest(webhook, answer, now=now)
    if webhook.last_failed_at is not None and now - webhook.last_failed_at >= GIVEN_UP_AFTER:
        webhook.failing_since = None  # two failures with nothing in between are no failing endpoint
    webhook.last_failed_at = now
    if webhook.failing_since is None:
        webhook.failing_since = webhook.last_strike_at = now
        webhook.strikes, webhook.warned = 1, 0
        return None
    if webhook.last_strike_at is None or now - webhook.last_strike_at >= _STRIKES_APART:
        webhook.last_strike_at = now
        webhook.strikes += 1
    if webhook.strikes < _STRIKES:
        return None
    way = int((now - webhook.failing_since) * 100 / GIVEN_UP_AFTER)
    if way >= 100:
        return 100
    told = next((one for one in _WARNINGS if way >= one > webhook.warned), None)
    webhook.warned = told or webhook.warned
    return told


def _rest(webhook: Webhook, answer: Answer, *, now: datetime) -> None:
    """The breaker. An endpoint that answers, if only with an error of its own, is not overloaded."""
    if answer.error is None and answer.status not in _OVERLOADED:
        webhook.trips = 0
        return
    is_resting = webhook.paused_until is not None and webhook.paused_until > now
    if not is_resting:  # else it was under way when the rest began: all that fail with one moment of it are one
        webhook.trips += 1
    asked_s = answer.retry_after_s or 0.0
    if not is_resting and (webhook.trips >= _TRIPS or answer.status == TOO_MANY):
        doubled = min(_REST_S * 2.0 ** min(max(webhook.trips - _TRIPS, 0), 10), _LONGEST_REST_S)
        if answer.status == TOO_MANY and answer.retry_after_s is None:
            doubled = max(doubled, _SPARED_S)
        asked_s = max(asked_s, doubled)
    if asked_s:
        until = now + timedelta(seconds=asked_s)
        webhook.paused_until = max(until, webhook.paused_until or until)

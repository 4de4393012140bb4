"""When a campaign will be through, under the budgets of its sender."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

_HOUR = timedelta(hours=1)
_HORIZON = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Budgets:
    """`*_left` of the moving 24 hours and `*_per_day` from then on; None: nothing limits it. `ahead`: messages of
    other campaigns that draw on the same sender."""

    rate: float
    ahead: int
    messages_left: int | None
    messages_per_day: int | None
    conversations_left: int | None
    conversations_per_day: int | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """`limited_by` is what holds it up most: rate, daily_cap, conversations or quiet_hours. `finishes_at` is None
    when a year does not suffice."""

    finishes_at: datetime | None
    limited_by: str


def forecast(wakes: Mapping[datetime, int], *, opening: int, budgets: Budgets, now: datetime) -> Forecast:
    """`wakes`: how many people may be written to from which moment on. `opening`: how many of them open a new
    conversation. Hour by hour; a cap is taken to come back whole after each 24 hours, while really it comes back
    as it was used, so this is a little late rather than early."""
    total = sum(wakes.values())
    if not total:
        return Forecast(finishes_at=now, limited_by="rate")
    share = opening / total
    sent = 0.0
    ahead = float(budgets.ahead)
    day_sent = 0.0
    hour = now
    held: dict[str, float] = {}
    while hour - now < _HORIZON:
        hours_in = int((hour - now) / _HOUR)
        if hours_in % 24 == 0:
            day_sent = 0.0
        first_day = hours_in < 24
        awake = sum(count for moment, count in wakes.items() if moment <= hour) - sent
        room = budgets.rate * _HOUR.total_seconds()
        cut = min(ahead, room)
        ahead, room = ahead - cut, room - cut
        limits = {"rate": room, "quiet_hours": awake}
        messages = budgets.messages_left if first_day else budgets.messages_per_day
        if messages is not None:
            limits["daily_cap"] = max(0.0, messages - day_sent)
        conversations = budgets.conversations_left if first_day else budgets.conversations_per_day
        if conversations is not None and share > 0:
            limits["conversations"] = max(0.0, conversations / share - day_sent)
        by = min(limits, key=lambda name: limits[name])
        now_sent = max(0.0, limits[by])
        sent, day_sent = sent + now_sent, day_sent + now_sent
        if sent >= total - 1e-6:
            surplus = (cut + now_sent) / budgets.rate
            latest = max(moment for moment in wakes)
            done = max(hour + timedelta(seconds=min(surplus, _HOUR.total_seconds())), latest)
            return Forecast(finishes_at=done, limited_by=max(held, key=lambda name: held[name], default="rate"))
        held[by] = held.get(by, 0.0) + 1
        hour += _HOUR
    return Forecast(finishes_at=None, limited_by=max(held, key=lambda name: held[name]))

"""The one budget a sender draws on, whatever path a message comes by."""

import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from core import bulk
from core.database import Tx
from core.errors import Invalid
from core.models import Sender, SenderHour

DAY_HOURS = 24
_MOST_JITTER_S = 0.5


@dataclass(frozen=True, slots=True)
class Slots:
    """`count` moments to write at, `step_s` apart, the first in `wait_s` seconds from the database's now.
    With `count` 0, `wait_s` is how long there is nothing to be had."""

    count: int
    wait_s: float
    step_s: float


def reserve(sender: Sender, wanted: int, *, now: datetime, ahead_s: float) -> Slots:
    """Take the next slots of a locked sender, none more than `ahead_s` from now. Unused ones are not given back:
    they expire, so a stopped process can never make a burst."""
    step = 1 / sender.rate
    moment = now.timestamp()
    first = max(moment, sender.next_slot)
    horizon = moment + max(ahead_s, step)
    count = min(wanted, math.floor((horizon - first) * sender.rate + 1e-6)) if first < horizon else 0
    if count <= 0:
        return Slots(count=0, wait_s=max(first - moment, step / 2), step_s=step)
    sender.next_slot = first + count * step
    return Slots(count=count, wait_s=first - moment, step_s=step)


def rest(sender: Sender, *, until: datetime) -> None:
    """No slot of this sender before `until`."""
    sender.next_slot = max(sender.next_slot, until.timestamp())


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the caps leave in the moving 24 hours; None is no cap."""

    messages: int | None
    conversations: int | None


async def allowance(tx: Tx, sender: Sender, *, now: datetime) -> Allowance:
    most = most_conversations(sender, now=now)
    if sender.daily_cap is None and most is None:
        return Allowance(messages=None, conversations=None)
    # Whole hours are counted, so the oldest counts until its last minute is 24 hours ago.
    used = (
        await tx.execute(
            select(
                func.coalesce(func.sum(SenderHour.messages), 0), func.coalesce(func.sum(SenderHour.conversations), 0)
            ).where(SenderHour.sender_id == sender.id, SenderHour.hour >= _hour(now) - DAY_HOURS)
        )
    ).one()
    return Allowance(
        messages=None if sender.daily_cap is None else max(0, sender.daily_cap - used[0]),
        conversations=None if most is None else max(0, most - used[1]),
    )


def most_conversations(sender: Sender, *, now: datetime) -> int | None:
    """New conversations in 24 hours at most: the least of our own cap, WhatsApp's tier and the warm-up's day."""
    caps = [sender.conversation_cap, tier_cap(sender.tier), _warm_up_cap(sender.warm_up, now=now)]
    return min((cap for cap in caps if cap is not None), default=None)


def tier_cap(tier: str | None) -> int | None:
    """`TIER_250`, `TIER_2K`, `TIER_100K`: people a number may write to first in 24 hours. None where WhatsApp names
    no number: unlimited, or not asked yet."""
    found = re.fullmatch(r"TIER_(\d+)(K?)", tier or "")
    return int(found[1]) * (1_000 if found[2] else 1) if found else None


def warm_up(began: date, per_day: Sequence[int]) -> dict[str, object]:
    """How many new conversations a young number may open on its first days; raises `Invalid`."""
    if not 1 <= len(per_day) <= 90 or min(per_day) < 1 or list(per_day) != sorted(per_day):
        raise Invalid(
            "A warm-up names for each of 1 to 90 days how many conversations may be opened, never fewer than before.",
            field="warm_up.per_day",
            hint="Example: [50, 100, 200, 400, 800]",
        )
    return {"began": began.isoformat(), "per_day": list(per_day)}


def _warm_up_cap(ramp: Mapping[str, Any] | None, *, now: datetime) -> int | None:
    if ramp is None:
        return None
    day = (now.date() - date.fromisoformat(ramp["began"])).days
    per_day: list[int] = ramp["per_day"]
    return per_day[max(0, day)] if day < len(per_day) else None


def jitter_s(sender: Sender, step_s: float) -> float:
    """How much later than its slot this message leaves: up to `sender.jitter` of the time between two, so that the
    pace is no machine's; and half a second at most, since its intent is committed: a stop or a pause cannot hold it up
    any more, and its `send_by` runs."""
    if not sender.jitter:
        return 0.0
    return random.uniform(0, min(sender.jitter * step_s, _MOST_JITTER_S))  # noqa: S311  no secret


async def count(tx: Tx, sender_id: int, *, messages: int, conversations: int, arrives_by: datetime) -> None:
    """Charge the hour, in the transaction of the intents it counts: that in which the last of them can arrive, so
    that the moving day is kept by WhatsApp's count too."""
    await bulk.run(
        tx,
        "INSERT INTO sender_hours (sender_id, hour, messages, conversations) VALUES (:sender, :hour, :m, :c) "
        "ON CONFLICT (sender_id, hour) DO UPDATE SET messages = sender_hours.messages + :m, "
        "conversations = sender_hours.conversations + :c",
        sender=sender_id,
        hour=_hour(arrives_by),
        m=messages,
        c=conversations,
    )


def next_hour(now: datetime) -> datetime:
    """When the oldest hour leaves the moving day, and its budget comes back."""
    return now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


def too_many(new: Sequence[bool], left: Allowance) -> list[bool]:
    """Which of these, in order, would open a conversation more than the caps allow; `new[i]` says whether the i-th
    opens one at all. Those in open conversations are not held up by them."""
    room = len(new) if left.conversations is None else left.conversations
    found = []
    for opens in new:
        found.append(opens and room <= 0)
        room -= opens
    return found


def _hour(now: datetime) -> int:
    return int(now.timestamp() // 3600)

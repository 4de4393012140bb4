"""What Meta allows a number to send: throughput, pair rate, service window, tier, marketing."""

from collections import deque

from simulator.accounts import Number
from simulator.errors import GraphError
from simulator.profiles import Profile

DAY_S = 86400.0
# Unix times in a float are exact to a quarter of a microsecond only.
ROUNDING = 1e-3


def check_number(number: Number) -> None:
    """Refuse what a locked or unregistered number sends."""
    if number.locked:
        raise GraphError(131031, "Business Account has been locked")
    if not number.registered:
        raise GraphError(133010, "Phone number is not registered with the Cloud API")


def take_slot(number: Number, now: float) -> None:
    """Take one of the number's slots: its rate, with one second's worth of burst."""
    rate = number.rate_per_s
    if not rate:
        return
    taken = max(0.0, number.slots_taken - (now - number.slots_at) * rate) + 1.0
    if taken > rate + ROUNDING:
        raise GraphError(130429, "Cloud API message throughput has been reached.")
    number.slots_taken, number.slots_at = taken, now


def take_pair(number: Number, contact: str, now: float, profile: Profile) -> None:
    """One message per interval to one contact; a burst is lent and has to be waited off."""
    interval = profile.pair_interval_s
    if not interval:
        return
    owed_until = max(number.pairs.get(contact, 0.0), now)
    if owed_until - now > interval * (profile.pair_burst - 1) + ROUNDING:
        raise GraphError(131056, "Too many messages from this phone number to the same recipient in a short time")
    number.pairs[contact] = owed_until + interval


def window_open(number: Number, contact: str, now: float) -> bool:
    """Whether the contact wrote within the last 24 hours."""
    return now - number.windows.get(contact, -DAY_S) < DAY_S


def check_window(number: Number, contact: str, now: float) -> None:
    """Outside the service window only a template may be sent."""
    if not window_open(number, contact, now):
        raise GraphError(
            131047,
            "Message failed to send because more than 24 hours have passed since the customer last replied "
            "to this number.",
        )


def take_conversation(number: Number, contact: str, now: float) -> None:
    """Count this contact into the tier: unique contacts written to first, within a moving day."""
    opened = number.conversations
    if not number.tier_per_day:
        return
    while opened and now - next(iter(opened.values())) >= DAY_S:
        opened.popitem(last=False)
    if contact in opened:
        return
    if len(opened) >= number.tier_per_day:
        raise GraphError(131048, f"Messaging limit of {number.tier_per_day} unique users in 24 hours is reached")
    opened[contact] = now


def take_marketing(number: Number, contact: str, now: float, profile: Profile) -> None:
    """Refuse marketing to who stopped it (131050) or had too much of it without answering (131049)."""
    if contact in number.marketing_stopped:
        raise GraphError(131050, "This recipient has chosen to stop receiving marketing messages from your business")
    if not profile.marketing_per_day:
        return
    sent = number.marketing.setdefault(contact, deque())
    while sent and now - sent[0] >= DAY_S:
        sent.popleft()
    if len(sent) >= profile.marketing_per_day and not window_open(number, contact, now):
        raise GraphError(131049, "This message was not delivered to maintain healthy ecosystem engagement.")
    sent.append(now)

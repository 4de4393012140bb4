"""What a simulated fortnight is made of: who writes what to whom when, and what goes wrong meanwhile."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

ZONES: Mapping[str, str] = {
    "+9665": "Asia/Riyadh",
    "+97150": "Asia/Dubai",
    "+2010": "Africa/Cairo",
    "+447400": "Europe/London",
    "+81902": "Asia/Tokyo",
    "+55119": "America/Sao_Paulo",
}
_DIGITS = {"+9665": 8, "+97150": 7, "+2010": 8, "+447400": 6, "+81902": 7, "+55119": 8}
DEAD = 1
"""The sender whose token dies."""
PAUSED_TEMPLATE = 0
HOME = "Asia/Riyadh"
"""The zone that recurring campaigns are due by."""


@dataclass(frozen=True, slots=True)
class Weekly:
    """Of a campaign that recurs: on these days of the week (Monday is 0), at this hour of `HOME`."""

    weekdays: frozenset[int]
    hour: int
    include_earlier: bool

    @property
    def cron(self) -> str:
        return f"0 {self.hour} * * " + ",".join(
            "MON TUE WED THU FRI SAT SUN".split()[one] for one in sorted(self.weekdays)
        )

    def dues(self, start: datetime, end: datetime) -> list[datetime]:
        """From `start`, before `end`; counted without the code that is looked at."""
        home = start.astimezone(ZoneInfo(HOME)).replace(hour=self.hour, minute=0, second=0, microsecond=0)
        every = (home + timedelta(days=number) for number in range((end - start).days + 2))
        return [one for one in every if one.weekday() in self.weekdays and start < one < end]


@dataclass(frozen=True, slots=True)
class Asked:
    """One campaign; `day` may be a fraction, `sender` and `template` are places in the plan."""

    day: float
    sender: int
    template: int
    audience: Mapping[str, Any]
    purpose: str = "marketing"
    weekly: Weekly | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """`happenings`: day, the method of `Fortnight` and its arguments. A sender's `tier` is WhatsApp's for it. Budgets
    come back at full hours, and nights end at them: `step_h` is how many go by at once."""

    days: int
    people: int
    senders: Sequence[Mapping[str, Any]]
    campaigns: Sequence[Asked]
    happenings: Sequence[tuple[float, str, Mapping[str, Any]]]
    groups: int
    seed: int = 1
    per_week: int = 3
    step_h: int = 1
    templates: Sequence[str] = ("spring", "summer", "autumn", "winter")
    quiet_hours: Mapping[str, str] = field(default_factory=lambda: {"from": "21:00", "to": "09:00"})


def phones(count: int) -> Iterator[str]:
    """By turns of each zone."""
    prefixes = list(ZONES)
    for number in range(count):
        prefix = prefixes[number % len(prefixes)]
        yield f"{prefix}{number:0{_DIGITS[prefix]}d}"


def zone_of(phone: str) -> str:
    return next(zone for prefix, zone in ZONES.items() if phone.startswith(prefix))


_RECURRING = {
    1: Weekly(frozenset({1, 4}), hour=10, include_earlier=False),  # Friday's is missed: its sender has no token
    11: Weekly(frozenset({0, 3}), hour=12, include_earlier=True),
}


def fortnight(*, people: int, seed: int) -> Plan:
    """Five senders, twenty campaigns: four to everybody, the others to a seventh of the people each; two recur."""
    return Plan(
        days=14,
        people=people,
        seed=seed,
        groups=7,
        senders=(
            {"tier": 1000},
            {"tier": 0},
            {"tier": 0, "daily_cap": 150},
            {"tier": 0, "conversation_cap": 120},
            {"tier": 250, "warm_up": [20, 40, 80, 160, 320, 640]},
        ),
        campaigns=[
            Asked(
                day=place * 0.5 + 0.3,
                sender=place % 5,
                template=place % 4,
                audience={"all": True} if place % 5 == 0 else {"tag": f"group{place % 7}"},
                purpose="service" if place % 6 == 5 else "marketing",
                weekly=_RECURRING.get(place),
            )
            for place in range(20)
        ],
        happenings=(
            (1.6, "template", {"status": "PAUSED"}),
            (3.2, "template", {"status": "APPROVED"}),
            (3.4, "token_dies", {}),
            (5.1, "token_replaced", {}),
            (6.0, "tier", {"sender": 0, "tier": 2000}),
            (8.0, "tier", {"sender": 4, "tier": 1000}),
        ),
    )


def long_weekend() -> Plan:
    """The same in small: two senders, five campaigns, three days."""
    return Plan(
        days=3,
        step_h=2,
        people=60,
        groups=2,
        per_week=2,
        senders=({"tier": 250, "conversation_cap": 35}, {"tier": 250, "daily_cap": 30, "warm_up": [15, 30]}),
        campaigns=[
            Asked(day=0.2, sender=0, template=0, audience={"all": True}),
            Asked(day=0.3, sender=1, template=1, audience={"tag": "group0"}),
            Asked(day=0.6, sender=0, template=2, audience={"tag": "group1"}, purpose="service"),
            Asked(day=0.9, sender=1, template=3, audience={"all": True}),
            Asked(
                day=0.1,
                sender=0,
                template=1,
                audience={"tag": "group0"},
                purpose="service",
                weekly=Weekly(frozenset({0, 1, 2}), hour=13, include_earlier=True),
            ),
        ],
        happenings=(
            (0.4, "template", {"status": "PAUSED"}),
            (0.25, "token_dies", {}),
            (1.0, "template", {"status": "APPROVED"}),
            (0.9, "token_replaced", {}),
            (1.5, "tier", {"sender": 0, "tier": 1000}),
        ),
    )

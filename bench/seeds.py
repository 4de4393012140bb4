"""What a seed means: the campaign, WhatsApp's faults, and which process is struck when. Drawn, never decided later."""

import random
from dataclasses import asdict, dataclass, replace
from typing import Any

_TARGETS = {"flow": 48, "runner": 10, "runner+flow": 7, "api": 12, "postgres": 9, "prefect": 4}
_STOPPABLE = {"flow": 0.22, "api": 0.3}  # share of the blows that are SIGSTOP, longer than the lease
_ASKED = {"flow": 0.15, "runner": 0.3, "runner+flow": 0.3, "api": 0.3}  # share of the other blows that are SIGTERM
LEASE_S = 6.0
# Rate, pair, ambiguous, busy, not on WhatsApp; number blocked, template paused (an operator then acts); failing later.
_REFUSALS: tuple[dict[str, Any], ...] = (
    *({"code": code} for code in (130429, 131056, 131000, 131016, 131026, 133010, 132015)),
    {"code": 131026, "late": True},
)


@dataclass(frozen=True, slots=True)
class Strike:
    """A blow, `delay_s` after `at_share` of the recipients had left the queue. `stop_s` 0: kill -9, or SIGTERM where
    `is_asked`."""

    at_share: float
    delay_s: float
    target: str
    stop_s: float = 0.0
    is_asked: bool = False


@dataclass(frozen=True, slots=True)
class Single:
    """A few messages asked for over REST beside the campaign, `at_share` of its recipients having left the queue, one
    to each of these persons."""

    at_share: float
    persons: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Seed:
    """One run. `twin`: a second campaign goes to the same people from the same number at the same time."""

    seed: int
    postgres: bool
    people: int
    rate: float
    twin: bool
    strikes: tuple[Strike, ...]
    faults: tuple[dict[str, Any], ...]
    pause_at: float | None
    pause_s: float
    cancel_at: float | None
    stops_at: float | None
    stop_words: int
    singles: tuple["Single", ...]

    def shown(self) -> dict[str, Any]:
        return asdict(self)


def drawn(seed: int, *, postgres: bool | None = None) -> Seed:
    """Everything about this seed; `postgres` overrides the draw of the database (even SQLite, odd PostgreSQL)."""
    draw = random.Random(f"waqtor chaos {seed}")
    on_postgres = bool(seed % 2) if postgres is None else postgres
    strikes = [_strike(draw) for _ in range(draw.choice((1, 1, 2, 2, 3)))]
    if not on_postgres:  # an embedded database cannot be killed but together with its user
        strikes = [replace(one, target="runner+flow") if one.target == "postgres" else one for one in strikes]
    asking = random.Random(f"waqtor chaos asks {seed}")
    strikes = [replace(one, is_asked=not one.stop_s and asking.random() < _ASKED.get(one.target, 0)) for one in strikes]
    people = draw.randint(60, 150)
    return Seed(
        seed=seed,
        postgres=on_postgres,
        people=people,
        rate=draw.choice((12.0, 20.0, 35.0, 60.0, 120.0)),
        twin=draw.random() < 0.15,
        strikes=tuple(sorted(strikes, key=lambda one: (one.at_share, one.delay_s))),
        faults=tuple(_faults(draw)),
        pause_at=draw.uniform(0.1, 0.9) if draw.random() < 0.2 else None,
        pause_s=draw.uniform(1, 9),
        cancel_at=draw.uniform(0.2, 0.9) if draw.random() < 0.08 else None,
        stops_at=draw.uniform(0.05, 0.6) if draw.random() < 0.4 else None,
        stop_words=draw.randint(1, 6),
        singles=_singles(random.Random(f"waqtor chaos singles {seed}"), people),
    )


def _singles(draw: random.Random, people: int) -> tuple[Single, ...]:
    """By a draw of their own: the campaigns of older results stay what they were."""
    times = sorted(draw.uniform(0, 0.95) for _ in range(draw.randint(1, 4)))
    return tuple(Single(share, tuple(draw.sample(range(people), draw.randint(1, 8)))) for share in times)


def _strike(draw: random.Random) -> Strike:
    target = draw.choices(list(_TARGETS), weights=list(_TARGETS.values()))[0]
    stop_s = draw.uniform(LEASE_S + 1.5, LEASE_S + 6) if draw.random() < _STOPPABLE.get(target, 0) else 0.0
    if draw.random() < 0.15:  # before the first message: while the run starts, plans, claims
        return Strike(0.0, draw.uniform(0, 8), target, stop_s)
    return Strike(draw.uniform(0.01, 0.97), draw.uniform(0, 0.25), target, stop_s)


def _faults(draw: random.Random) -> list[dict[str, Any]]:
    """Each rule strikes this share of the messages (a retried one is drawn anew), some only a few times."""
    kinds = {
        "error_after": {"status": draw.choice((500, 502, 503))},
        "error_before": {"status": draw.choice((500, 503))},
        "reset_before": {},
        "reset_after": {},
        "partial_answer": {},
        "hang_after": {"seconds": draw.choice((2, 5, 8))},
        "hang_before": {"seconds": draw.choice((2, 5))},
        "graph_error": draw.choice(_REFUSALS),
        "webhook_lost": {},
        "webhook_duplicated": {},
        "webhook_delayed": {"seconds": draw.choice((2, 5))},
        "webhook_bad_signature": {},
    }
    share = {"webhook_lost": 0.02, "webhook_duplicated": 0.15, "webhook_delayed": 0.1, "graph_error": 0.03}
    chosen = draw.sample(sorted(kinds), draw.randint(1, 5))
    rules = [
        {"kind": kind, "probability": round(draw.uniform(0.3, 1) * share.get(kind, 0.07), 4), "params": kinds[kind]}
        for kind in chosen
    ]
    if draw.random() < 0.15:  # its sender is paused; an operator then replaces the token
        rules.insert(0, {"kind": "token_expired", "count": draw.randint(1, 3), "params": {}})
    return rules

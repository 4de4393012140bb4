"""What one courier shares out among endpoints: nobody has it all, and who has nothing gets some."""

from datetime import UTC, datetime

from core.delivery_claims import Due
from core.delivery_shares import AHEAD, FEW, PROVEN_ON_WIRE, SLOW_ON_WIRE, UNPROVEN_ON_WIRE, Standing, shared_out

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
QUICK = Standing(allowed=100, is_quick=True)
SLOW = Standing(allowed=100)


def _due(count: int, *, first: int = 1, most: int = 100, is_proven: bool = True) -> list[Due]:
    return [Due(one, NOW, most, is_proven) for one in range(first, first + count)]


def test_an_endpoint_alone_gets_its_limit_and_more_ahead_where_it_is_quick() -> None:
    (due,) = _due(1, most=10)
    quick = shared_out([due], {1}, {1: QUICK})[1]
    assert (quick.room.some, quick.room.times, quick.limit) == (80, 8, 10)
    slow = shared_out([due], {1}, {1: SLOW})[1]
    assert (slow.room.some, slow.room.times, slow.limit) == (10, 1, 10)


def test_what_is_ahead_takes_no_place_on_the_wire() -> None:
    held = {one: Standing(on_wire=10, ahead=AHEAD // 7, allowed=10, is_quick=True) for one in range(1, 8)}
    share = shared_out(_due(1, first=8, most=10), set(range(1, 9)), {**held, 8: QUICK})[8]
    assert (share.room.some, share.limit) == (10 + AHEAD % 7, 10)


def _after_turns(due: list[Due], proven: set[int], standings: dict[int, Standing]) -> None:
    """Of which nothing ends."""
    for _ in range(5):
        for one, share in shared_out(due, proven, standings).items():
            its = standings[one]
            on_wire = min(its.on_wire + its.ahead + share.room.some, max(share.limit, its.on_wire))
            ahead = its.on_wire + its.ahead + share.room.some - on_wire
            standings[one] = Standing(on_wire, ahead, its.allowed, its.is_quick)


def test_whoever_has_nothing_under_way_finds_a_place_though_others_have_all_they_may() -> None:
    for held in (QUICK, SLOW):
        standings = dict.fromkeys(range(1, 8), held)
        _after_turns(_due(7), set(standings), standings)
        for late in range(8, 20):
            standings[late] = held
            share = shared_out(_due(1, first=late), set(standings), standings)[late]
            assert share.room.some >= FEW
            standings[late] = Standing(FEW, 0, 100, held.is_quick)
        assert sum(one.on_wire for one in standings.values()) <= PROVEN_ON_WIRE
        assert sum(one.ahead for one in standings.values()) <= AHEAD


def test_the_slow_and_the_unproven_leave_the_rest_to_others() -> None:
    due = _due(10) + _due(10, first=11, is_proven=False) + _due(1, first=21)
    standings = {one.webhook_id: SLOW for one in due[:10]} | {one.webhook_id: QUICK for one in due[10:]}
    _after_turns(due[:20], set(range(1, 11)), standings)
    slow = sum(standings[one].on_wire for one in range(1, 11))
    assert SLOW_ON_WIRE <= slow <= SLOW_ON_WIRE + 10 * FEW
    assert sum(standings[one].on_wire for one in range(11, 21)) == UNPROVEN_ON_WIRE
    quick = shared_out(due[20:], {*range(1, 11), 21}, {**standings, 21: QUICK})[21]
    assert quick.limit == min(100, PROVEN_ON_WIRE - slow - 64)

"""Shares out what one courier may have under way, so that no endpoint's silence keeps another waiting.

Two things are short: places on the wire, and what is committed to beyond them. That an endpoint has gone silent shows
only after a while, and counts as a failure only after 15 s: until then it must not have had all there is.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from core.delivery_claims import Due, Room

PROVEN_ON_WIRE = 384  # of endpoints whose last answer was a success
UNPROVEN_ON_WIRE = 128
SLOW_ON_WIRE = 192  # of the proven, those that take long or are silent just now
KEPT_FOR_IDLE = 64  # of the proven, those with nothing under way; each a few
FEW = 4
AHEAD = 512
AT_ONCE_OF_ONE = 256  # on the wire and ahead of it
MOST_IN_A_TURN = 256
QUICK_S = 0.5
TIMES = 8  # so often its limit is committed to, of an endpoint that answers within that


@dataclass(frozen=True, slots=True)
class Standing:
    """Of an endpoint with this courier: `ahead` is committed to and waits for a place on the wire; so many are
    `allowed` there by what it answered; `is_quick`: its last answer was, and none under way takes longer."""

    on_wire: int = 0
    ahead: int = 0
    allowed: int = 1
    is_quick: bool = False


@dataclass(frozen=True, slots=True)
class Share:
    """`room` for more; with those that it has, at most `limit` on the wire."""

    room: Room
    limit: int


def shared_out(due: Sequence[Due], proven: Collection[int], standings: Mapping[int, Standing]) -> Mapping[int, Share]:
    """One for each of those `due`. `standings` are theirs, and of all that have something under way."""
    left = _Left(proven, standings)
    shares = {}
    for one in sorted(due, key=lambda one: (not one.is_proven, _under_way(standings[one.webhook_id]), one.at)):
        its = standings[one.webhook_id]
        wanted = min(its.allowed, one.most)
        limit = min(wanted, its.on_wire + left.places(one, its))
        some = limit - its.on_wire - its.ahead
        times = TIMES if one.is_proven and its.is_quick else 1
        if limit == wanted and times > 1:
            most = min(wanted * times, AT_ONCE_OF_ONE) - _under_way(its)
            some = min(most, max(some, 0) + left.ahead)
        some = max(min(some, left.in_turn), 0)
        left.take(one, its, some, limit)
        shares[one.webhook_id] = Share(Room(some, mine=_under_way(its), times=times), limit)
    return shares


def _under_way(its: Standing) -> int:
    return its.on_wire + its.ahead


class _Left:
    """What has not been given to anybody."""

    def __init__(self, proven: Collection[int], standings: Mapping[int, Standing]) -> None:
        of_proven = {id: one for id, one in standings.items() if id in proven}
        self._proven = PROVEN_ON_WIRE - sum(one.on_wire for one in of_proven.values())
        self._slow = SLOW_ON_WIRE - sum(one.on_wire for one in of_proven.values() if not one.is_quick)
        self._unproven = UNPROVEN_ON_WIRE - sum(one.on_wire for id, one in standings.items() if id not in proven)
        self.ahead = AHEAD - sum(one.ahead for one in standings.values())
        self.in_turn = MOST_IN_A_TURN

    def places(self, one: Due, its: Standing) -> int:
        if not one.is_proven:
            return max(self._unproven, 0)
        places = self._proven - KEPT_FOR_IDLE
        if not its.is_quick:
            places = min(places, self._slow)
        if not _under_way(its):
            places = max(places, min(self._proven, FEW))
        return max(places, 0)

    def take(self, one: Due, its: Standing, some: int, limit: int) -> None:
        placed = max(min(limit - its.on_wire, its.ahead + some), 0)
        self.in_turn -= some
        self.ahead -= some - placed
        if not one.is_proven:
            self._unproven -= placed
            return
        self._proven -= placed
        self._slow -= 0 if its.is_quick else placed

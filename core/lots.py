"""Lots that divide an audience: who is held out, who gets which variant, who goes first. Drawn again, they are the
same."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

_WHOLE = 2**64


def drawn(what: str, campaign_id: int, contact_id: int) -> float:
    """From 0 to just below 1; for each `what` another."""
    digest = blake2b(f"{what}:{campaign_id}:{contact_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / _WHOLE


@dataclass(frozen=True, slots=True)
class Lots:
    """Of one campaign, in all its occurrences: who is held out of one is held out of all, and a person gets the same
    variant each time. Who goes first is drawn anew for each. `weights` are (number of the variant, weight)."""

    campaign_id: int
    occurrence: int = 0
    holdout_percent: float | None = None
    weights: Sequence[tuple[int, int]] = ()
    first_percent: float | None = None

    @property
    def are_needed(self) -> bool:
        return bool(self.holdout_percent or self.weights or self.first_percent)

    def held_out(self, contact_id: int) -> bool:
        return self._is_among(self.holdout_percent, "holdout", contact_id)

    def goes_first(self, contact_id: int) -> bool:
        return self._is_among(self.first_percent, f"first {self.occurrence}", contact_id)

    def _is_among(self, percent: float | None, what: str, contact_id: int) -> bool:
        return percent is not None and drawn(what, self.campaign_id, contact_id) * 100 < percent

    def variant(self, contact_id: int) -> int | None:
        if not self.weights:
            return None
        place = drawn("variant", self.campaign_id, contact_id) * sum(weight for _, weight in self.weights)
        for number, weight in self.weights:
            place -= weight
            if place < 0:
                return number
        return self.weights[-1][0]  # what floats leave over

"""Random-looking decisions that depend only on what they are about.

A shared generator would hand out numbers in the order of arrival, so two runs with another concurrency would
behave differently. Here every decision is a hash of the seed, the contact, the message and the purpose.
"""

import math
from hashlib import blake2b
from struct import Struct

_SIXTEEN = Struct("<16I")
WHOLE = 2**32


def draw(seed: int, *about: str) -> tuple[int, ...]:
    """Sixteen independent numbers in [0, 2**32); divide by `WHOLE` for a share."""
    return _SIXTEEN.unpack(blake2b("|".join((str(seed), *about)).encode()).digest())


def happens(number: int, share: float) -> bool:
    """Whether an event with this probability takes place, given one drawn number."""
    return number < share * WHOLE


def between(number: int, low: float, high: float) -> float:
    """The drawn number laid evenly on [low, high)."""
    return low + (high - low) * number / WHOLE


def around(median: float, sigma: float, first: int, second: int, third: int) -> float:
    """A nearly log-normal delay; three numbers summed stand in for the normal, so it has no endless tail."""
    return median * math.exp(sigma * 2.0 * ((first + second + third) / WHOLE - 1.5))

"""How much somebody may say: a bucket that fills by itself."""

import time


class Bucket:
    """Tokens of one address or principal, which all its connections draw on."""

    __slots__ = ("__weakref__", "_at", "_left", "_most", "_per_s")

    def __init__(self, per_s: float, most: int) -> None:
        self._per_s, self._most = per_s, float(most)
        self._left, self._at = self._most, time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

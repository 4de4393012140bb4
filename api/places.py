"""How many may be connected at once: in all, of one address, and of one person or key."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from api.cluster import Cluster
from core.errors import TooMany
from core.settings import Settings

PRINCIPAL = "principal "
_COME_AGAIN_S = 5


class NoPlace(TooMany):
    """`why` is what it is counted under."""

    code = "too_many_connections"

    def __init__(self, why: str, message: str) -> None:
        super().__init__(message, retry_after_s=_COME_AGAIN_S)
        self.why = why


@dataclass(frozen=True, slots=True)
class _Wanted:
    name: str
    most: int
    why: str
    message: str


class Places:
    """WebSockets and streams over plain HTTP alike. A place is taken before anything is waited for, so that those who
    come at the same moment cannot all find it free; then it is asked for among the other processes."""

    def __init__(self, settings: Settings, cluster: Cluster) -> None:
        self._settings = settings
        self._cluster = cluster
        self.taken: Counter[str] = Counter()

    async def take(self, address: str) -> "Place":
        """One in all and one of this address; to be left again. Raises `NoPlace`."""
        all_here = _Wanted("all", self._settings.live_connections, "full", "There are too many connections.")
        of_address = _Wanted(
            f"address {address}",
            self._settings.live_per_address,
            "too_many_of_address",
            "There are too many connections from your address.",
        )
        return Place(self, await self._take(all_here, of_address))

    async def take_for(self, ref: str) -> list[str]:
        """One more of this person or key. Raises `NoPlace`."""
        most = self._settings.live_per_principal
        mine = _Wanted(f"{PRINCIPAL}{ref}", most, "too_many_of_principal", "You have too many connections open.")
        return await self._take(mine)

    def leave(self, names: Collection[str]) -> None:
        self._count(names, -1)
        self._cluster.leave(names)

    async def _take(self, *wanted: _Wanted) -> list[str]:
        for one in wanted:
            if self.taken[one.name] >= one.most:
                raise NoPlace(one.why, one.message)
        names = [one.name for one in wanted]
        self._count(names, 1)
        try:
            if full := await self._cluster.take({one.name: one.most for one in wanted}):
                raise next(NoPlace(one.why, one.message) for one in wanted if one.name == full)
        except BaseException:  # also who is cancelled while Redis is asked
            self._count(names, -1)
            raise
        return names

    def _count(self, names: Collection[str], change: int) -> None:
        for name in names:
            self.taken[name] += change
            if not self.taken[name]:
                del self.taken[name]


class Place:
    """What one connection has taken, until it leaves."""

    __slots__ = ("_names", "_places")

    def __init__(self, places: Places, names: list[str]) -> None:
        self._places = places
        self._names = names

    async def belongs_to(self, ref: str) -> None:
        """It is known whose connection it is. Raises `NoPlace`."""
        self._names += await self._places.take_for(ref)

    def leave(self) -> None:
        names, self._names = self._names, []
        self._places.leave(names)

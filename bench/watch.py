"""How far each campaign is, read from the database itself: the API may be dead just now."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import bindparam, text

from core.campaigns import UNFINISHED
from core.database import Database

_POLL_S = 0.15
_COUNTS = text(
    "SELECT campaign_id, state, count(*) FROM recipients WHERE campaign_id IN :ids GROUP BY 1, 2"
).bindparams(bindparam("ids", expanding=True))
_STATES = text(
    "SELECT c.id, c.state, c.state_reason, s.state"
    " FROM campaigns c JOIN senders s ON s.id = c.sender_id WHERE c.id IN :ids"
).bindparams(bindparam("ids", expanding=True))


@dataclass(frozen=True, slots=True)
class Seen:
    """One campaign at one moment; `counts` by the recipients' states."""

    state: str = "draft"
    reason: str = ""
    sender: str = "active"
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """How many are past the queue."""
        return sum(number for state, number in self.counts.items() if state not in ("queued", "claimed"))

    @property
    def is_at_rest(self) -> bool:
        return self.state in ("finished", "cancelled") and not any(self.counts.get(one) for one in UNFINISHED)


_SINGLES = text("SELECT id FROM messages WHERE id IN :ids AND state IN ('sent', 'failed', 'unknown')").bindparams(
    bindparam("ids", expanding=True)
)


class Watch:
    """Looks several times a second at all campaigns it was told of."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ids: set[int] = set()
        self._seen: dict[int, Seen] = {}
        self._singles: set[int] = set()

    def add(self, campaign_ids: Iterable[int]) -> None:
        self._ids |= set(campaign_ids)

    def add_singles(self, message_ids: Iterable[int]) -> None:
        """Messages without a campaign; each is watched until it has an outcome."""
        self._singles |= set(message_ids)

    def are_settled(self, message_ids: Iterable[int]) -> bool:
        return self._singles.isdisjoint(message_ids)

    def of(self, campaign_id: int) -> Seen:
        return self._seen.get(campaign_id, Seen())

    async def look_forever(self) -> None:
        while True:
            try:
                if self._ids:
                    await self.look()
            except Exception:  # noqa: BLE001  the database is one of the victims
                pass
            await asyncio.sleep(_POLL_S)

    async def look(self) -> None:
        ids = sorted(self._ids)
        counts: dict[int, dict[str, int]] = {}
        async with self._database.reading() as tx:
            for campaign_id, state, number in await tx.execute(_COUNTS, {"ids": ids}):
                counts.setdefault(campaign_id, {})[state] = number
            rows = (await tx.execute(_STATES, {"ids": ids})).all()
            settled = (await tx.execute(_SINGLES, {"ids": sorted(self._singles)})).scalars().all()
        self._seen = {row[0]: Seen(row[1], row[2], row[3], counts.get(row[0], {})) for row in rows}
        self._singles -= set(settled)

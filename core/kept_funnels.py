"""Funnels in which nobody waits, kept for as long as nothing happens anywhere: a large one takes a while to count."""

from dataclasses import dataclass, field

from sqlalchemy import select

from core.database import Tx
from core.models import Event, EventLog
from core.outcomes import Progress, progress

_MOST = 200


@dataclass(frozen=True, slots=True)
class _Kept:
    head: int
    progress: Progress


@dataclass(slots=True)
class KeptFunnels:
    """Of one process. What changes a recipient who is done with writes its event in the same transaction: while the
    log stands still, so does the funnel."""

    _kept: dict[tuple[int, int | None], _Kept] = field(default_factory=dict)

    async def progress(self, tx: Tx, campaign_id: int, *, occurrence: int | None) -> Progress:
        """As `outcomes.progress`."""
        head, which = await _head(tx), (campaign_id, occurrence)
        kept = self._kept.pop(which, None)
        if kept is None or kept.head != head:
            counted = await progress(tx, campaign_id, occurrence=occurrence)
            if head is None or counted.queued or counted.sending:
                return counted
            kept = _Kept(head, counted)
        self._kept[which] = kept  # at the end: the first is the one that was longest not asked for
        while len(self._kept) > _MOST:
            del self._kept[next(iter(self._kept))]
        return kept.progress


async def _head(tx: Tx) -> int | None:
    """The last event's number. None while events wait for theirs: another with a smaller id may be committed yet."""
    waiting = select(Event.id).where(Event.seq.is_(None)).exists()
    head, is_waited_for = (await tx.execute(select(EventLog.head, waiting))).one()
    return None if is_waited_for else head

"""Watches the gateway of this process: samples, alerts, and what of the installation waits."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from api import errors
from api.alerts import Alert, Seen, alerts
from api.gateway import Live
from api.gateway_log import LastLines
from api.sampling import EACH_S, Sample, Samples, sample
from core import figures
from core.bootstrap import Platform
from core.figures import Figures

_FRESH_S = 5.0
_MINUTE_S, _TEN_MINUTES_S = 60.0, 600.0
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Raised:
    """An alert, and since when."""

    alert: Alert
    since_ms: int


@dataclass(frozen=True, slots=True)
class Reasons:
    """What the samples do not tell apart: refusals by why, errors by code."""

    at_s: float
    refused: Mapping[str, int]
    errors: Mapping[str, int]
    sent_away: int


class Monitor:
    def __init__(self, platform: Platform, live: Live, lines: LastLines) -> None:
        self._platform = platform
        self.live = live
        self.lines = lines
        self.samples = Samples()
        self.raised: Sequence[Raised] = ()
        self.started_ms = int(time.time() * 1000)
        self.is_database_away = False
        self._started_s = time.monotonic()
        self._reasons: deque[Reasons] = deque(maxlen=int(_TEN_MINUTES_S / EACH_S) + 1)
        self._figures: tuple[float, Figures] | None = None
        self._looking = asyncio.Lock()
        self._look_at_counts(behind=0)

    @property
    def uptime_s(self) -> float:
        return time.monotonic() - self._started_s

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(EACH_S)
            self._look_at_counts(behind=await self._behind())

    async def figures(self) -> Figures:
        """At most a few seconds old, whoever asks how often. Raises what the database does."""
        async with self._looking:
            if self._figures is None or time.monotonic() - self._figures[0] > _FRESH_S:
                async with self._platform.database.reading() as tx:
                    found = await figures.look(tx, at=await self._platform.clock.now(tx))
                self._figures = time.monotonic(), found
            return self._figures[1]

    @property
    def most(self) -> int:
        return self._platform.settings.live_connections

    def lately(self, seconds: float) -> Reasons:
        """What came in these seconds, up to the last sample."""
        now = self._reasons[-1]
        then = next((one for one in reversed(self._reasons) if one.at_s <= now.at_s - seconds), self._reasons[0])
        refused, failed = _more(then.refused, now.refused), _more(then.errors, now.errors)
        return Reasons(now.at_s, refused, failed, now.sent_away - then.sent_away)

    async def _behind(self) -> int:
        """Of a follower that rests nothing is expected, and the database is not asked."""
        following = self.live.following
        if following.is_resting:
            self.is_database_away = False
            return 0
        try:
            head = (await following.look()).head
        except Exception as error:
            if not errors.is_away(error):
                logger.exception("monitor_stalled")
            self.is_database_away = True
            return self.samples.last.behind
        self.is_database_away = False
        return max(0, head - following.position)

    def _look_at_counts(self, *, behind: int) -> None:
        counts = self.live.connections.counts
        self.samples.add(sample(self.live.connections, behind=behind))
        reasons = Reasons(self.samples.last.at_s, dict(counts.refused), dict(counts.errors), counts.sent_away)
        self._reasons.append(reasons)
        known = {one.alert.code: one.since_ms for one in self.raised}
        now_ms = self.samples.last.at_ms
        self.raised = [Raised(one, known.get(one.code, now_ms)) for one in alerts(self._seen())]

    def _seen(self) -> Seen:
        now: Sample = self.samples.last
        lately = self.lately(_TEN_MINUTES_S)
        return Seen(
            now=now,
            a_minute_ago=self.samples.before(_MINUTE_S),
            refused=self.lately(_MINUTE_S).refused,
            errors=lately.errors,
            sent_away=lately.sent_away,
            most=self.most,
            is_closing=self.live.entrance.is_closing,
            is_database_away=self.is_database_away,
        )


def _more(then: Mapping[str, int], now: Mapping[str, int]) -> Mapping[str, int]:
    """What came since, of what came at all."""
    return {name: number - then.get(name, 0) for name, number in now.items() if number > then.get(name, 0)}

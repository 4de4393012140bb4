"""One run of a campaign, and what starts a run again after one died."""

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from secrets import token_hex

from core import (
    appointments,
    campaigns,
    judging,
    media_uploads,
    planning,
    schedules,
    senders,
    settling,
    variants,
    watchdog,
)
from core.appointments import SEND
from core.bootstrap import Platform
from core.database import is_passing
from core.dispatch import MEDIA_UPLOADING, TOKEN_REPLACED, Dispatcher, Rest
from core.models import Sender
from core.ports import Connector, JobsUnavailable


def about(campaign_id: int) -> str:
    """What the orchestrator knows the runs of one campaign by."""
    return f"campaign:{campaign_id}"


_SOON_S = 10.0  # a run waits this long for what is about to be due; for more it ends, and the sweep starts the next
_LOOK_S = 0.2
_RETRY_S = 1.0
logger = logging.getLogger(__name__)


class Run:
    """Holds the lease of sending one campaign. `opened()` gives None when there is nothing for it to do."""

    def __init__(self, platform: Platform, campaign_id: int, token: str, sender: Sender, connector: Connector) -> None:
        self.platform = platform
        self.campaign_id = campaign_id
        self._token = token
        self._sender = sender
        self._connector = connector
        self._planning_broke: Exception | None = None

    @classmethod
    async def opened(cls, platform: Platform, campaign_id: int) -> "Run | None":
        """Take the lease. None: another run has it, or the campaign is not running."""
        token = token_hex(8)
        async with platform.database.transaction() as tx:
            now = await platform.clock.now(tx)
            campaign = await campaigns.get(tx, campaign_id)
            if campaign.wave is not None:
                campaign = await judging.look(tx, campaign_id, at=now)
            if campaign.state != campaigns.RUNNING:
                return None
            until = now + timedelta(seconds=platform.settings.lease_s)
            if not await campaigns.hold_run(tx, campaign_id, token=token, now=now, until=until):
                return None
            sender = await senders.get(tx, campaign.sender_id)
        connector = await platform.connectors.open(senders.config(sender, platform.key))
        return cls(platform, campaign_id, token, sender, connector)

    async def plan(self) -> None:
        """Make all recipients, chunk by chunk; goes on where an earlier run stopped."""
        pause_s = 0.0
        while True:
            await asyncio.sleep(pause_s)
            try:
                async with self.platform.database.transaction() as tx:
                    now = await self.platform.clock.now(tx)
                    size = self.platform.settings.plan_at_once
                    if not await planning.plan_chunk(tx, self.campaign_id, at=now, size=size):
                        return
                pause_s = 0.0
            except Exception as error:  # the database may be restarting; what else breaks, `has_more` has to know
                if not is_passing(error):
                    self._planning_broke = error
                    raise
                logger.warning("planning_stalled campaign=%s error=%s", self.campaign_id, type(error).__name__)
                pause_s = _RETRY_S

    async def send_batch(self) -> Rest:
        """Send for `batch_s`, or until something stops it; everything is settled when it returns."""
        dispatcher = Dispatcher(
            self.platform,
            self._connector,
            self.campaign_id,
            run_token=self._token,
            opened_with=self._sender.secrets,
        )
        return await dispatcher.run(seconds=self.platform.settings.batch_s)

    async def has_more(self, rest: Rest) -> bool:
        """Whether another batch is worth while after this one ended so. Raises what broke the planning: a run that
        waited for the rest of it would hold its lease for ever, and the sweep could start no other."""
        if self._planning_broke is not None:
            raise self._planning_broke
        if rest.why == "time_up":
            return True
        if rest.why == TOKEN_REPLACED:
            await self._reconnect()
            return True
        if rest.why == MEDIA_UPLOADING:
            return await self._file_is_there()
        if rest.why not in ("queue_empty", "campaign_holding"):
            return False
        async with self.platform.database.reading() as tx:
            now = await self.platform.clock.now(tx)
            campaign = await campaigns.get(tx, self.campaign_id)
            due = await campaigns.next_due(tx, self.campaign_id)
        if campaign.wave is not None:
            due = await self._next_of_canary()
        if not campaigns.planned(campaign):
            await asyncio.sleep(0.1)
            return True
        if due is None or (due - now).total_seconds() > _SOON_S:
            return False
        await asyncio.sleep(max(0.05, (due - now).total_seconds()))
        return True

    async def _file_is_there(self) -> bool:
        """The API process uploads it. A run waits for what may take seconds; else the sweep starts the next."""
        until = time.monotonic() + _SOON_S
        while time.monotonic() < until:
            await asyncio.sleep(_LOOK_S)
            async with self.platform.database.reading() as tx:
                campaign = await campaigns.get(tx, self.campaign_id)
                wanted = variants.media_ids(await variants.families(tx, campaign))
                now = await self.platform.clock.now(tx)
                if not await media_uploads.is_waiting(tx, self._sender.id, wanted, now=now):
                    return True
        return False

    async def _next_of_canary(self) -> datetime | None:
        """When there is something to do again, after a look at what came of it."""
        async with self.platform.database.transaction() as tx:
            campaign = await judging.look(tx, self.campaign_id, at=await self.platform.clock.now(tx))
            if campaign.state == campaigns.RUNNING:
                return await campaigns.next_due(tx, self.campaign_id)
            return campaign.held_until if campaign.state == campaigns.HOLDING else None

    async def _reconnect(self) -> None:
        async with self.platform.database.reading() as tx:
            self._sender = await senders.get(tx, self._sender.id)
        await self._connector.close()
        self._connector = await self.platform.connectors.open(senders.config(self._sender, self.platform.key))

    async def close(self) -> bool:
        """Give the lease back; True when the campaign is finished."""
        await self._connector.close()
        async with self.platform.database.transaction() as tx:
            await campaigns.leave_run(tx, self.campaign_id, token=self._token)
            now = await self.platform.clock.now(tx)
            is_finished = await campaigns.finish_if_done(tx, self.campaign_id, at=now)
            await judging.look(tx, self.campaign_id, at=now)
            return is_finished


async def sweep(platform: Platform) -> Sequence[int]:
    """Take up what died, finish what is done, start what is due, and ask for a run wherever one is missing; returns
    those campaigns. Safe at any time and twice at once."""
    await settling.reconcile(platform)
    await watchdog.look(platform)
    async with platform.database.reading() as tx:
        running = await campaigns.running(tx)
    for campaign_id in running:
        async with platform.database.transaction() as tx:
            await campaigns.finish_if_done(tx, campaign_id, at=await platform.clock.now(tx))
    await judging.look_at_all(platform)
    await appointments.reconcile(platform)  # first: an operator may have shifted what is due now
    await schedules.launch_due(platform)
    async with platform.database.reading() as tx:
        now = await platform.clock.now(tx)
        waiting = await campaigns.waiting_for_a_run(tx, now=now)
    turn = int(now.timestamp() // platform.settings.sweep_interval_s)
    started = []
    for campaign in waiting:
        try:
            await platform.jobs.start(
                SEND,
                {"campaign_id": campaign.id},
                key=f"campaign:{campaign.id}:{campaign.launches}:sweep:{turn}",
                about=about(campaign.id),
            )
            started.append(campaign.id)
        except JobsUnavailable as unavailable:
            logger.warning("run_not_started campaign=%s reason=%s", campaign.id, unavailable)
    return started


async def show_next_start(platform: Platform, campaign_id: int) -> None:
    """Where all who are left wait for their time (in the night, say), the orchestrator shows when it goes on. That it
    does, the sweep sees to."""
    async with platform.database.reading() as tx:
        now = await platform.clock.now(tx)
        campaign = await campaigns.get(tx, campaign_id)
        due = await campaigns.next_due(tx, campaign_id)
    if campaign.state == campaigns.HOLDING:
        due = campaign.held_until
    if campaign.state not in campaigns.UNDER_WAY or due is None or (due - now).total_seconds() <= _SOON_S:
        return
    key = f"{about(campaign_id)}:goes-on:{due:%Y%m%dT%H%M}"
    try:
        await platform.jobs.schedule(SEND, {"campaign_id": campaign_id}, key=key, about=key, due_at=due)
    except JobsUnavailable as unavailable:
        logger.warning("next_start_not_shown campaign=%s reason=%s", campaign_id, unavailable)

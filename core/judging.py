"""Whether a campaign goes on after its canary. Looked at by runs, and by the sweep: whoever dies, another one looks."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select, update

from core import campaigns, canaries, comparisons, outcomes, variants
from core.bootstrap import Platform
from core.canaries import FIRST, Canary
from core.database import Tx
from core.errors import Conflict
from core.events import CampaignMoved, CanaryMoved, publish
from core.models import Campaign, Recipient

FAILED, PASSED = "canary_failed", "canary_passed"
"""Why a campaign is paused that has had its canary."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What came of the canary. `people` were written to, or WhatsApp keeps our marketing from them; `failed` has those
    of unknown outcome too; `blocked` may be among the failed. `waiting` have no outcome yet, `at_most` will be
    written to."""

    people: int
    failed: int
    opted_out: int
    blocked: int
    waiting: int
    at_most: int

    def breaches(self, canary: Canary) -> list[str]:
        """The limits that are passed, whatever still comes of those who wait."""
        limits = (
            ("failed", self.failed, canary.max_failed_percent),
            ("opted_out", self.opted_out, canary.max_opted_out_percent),
            ("blocked", self.blocked, canary.max_blocked_percent),
        )
        return [name for name, number, limit in limits if limit is not None and number * 100 > limit * self.at_most]


def _canary(campaign: Campaign) -> list[ColumnElement[bool]]:
    return [*outcomes.of_occurrence(campaign.id, campaign.occurrence), Recipient.wave == FIRST]


async def measure(tx: Tx, campaign: Campaign) -> Rates:
    """Of the latest occurrence."""
    theirs = _canary(campaign)
    said = (await outcomes.funnels(tx, theirs)).get(None) or outcomes.NOTHING
    # WhatsApp will take these tomorrow, perhaps. They say enough today, and the others do not wait for them.
    put_off = said.blocked - sum(number for reason, number in said.failed.items() if reason in outcomes.BLOCKED)
    failed = sum(said.failed.values()) + sum(said.unknown.values())
    return Rates(
        people=said.sent + failed + put_off,
        failed=failed,
        opted_out=len(await comparisons.opted_out(tx, theirs)),
        blocked=said.blocked,
        waiting=said.queued + said.sending - put_off,
        at_most=said.total - sum(said.skipped.values()),
    )


async def look(tx: Tx, campaign_id: int, *, at: datetime) -> Campaign:
    """Move the campaign on as its canary says: stop at once where a limit is passed, hold when the canary has been
    written to, go on after that. Without a canary under way it does nothing."""
    campaign = await campaigns.get(tx, campaign_id, lock=True)
    canary = canaries.of(campaign)
    is_under_way = campaign.state in campaigns.UNDER_WAY and campaigns.planned(campaign)
    if canary is None or campaign.wave is None or not is_under_way:
        return campaign
    rates = await measure(tx, campaign)
    if breaches := rates.breaches(canary):
        await _judge(tx, campaign, rates, "failed", breaches, at=at)
        await campaigns.pause(tx, campaign_id, reason=FAILED, at=at)
        return campaign
    is_running = campaign.state == campaigns.RUNNING
    if is_running and (rates.waiting or not await _hold(tx, campaign, canary, rates, at=at)):
        return campaign
    if campaign.held_until is None or campaign.held_until <= at:
        await _judge(tx, campaign, rates, "passed", [], at=at)
        if canary.after_hold == "ask":
            await campaigns.pause(tx, campaign_id, reason=PASSED, at=at)
        else:
            await _release(tx, campaign, at=at)
    return campaign


async def _hold(tx: Tx, campaign: Campaign, canary: Canary, rates: Rates, *, at: datetime) -> bool:
    """False where there is nothing to hold for: nobody else waits, or nobody of the canary could be written to, and
    the next one in the queue is the canary."""
    others = [*outcomes.of_occurrence(campaign.id, campaign.occurrence), Recipient.wave.is_(None)]
    next_one = select(Recipient.id).where(*others, Recipient.state == "queued").order_by(Recipient.id).limit(1)
    found = (await tx.execute(next_one)).scalar()
    if found is None:
        campaign.wave = campaign.held_until = None
        return False
    if not rates.people:
        await tx.execute(update(Recipient).where(Recipient.id == found).values(wave=FIRST))
        return False
    # After a pause in the hold it ends when it would have ended.
    campaign.held_until = campaign.held_until or at + timedelta(minutes=canary.hold_minutes)
    campaigns.move(campaign, campaigns.HOLDING)
    campaign.state_reason = f"until {campaign.held_until:%Y-%m-%d %H:%M} UTC"
    await tx.flush()
    await publish(tx, CampaignMoved(campaign_id=campaign.id, what="holding"), at=at)
    return True


async def _judge(
    tx: Tx, campaign: Campaign, rates: Rates, verdict: str, breaches: Sequence[str], *, at: datetime
) -> None:
    numbers = {name: number for name, number in asdict(rates).items() if name not in ("waiting", "at_most")}
    campaign.canary_verdict = {"verdict": verdict, "at": at.isoformat(), **numbers, "breaches": list(breaches)}
    await tx.flush()
    await publish(tx, CanaryMoved(campaign_id=campaign.id, what=verdict, breaches=list(breaches), **numbers), at=at)


async def _release(tx: Tx, campaign: Campaign, *, at: datetime) -> None:
    """Everybody's turn."""
    if campaign.state != campaigns.RUNNING:
        campaigns.move(campaign, campaigns.RUNNING)
        campaign.launches += 1
    campaign.state_reason = ""
    campaign.wave = campaign.held_until = None
    await tx.flush()
    await publish(tx, CampaignMoved(campaign_id=campaign.id, what="went_on"), at=at)


async def go_on(tx: Tx, campaign_id: int, *, variant: str | None = None, at: datetime) -> Campaign:
    """Now, because somebody says so; with this variant for all who are left, if one is named."""
    campaign = await campaigns.get(tx, campaign_id, lock=True)
    if campaign.wave is None or campaign.state not in campaigns.UNDER_WAY:
        raise Conflict(
            f"Campaign {campaign_id} is {campaign.state}, and waits for no canary.",
            field="state",
            hint="A paused campaign goes on with resume." if campaign.state == campaigns.PAUSED else None,
        )
    if variant is not None:
        await variants.choose(tx, campaign, variant, at=at)
    await _judge(tx, campaign, await measure(tx, campaign), "overruled", [], at=at)
    await _release(tx, campaign, at=at)
    return campaign


async def look_at_all(platform: Platform) -> None:
    """Of every campaign whose canary is under way or held."""
    under_way = (Campaign.wave.is_not(None), Campaign.state.in_(campaigns.UNDER_WAY))
    async with platform.database.reading() as tx:
        ids = (await tx.execute(select(Campaign.id).where(*under_way).order_by(Campaign.id))).scalars().all()
    for campaign_id in ids:
        async with platform.database.transaction() as tx:
            await look(tx, campaign_id, at=await platform.clock.now(tx))

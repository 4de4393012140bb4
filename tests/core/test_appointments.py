"""What operators see in the orchestrator, and what they do there; and that none of it is needed to send."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import text

import scenes
from core import appointments, campaigns, occurrences, runs, schedules
from core.bootstrap import Platform
from core.models import Campaign, Occurrence
from fakes import FakeClock, FakeConnector, FakeJobs

DAILY = "0 9 * * *"


async def _now(platform: Platform) -> datetime:
    async with platform.database.reading() as tx:
        return await platform.clock.now(tx)


async def _scheduled(platform: Platform, *, hours: float | None = None) -> Campaign:
    await scenes.people(platform, 2)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        when = {"cron": DAILY} if hours is None else {"at": now + timedelta(hours=hours)}
        times = schedules.asked(timezone="UTC", now=now, **when)  # type: ignore[arg-type]
        await schedules.put(tx, campaign.id, times, include_earlier=True, at=now)
    return campaign


async def _waiting(platform: Platform, campaign: Campaign) -> Occurrence:
    async with platform.database.reading() as tx:
        waiting = await occurrences.waiting(tx, campaign.id)
    assert waiting is not None
    return waiting


async def _first(platform: Platform, campaign: Campaign) -> Occurrence:
    async with platform.database.reading() as tx:
        return await occurrences.get(tx, campaign.id, 1)


def _shift(jobs: FakeJobs, job_id: str | None, due_at: datetime) -> None:
    assert job_id is not None
    jobs.jobs[job_id] = replace(jobs.jobs[job_id], due_at=due_at)


async def test_the_next_occurrence_is_shown_as_one_run(platform: Platform, jobs: FakeJobs, clock: FakeClock) -> None:
    campaign = await _scheduled(platform)
    for _ in range(2):
        await asyncio.gather(*(appointments.reconcile(platform) for _ in range(3)))
    (job,) = jobs.waiting()
    assert job.due_at == (await _waiting(platform, campaign)).due_at
    assert jobs.keys == {f"campaign:{campaign.id}:occurrence:1": job.id}
    assert jobs.parameters[job.id] == {"campaign_id": campaign.id, "occurrence": 1}
    clock.ahead += (await _waiting(platform, campaign)).due_at - await _now(platform) + timedelta(seconds=1)
    await runs.sweep(platform)
    await runs.sweep(platform)
    (job,) = jobs.waiting()  # that of the first is gone, that of the second is there
    assert jobs.keys[f"campaign:{campaign.id}:occurrence:2"] == job.id


async def test_our_change_moves_the_run(platform: Platform, jobs: FakeJobs) -> None:
    campaign = await _scheduled(platform)
    await appointments.reconcile(platform)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        times = schedules.asked(timezone="UTC", cron="30 17 * * *", now=now)
        await schedules.put(tx, campaign.id, times, include_earlier=True, at=now)
    await appointments.reconcile(platform)
    (job,) = jobs.waiting()
    assert job.due_at is not None
    assert (job.due_at.hour, job.due_at.minute) == (17, 30)
    async with platform.database.transaction() as tx:
        await schedules.remove(tx, campaign.id, at=now)
    await appointments.reconcile(platform)
    assert jobs.waiting() == []


async def test_a_shift_there_counts_here_and_the_next_is_as_the_rule_says(
    platform: Platform, jobs: FakeJobs, clock: FakeClock
) -> None:
    campaign = await _scheduled(platform)
    await appointments.reconcile(platform)
    waiting = await _waiting(platform, campaign)
    later = waiting.due_at + timedelta(hours=2)
    _shift(jobs, waiting.job_id, later)
    clock.ahead += waiting.due_at - await _now(platform) + timedelta(minutes=1)
    assert await runs.sweep(platform) == []
    shifted = await _waiting(platform, campaign)
    assert (shifted.number, shifted.due_at, shifted.planned_at) == (1, later, waiting.due_at)
    clock.advance(hours=2)
    assert await runs.sweep(platform) == [campaign.id]
    assert (await _waiting(platform, campaign)).due_at == waiting.due_at + timedelta(days=1)


async def test_run_now_is_now(platform: Platform, jobs: FakeJobs, clock: FakeClock) -> None:
    campaign = await _scheduled(platform, hours=20)
    await appointments.reconcile(platform)
    _shift(jobs, (await _waiting(platform, campaign)).job_id, await _now(platform) - timedelta(hours=9))
    assert await runs.sweep(platform) == [campaign.id]


async def test_deleted_there_is_cancelled_here(platform: Platform, jobs: FakeJobs) -> None:
    campaign = await _scheduled(platform)
    await appointments.reconcile(platform)
    jobs.jobs.clear()
    await appointments.reconcile(platform)
    assert ((await _first(platform, campaign)).state, (await _first(platform, campaign)).reason) == (
        "cancelled",
        "cancelled_in_prefect",
    )
    assert (await _waiting(platform, campaign)).number == 2  # the schedule goes on


async def test_cancelled_there_is_cancelled_here_and_a_once_is_a_draft_again(
    platform: Platform, jobs: FakeJobs
) -> None:
    campaign = await _scheduled(platform, hours=5)
    await appointments.reconcile(platform)
    await jobs.cancel(str((await _waiting(platform, campaign)).job_id), why="by hand")
    jobs.marked = "lost"  # a cancelled run is there to be seen: nothing has to be concluded
    await appointments.reconcile(platform)
    assert (await _first(platform, campaign)).reason == "cancelled_in_prefect"
    async with platform.database.reading() as tx:
        assert (await campaigns.get(tx, campaign.id)).state == "draft"


async def test_a_lost_database_of_the_orchestrator_cancels_nothing(platform: Platform, jobs: FakeJobs) -> None:
    campaign = await _scheduled(platform)
    await appointments.reconcile(platform)
    jobs.forget()
    await appointments.reconcile(platform)
    assert (await _waiting(platform, campaign)).number == 1
    assert len(jobs.waiting()) == 1
    jobs.jobs.clear()  # known again: now it is a deletion
    await appointments.reconcile(platform)
    assert (await _first(platform, campaign)).state == "cancelled"


async def test_one_set_back_to_an_old_backup_cancels_nothing(platform: Platform, jobs: FakeJobs) -> None:
    await _scheduled(platform)
    await appointments.reconcile(platform)
    old = (dict(jobs.jobs), dict(jobs.keys), jobs.marked)
    sender = await scenes.a_sender(platform, name="second")
    second = await scenes.a_campaign(platform, sender, name="second")
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        times = schedules.asked(timezone="UTC", cron=DAILY, now=now)
        await schedules.put(tx, second.id, times, include_earlier=True, at=now)
    await appointments.reconcile(platform)
    jobs.jobs, jobs.keys, jobs.marked = old
    await appointments.reconcile(platform)
    assert (await _waiting(platform, second)).number == 1
    assert len(jobs.waiting()) == 2


async def test_while_it_is_down_all_goes_on(
    platform: Platform, jobs: FakeJobs, clock: FakeClock, connector: FakeConnector
) -> None:
    jobs.is_down = True
    campaign = await _scheduled(platform)
    await appointments.reconcile(platform)
    clock.ahead += (await _waiting(platform, campaign)).due_at - await _now(platform) + timedelta(seconds=1)
    assert await runs.sweep(platform) == []  # begun, though nobody could be asked for a run
    assert (await _first(platform, campaign)).state == "running"
    jobs.is_down = False
    assert await runs.sweep(platform) == [campaign.id]
    assert len(jobs.waiting()) == 1


async def test_a_run_that_starts_waits_ends_or_begins(platform: Platform, jobs: FakeJobs, clock: FakeClock) -> None:
    campaign = await _scheduled(platform, hours=5)
    await appointments.reconcile(platform)
    waiting = await _waiting(platform, campaign)
    job_id = str(waiting.job_id)
    assert await appointments.began(platform, campaign.id, 1, job_id="of another time") == 0
    assert (await _waiting(platform, campaign)).due_at == waiting.due_at
    async with platform.database.transaction() as tx:  # we have moved it, and it does not know
        now = await platform.clock.now(tx)
        times = schedules.asked(timezone="UTC", at=now + timedelta(hours=9), now=now)
        await schedules.put(tx, campaign.id, times, include_earlier=True, at=now)
    assert await appointments.began(platform, campaign.id, 1, job_id=job_id) > 8 * 3600
    jobs.jobs[job_id] = replace(jobs.jobs[job_id], state="over")  # it ended: another is asked for
    await appointments.reconcile(platform)
    (job,) = jobs.waiting()
    assert jobs.keys[f"campaign:{campaign.id}:occurrence:1:2"] == job.id
    assert await appointments.began(platform, campaign.id, 1, job_id=job.id) == 0  # started early, by somebody
    assert await schedules.launch_due(platform) == [campaign.id]


async def test_a_night_that_has_to_be_waited_for_is_shown(
    platform: Platform, jobs: FakeJobs, connector: FakeConnector
) -> None:
    await scenes.people(platform, 2)
    now = await _now(platform)
    night = {"from": f"{now - timedelta(hours=2):%H:%M}", "to": f"{now + timedelta(hours=5):%H:%M}"}
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform), quiet_hours=night, timezone="UTC")
    async with platform.database.transaction() as tx:
        await tx.execute(text("UPDATE contacts SET timezone = 'UTC'"))
    await scenes.launched(platform, campaign.id)
    run = await runs.Run.opened(platform, campaign.id)
    assert run is not None
    rest = await run.send_batch()
    assert not await run.has_more(rest)  # it ends rather than sleep through the night
    await run.close()
    for _ in range(2):
        await runs.show_next_start(platform, campaign.id)
    (job,) = jobs.waiting()
    assert job.due_at is not None
    assert job.due_at - await _now(platform) > timedelta(hours=4)
    assert connector.effects == []

"""A campaign begins when it is due: once, on time or not at all, and nobody has it twice who should not."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

import scenes
from conftest import with_settings
from core import (
    audit,
    campaigns,
    contacts,
    occurrences,
    outcomes,
    planning,
    retrying,
    runs,
    schedules,
    segments,
    senders,
    why,
)
from core.bootstrap import Platform
from core.contacts import NewContact
from core.errors import Conflict, Invalid, NotFound
from core.filters_text import parse
from core.models import Campaign, Event, Occurrence, Recipient
from core.ports import Accepted, Outgoing, PermanentContent, SendError
from fakes import FakeClock, FakeConnector

DAILY = "0 9 * * *"


async def _put(platform: Platform, campaign_id: int, *, include_earlier: bool | None = True, **when: object) -> None:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        times = schedules.asked(timezone="UTC", now=now, **when)  # type: ignore[arg-type]
        await schedules.put(tx, campaign_id, times, include_earlier=include_earlier, at=now)


async def _now(platform: Platform) -> datetime:
    async with platform.database.reading() as tx:
        return await platform.clock.now(tx)


async def _scheduled(platform: Platform, *, people: int = 3, **when: object) -> Campaign:
    if people:
        await scenes.people(platform, people)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await _put(platform, campaign.id, **(when or {"cron": DAILY}))  # type: ignore[arg-type]
    return campaign


async def _occurrences(platform: Platform, campaign_id: int) -> Sequence[Occurrence]:
    async with platform.database.reading() as tx:
        return await occurrences.listed(tx, campaign_id, after=0, limit=1000)


async def _told(platform: Platform, campaign_id: int) -> list[tuple[int, str, str]]:
    return [(one.number, one.state, one.reason) for one in await _occurrences(platform, campaign_id)]


async def _state(platform: Platform, campaign_id: int) -> str:
    async with platform.database.reading() as tx:
        return str((await campaigns.get(tx, campaign_id)).state)


async def _until_due(platform: Platform, clock: FakeClock, campaign_id: int, *, late_s: float = 1) -> None:
    waiting = [one for one in await _occurrences(platform, campaign_id) if one.state == "scheduled"]
    clock.ahead += waiting[0].due_at - await _now(platform) + timedelta(seconds=late_s)


async def _send_all(platform: Platform, connector: FakeConnector, campaign_id: int) -> None:
    while True:
        async with platform.database.transaction() as tx:
            if not await planning.plan_chunk(tx, campaign_id, at=await platform.clock.now(tx)):
                break
    await scenes.dispatched(platform, connector, campaign_id)
    async with platform.database.transaction() as tx:
        await campaigns.finish_if_done(tx, campaign_id, at=await platform.clock.now(tx))


async def test_once_it_begins_when_it_is_due_and_then_is_over(
    platform: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    at = await _now(platform) + timedelta(hours=5)
    campaign = await _scheduled(platform, at=at)
    assert await schedules.launch_due(platform) == []
    assert await _state(platform, campaign.id) == "scheduled"
    await scenes.people(platform, 2, start=100)  # they come before it begins, so they are in it
    await _until_due(platform, clock, campaign.id)
    assert await schedules.launch_due(platform) == [campaign.id]
    await scenes.people(platform, 2, start=200)  # and these after
    await _send_all(platform, connector, campaign.id)
    assert await _state(platform, campaign.id) == "finished"
    assert await _told(platform, campaign.id) == [(1, "finished", "")]
    assert len(connector.effects) == 5


async def test_who_began_it_is_in_the_audit_log_in_the_same_transaction(platform: Platform, clock: FakeClock) -> None:
    campaign = await _scheduled(platform, at=await _now(platform) + timedelta(hours=5))
    await _until_due(platform, clock, campaign.id)
    await schedules.launch_due(replace(platform, process="flows"))
    async with platform.database.reading() as tx:
        entries = await audit.listed(tx, before=None, limit=10)
    assert [(one.actor, one.action, one.subject, one.details) for one in entries] == [
        ("service:flows", "launch_campaign", f"campaign:{campaign.id}", {"occurrence": 1})
    ]


async def test_a_recurring_one_waits_for_the_next_after_each_and_is_over_after_the_last(
    platform: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    campaign = await _scheduled(platform, rrule="FREQ=DAILY;COUNT=3")
    # It counts from this minute, which is over: two are left.
    for number in (1, 2):
        assert await _state(platform, campaign.id) == "scheduled"
        await _until_due(platform, clock, campaign.id)
        await runs.sweep(platform)
        assert await _state(platform, campaign.id) == "running"
        await _send_all(platform, connector, campaign.id)
        async with platform.database.reading() as tx:
            assert (await outcomes.progress(tx, campaign.id, occurrence=number)).sent == 3
    assert await _state(platform, campaign.id) == "finished"
    assert len(connector.effects) == 6
    async with platform.database.reading() as tx:
        assert (await outcomes.progress(tx, campaign.id)).sent == 6


async def test_many_sweeps_at_once_begin_one_occurrence(platform: Platform, clock: FakeClock) -> None:
    campaign = await _scheduled(platform, cron=DAILY)
    await _until_due(platform, clock, campaign.id)
    began = await asyncio.gather(*(schedules.launch_due(platform) for _ in range(6)))
    assert sum(len(one) for one in began) == 1
    assert await _told(platform, campaign.id) == [(1, "running", ""), (2, "scheduled", "")]
    async with platform.database.reading() as tx:
        told = select(func.count()).where(Event.type == "campaign.launched")
        assert (await tx.execute(told)).scalar_one() == 1


async def test_a_death_in_the_middle_of_a_start_leaves_nothing_or_all(platform: Platform, clock: FakeClock) -> None:
    campaign = await _scheduled(platform, cron=DAILY)
    await _until_due(platform, clock, campaign.id)

    async def die_before_the_commit() -> None:
        async with platform.database.transaction() as tx:
            await schedules._take_turn(tx, platform, campaign.id)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await die_before_the_commit()
    assert await _told(platform, campaign.id) == [(1, "scheduled", "")]
    assert await schedules.launch_due(platform) == [campaign.id]


async def test_late_but_within_the_hour_it_begins_later_it_was_missed(platform: Platform, clock: FakeClock) -> None:
    campaign = await _scheduled(platform, cron=DAILY)
    await _until_due(platform, clock, campaign.id, late_s=3605)
    assert await schedules.launch_due(platform) == []
    assert await _told(platform, campaign.id) == [(1, "missed", "too_late"), (2, "scheduled", "")]
    await _until_due(platform, clock, campaign.id, late_s=3500)
    assert await schedules.launch_due(platform) == [campaign.id]


async def test_after_a_long_time_off_each_missed_one_is_shown(platform: Platform, clock: FakeClock) -> None:
    campaign = await _scheduled(platform, cron="0 */2 * * *")
    clock.advance(days=20)
    await schedules.launch_due(platform)
    told = [state for _, state, _ in await _told(platform, campaign.id)]
    assert 235 <= told.count("missed") <= 245
    assert await _state(platform, campaign.id) in ("scheduled", "running")


async def test_a_once_that_was_missed_is_a_draft_again(platform: Platform, clock: FakeClock) -> None:
    campaign = await _scheduled(platform, at=await _now(platform) + timedelta(hours=1))
    clock.advance(hours=4)
    await schedules.launch_due(platform)
    async with platform.database.reading() as tx:
        found = await campaigns.get(tx, campaign.id)
        assert (found.state, found.state_reason) == ("draft", "missed:too_late")
    await _put(platform, campaign.id, at=await _now(platform) + timedelta(hours=1))
    assert await _state(platform, campaign.id) == "scheduled"


async def test_due_while_the_one_before_runs_it_is_missed(
    platform: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    campaign = await _scheduled(platform, cron=DAILY)
    await _until_due(platform, clock, campaign.id)
    await schedules.launch_due(platform)
    await _until_due(platform, clock, campaign.id)
    assert await schedules.launch_due(platform) == []
    told = [(1, "running", ""), (2, "missed", "previous_running"), (3, "scheduled", "")]
    assert await _told(platform, campaign.id) == told
    await _send_all(platform, connector, campaign.id)
    assert await _state(platform, campaign.id) == "scheduled"
    assert len(connector.effects) == 3


async def test_due_while_paused_it_is_missed(platform: Platform, clock: FakeClock) -> None:
    campaign = await _scheduled(platform, cron=DAILY)
    async with platform.database.transaction() as tx:
        await campaigns.pause(tx, campaign.id, reason="price", at=await platform.clock.now(tx))
    await _until_due(platform, clock, campaign.id)
    assert await schedules.launch_due(platform) == []
    assert await _told(platform, campaign.id) == [(1, "missed", "campaign_paused"), (2, "scheduled", "")]
    assert await _state(platform, campaign.id) == "paused"
    async with platform.database.transaction() as tx:
        assert (await campaigns.resume(tx, campaign.id, at=await platform.clock.now(tx))).state == "scheduled"
    await _until_due(platform, clock, campaign.id)
    assert await schedules.launch_due(platform) == [campaign.id]


async def test_a_pause_in_the_middle_of_an_occurrence_goes_on_with_it(platform: Platform, clock: FakeClock) -> None:
    campaign = await _scheduled(platform, cron=DAILY)
    await _until_due(platform, clock, campaign.id)
    await schedules.launch_due(platform)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await campaigns.pause(tx, campaign.id, at=now)
        assert (await campaigns.resume(tx, campaign.id, at=now)).state == "running"


async def test_a_stopped_sender_holds_it_up_for_an_hour(platform: Platform, clock: FakeClock) -> None:
    campaign = await _scheduled(platform, cron=DAILY)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await senders.move(tx, await senders.get(tx, 1), senders.PAUSED, reason="asked", at=now)
    await _until_due(platform, clock, campaign.id)
    assert await schedules.launch_due(platform) == []
    assert await _told(platform, campaign.id) == [(1, "scheduled", "")]
    clock.advance(hours=2)
    await schedules.launch_due(platform)
    assert (await _told(platform, campaign.id))[0] == (1, "missed", "sender_paused")
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await senders.move(tx, await senders.get(tx, 1), senders.ACTIVE, reason="", at=now)
    await _until_due(platform, clock, campaign.id)
    assert await schedules.launch_due(platform) == [campaign.id]


async def test_without_its_schedule_nothing_begins(platform: Platform, clock: FakeClock) -> None:
    campaign = await _scheduled(platform, cron=DAILY)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        with pytest.raises(Conflict, match="scheduled"):
            await campaigns.launch(tx, campaign.id, at=now)
        assert (await schedules.remove(tx, campaign.id, at=now)).state == "draft"
        with pytest.raises(NotFound):
            await schedules.get(tx, campaign.id)
    clock.advance(days=2)
    assert await schedules.launch_due(platform) == []
    assert await _told(platform, campaign.id) == [(1, "cancelled", "unscheduled")]


async def test_a_cancelled_campaign_has_nothing_to_come(platform: Platform, clock: FakeClock) -> None:
    campaign = await _scheduled(platform, cron=DAILY)
    await _until_due(platform, clock, campaign.id)
    await schedules.launch_due(platform)
    async with platform.database.transaction() as tx:
        await campaigns.cancel(tx, campaign.id, at=await platform.clock.now(tx))
    told = [(1, "cancelled", ""), (2, "cancelled", "campaign_cancelled")]
    assert await _told(platform, campaign.id) == told
    with pytest.raises(Conflict):
        await _put(platform, campaign.id, cron=DAILY)


async def test_a_changed_schedule_moves_what_is_to_come(platform: Platform) -> None:
    campaign = await _scheduled(platform, cron=DAILY)
    await _put(platform, campaign.id, cron="30 17 * * *")
    (only,) = await _occurrences(platform, campaign.id)
    assert (only.due_at.hour, only.due_at.minute, only.number) == (17, 30, 1)


async def test_what_recurs_says_whether_it_writes_again(platform: Platform) -> None:
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    with pytest.raises(Invalid) as refused:
        await _put(platform, campaign.id, include_earlier=None, cron=DAILY)
    assert refused.value.field == "include_earlier"
    await _put(platform, campaign.id, include_earlier=None, at=datetime(2099, 1, 1, tzinfo=UTC))
    with pytest.raises(Invalid):
        await _put(platform, campaign.id, at=datetime(2099, 1, 1, tzinfo=UTC), cron=DAILY)


# ---- whom it is for -----------------------------------------------------------------------------------------


async def test_the_audience_is_as_it_was_when_the_occurrence_began(
    platform: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    await scenes.people(platform, 3, tags=["vip"])
    await scenes.people(platform, 3, tags=["new"], start=50)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        segment = await segments.create(tx, name="them", filter=parse('tag = "vip"'), at=now)
    campaign = await scenes.a_campaign(
        platform, await scenes.a_sender(platform), audience={"segment": segment.id}, name="s"
    )
    await _put(platform, campaign.id, cron=DAILY)
    await _until_due(platform, clock, campaign.id)
    await schedules.launch_due(platform)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await planning.plan_chunk(tx, campaign.id, at=now, size=1)
        await segments.change(tx, segment.id, filter=parse('tag = "new"'), at=now)
    await _send_all(platform, connector, campaign.id)
    assert {one.to.value[-2] for one in connector.effects} == {"0"}
    assert len(connector.effects) == 3
    await _until_due(platform, clock, campaign.id)
    await schedules.launch_due(platform)
    await _send_all(platform, connector, campaign.id)
    assert {one.to.value[-2] for one in connector.effects[3:]} == {"5"}
    first, second, _ = await _occurrences(platform, campaign.id)
    assert (first.audience, second.audience) == ({"filter": 'tag = "vip"'}, {"filter": 'tag = "new"'})


async def test_to_each_person_once(platform: Platform, connector: FakeConnector, clock: FakeClock) -> None:
    await scenes.people(platform, 4)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await _put(platform, campaign.id, cron=DAILY, include_earlier=False)
    failing = {"+966500000000"}

    def answer(message: Outgoing) -> Accepted | SendError:
        return PermanentContent("bad") if message.to.value in failing else Accepted(f"wamid.{message.client_id}")

    connector.answering = answer
    for new in (0, 2, 0):
        await _until_due(platform, clock, campaign.id)
        await schedules.launch_due(platform)
        async with platform.database.transaction() as tx:
            some = [NewContact(phone=f"+9665111{one:05d}", name="new") for one in range(new)]
            await contacts.save(tx, platform.key, some, at=await platform.clock.now(tx))
        await _send_all(platform, connector, campaign.id)
    # The first of them got three (each failed), the two new ones theirs with the last occurrence, the others one.
    assert sorted(one.to.value for one in connector.effects) == [
        "+966500000001", "+966500000002", "+966500000003", "+966511100000", "+966511100001",
    ]  # fmt: skip
    assert len(connector.calls) == 8
    async with platform.database.transaction() as tx:
        (answer_for_two,) = await why.ask(tx, campaign.id, 2, occurrence=2, now=await platform.clock.now(tx))
        assert answer_for_two.reason == "had_it_before"
        assert answer_for_two.evidence[0].facts["occurrence"] == 1
        assert (await outcomes.progress(tx, campaign.id, occurrence=2)).total == 1
        # Who failed in all three is tried again in one of them only, once it has gone out.
        failing.clear()
        now = await platform.clock.now(tx)
        assert await retrying.retry_failed(tx, campaign.id, occurrence=1, at=now) == 1
        assert await retrying.retry_failed(tx, campaign.id, occurrence=3, at=now) == 0
        assert (await campaigns.get(tx, campaign.id)).state == "running"
    await _send_all(platform, connector, campaign.id)
    assert len(connector.effects) == 6
    assert await _state(platform, campaign.id) == "scheduled"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("include_earlier", [True, False])
async def test_whatever_happens_an_occurrence_writes_to_a_person_once(
    platform: Platform, connector: FakeConnector, clock: FakeClock, seed: int, include_earlier: bool
) -> None:
    draw = random.Random(seed)
    platform = with_settings(platform, max_attempts=2)

    def answer(message: Outgoing) -> Accepted | SendError:
        return PermanentContent("bad") if draw.random() < 0.2 else Accepted(f"wamid.{message.client_id}")

    connector.answering = answer
    campaign = await _scheduled(platform, people=6, cron="0 */6 * * *", include_earlier=include_earlier)

    async def pause() -> None:
        async with platform.database.transaction() as tx:
            await campaigns.pause(tx, campaign.id, at=await platform.clock.now(tx))

    async def resume() -> None:
        async with platform.database.transaction() as tx:
            await campaigns.resume(tx, campaign.id, at=await platform.clock.now(tx))

    async def change() -> None:
        hour = draw.randrange(6)
        await _put(
            platform, campaign.id, cron=f"{draw.randrange(60)} {hour}-23/6 * * *", include_earlier=include_earlier
        )

    async def retry() -> None:
        async with platform.database.transaction() as tx:
            last = (await campaigns.get(tx, campaign.id)).occurrence
            number = draw.randrange(1, last + 1) if last else None
            await retrying.retry_failed(tx, campaign.id, occurrence=number, at=await platform.clock.now(tx))

    async def send() -> None:
        await _send_all(platform, connector, campaign.id)

    async def sweep() -> None:
        await asyncio.gather(runs.sweep(platform), runs.sweep(platform))

    async def people() -> None:
        await scenes.people(platform, 1, start=draw.randrange(100, 10_000))

    for _ in range(40):
        step = draw.choice([pause, resume, resume, change, retry, send, send, sweep, sweep, people])
        clock.advance(hours=draw.choice([0, 0.2, 1, 5]))
        with suppress(Conflict, NotFound):
            await step()
        async with platform.database.reading() as tx:
            open_ones = [one.state for one in await occurrences.listed(tx, campaign.id, after=0, limit=1000)]
        assert open_ones.count("scheduled") == 1
    async with platform.database.reading() as tx:
        rows = (await tx.execute(select(Recipient))).scalars().all()
    assert len({(row.occurrence, row.contact_id) for row in rows}) == len(rows)
    sent = [row.contact_id for row in rows if row.state == "sent"]
    assert len(sent) == len(connector.effects)  # one effect for each row, and none without
    if not include_earlier:
        assert len(set(sent)) == len(sent)

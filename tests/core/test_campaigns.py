"""A campaign's states, its recipients, and the one run that may send it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

import scenes
from core import campaigns, consents, planning, senders
from core.bootstrap import Platform
from core.errors import Conflict, Invalid, NotFound
from core.models import Campaign, Event, Recipient, Template
from fakes import FakeClock, FakeConnector

Doing = Callable[[Platform, int], Awaitable[object]]


async def _launch(platform: Platform, campaign_id: int) -> None:
    async with platform.database.transaction() as tx:
        await campaigns.launch(tx, campaign_id, at=await platform.clock.now(tx))


async def _pause(platform: Platform, campaign_id: int) -> None:
    async with platform.database.transaction() as tx:
        await campaigns.pause(tx, campaign_id, reason="asked", at=await platform.clock.now(tx))


async def _resume(platform: Platform, campaign_id: int) -> None:
    async with platform.database.transaction() as tx:
        await campaigns.resume(tx, campaign_id, at=await platform.clock.now(tx))


async def _hold_for_canary(platform: Platform, campaign_id: int) -> None:
    async with platform.database.transaction() as tx:
        campaigns.move(await campaigns.get(tx, campaign_id, lock=True), campaigns.HOLDING)


async def _cancel(platform: Platform, campaign_id: int) -> None:
    async with platform.database.transaction() as tx:
        await campaigns.cancel(tx, campaign_id, at=await platform.clock.now(tx))


async def _finish(platform: Platform, campaign_id: int) -> bool:
    async with platform.database.transaction() as tx:
        return await campaigns.finish_if_done(tx, campaign_id, at=await platform.clock.now(tx))


async def _state(platform: Platform, campaign_id: int) -> str:
    async with platform.database.reading() as tx:
        return str((await campaigns.get(tx, campaign_id)).state)


async def _plan(platform: Platform, campaign_id: int, size: int) -> bool:
    async with platform.database.transaction() as tx:
        return await planning.plan_chunk(tx, campaign_id, at=await platform.clock.now(tx), size=size)


_WAYS: dict[str, list[Doing]] = {
    "draft": [],
    "running": [_launch],
    "holding": [_launch, _hold_for_canary],
    "paused": [_launch, _pause],
    "cancelled": [_launch, _cancel],
    "finished": [_launch, _finish],
}
_LEGAL = {
    ("draft", _launch), ("draft", _cancel), ("running", _pause), ("running", _cancel), ("paused", _resume),
    ("paused", _cancel), ("holding", _pause), ("holding", _cancel),
}  # fmt: skip


async def test_every_move_that_is_not_in_the_table_is_a_conflict(platform: Platform) -> None:
    sender = await scenes.a_sender(platform)
    for state, way in _WAYS.items():
        for move in (_launch, _pause, _resume, _cancel):
            campaign = await scenes.a_campaign(platform, sender, name=f"{state} {move.__name__}")
            for step in way:
                await step(platform, campaign.id)
            assert await _state(platform, campaign.id) == state
            if (state, move) in _LEGAL:
                await move(platform, campaign.id)
                continue
            with pytest.raises(Conflict):
                await move(platform, campaign.id)
            assert await _state(platform, campaign.id) == state


async def test_only_a_running_campaign_finishes(platform: Platform) -> None:
    sender = await scenes.a_sender(platform)
    for state, way in _WAYS.items():
        campaign = await scenes.a_campaign(platform, sender, name=state)
        for step in way:
            await step(platform, campaign.id)
        assert await _finish(platform, campaign.id) is (state == "running")


async def test_of_two_launches_at_once_one_wins(platform: Platform) -> None:
    await scenes.people(platform, 10)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    results = await asyncio.gather(*(_launch(platform, campaign.id) for _ in range(6)), return_exceptions=True)
    assert [one for one in results if one is None] == [None]
    assert all(isinstance(one, Conflict) for one in results if one is not None)
    async with platform.database.reading() as tx:
        told = select(func.count()).where(Event.type == "campaign.launched")
        assert (await tx.execute(told)).scalar_one() == 1
        assert (await campaigns.get(tx, campaign.id)).launches == 1


async def test_pause_and_cancel_at_once_leave_one_state_and_its_events(platform: Platform) -> None:
    sender = await scenes.a_sender(platform)
    for turn in range(5):
        campaign = await scenes.a_campaign(platform, sender, name=f"campaign {turn}")
        await _launch(platform, campaign.id)
        await asyncio.gather(
            *(move(platform, campaign.id) for move in (_pause, _cancel, _resume, _cancel)), return_exceptions=True
        )
        assert await _state(platform, campaign.id) == "cancelled"


@pytest.mark.parametrize(
    "audience", [{}, {"tag": ""}, {"tag": " "}, {"all": False}, {"all": True, "tag": "x"}, {"x": 1}]
)
async def test_an_audience_is_everybody_or_a_tag(platform: Platform, audience: dict[str, object]) -> None:
    sender = await scenes.a_sender(platform)
    await scenes.a_campaign(platform, sender)
    async with platform.database.transaction() as tx:
        with pytest.raises(Invalid):
            await campaigns.create(
                tx, name="x", sender_id=1, template_id=1, audience=audience, at=await platform.clock.now(tx)
            )


async def test_what_a_campaign_refers_to_must_be_there(platform: Platform) -> None:
    await scenes.a_campaign(platform, await scenes.a_sender(platform))
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        with pytest.raises(NotFound):
            await campaigns.create(tx, name="x", sender_id=9, template_id=1, audience={"all": True}, at=now)
        with pytest.raises(NotFound):
            await campaigns.create(tx, name="x", sender_id=1, template_id=9, audience={"all": True}, at=now)
        with pytest.raises(Invalid):
            await campaigns.create(tx, name=" ", sender_id=1, template_id=1, audience={"all": True}, at=now)
        with pytest.raises(NotFound):
            await campaigns.launch(tx, 99, at=now)


async def test_a_campaign_of_a_stopped_sender_is_not_launched(platform: Platform) -> None:
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    async with platform.database.transaction() as tx:
        sender = await senders.get(tx, 1)
        await senders.move(tx, sender, senders.PAUSED, reason="token expired", at=await platform.clock.now(tx))
    with pytest.raises(Conflict, match="token expired"):
        await _launch(platform, campaign.id)


# ---- planning -----------------------------------------------------------------------------------------------


async def _recipients(platform: Platform, campaign_id: int) -> list[int]:
    async with platform.database.reading() as tx:
        rows = select(Recipient.contact_id).where(Recipient.campaign_id == campaign_id).order_by(Recipient.contact_id)
        return list((await tx.execute(rows)).scalars())


async def test_planning_goes_on_where_a_dead_process_stopped(platform: Platform) -> None:
    await scenes.people(platform, 25)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await _launch(platform, campaign.id)
    await _plan(platform, campaign.id, 10)

    async def die_half_way() -> None:
        async with platform.database.transaction() as tx:
            await planning.plan_chunk(tx, campaign.id, at=await platform.clock.now(tx), size=10)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await die_half_way()
    assert await _recipients(platform, campaign.id) == list(range(1, 11))
    while await _plan(platform, campaign.id, 10):
        pass
    assert await _recipients(platform, campaign.id) == list(range(1, 26))


async def test_many_that_plan_at_once_plan_each_person_once(platform: Platform) -> None:
    await scenes.people(platform, 60)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await _launch(platform, campaign.id)

    async def plan() -> None:
        while await _plan(platform, campaign.id, 7):
            pass

    await asyncio.gather(plan(), plan(), plan())
    assert await _recipients(platform, campaign.id) == list(range(1, 61))
    async with platform.database.reading() as tx:
        told = (await tx.execute(select(Event.data).where(Event.type == "recipients.planned"))).scalars().all()
    assert sum(one["queued"] for one in told) == 60


async def test_who_came_after_the_launch_is_not_in_it(platform: Platform) -> None:
    await scenes.people(platform, 5)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await _launch(platform, campaign.id)
    await scenes.people(platform, 5, start=100)
    while await _plan(platform, campaign.id, 3):
        pass
    assert await _recipients(platform, campaign.id) == [1, 2, 3, 4, 5]


async def test_an_audience_by_tag_is_those_with_the_tag(platform: Platform) -> None:
    await scenes.people(platform, 10)
    await scenes.people(platform, 5, tags=["vip", "new"], start=50)
    await scenes.people(platform, 3, tags=["new"], start=80)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform), audience={"tag": "vip"})
    await _launch(platform, campaign.id)
    while await _plan(platform, campaign.id, 2):
        pass
    assert await _recipients(platform, campaign.id) == [11, 12, 13, 14, 15]


async def test_an_empty_audience_finishes(platform: Platform, connector: FakeConnector) -> None:
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform), audience={"tag": "nobody"})
    await scenes.launched(platform, campaign.id)
    assert (await scenes.dispatched(platform, connector, campaign.id)).why == "queue_empty"
    assert await _finish(platform, campaign.id)


async def test_who_opted_out_is_skipped_when_planned(platform: Platform) -> None:
    await scenes.people(platform, 6)
    async with platform.database.transaction() as tx:
        for contact_id in (2, 5):
            await consents.opt_out(tx, contact_id, reason="asked", source="test", at=await platform.clock.now(tx))
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    progress = await scenes.progress(platform, campaign.id)
    assert (progress.total, progress.queued, progress.skipped) == (6, 4, {"opted_out": 2})
    async with platform.database.reading() as tx:
        told = (await tx.execute(select(Event.data).where(Event.type == "recipients.planned"))).scalars().all()
    assert [(one["queued"], one["skipped"]) for one in told] == [(4, 2)]


async def test_one_occurrence_writes_to_one_person_once(platform: Platform) -> None:
    await scenes.people(platform, 1)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    async with platform.database.reading() as tx:
        tx.add(Recipient(campaign_id=campaign.id, occurrence=1, contact_id=1, state="queued", receipt=0, attempts=0))
        with pytest.raises(IntegrityError):
            await tx.flush()


# ---- stopping half-way --------------------------------------------------------------------------------------


async def test_cancelled_half_way_everybody_has_an_outcome(platform: Platform, connector: FakeConnector) -> None:
    connector.delay_s = 0.02
    await scenes.people(platform, 200)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform, rate=300))
    await scenes.launched(platform, campaign.id)
    sending = asyncio.create_task(scenes.dispatched(platform, connector, campaign.id))
    await asyncio.sleep(0.3)
    await _cancel(platform, campaign.id)
    assert (await sending).why == "campaign_cancelled"
    progress = await scenes.progress(platform, campaign.id)
    assert 0 < progress.sent == len(connector.effects) < 200
    assert progress.sent + progress.skipped["cancelled"] == progress.total == 200


async def test_cancelled_while_planned_nobody_more_is_planned(platform: Platform) -> None:
    await scenes.people(platform, 10)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await _launch(platform, campaign.id)
    await _plan(platform, campaign.id, 4)
    await _cancel(platform, campaign.id)
    assert not await _plan(platform, campaign.id, 4)
    assert (await scenes.progress(platform, campaign.id)).skipped == {"cancelled": 4}


async def test_a_campaign_with_a_doubt_is_not_finished(platform: Platform, connector: FakeConnector) -> None:
    await scenes.people(platform, 2)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    async with platform.database.transaction() as tx:
        row = (await tx.execute(select(Recipient).where(Recipient.contact_id == 1))).scalar_one()
        row.state = "sending"
    await scenes.dispatched(platform, connector, campaign.id)
    assert not await _finish(platform, campaign.id)


# ---- the run that sends it ----------------------------------------------------------------------------------


async def _hold(platform: Platform, campaign_id: int, token: str) -> bool:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        return await campaigns.hold_run(tx, campaign_id, token=token, now=now, until=now + timedelta(seconds=30))


async def test_one_run_at_a_time_until_its_lease_lapses(platform: Platform, clock: FakeClock) -> None:
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    won = await asyncio.gather(*(_hold(platform, campaign.id, f"run{number}") for number in range(5)))
    assert sum(won) == 1
    mine = f"run{won.index(True)}"
    assert await _hold(platform, campaign.id, mine)
    assert not await _hold(platform, campaign.id, "other")
    clock.advance(seconds=31)
    assert await _hold(platform, campaign.id, "other")
    assert not await _hold(platform, campaign.id, mine)
    async with platform.database.transaction() as tx:
        await campaigns.leave_run(tx, campaign.id, token=mine)
    assert not await _hold(platform, campaign.id, mine)
    async with platform.database.transaction() as tx:
        await campaigns.leave_run(tx, campaign.id, token="other")
    assert await _hold(platform, campaign.id, mine)


async def _waiting(platform: Platform) -> list[int]:
    async with platform.database.reading() as tx:
        waiting = await campaigns.waiting_for_a_run(tx, now=await platform.clock.now(tx))
    return [one.id for one in waiting]


async def test_a_campaign_whose_run_died_waits_for_another(platform: Platform, clock: FakeClock) -> None:
    await scenes.people(platform, 3)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    assert await _waiting(platform) == []
    await _launch(platform, campaign.id)
    assert await _waiting(platform) == [campaign.id]
    await _hold(platform, campaign.id, "run")
    assert await _waiting(platform) == []
    clock.advance(seconds=31)
    assert await _waiting(platform) == [campaign.id]
    await _pause(platform, campaign.id)
    assert await _waiting(platform) == []


async def test_the_list_is_paged_and_filtered(platform: Platform) -> None:
    sender = await scenes.a_sender(platform)
    made: list[Campaign] = [await scenes.a_campaign(platform, sender, name=f"c{number}") for number in range(4)]
    await _launch(platform, made[2].id)
    async with platform.database.reading() as tx:
        assert [one.id for one in await campaigns.listed(tx, after=made[0].id, limit=2)] == [made[1].id, made[2].id]
        assert [one.id for one in await campaigns.listed(tx, after=0, limit=9, state="running")] == [made[2].id]
        assert list(await campaigns.running(tx)) == [made[2].id]


@pytest.mark.parametrize("status", ["paused", "rejected", "pending"])
async def test_a_template_that_is_not_approved_is_neither_launched_nor_resumed(platform: Platform, status: str) -> None:
    await scenes.people(platform, 1)
    sender = await scenes.a_sender(platform)
    campaign = await scenes.a_campaign(platform, sender)

    async def say(now_it_is: str) -> None:
        async with platform.database.transaction() as tx:
            said = {"waba_id": sender.waba_id, "status": now_it_is}
            await tx.execute(update(Template).where(Template.id == campaign.template_id).values(said))

    async def move(how: Callable[..., Awaitable[object]]) -> None:
        async with platform.database.transaction() as tx:
            await how(tx, campaign.id, at=await platform.clock.now(tx))

    await say(status)
    with pytest.raises(Conflict, match=status):
        await move(campaigns.launch)
    await say("approved")
    await move(campaigns.launch)
    await move(campaigns.pause)
    await say(status)
    with pytest.raises(Conflict, match=status):
        await move(campaigns.resume)

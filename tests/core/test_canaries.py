"""A small part first: it is written to alone, then the campaign holds, and goes on or stops as it says."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

import scenes
from core import (
    backup,
    campaigns,
    consents,
    drafts,
    judging,
    outcomes,
    preflight,
    retrying,
    runs,
    schema,
    senders,
    template_status,
    why,
)
from core.bootstrap import Platform
from core.database import connect
from core.errors import Conflict, Invalid
from core.models import Campaign, Event, Notification, Recipient
from core.ports import Accepted, Ambiguous, Deferred, Outgoing, PermanentRecipient, SendError, TemplateChanged
from core.runs import Run
from fakes import FakeClock, FakeConnector, FakeJobs

TENTH = {"percent": 10, "hold_minutes": 60, "max_failed_percent": 20}


async def _campaign(platform: Platform, *, people: int = 100, canary: dict[str, Any] = TENTH, **more: Any) -> Campaign:
    await scenes.people(platform, people)
    return await scenes.a_campaign(platform, await scenes.a_sender(platform), canary=canary, **more)


async def _launched(platform: Platform, campaign: Campaign) -> None:
    async with platform.database.transaction() as tx:
        await campaigns.launch(tx, campaign.id, at=await platform.clock.now(tx))


async def _run(platform: Platform, campaign: Campaign) -> str:
    """One run, as the flow makes it; the state it leaves behind."""
    run = await Run.opened(platform, campaign.id)
    if run is not None:
        await run.plan()
        while await run.has_more(await run.send_batch()):
            pass
        await run.close()
    return (await _now(platform, campaign)).state


async def _now(platform: Platform, campaign: Campaign) -> Campaign:
    async with platform.database.reading() as tx:
        return await campaigns.get(tx, campaign.id)


async def _told(platform: Platform, campaign: Campaign) -> list[str]:
    async with platform.database.reading() as tx:
        topic = Event.topic == f"campaign:{campaign.id}"
        types = (await tx.execute(select(Event.type).where(topic).order_by(Event.id))).scalars().all()
    return [one for one in types if one.startswith(("campaign.", "canary.")) and one != "campaign.created"]


async def _people(platform: Platform, campaign: Campaign) -> dict[int | None, set[str]]:
    """The states of those in the canary (1) and the others (None)."""
    async with platform.database.reading() as tx:
        rows = await tx.execute(select(Recipient.wave, Recipient.state).where(Recipient.campaign_id == campaign.id))
        found: dict[int | None, set[str]] = {}
        for wave, state in rows:
            found.setdefault(wave, set()).add(state)
    return found


def _fails(*numbers: int, error: SendError | None = None) -> Any:
    """The messages of these ordinal numbers fail."""
    seen: list[str] = []

    def answer(message: Outgoing) -> Accepted | SendError:
        seen.append(message.client_id)
        refused = error or PermanentRecipient("not_on_whatsapp")
        return refused if len(seen) in numbers else Accepted(f"wamid.{message.client_id}")

    return answer


async def test_a_tenth_goes_first_then_it_holds_and_then_everybody_gets_it(
    platform: Platform, connector: FakeConnector, clock: FakeClock, jobs: FakeJobs
) -> None:
    campaign = await _campaign(platform, people=200)
    said = await preflight.check(platform, campaign.id)
    assert said.canary == 20
    await _launched(platform, campaign)
    assert await _run(platform, campaign) == "holding"
    first = len(connector.effects)
    assert 8 <= first <= 35
    assert await _people(platform, campaign) == {1: {"sent"}, None: {"queued"}}
    held = await _now(platform, campaign)
    assert held.held_until is not None
    assert held.state_reason.startswith("until ")
    assert said.forecast.finishes_at is not None
    assert (said.forecast.finishes_at - held.held_until).total_seconds() < 60
    await runs.show_next_start(platform, campaign.id)
    assert [one.due_at for one in jobs.waiting()] == [held.held_until]
    assert list(await runs.sweep(platform)) == []
    async with platform.database.reading() as tx:
        waits = (await tx.execute(select(Recipient.contact_id).where(Recipient.wave.is_(None)).limit(1))).scalar_one()
        (answer,) = await why.ask(tx, campaign.id, waits, now=await platform.clock.now(tx))
        assert (answer.outcome, answer.reason) == ("queued", "canary_first")
    clock.advance(minutes=59)
    assert await _run(platform, campaign) == "holding"
    clock.advance(minutes=2)
    assert list(await runs.sweep(platform)) == [campaign.id], "nobody is needed to go on"
    assert await _run(platform, campaign) == "finished"
    assert len(connector.effects) == 200
    assert await _told(platform, campaign) == [
        "campaign.launched", "campaign.holding", "canary.passed", "campaign.went_on", "campaign.finished",
    ]  # fmt: skip


async def test_a_run_that_comes_after_the_hold_goes_on_by_itself(
    platform: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    campaign = await _campaign(platform)
    await _launched(platform, campaign)
    assert await _run(platform, campaign) == "holding"
    clock.advance(minutes=61)
    assert await _run(platform, campaign) == "finished", "as Prefect starts it then, before the sweep"
    assert len(connector.effects) == 100


async def test_a_short_hold_is_waited_for(platform: Platform, connector: FakeConnector) -> None:
    campaign = await _campaign(platform, canary={"percent": 10, "hold_minutes": 0.01})
    await _launched(platform, campaign)
    assert await _run(platform, campaign) == "finished"
    assert len(connector.effects) == 100


@pytest.mark.parametrize(
    ("error", "limits", "breach"),
    [
        (PermanentRecipient("not_on_whatsapp"), {"max_failed_percent": 20}, "failed"),
        (Ambiguous("timeout"), {"max_failed_percent": 20}, "failed"),
        (Deferred("capped_by_whatsapp", wait_s=86_400), {"max_blocked_percent": 20}, "blocked"),
    ],
)
async def test_too_many_stop_it_and_a_person_decides(
    platform: Platform,
    connector: FakeConnector,
    clock: FakeClock,
    error: SendError,
    limits: dict[str, float],
    breach: str,
) -> None:
    none = {"max_failed_percent": None, "max_opted_out_percent": None, "max_blocked_percent": None}
    campaign = await _campaign(platform, canary={"count": 20, **none, **limits})
    connector.answering = _fails(*range(1, 10), error=error)
    await _launched(platform, campaign)
    state = await _run(platform, campaign)
    if isinstance(error, Ambiguous):
        assert state == "running", "nobody knows yet"
        clock.advance(minutes=15)
        await runs.sweep(platform)
    stopped = await _now(platform, campaign)
    assert (stopped.state, stopped.state_reason) == ("paused", "canary_failed")
    assert stopped.canary_verdict is not None
    assert (stopped.canary_verdict["breaches"], stopped.canary_verdict[breach]) == ([breach], 9)
    assert await _told(platform, campaign) == ["campaign.launched", "canary.failed", "campaign.paused"]
    sent = len(connector.calls)
    assert sent < 40
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        waits = (await tx.execute(select(Recipient.contact_id).where(Recipient.wave.is_(None)).limit(1))).scalar_one()
        (answer,) = await why.ask(tx, campaign.id, waits, now=now)
        assert answer.reason == "campaign_paused"
        assert any(one.facts.get("canary") == stopped.canary_verdict for one in answer.evidence)
        await campaigns.resume(tx, campaign.id, at=now)
    await _run(platform, campaign)
    assert (await scenes.progress(platform, campaign.id)).sent == 91, "resumed in spite of it"


async def test_a_limit_that_is_passed_for_certain_stops_it_in_the_middle(
    platform: Platform, connector: FakeConnector
) -> None:
    campaign = await _campaign(platform, people=200, canary={"percent": 50, "max_failed_percent": 5})
    connector.delay_s = 0.05
    connector.answering = lambda message: PermanentRecipient("not_on_whatsapp")
    async with platform.database.transaction() as tx:
        (await senders.get(tx, campaign.sender_id, lock=True)).rate = 20
    await _launched(platform, campaign)
    assert await _run(platform, campaign) == "paused"
    assert len(connector.calls) < 60, "of a hundred"
    async with platform.database.reading() as tx:
        rates = await judging.measure(tx, await campaigns.get(tx, campaign.id))
    assert rates.waiting > 40
    assert rates.failed > 0.05 * rates.at_most


async def test_who_stops_us_in_the_hold_stops_it_by_the_next_sweep(
    platform: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    campaign = await _campaign(platform, canary={"percent": 20, "max_opted_out_percent": 10})
    await _launched(platform, campaign)
    assert await _run(platform, campaign) == "holding"
    async with platform.database.reading() as tx:
        first = (await tx.execute(select(Recipient.contact_id).where(Recipient.wave == 1))).scalars().all()
    clock.advance(minutes=5)
    for contact_id in first[: len(first) // 10 + 1]:
        async with platform.database.transaction() as tx:
            now = await platform.clock.now(tx)
            await consents.opt_out(tx, contact_id, reason="stop_word", source="whatsapp", at=now)
    await runs.sweep(platform)
    stopped = await _now(platform, campaign)
    assert (stopped.state, stopped.canary_verdict and stopped.canary_verdict["breaches"]) == ("paused", ["opted_out"])


async def test_in_the_hold_it_can_be_paused_cancelled_let_go_and_its_template_stops_it(
    platform: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    campaign = await _campaign(platform, variants=[{"name": "A"}, {"name": "B"}])
    await _launched(platform, campaign)
    assert await _run(platform, campaign) == "holding"
    until = (await _now(platform, campaign)).held_until
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        with pytest.raises(Conflict, match="holding") as refused:
            await retrying.retry_failed(tx, campaign.id, at=now)
        assert "canary" in (refused.value.hint or "")
        await campaigns.pause(tx, campaign.id, reason="lunch", at=now)
        with pytest.raises(Conflict, match="waits for no canary"):
            await judging.go_on(tx, campaign.id, at=now)
    clock.advance(minutes=5)
    async with platform.database.transaction() as tx:
        await campaigns.resume(tx, campaign.id, at=await platform.clock.now(tx))
    assert await _run(platform, campaign) == "holding"
    assert (await _now(platform, campaign)).held_until == until, "a pause does not make the hold longer"
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await template_status.apply(tx, TemplateChanged("waba", "spring_offer", "en", status="paused"), at=now)
    assert (await _now(platform, campaign)).state_reason == "template_paused"
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await campaigns.resume(tx, campaign.id, at=now)
        await judging.go_on(tx, campaign.id, variant="b", at=now)
        with pytest.raises(Conflict, match="waits for no canary"):
            await judging.go_on(tx, campaign.id, at=now)
    first = len(connector.effects)
    assert await _run(platform, campaign) == "finished"
    async with platform.database.reading() as tx:
        rest = select(Recipient.variant).where(Recipient.wave.is_(None)).distinct()
        assert (await tx.execute(rest)).scalars().all() == [2]
    assert len(connector.effects) == 100 > first
    other = await scenes.a_campaign(platform, await scenes.a_sender(platform, name="bank"), name="other", canary=TENTH)
    await _launched(platform, other)
    assert await _run(platform, other) == "holding"
    async with platform.database.transaction() as tx:
        await campaigns.cancel(tx, other.id, at=await platform.clock.now(tx))
    assert (await _people(platform, other))[None] == {"skipped"}


async def test_the_kill_switch_holds_what_goes_on(
    platform: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    campaign = await _campaign(platform)
    await _launched(platform, campaign)
    assert await _run(platform, campaign) == "holding"
    first = len(connector.effects)
    async with platform.database.transaction() as tx:
        await senders.turn_sending(tx, is_on=False, reason="", at=await platform.clock.now(tx))
    clock.advance(minutes=61)
    assert await _run(platform, campaign) == "running"
    assert len(connector.effects) == first


async def test_asked_to_it_waits_for_a_person_though_all_is_well(platform: Platform, clock: FakeClock) -> None:
    campaign = await _campaign(platform, canary={**TENTH, "after_hold": "ask"})
    await _launched(platform, campaign)
    assert await _run(platform, campaign) == "holding"
    clock.advance(minutes=61)
    await runs.sweep(platform)
    asking = await _now(platform, campaign)
    assert (asking.state, asking.state_reason) == ("paused", "canary_passed")
    async with platform.database.reading() as tx:
        told = (await tx.execute(select(Notification.severity, Notification.wording))).tuples().all()
    assert told == [("info", "campaign.paused.canary_passed")]
    async with platform.database.transaction() as tx:
        await campaigns.resume(tx, campaign.id, at=await platform.clock.now(tx))
    assert await _run(platform, campaign) == "finished"


async def test_of_a_handful_at_least_one_goes_first(
    platform: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    """Also where the lot falls on nobody, or on people without a number."""
    campaign = await _campaign(platform, people=5, canary={"percent": 0.01, "hold_minutes": 5})
    await _launched(platform, campaign)
    assert await _run(platform, campaign) == "holding"
    assert len(connector.effects) == 1
    clock.advance(minutes=6)
    assert await _run(platform, campaign) == "finished"
    assert len(connector.effects) == 5


async def test_where_the_canary_is_everybody_there_is_nothing_to_hold_for(
    platform: Platform, connector: FakeConnector
) -> None:
    campaign = await _campaign(platform, people=6, canary={"count": 10})
    await _launched(platform, campaign)
    assert await _run(platform, campaign) == "finished"
    assert (await _now(platform, campaign)).wave is None
    assert len(connector.effects) == 6


async def test_looked_at_by_many_at_once_it_is_judged_once(
    platform: Platform, connector: FakeConnector, clock: FakeClock
) -> None:
    campaign = await _campaign(platform)
    await _launched(platform, campaign)
    assert await _run(platform, campaign) == "holding"
    clock.advance(minutes=61)
    await asyncio.gather(*(judging.look_at_all(platform) for _ in range(5)))
    assert (await _told(platform, campaign)).count("canary.passed") == 1
    assert (await _now(platform, campaign)).state == "running"


async def test_a_restored_hold_is_paused_and_writes_to_nobody(
    platform: Platform, connector: FakeConnector, clock: FakeClock, tmp_path: Any
) -> None:
    campaign = await _campaign(platform)
    await _launched(platform, campaign)
    assert await _run(platform, campaign) == "holding"
    first = len(connector.effects)
    file = tmp_path / "backup.gz"
    async with platform.database.reading() as tx:
        await backup.write(platform.database, platform.settings, file, at=await platform.clock.now(tx))
    folder = tmp_path / "new"
    folder.mkdir()
    settings = platform.settings.model_copy(update={"data_dir": folder, "database_url": ""})
    database = connect(settings)
    await schema.upgrade(database)
    restored = await backup.read(database, settings, platform.key, file)
    assert restored.unknown == 100 - first
    async with database.reading() as tx:
        found = await campaigns.get(tx, campaign.id)
        assert (found.state, found.wave) == ("paused", None)
        assert (await outcomes.progress(tx, campaign.id)).unknown == {"restored": 100 - first}
    await database.close()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({}, "canary"),
        ({"percent": 2, "count": 5}, "canary"),
        ({"percent": 51}, "canary.percent"),
        ({"count": 0}, "canary.count"),
        ({"percent": 2, "hold_minutes": -1}, "canary.hold_minutes"),
        ({"percent": 2, "max_failed_percent": 101}, "canary.max_failed_percent"),
        ({"percent": 2, "after_hold": "hope"}, "canary.after_hold"),
        ({"percent": 2, "on": 1}, "canary.on"),
    ],
)
async def test_what_is_wrong_is_told_with_its_field(platform: Platform, wrong: dict[str, Any], field: str) -> None:
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    with pytest.raises(Invalid) as refused:
        async with platform.database.transaction() as tx:
            await drafts.change(tx, campaign.id, {"canary": wrong}, at=await platform.clock.now(tx))
    assert refused.value.field == field

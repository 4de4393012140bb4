"""The road out: claim, intent, hand-over. What forbids a message does so before the next intent."""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update

import scenes
from conftest import with_settings
from core import campaigns, consents, contacts, messages, senders, sending, settling, variants
from core.bootstrap import Platform, build
from core.contacts import NewContact
from core.content import Text
from core.database import Tx, connect
from core.dispatch import Dispatcher, Rest
from core.models import Campaign, Chat, Contact, Event, Identity, Message, Recipient
from core.ports import Accepted, Address, Capabilities, Inbound, Outgoing, Receipt
from core.sending import Claimed, Intended
from core.settings import Settings
from fakes import ANYTHING, FakeClock, FakeConnector, FakeConnectors, FakeJobs

Stopping = Callable[[Tx, Platform, int], Awaitable[object]]


async def _claimed(platform: Platform, campaign_id: int, *, limit: int = 100) -> list[Claimed]:
    """What a run does first; whoever drops the result has died."""
    async with platform.database.transaction() as tx:
        campaign = await campaigns.get(tx, campaign_id)
        return await sending.claim(
            tx,
            campaign,
            await variants.families(tx, campaign),
            installation=platform.installation,
            limit=limit,
            now=await platform.clock.now(tx),
            settings=platform.settings,
        )


async def _intended(
    platform: Platform, campaign_id: int, claims: Sequence[Claimed], capabilities: Capabilities = ANYTHING
) -> Intended:
    async with platform.database.transaction() as tx:
        monotonic = time.monotonic()
        now = await platform.clock.now(tx)
        return await sending.intend(
            tx,
            await sending.gate(tx, campaign_id),
            claims,
            capabilities=capabilities,
            settings=platform.settings,
            now=now,
            monotonic=monotonic,
        )


async def _ready(platform: Platform, count: int, *, rate: float = 1000, cloud_name: str | None = "offer") -> Campaign:
    await scenes.people(platform, count)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform, rate=rate), cloud_name=cloud_name)
    await scenes.launched(platform, campaign.id)
    return campaign


async def _states(platform: Platform) -> dict[str, int]:
    async with platform.database.reading() as tx:
        rows = await tx.execute(select(Recipient.state, func.count()).group_by(Recipient.state))
        return dict(rows.tuples().all())


# ---- claims -------------------------------------------------------------------------------------------------


async def test_no_recipient_is_claimed_twice(platform: Platform) -> None:
    campaign = await _ready(platform, 100)
    parts = await asyncio.gather(*(_claimed(platform, campaign.id, limit=30) for _ in range(4)))
    ids = [one.recipient_id for part in parts for one in part]
    assert len(ids) == len(set(ids)) == 100


async def test_a_claim_of_a_dead_process_lapses_back_to_the_queue(platform: Platform, clock: FakeClock) -> None:
    campaign = await _ready(platform, 10)
    dead = await _claimed(platform, campaign.id)
    assert (await settling.reconcile(platform)).released == 0
    clock.advance(seconds=platform.settings.lease_s + 1)
    assert (await settling.reconcile(platform)).released == 10
    alive = await _claimed(platform, campaign.id)
    assert {one.recipient_id for one in alive} == {one.recipient_id for one in dead}
    assert (await _intended(platform, campaign.id, dead)).intents == []  # the dead one was only slow
    assert len((await _intended(platform, campaign.id, alive)).intents) == 10


async def test_a_stale_claim_commits_nothing_even_where_its_clock_is_behind(platform: Platform) -> None:
    campaign = await _ready(platform, 3)
    stale = await _claimed(platform, campaign.id)
    async with platform.database.transaction() as tx:
        await tx.execute(update(Recipient).values(claimed_until=await platform.clock.now(tx) - timedelta(seconds=1)))
    await settling.reconcile(platform)
    fresh = await _claimed(platform, campaign.id)
    assert (await _intended(platform, campaign.id, stale)).intents == []
    async with platform.database.transaction() as tx:
        await sending.release(tx, stale)
    assert await _states(platform) == {"claimed": 3}
    assert len((await _intended(platform, campaign.id, fresh)).intents) == 3


async def test_who_was_claimed_twice_by_one_process_is_written_to_once(platform: Platform) -> None:
    """A turn is rolled back by the database, or nobody heard whether: its claims are kept, and made again."""
    campaign = await _ready(platform, 3)
    unheard = await _claimed(platform, campaign.id)
    async with platform.database.transaction() as tx:
        await sending.release(tx, unheard)
    again = await _claimed(platform, campaign.id)
    intended = await _intended(platform, campaign.id, [*unheard, *again])
    assert sorted(one.outgoing.client_id for one in intended.intents) == sorted(one.client_id for one in again)
    assert intended.kept == []


async def test_a_lapsed_claim_is_given_back_and_not_sent(platform: Platform, clock: FakeClock) -> None:
    campaign = await _ready(platform, 3)
    claims = await _claimed(platform, campaign.id)
    clock.advance(seconds=platform.settings.lease_s)
    assert (await _intended(platform, campaign.id, claims)).intents == []
    assert await _states(platform) == {"queued": 3}


async def test_claims_of_a_cancelled_campaign_commit_nothing(platform: Platform) -> None:
    campaign = await _ready(platform, 3)
    claims = await _claimed(platform, campaign.id)
    async with platform.database.transaction() as tx:
        await campaigns.cancel(tx, campaign.id, at=await platform.clock.now(tx))
    assert (await _intended(platform, campaign.id, claims)).intents == []
    assert await _states(platform) == {"skipped": 3}


# ---- intents ------------------------------------------------------------------------------------------------


async def test_the_id_is_equal_for_every_attempt_and_unlike_any_other(platform: Platform) -> None:
    ids = [messages.client_id(platform.installation, "recipient", row) for row in range(1_000)]
    assert len(set(ids)) == 1_000
    assert ids[7] == messages.client_id(platform.installation, "recipient", 7)
    assert ids[7] != messages.client_id("another", "recipient", 7)


async def test_an_intent_is_written_down_whole_before_anything_leaves(platform: Platform) -> None:
    campaign = await _ready(platform, 1)
    (intent,) = (await _intended(platform, campaign.id, await _claimed(platform, campaign.id))).intents
    async with platform.database.reading() as tx:
        message = (await tx.execute(select(Message))).scalar_one()
        now = await platform.clock.now(tx)
    assert (message.state, message.attempts, message.lease_token) == ("intent", 1, intent.token)
    assert message.client_id == intent.outgoing.client_id
    assert message.address == "+966500000000"
    assert message.content["parameters"] == ["Person 0"]
    assert message.lease_until is not None
    assert timedelta(seconds=25) < message.lease_until - now <= timedelta(seconds=30)
    # Nothing may be written any more once its lease could have lapsed.
    left = intent.outgoing.send_by - time.monotonic()
    assert left + platform.settings.request_timeout_s < platform.settings.lease_s


async def test_who_opted_out_between_claim_and_intent_is_skipped(platform: Platform) -> None:
    campaign = await _ready(platform, 3)
    claims = await _claimed(platform, campaign.id)
    async with platform.database.transaction() as tx:
        await consents.opt_out(tx, 2, reason="asked", source="test", at=await platform.clock.now(tx))
    assert [one.recipient_id for one in (await _intended(platform, campaign.id, claims)).intents] == [1, 3]
    async with platform.database.reading() as tx:
        told = (await tx.execute(select(Event.data).where(Event.type == "recipients.skipped"))).scalars().all()
    assert told == [{"campaign_id": campaign.id, "reason": "opted_out", "recipient_ids": [2]}]
    assert (await scenes.progress(platform, campaign.id)).skipped == {"opted_out": 1}


async def test_who_was_erased_is_skipped(platform: Platform, connector: FakeConnector) -> None:
    campaign = await _ready(platform, 3)
    async with platform.database.transaction() as tx:
        await tx.delete(await contacts.get(tx, 2))
        await tx.execute(Identity.__table__.delete().where(Identity.contact_id == 3))  # type: ignore[attr-defined]
    await scenes.dispatched(platform, connector, campaign.id)
    assert (await scenes.progress(platform, campaign.id)).skipped == {"no_address": 2}


async def test_a_person_with_many_addresses_is_written_to_once_by_phone(
    platform: Platform, connector: FakeConnector
) -> None:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        for addresses in (
            [Address("lid", "7"), Address("bsuid", "SA.7"), Address("phone", "+966500000007")],
            [Address("lid", "8"), Address("bsuid", "SA.8")],
        ):
            await contacts.who(tx, platform.key, addresses, name="Sara", at=now)
        await contacts.who(tx, platform.key, [Address("lid", "9"), Address("bsuid", "SA.9")], name="", at=now)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    assert [one.to for one in connector.effects] == [Address("phone", "+966500000007"), Address("bsuid", "SA.8")]
    async with platform.database.reading() as tx:
        told = (await tx.execute(select(Event.data).where(Event.type == "recipients.skipped"))).scalars().all()
    assert [one["recipient_ids"] for one in told] == [[3]]


async def test_free_text_goes_only_into_an_open_window(platform: Platform) -> None:
    campaign = await _ready(platform, 3, cloud_name=None)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        for contact_id, hours in ((1, 23), (2, 25)):
            tx.add(Chat(sender_id=1, contact_id=contact_id, last_in_at=now - timedelta(hours=hours)))
    only_templates = Capabilities(
        **{**{name: getattr(ANYTHING, name) for name in ANYTHING.__slots__}, "free_form_anytime": False}
    )
    intended = await _intended(platform, campaign.id, await _claimed(platform, campaign.id), only_templates)
    assert [one.recipient_id for one in intended.intents] == [1]
    assert (await scenes.progress(platform, campaign.id)).skipped == {"window_closed": 2}


# ---- what stops a run ---------------------------------------------------------------------------------------


async def _pause(tx: Tx, platform: Platform, campaign_id: int) -> None:
    await campaigns.pause(tx, campaign_id, at=await platform.clock.now(tx))


async def _cancel(tx: Tx, platform: Platform, campaign_id: int) -> None:
    await campaigns.cancel(tx, campaign_id, at=await platform.clock.now(tx))


async def _kill(tx: Tx, platform: Platform, campaign_id: int) -> None:
    await senders.turn_sending(tx, is_on=False, reason="test", at=await platform.clock.now(tx))


async def _stop_sender(tx: Tx, platform: Platform, campaign_id: int) -> None:
    sender = await senders.get(tx, 1)
    await senders.move(tx, sender, senders.PAUSED, reason="test", at=await platform.clock.now(tx))
    await tx.flush()


async def _attempts(tx: Tx) -> int:
    return (await tx.execute(select(func.coalesce(func.sum(Message.attempts), 0)))).scalar_one()


@pytest.mark.parametrize("stop", [_pause, _cancel, _kill, _stop_sender])
async def test_no_intent_commits_after_what_stops_it(
    platform: Platform, connector: FakeConnector, stop: Stopping
) -> None:
    """The stop holds its row, counts the intents there are, commits: there are never more."""
    campaign = await _ready(platform, 600)
    running = asyncio.create_task(scenes.dispatched(platform, connector, campaign.id))
    await asyncio.sleep(0.15)
    async with platform.database.transaction() as tx:
        began = time.monotonic()
        await stop(tx, platform, campaign.id)
        assert time.monotonic() - began < 1
        intents = await _attempts(tx)
        await asyncio.sleep(0.05)
    assert (await running).why in {"campaign_paused", "campaign_cancelled", "sending_is_off", "sender_paused"}
    async with platform.database.reading() as tx:
        assert await _attempts(tx) == intents == len(connector.effects)
    states = await _states(platform)
    assert 0 < states["sent"] == intents < 600
    assert set(states) == {"sent", "skipped" if stop is _cancel else "queued"}


async def test_the_kill_switch_and_a_pause_get_through_while_many_send(
    platform: Platform, connector: FakeConnector
) -> None:
    connector.delay_s = 0.1  # so that none of them is done before it is stopped
    await scenes.people(platform, 1_500)
    running = []
    for name in ("one", "two", "three", "four"):
        campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform, name=name), name=name)
        await scenes.launched(platform, campaign.id)
        running.append(asyncio.create_task(scenes.dispatched(platform, connector, campaign.id)))
    await asyncio.sleep(0.2)
    took = {}
    for stop in (_pause, _kill):
        began = time.monotonic()
        async with platform.database.transaction() as tx:
            await stop(tx, platform, 1)
        took[stop.__name__] = time.monotonic() - began
    rests = {(await one).why for one in running}
    assert rests <= {"campaign_paused", "sending_is_off"}
    assert max(took.values()) < 1, took


async def test_of_two_runs_of_one_campaign_one_sends_and_neither_trips_the_other(
    platform: Platform, connector: FakeConnector, caplog: pytest.LogCaptureFixture
) -> None:
    campaign = await _ready(platform, 300)
    rests: list[Rest] = await asyncio.gather(
        *(scenes.dispatched(platform, connector, campaign.id, run_token=f"run{number}") for number in range(3))
    )
    assert sorted(rest.why for rest in rests) == ["lease_lost", "lease_lost", "queue_empty"]
    assert len({one.to.value for one in connector.effects}) == len(connector.effects) == 300
    assert "turn_failed" not in caplog.text


async def test_replies_and_receipts_while_sending_trip_nobody(
    platform: Platform, connector: FakeConnector, caplog: pytest.LogCaptureFixture
) -> None:
    """Inbound messages refer to the sender and to people whom the run has locked."""
    campaign = await _ready(platform, 400)
    running = asyncio.create_task(scenes.dispatched(platform, connector, campaign.id))

    async def write_in(start: int) -> None:
        for number in range(start, 400, 4):
            async with platform.database.transaction() as tx:
                now = await platform.clock.now(tx)
                inbound = Inbound(
                    provider_id=f"in{number}",
                    sender_phone_number_id="id-shop",
                    addresses=[Address("phone", f"+9665{number:08d}")],
                    profile_name=None,
                    content=Text(body="stop" if number % 3 == 0 else "hello"),
                    reply_to=None,
                    at=now,
                )
                await messages.receive(tx, platform.key, inbound, at=now)

    await asyncio.gather(*(write_in(start) for start in range(4)))
    assert (await running).why == "queue_empty"
    progress = await scenes.progress(platform, campaign.id)
    assert progress.sent == len(connector.effects)
    assert progress.sent + progress.skipped.get("opted_out", 0) == 400
    assert "turn_failed" not in caplog.text


async def test_a_run_stops_when_its_time_is_up_with_everything_settled(
    platform: Platform, connector: FakeConnector
) -> None:
    campaign = await _ready(platform, 200, rate=100)
    rest = await scenes.dispatched(platform, connector, campaign.id, seconds=0.3)
    assert rest.why == "time_up"
    assert await _states(platform) == {"sent": len(connector.effects), "queued": 200 - len(connector.effects)}
    assert rest.handed_over == len(connector.effects)


# ---- dying in the middle ------------------------------------------------------------------------------------


async def test_a_run_cancelled_at_any_moment_leaves_nothing_half_done(
    platform: Platform, connector: FakeConnector
) -> None:
    connector.delay_s = 0.003
    campaign = await _ready(platform, 600, rate=600)
    for number in range(12):
        run = Dispatcher(platform, connector, campaign.id, run_token="run").run(seconds=20)
        running = asyncio.create_task(run)
        await asyncio.sleep(0.02 + number * 0.0037)
        running.cancel()
        (result,) = await asyncio.gather(running, return_exceptions=True)
        states = await _states(platform)
        if isinstance(result, Rest):  # it was done before it was stopped
            break
        assert isinstance(result, asyncio.CancelledError)
        assert set(states) <= {"sent", "queued"}
        assert states.get("sent", 0) == len(connector.effects)
    connector.delay_s = 0
    await scenes.dispatched(platform, connector, campaign.id)
    assert len({one.to.value for one in connector.effects}) == len(connector.effects) == 600


async def test_what_had_its_slot_to_come_is_not_in_doubt_when_all_the_process_does_is_cancelled(
    platform: Platform, connector: FakeConnector
) -> None:
    """So ends `asyncio.run` after a SIGTERM that Prefect has made an exception."""
    campaign = await _ready(platform, 200, rate=100)
    before = asyncio.all_tasks()
    running = asyncio.create_task(scenes.dispatched(platform, connector, campaign.id))
    while len(connector.effects) < 20:  # noqa: ASYNC110  the connector has no event to wait for
        await asyncio.sleep(0.01)
    for task in asyncio.all_tasks() - before:
        task.cancel()
    (result,) = await asyncio.gather(running, return_exceptions=True)
    assert isinstance(result, asyncio.CancelledError)
    assert await _states(platform) == {"sent": len(connector.effects), "queued": 200 - len(connector.effects)}


async def test_what_was_on_the_wire_then_is_in_doubt(platform: Platform, connector: FakeConnector) -> None:
    connector.delay_s = 60
    campaign = await _ready(platform, 5, rate=1000)
    before = asyncio.all_tasks()
    running = asyncio.create_task(scenes.dispatched(platform, connector, campaign.id))
    while connector.most_at_once < 5:  # noqa: ASYNC110  the connector has no event to wait for
        await asyncio.sleep(0.01)
    for task in asyncio.all_tasks() - before:
        task.cancel()
    await asyncio.gather(running, return_exceptions=True)
    async with platform.database.reading() as tx:
        found = (await tx.execute(text("SELECT state, reason, COUNT(*) FROM messages GROUP BY state, reason"))).all()
    assert [tuple(row) for row in found] == [("in_doubt", "in_doubt", 5)]


async def test_a_run_whose_exception_of_sigterm_fell_into_one_message_stops(
    platform: Platform, connector: FakeConnector
) -> None:
    class Terminated(BaseException):
        pass

    def answering(message: Outgoing) -> Accepted:
        if len(connector.calls) == 20:
            raise Terminated
        return Accepted(f"wamid.{message.client_id}")

    connector.answering = answering
    campaign = await _ready(platform, 400, rate=400)
    rest = await scenes.dispatched(platform, connector, campaign.id)
    assert rest.why == "interrupted"
    states = await _states(platform)
    assert states["sent"] == len(connector.effects) < 400
    assert states["sent"] + states["queued"] == 399


@pytest.mark.only_on("postgres")  # a server can go away, a file cannot
async def test_a_database_that_goes_away_costs_no_answer_and_repeats_nothing(
    platform: Platform, connector: FakeConnector, settings: Settings
) -> None:
    connector.delay_s = 0.02
    campaign = await _ready(platform, 500, rate=400)
    running = asyncio.create_task(scenes.dispatched(platform, connector, campaign.id))
    other = connect(settings)
    for _ in range(3):
        await asyncio.sleep(0.25)
        async with other.transaction() as tx:
            await tx.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
    await other.close()
    await running
    await scenes.dispatched(platform, connector, campaign.id)
    assert await _states(platform) == {"sent": 500}
    assert len({one.to.value for one in connector.effects}) == len(connector.effects) == 500


async def test_a_run_whose_first_turn_fails_goes_on(platform: Platform) -> None:
    class FailingOnce(FakeConnector):
        failures = 1

        @property
        def capabilities(self) -> Capabilities:  # type: ignore[override]  # asked for late in a turn
            if self.failures:
                self.failures -= 1
                raise ConnectionResetError
            return ANYTHING

        @capabilities.setter
        def capabilities(self, _: Capabilities) -> None: ...

    campaign = await _ready(platform, 5)
    await scenes.dispatched(platform, FailingOnce(), campaign.id)
    assert await _states(platform) == {"sent": 5}


@pytest.mark.only_on("sqlite")  # SQLite only: there one writer holds up all others
async def test_a_database_that_is_busy_too_long_costs_no_answer_and_repeats_nothing(
    settings: Settings, connector: FakeConnector
) -> None:
    connector.delay_s = 0.02
    impatient = settings.model_copy(update={"sqlite_busy_timeout_s": 0.05})
    platform = await build(impatient, connectors=FakeConnectors(connector), jobs=FakeJobs())
    campaign = await _ready(platform, 300, rate=400)
    running = asyncio.create_task(scenes.dispatched(platform, connector, campaign.id))
    await asyncio.sleep(0.2)
    hog = sqlite3.connect(settings.data_dir / "waqtor.db", isolation_level=None, timeout=0)
    for _ in range(100):
        try:
            hog.execute("BEGIN IMMEDIATE")
            break
        except sqlite3.OperationalError:
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.5)
    hog.execute("ROLLBACK")
    hog.close()
    await running
    assert await _states(platform) == {"sent": 300}
    assert len({one.to.value for one in connector.effects}) == len(connector.effects) == 300
    await platform.close()


async def test_a_connector_that_breaks_its_contract_leaves_a_doubt(platform: Platform) -> None:
    class Broken(FakeConnector):
        async def send(self, message: object) -> object:  # type: ignore[override]
            raise KeyError("oops")

    campaign = await _ready(platform, 2)
    await scenes.dispatched(platform, Broken(), campaign.id)  # type: ignore[arg-type]
    async with platform.database.reading() as tx:
        rows = (await tx.execute(select(Message.state, Message.reason))).all()
    assert [tuple(row) for row in rows] == [("in_doubt", "connector_broke")] * 2


async def test_an_answer_the_database_will_not_have_takes_no_other_with_it(platform: Platform) -> None:
    """Two answers with one provider id: the second cannot be true. The others are written down all the same."""
    twins = {"+966500000003", "+966500000007"}
    connector = FakeConnector(delay_s=0.05)
    connector.answering = lambda message: Accepted(
        "wamid.same" if message.to.value in twins else f"wamid.{message.client_id}"
    )
    campaign = await _ready(platform, 10)
    with pytest.raises(Exception, match=r"(?i)unique"):
        await scenes.dispatched(platform, connector, campaign.id)
    assert await _states(platform) == {"sent": 9, "sending": 1}


async def test_the_number_of_new_contacts_does_not_matter_to_a_stopped_clock(platform: Platform) -> None:
    """Rows made in the same moment keep their order."""
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await contacts.save(
            tx, platform.key, [NewContact(phone=f"+9665{n:08d}", name=str(n)) for n in range(300)], at=now
        )
    async with platform.database.reading() as tx:
        rows = await tx.execute(
            select(Contact.name, Identity.value).join(Identity, Identity.contact_id == Contact.id).order_by(Contact.id)
        )
        assert [(row.name, row.value) for row in rows] == [(str(n), f"+9665{n:08d}") for n in range(300)]


async def test_fewer_at_once_where_the_settings_say_so(platform: Platform, connector: FakeConnector) -> None:
    connector.delay_s = 0.01
    campaign = await _ready(platform, 40)
    await scenes.dispatched(with_settings(platform, send_concurrency=3), connector, campaign.id)
    assert connector.most_at_once <= 3
    assert len(connector.effects) == 40


@pytest.mark.only_on("postgres")  # its planner chooses by size; SQLite's takes the index it has
@pytest.mark.new_database
async def test_a_young_database_is_not_read_whole_for_each_turn(platform: Platform, connector: FakeConnector) -> None:
    """Plans are kept: one made for an almost empty table would read it whole as it grows."""
    people = 1_000
    await scenes.people(platform, people)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        hashes = (await tx.execute(select(Identity.value_hash))).scalars().all()
        said = {"purpose": "marketing", "source": "form", "wording": "yes", "given_at": now}
        assert await consents.grant(tx, hashes, **said, at=now) == people
    sender = await scenes.a_sender(platform, rate=10_000)
    campaign = await scenes.a_campaign(platform, sender, purpose="marketing")
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    async with platform.database.transaction() as tx:
        ids = [f"wamid.{one.client_id}" for one in connector.effects]
        for start in range(0, people, 50):
            now = await platform.clock.now(tx)
            read = [
                Receipt(one, client_id=None, status="read", at=now, sender_phone_number_id=None)
                for one in ids[start : start + 50]
            ]
            await messages.apply_receipts(tx, read, at=now)
    await platform.database.close()  # its backends hand in their statistics as they go
    await asyncio.sleep(0.5)
    async with platform.database.reading() as tx:
        rows = await tx.execute(
            text("SELECT relname, seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE seq_tup_read IS NOT NULL")
        )
        fetched = {table: number / people for table, number in rows}
    assert (
        max(fetched[table] for table in ("messages", "recipients", "chats", "contacts", "identities", "consents")) < 20
    ), fetched

"""Webhooks: kept before they are answered, applied once, and no bad one holds up another."""

import asyncio
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from sqlalchemy import func, select, text

import scenes
from core import consents, inbox
from core.bootstrap import Platform
from core.content import Text
from core.database import Tx
from core.errors import Invalid
from core.models import InboxItem, Message
from core.ports import Address, Inbound, ParsedWebhook, PreferenceChanged, Receipt
from fakes import FakeClock, FakeConnector

_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _parse(body: bytes) -> ParsedWebhook:
    """A wire form of our own: {"in": [[id, phone, text], …], "receipts": [[client id, status], …]}."""
    if body == b"crash":
        raise KeyError("a parser that breaks its contract")
    try:
        read = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Invalid("not JSON") from None
    return ParsedWebhook(
        receipts=[Receipt(f"wamid.{name}", name, status, _AT) for name, status in read.get("receipts", [])],
        inbound=[
            Inbound(name, "id-shop", [Address("phone", phone)], None, Text.model_construct(body=body), None, _AT)
            for name, phone, body in read.get("in", [])
        ],
        preferences=[
            PreferenceChanged("id-shop", [Address("phone", phone)], True, _AT) for phone in read.get("stop", [])
        ],
    )


async def _store(platform: Platform, *bodies: bytes | dict[str, object]) -> None:
    for body in bodies:
        async with platform.database.transaction() as tx:
            raw = body if isinstance(body, bytes) else orjson.dumps(body)
            await inbox.store(tx, raw, at=await platform.clock.now(tx))


async def _apply_all(platform: Platform) -> int:
    applied = 0
    while count := await inbox.apply_waiting(platform, _parse):
        applied += count
    return applied


def _hello(number: int, text: str = "hello") -> dict[str, object]:
    return {"in": [[f"in{number}", f"+9665{number:08d}", text]]}


async def _received(tx: Tx) -> list[str]:
    rows = select(Message.provider_id).where(Message.direction == "in").order_by(Message.id)
    return [str(one) for one in (await tx.execute(rows)).scalars()]


async def _items(platform: Platform) -> list[tuple[bool, str | None]]:
    async with platform.database.reading() as tx:
        rows = await tx.execute(select(InboxItem.applied_at, InboxItem.error).order_by(InboxItem.id))
        return [(row.applied_at is not None, row.error) for row in rows]


async def test_what_was_stored_is_applied_once_in_order(platform: Platform) -> None:
    await scenes.a_sender(platform)
    await _store(platform, *(_hello(number) for number in range(50)))
    assert await _apply_all(platform) == 50
    assert await _apply_all(platform) == 0
    async with platform.database.reading() as tx:
        assert await _received(tx) == [f"in{number}" for number in range(50)]
    assert await _items(platform) == [(True, None)] * 50


async def test_a_process_that_dies_between_storing_and_applying_loses_nothing(platform: Platform) -> None:
    await scenes.a_sender(platform)
    await _store(platform, _hello(1))

    def dies(body: bytes) -> ParsedWebhook:
        raise SystemExit

    with pytest.raises(SystemExit):
        await inbox.apply_waiting(platform, dies)
    assert await _items(platform) == [(False, None)]
    async with platform.database.reading() as tx:
        assert await inbox.oldest_waiting(tx) is not None
    assert await _apply_all(platform) == 1
    async with platform.database.reading() as tx:
        assert await inbox.oldest_waiting(tx) is None


async def test_the_same_webhook_again_changes_nothing(platform: Platform) -> None:
    await scenes.a_sender(platform)
    await _store(platform, _hello(1), _hello(1), {"in": [*_hello(1)["in"], *_hello(2)["in"]]})  # type: ignore[misc]
    await _apply_all(platform)
    async with platform.database.reading() as tx:
        assert await _received(tx) == ["in1", "in2"]


@pytest.mark.parametrize(
    ("poison", "says"),
    [
        (b"\xff not json", "not JSON"),
        (b"crash", "KeyError"),
        (b'{"in": 5}', "TypeError"),
        (b'{"in": [["too", "few"]]}', "ValueError"),
        (orjson.dumps({"in": [["x" * 5_000, "+966500000009", "hello"]]}), None),
    ],
)
async def test_a_bad_body_is_set_aside_and_holds_up_nobody(
    platform: Platform, poison: bytes, says: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    await scenes.a_sender(platform)
    await _store(platform, _hello(1), _hello(2), poison, _hello(3))
    assert await _apply_all(platform) == 4
    items = await _items(platform)
    assert [applied for applied, _ in items] == [True] * 4
    if says is None:  # too long for its column, which SQLite does not mind
        says = "DBAPIError" if platform.database.is_postgres else None
    assert [error for _, error in items] == [None, None, says, None]
    async with platform.database.reading() as tx:
        assert {"in1", "in2", "in3"} <= set(await _received(tx))


@pytest.mark.parametrize("where", ["text", "phone", "id"])
async def test_a_body_the_database_refuses_is_set_aside_whole(platform: Platform, where: str) -> None:
    """PostgreSQL takes no null character; SQLite takes it, which is no harm."""
    await scenes.a_sender(platform)
    nul = {"text": ["n", "+966500000009", "a\0b"], "phone": ["n", "+9\0", "x"], "id": ["n\0", "+966500000009", "x"]}
    await _store(platform, _hello(1), {"in": [nul[where]], "receipts": []}, _hello(2))
    assert await _apply_all(platform) == 3
    items = await _items(platform)
    assert [error is not None for _, error in items] == [False, platform.database.is_postgres, False]
    async with platform.database.reading() as tx:
        assert {"in1", "in2"} <= set(await _received(tx))


@pytest.mark.only_on("postgres")  # a server can go away, a file cannot
async def test_a_lost_connection_sets_nothing_aside(platform: Platform) -> None:
    await scenes.a_sender(platform)
    await _store(platform, _hello(1))
    pids: list[int] = []

    async def cut() -> None:
        """Kills whoever waits for the lock that the test holds."""
        while not pids:
            async with platform.database.transaction() as tx:
                killed = await tx.execute(
                    text(
                        "SELECT pid FROM (SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                        "AND datname = current_database() OFFSET 0) waiting WHERE pg_terminate_backend(pid)"
                    )
                )
                pids.extend(killed.scalars())
            await asyncio.sleep(0.02)

    async with platform.database.transaction() as tx:
        await tx.execute(text("SELECT pg_advisory_xact_lock(7726003)"))
        results = await asyncio.gather(inbox.apply_waiting(platform, _parse), cut(), return_exceptions=True)
    assert isinstance(results[0], Exception)
    assert await _items(platform) == [(False, None)]
    assert await _apply_all(platform) == 1
    assert await _items(platform) == [(True, None)]


@pytest.mark.only_on("postgres")  # SQLite has one writer at a time
async def test_a_deadlock_sets_nothing_aside(platform: Platform, connector: FakeConnector) -> None:
    """A worker that PostgreSQL picks as the victim tries again; the receipt is not lost."""
    await scenes.people(platform, 1)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    client_id = connector.effects[0].client_id
    await _store(platform, {"stop": ["+966500000000"], "receipts": [[client_id, "read"]]})

    async def cross() -> None:
        """Takes the person first and the identities second: the wrong way round."""
        async with platform.database.transaction() as tx:
            await tx.execute(text("SET LOCAL deadlock_timeout = '10s'"))  # so that the other is the victim
            await tx.execute(text("SELECT 1 FROM messages WHERE id = 1 FOR UPDATE"))
            held.set()
            behind_me = text("SELECT count(*) FROM pg_locks WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))")
            while not await tx.scalar(behind_me):  # noqa: ASYNC110 - it is the database that is asked
                await asyncio.sleep(0.01)
            await tx.execute(text("SELECT pg_advisory_xact_lock(7726003)"))

    async def apply() -> int:
        await held.wait()
        return await inbox.apply_waiting(platform, _parse)

    held = asyncio.Event()

    _, result = await asyncio.gather(cross(), apply(), return_exceptions=True)
    assert isinstance(result, Exception)
    assert "deadlock" in str(result)
    assert await _items(platform) == [(False, None)]
    await _apply_all(platform)
    assert (await scenes.progress(platform, campaign.id)).read == 1


async def test_two_workers_at_once_apply_everything_once(platform: Platform, connector: FakeConnector) -> None:
    """Each body comes twice, bodies have several messages, and a run is sending to the same people."""
    people = 120
    await scenes.people(platform, people)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    running = asyncio.create_task(scenes.dispatched(platform, connector, campaign.id))
    bodies: list[bytes | dict[str, object]] = []
    told: list[bytes | dict[str, object]]
    for number in range(0, people, 3):
        some = [_hello(one, "stop" if one % 10 == 0 else "hi")["in"][0] for one in range(number, number + 3)]  # type: ignore[index]
        bodies += [{"in": some}, {"in": some[1:]}]
    await _store(platform, *bodies)
    await running
    for one in range(0, len(connector.effects), 5):
        names = [effect.client_id for effect in connector.effects[one : one + 5]]
        told = [{"receipts": [[name, status] for name in names]} for status in ("read", "sent")]
        await _store(platform, *told)

    async def work() -> None:
        while await inbox.apply_waiting(platform, _parse):
            pass

    await asyncio.gather(work(), work(), work())
    await _apply_all(platform)
    assert {error for _, error in await _items(platform)} == {None}
    progress = await scenes.progress(platform, campaign.id)
    assert progress.sent == progress.read == progress.replied == people
    async with platform.database.reading() as tx:
        assert len(await _received(tx)) == people
        assert len(await consents.suppressed(tx, range(1, people + 1))) == 12


async def test_the_worker_sleeps_until_woken_and_survives_a_bad_moment(platform: Platform) -> None:
    await scenes.a_sender(platform)
    wake = asyncio.Event()
    worker = asyncio.create_task(inbox.apply_forever(platform, _parse, wake, idle_s=0.05))
    await _store(platform, b"crash", _hello(1))
    wake.set()
    for _ in range(100):
        if await _items(platform) == [(True, "KeyError"), (True, None)]:
            break
        await asyncio.sleep(0.02)
    await _store(platform, _hello(2))  # nobody wakes it: another process stored this and died
    for _ in range(100):
        if len(await _items(platform)) == 3 and (await _items(platform))[2] == (True, None):
            break
        await asyncio.sleep(0.02)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    assert await _items(platform) == [(True, "KeyError"), (True, None), (True, None)]


async def test_applied_webhooks_are_forgotten_after_a_time_and_waiting_ones_never(
    platform: Platform, clock: FakeClock
) -> None:
    await scenes.a_sender(platform)
    await _store(platform, *(_hello(number) for number in range(3)))
    await _apply_all(platform)
    clock.advance(days=10)
    await _store(platform, _hello(7))
    async with platform.database.reading() as tx:
        before = await clock.now(tx) - timedelta(days=7)
    assert await inbox.prune(platform, before=before) == 3
    async with platform.database.reading() as tx:
        assert (await tx.execute(select(func.count()).select_from(InboxItem))).scalar_one() == 1


async def test_what_was_set_aside_is_kept_counted_and_applied_after_a_mend(
    platform: Platform, clock: FakeClock
) -> None:
    await scenes.a_sender(platform)
    await _store(platform, _hello(1), b"crash", b"\xff")
    await _apply_all(platform)
    clock.advance(days=400)
    async with platform.database.transaction() as tx:
        assert await inbox.set_aside(tx) == {"KeyError": 1, "not JSON": 1}
        now = await platform.clock.now(tx)
    assert await inbox.prune(platform, before=now) == 1
    async with platform.database.transaction() as tx:
        assert await inbox.again(tx) == 2

    def mended(body: bytes) -> ParsedWebhook:
        return _parse(orjson.dumps(_hello(2)) if body == b"crash" else body)

    while await inbox.apply_waiting(platform, mended):
        pass
    async with platform.database.reading() as tx:
        assert await _received(tx) == ["in1", "in2"]
        assert await inbox.set_aside(tx) == {"not JSON": 1}
    assert await _items(platform) == [(True, None), (True, "not JSON")]

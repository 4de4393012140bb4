"""Deliveries reach their endpoints at least once, one attempt at a time, and a bad endpoint keeps nobody waiting."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import pytest
from sqlalchemy import select, update

import scenes
from core import courier, delivery_claims, delivery_settling, webhooks
from core.bootstrap import Platform
from core.courier import Courier
from core.delivery_claims import Room
from core.delivery_settling import Outcome
from core.models import Delivery, DeliveryAttempt, Notification, Webhook
from core.ports import Letter, Posted, PostError
from fakes import FakeClock, FakePoster


async def _rows(platform: Platform, webhook: Webhook | None = None) -> Sequence[Delivery]:
    query = select(Delivery).order_by(Delivery.id)
    if webhook is not None:
        query = query.where(Delivery.webhook_id == webhook.id)
    async with platform.database.reading() as tx:
        return (await tx.execute(query)).scalars().all()


async def _webhook(platform: Platform, webhook: Webhook) -> Webhook:
    async with platform.database.reading() as tx:
        return await webhooks.get(tx, webhook.id)


def _answers(status: int, **headers: str) -> FakePoster:
    return FakePoster(lambda _: Posted(status, headers, b"said \0 so", 0.01))


async def _until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await is_so():  # noqa: ASYNC110  it is in the database
            await asyncio.sleep(0.02)


async def test_ten_attempts_over_75_hours_with_one_id_and_one_body(platform: Platform, clock: FakeClock) -> None:
    webhook = await scenes.a_webhook(platform, events=["contact.opted_out"], signs_v2=True, headers={"X-Mine": "1"})
    await scenes.told(platform, webhook, 7)
    poster = _answers(500)
    waits = []
    for _ in range(10):
        assert await scenes.couriered(platform, poster) == 1
        assert await scenes.couriered(platform, poster) == 0, "not before its time"
        (row,) = await _rows(platform)
        async with platform.database.reading() as tx:
            waits.append((row.next_at - await platform.clock.now(tx)).total_seconds())
        clock.advance(seconds=waits[-1] + 1)
    (row,) = await _rows(platform)
    assert (row.state, row.reason, row.attempts) == ("failed", "exhausted", 10)
    expected = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
    assert all(0.89 * due < wait < 1.11 * due for due, wait in zip(expected, waits, strict=False))
    assert len({(one.headers["webhook-id"], one.body) for one in poster.letters}) == 1
    assert len({one.headers["webhook-timestamp"] for one in poster.letters}) == 10
    first = poster.letters[0]
    assert (first.headers["X-Mine"], first.headers["X-WaQtor-Event"]) == ("1", "contact.opted_out")
    async with platform.database.reading() as tx:
        attempts = (await tx.execute(select(DeliveryAttempt).order_by(DeliveryAttempt.number))).scalars().all()
    assert [(one.number, one.status) for one in attempts] == [(number + 1, 500) for number in range(10)]
    assert (attempts[0].response_body, attempts[0].took_ms) == ("said � so", 10)
    assert "X-Mine" not in (attempts[0].request_headers or {}), "it may be a secret"


async def test_what_the_receiver_says_is_done(platform: Platform, clock: FakeClock) -> None:
    later = await scenes.a_webhook(platform, events=["contact.opted_out"], schedule=[1])
    await scenes.told(platform, later, 1)
    await scenes.couriered(platform, _answers(503, **{"retry-after": "7200"}))
    clock.advance(seconds=7100)
    assert await scenes.couriered(platform, FakePoster()) == 0
    clock.advance(seconds=101)
    assert await scenes.couriered(platform, FakePoster()) == 1
    assert [row.state for row in await _rows(platform)] == ["delivered"]
    gone = await scenes.a_webhook(platform, events=["contact.opted_out"])
    await scenes.told(platform, gone, 1, count=1)
    await scenes.couriered(platform, _answers(410))
    assert not (await _webhook(platform, gone)).is_enabled
    assert [(row.state, row.reason) for row in await _rows(platform, gone)] == [("failed", "gone")]
    await scenes.told(platform, gone, 2)
    assert await scenes.couriered(platform, FakePoster()) == 0, "it waits until somebody enables the endpoint"
    async with platform.database.transaction() as tx:
        assert (await tx.execute(select(Notification.wording))).scalars().all() == ["webhook.disabled.gone"]
        await webhooks.enable(tx, gone.id, at=await platform.clock.now(tx))
    assert await scenes.couriered(platform, FakePoster()) == 1


async def test_a_receiver_says_by_a_header_that_it_wants_no_more(platform: Platform) -> None:
    one, all_of_it, done = [
        await scenes.a_webhook(platform, url=f"https://example.com/{name}", events=["contact.opted_out"])
        for name in ("one", "all", "done")
    ]
    for webhook, status, said in ((one, 500, "abort-message"), (all_of_it, 500, "disable"), (done, 200, " Disable ")):
        await scenes.told(platform, webhook, 1)
        await scenes.couriered(platform, _answers(status, **{"webhook-delivery": said}))
    assert [(row.state, row.reason) for row in await _rows(platform)] == [
        ("failed", "aborted"),
        ("failed", "gone"),
        ("delivered", None),
    ]
    assert [(await _webhook(platform, each)).is_enabled for each in (one, all_of_it, done)] == [True, False, False]


@pytest.mark.parametrize(
    ("answer", "schedule", "least_s", "most_s"),
    [
        (Posted(429, {}, b"", 0.0), None, 60, 66),
        (Posted(429, {"retry-after": "7"}, b"", 0.0), None, 7, 8),
        (Posted(429, {}, b"", 0.0), [2.0], 1, 3),
        (PostError("timeout"), None, 60, 66),
        (PostError("connect_timeout"), None, 60, 66),
        (PostError("reset"), None, 4, 6),
        (Posted(500, {}, b"", 0.0), None, 4, 6),
    ],
)
async def test_one_that_has_too_much_or_hangs_is_spared_for_a_minute(
    platform: Platform, answer: Posted | PostError, schedule: list[float] | None, least_s: float, most_s: float
) -> None:
    webhook = await scenes.a_webhook(platform, events=["contact.opted_out"], schedule=schedule)
    await scenes.told(platform, webhook, 1)
    await scenes.couriered(platform, FakePoster(lambda _: answer))
    (row,) = await _rows(platform)
    webhook = await _webhook(platform, webhook)
    async with platform.database.reading() as tx:
        now = await platform.clock.now(tx)
    assert least_s - 2 <= (row.next_at - now).total_seconds() <= most_s
    if isinstance(answer, Posted) and answer.status == 429:
        rests_s = 7 if answer.headers else 60
        assert webhook.paused_until is not None
        assert rests_s - 2 <= (webhook.paused_until - now).total_seconds() <= rests_s


async def test_what_is_given_up_is_told_once_an_hour_and_never_of_that_telling(
    platform: Platform, clock: FakeClock
) -> None:
    """Two endpoints that ask for everything and take nothing."""
    first, second = [
        await scenes.a_webhook(platform, f"https://example.com/{one}", events=["*"], schedule=[]) for one in "ab"
    ]
    for _ in range(2):
        await scenes.told(platform, first, 1, 2, 3)
        await scenes.couriered(platform, _answers(500))
    clock.advance(hours=1)
    await scenes.couriered(platform, _answers(500))
    told = {row.webhook_id: row.type for row in await _rows(platform) if row.type == "webhook.exhausted"}
    assert told == {second.id: "webhook.exhausted"}, "it hears nothing about itself"
    async with platform.database.reading() as tx:
        of = (await tx.execute(select(Notification.about).where(Notification.kind == "webhook.exhausted"))).scalars()
        assert list(of) == [f"webhook:{first.id}"]
    await scenes.told(platform, first, 4)
    await scenes.couriered(platform, _answers(500))
    assert sum(row.type == "webhook.exhausted" for row in await _rows(platform)) == 2
    assert {row.state for row in await _rows(platform)} == {"failed"}


async def test_five_days_without_a_success_disable_and_any_success_resets(platform: Platform, clock: FakeClock) -> None:
    webhook = await scenes.a_webhook(platform, events=["contact.opted_out"], schedule=[])

    async def days(days: float, poster: FakePoster) -> None:
        for _ in range(int(days * 2)):
            await scenes.told(platform, webhook, 1)
            await scenes.couriered(platform, poster)
            clock.advance(hours=12, seconds=1)

    bad = _answers(500)
    await days(3, bad)
    await days(0.5, FakePoster())
    await days(4.5, bad)
    assert (await _webhook(platform, webhook)).is_enabled, "the success began it anew"
    async with platform.database.reading() as tx:
        told = (await tx.execute(select(Notification.params).order_by(Notification.id))).scalars().all()
    assert [one["percent"] for one in told if "percent" in one] == [50, 50, 70], "of the first run, and of the second"
    await days(1, bad)
    stopped = await _webhook(platform, webhook)
    assert (stopped.is_enabled, stopped.disabled_reason) == (False, "failing")
    async with platform.database.reading() as tx:
        told = (await tx.execute(select(Notification.wording).order_by(Notification.id.desc()))).scalars().all()
    assert [one for one in told if one != "webhook.exhausted"][:2] == ["webhook.disabled", "webhook.failing"]
    await scenes.told(platform, webhook, 5)
    assert await scenes.couriered(platform, bad) == 0
    async with platform.database.transaction() as tx:
        await webhooks.enable(tx, webhook.id, at=await platform.clock.now(tx))
    assert await scenes.couriered(platform, FakePoster()) == 1, "what happened meanwhile was kept for it"
    once = await scenes.a_webhook(platform, url="https://example.com/rare", events=["contact.opted_out"], schedule=[])
    for _ in range(3):
        await scenes.told(platform, once, 1)
        await scenes.couriered(platform, bad)
        clock.advance(days=6)
    assert (await _webhook(platform, once)).is_enabled, "failures that are far apart are no failing endpoint"


async def test_a_hanging_endpoint_keeps_nobody_waiting_and_gets_a_rest(platform: Platform, clock: FakeClock) -> None:
    dead = [
        await scenes.a_webhook(platform, url=f"https://dead-{number}.example.com/", events=["contact.opted_out"])
        for number in range(3)
    ]
    healthy = await scenes.a_webhook(platform, events=["contact.opted_out"], concurrency=4)
    for webhook in dead:
        await scenes.told(platform, webhook, 1, count=20)
    await scenes.told(platform, healthy, 1, count=20)
    poster = FakePoster(lambda letter: PostError("timeout") if "dead" in letter.url else Posted(200, {}, b"", 0.0))
    poster.held = {webhook.url: asyncio.Event() for webhook in dead}
    runner = asyncio.create_task(Courier(platform, poster).run())

    async def all_of_the_healthy_one() -> bool:
        return all(row.state == "delivered" for row in await _rows(platform, healthy))

    await _until(all_of_the_healthy_one)
    under_way = Counter(row.webhook_id for row in await _rows(platform) if row.state == "sending")
    assert max(under_way.values()) <= 2, "a new endpoint begins with few at once"
    for held in poster.held.values():
        held.set()

    async def all_rest() -> bool:
        return all([(await _webhook(platform, one)).paused_until for one in dead])

    await _until(all_rest)
    runner.cancel()
    await asyncio.gather(runner, return_exceptions=True)
    attempts = sum([row.attempts for one in dead for row in await _rows(platform, one)])
    assert attempts <= 3 * 5, "three in a row, and those that were under way: then it rests"
    clock.advance(seconds=400)
    before = len(poster.letters)
    await scenes.couriered(platform, FakePoster(poster.answering))
    assert len(poster.letters) == before
    assert {row.state for row in await _rows(platform, healthy)} == {"delivered"}


@pytest.mark.parametrize(("endpoints", "concurrency"), [(7, 10), (6, 100)])
async def test_endpoints_that_were_quick_and_go_silent_at_once_keep_nobody_waiting(
    platform: Platform, endpoints: int, concurrency: int
) -> None:
    """Until their posts run out of time, nothing says that they fail."""
    silent = [
        await scenes.a_webhook(
            platform, url=f"https://silent-{one}.example.com/", events=["contact.opted_out"], concurrency=concurrency
        )
        for one in range(endpoints)
    ]
    healthy = await scenes.a_webhook(platform, events=["contact.opted_out"], concurrency=10)
    poster = FakePoster()
    runner = asyncio.create_task(Courier(platform, poster).run())
    for webhook in (*silent, healthy):
        await scenes.told(platform, webhook, 1, count=40)

    async def all_is_told() -> bool:
        return all(row.state == "delivered" for row in await _rows(platform))

    await _until(all_is_told)
    poster.held = {webhook.url: asyncio.Event() for webhook in silent}
    for webhook in silent:
        await scenes.told(platform, webhook, 2, count=150)

    async def much_is_under_way() -> bool:
        rows = [row for row in await _rows(platform) if row.state == "sending"]
        return len(rows) >= min(endpoints * concurrency, 320)

    await _until(much_is_under_way)
    await asyncio.sleep(1)
    for _ in range(3):
        began = time.monotonic()
        await scenes.told(platform, healthy, 3, count=10)

        async def the_healthy_one_is_told() -> bool:
            return all(row.state == "delivered" for row in await _rows(platform, healthy))

        await _until(the_healthy_one_is_told)
        assert time.monotonic() - began < 3, "the silent ones take 15 s to fail"
    runner.cancel()
    await asyncio.gather(runner, return_exceptions=True)


async def test_limits_of_an_endpoint_hold(platform: Platform, clock: FakeClock) -> None:
    webhook = await scenes.a_webhook(platform, events=["contact.opted_out"], rate=5, concurrency=2)
    await scenes.told(platform, webhook, 1, count=30)
    poster = FakePoster()
    made = await scenes.couriered(platform, poster)
    assert 5 <= made < 20
    assert poster.most_at_once <= 2
    clock.advance(seconds=60)
    assert await scenes.couriered(platform, poster) >= 5


async def test_the_order_of_a_chat_is_kept_for_who_asks(platform: Platform, clock: FakeClock) -> None:
    webhook = await scenes.a_webhook(platform, events=["contact.opted_out"], is_ordered=True, schedule=[5, 5])
    await scenes.told(platform, webhook, 1, 2, count=5)
    first = (await _rows(platform))[0]
    refused = {first.event_id}

    def answer(letter: Letter) -> Posted:
        return Posted(500 if letter.headers["webhook-id"] in refused else 200, {}, b"", 0.0)

    poster = FakePoster(answer)
    await scenes.couriered(platform, poster)
    done = Counter(row.order_key for row in await _rows(platform) if row.state == "delivered")
    assert done == {"1:2": 5}, "the other chat goes on, and this one waits for its first"
    refused.clear()
    clock.advance(seconds=10)
    await scenes.couriered(platform, poster)
    rows = await _rows(platform)
    assert {row.state for row in rows} == {"delivered"}
    arrived = [one.headers["webhook-id"] for one in poster.letters]
    for key in ("1:1", "1:2"):
        theirs = [row.event_id for row in rows if row.order_key == key]
        assert [one for one in dict.fromkeys(arrived) if one in theirs] == theirs
    await scenes.told(platform, webhook, 1, count=3)
    refused.add((await _rows(platform))[-3].event_id)
    for _ in range(4):
        await scenes.couriered(platform, poster)
        clock.advance(seconds=10)
    assert [row.state for row in (await _rows(platform))[-3:]] == ["failed", "delivered", "delivered"]


async def test_what_a_dead_process_had_is_taken_again_and_two_never_have_one(
    platform: Platform, clock: FakeClock
) -> None:
    webhook = await scenes.a_webhook(platform, events=["contact.opted_out"], concurrency=50)
    await scenes.told(platform, webhook, *range(1, 101))
    poster = FakePoster()
    poster.held = {webhook.url: asyncio.Event()}
    dies = asyncio.create_task(Courier(platform, poster).run())

    async def one_is_under_way() -> bool:
        return any(row.state == "sending" for row in await _rows(platform))

    await _until(one_is_under_way)
    (lost, *_) = [row for row in await _rows(platform) if row.state == "sending"]
    dies.cancel()
    await asyncio.gather(dies, return_exceptions=True)
    assert all(row.state == "waiting" for row in await _rows(platform)), "who ends in order gives back what it has"
    async with platform.database.transaction() as tx:  # who is killed does not
        now = await platform.clock.now(tx)
        had = {"state": "sending", "lease_until": now + timedelta(seconds=60)}
        await tx.execute(update(Delivery).where(Delivery.id == lost.id).values(**had))
    poster.held.clear()
    await asyncio.gather(*(scenes.couriered(platform, poster) for _ in range(3)))
    arrived = Counter(one.headers["webhook-id"] for one in poster.letters)
    assert len(arrived) == 99
    assert set(arrived.values()) == {1}, "three at once, and none had the same"
    clock.advance(seconds=61)
    await scenes.couriered(platform, poster)
    assert {row.state for row in await _rows(platform)} == {"delivered"}
    assert lost.event_id in {one.headers["webhook-id"] for one in poster.letters}


async def test_failures_of_one_moment_are_one_and_the_endpoint_recovers_at_once(
    platform: Platform, clock: FakeClock
) -> None:
    """What was under way when an endpoint broke says nothing that the first of it did not say."""
    webhook = await scenes.a_webhook(platform, events=["contact.opted_out"], concurrency=50, schedule=[1.0] * 10)
    await scenes.told(platform, webhook, 1, count=60)
    is_down = asyncio.Event()
    poster = FakePoster(lambda _: PostError("timeout") if is_down.is_set() else Posted(200, {}, b"", 0.0))
    runner = asyncio.create_task(Courier(platform, poster).run())

    async def all_is_told() -> bool:
        return all(row.state == "delivered" for row in await _rows(platform))

    await _until(all_is_told)
    poster.held = {webhook.url: asyncio.Event()}
    await scenes.told(platform, webhook, 2, count=60)

    async def many_are_under_way() -> bool:
        return all(row.state in ("sending", "delivered") for row in await _rows(platform))

    await _until(many_are_under_way)
    assert poster.most_at_once == 50, "what is committed to beyond its limit waits here, not there"
    is_down.set()
    poster.held[webhook.url].set()

    async def none_is_under_way() -> bool:
        return not any(row.state == "sending" for row in await _rows(platform))

    await _until(none_is_under_way)
    tried = Counter((row.state, row.attempts, row.tries) for row in await _rows(platform))
    assert tried == {("delivered", 1, 1): 60, ("waiting", 1, 1): 50, ("waiting", 0, 0): 10}, "as if never taken"
    async with platform.database.reading() as tx:
        assert len((await tx.execute(select(DeliveryAttempt.id))).all()) == 110
    rests = await _webhook(platform, webhook)
    async with platform.database.reading() as tx:
        assert rests.paused_until is not None
        assert rests.paused_until - await platform.clock.now(tx) <= timedelta(seconds=10), "and not for minutes"
    poster.held.clear()
    is_down.clear()
    clock.advance(seconds=11)
    await _until(all_is_told)
    runner.cancel()
    await asyncio.gather(runner, return_exceptions=True)


async def test_two_couriers_stop_endpoints_at_once(platform: Platform) -> None:
    """The one tells of a failing endpoint before it stops another; so does the other, of others."""
    hooks = [await scenes.a_webhook(platform, url=f"https://{one}.example.com/", schedule=[]) for one in range(4)]
    for _ in range(3):
        outcomes: list[list[Outcome]] = []
        for failing, gone in ((hooks[0], hooks[1]), (hooks[2], hooks[3])):
            theirs = []
            for webhook, status in ((failing, 500), (gone, 410)):
                await scenes.told(platform, webhook, 1)
                async with platform.database.transaction() as tx:
                    now = await platform.clock.now(tx)
                    await webhooks.enable(tx, webhook.id, at=now)
                    if status == 500:
                        bad = {"failures": 9, "strikes": 9, "failing_since": now - timedelta(days=3), "warned": 0}
                        bad |= {"last_strike_at": now, "last_failed_at": now}
                        await tx.execute(update(Webhook).where(Webhook.id == webhook.id).values(**bad))
                    (parcel,) = await delivery_claims.claim(tx, platform, {webhook.id: Room(1)}, now=now)
                theirs.append(Outcome(parcel.delivery_id, webhook.id, parcel.number, status=status))
            outcomes.append(theirs)

        async def settle(some: list[Outcome]) -> None:
            async with platform.database.transaction() as tx:
                await delivery_settling.settle(tx, some, now=await platform.clock.now(tx))

        await asyncio.gather(*(settle(some) for some in outcomes))
    assert [(await _webhook(platform, one)).is_enabled for one in hooks] == [True, False, True, False]


async def test_a_test_delivery_tells_the_truth_and_counts_for_nothing(platform: Platform) -> None:
    webhook = await scenes.a_webhook(platform)
    async with platform.database.transaction() as tx:
        await webhooks.disable(tx, webhook.id, at=await platform.clock.now(tx))
    made = await courier.test(platform, _answers(500), webhook.id)
    assert (made.status, made.error) == (500, None)
    made = await courier.test(platform, FakePoster(lambda _: PostError("tls", "expired")), webhook.id)
    assert (made.status, made.error, made.detail) == (None, "tls", "expired")
    assert (await courier.test(platform, FakePoster(), webhook.id)).status == 204
    assert (await _webhook(platform, webhook)).failures == 0
    assert [row.state for row in await _rows(platform)] == ["failed", "failed", "delivered"]

"""Webhooks by the shipped client, from the event to a receiver on a real socket and back."""

import asyncio
from collections.abc import Callable

import pytest

import receiving
import waqtor as sdk
from core.settings import Settings
from receiving import receiver, saying
from waqtor import AsyncClient, webhooks
from waqtor.webhook_endpoints import Delivery

BROKEN = saying(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\nsorry")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Receivers of ours are on this machine."""
    return settings.model_copy(update={"webhook_networks": "127.0.0.0/8", "webhook_http": True})


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not is_so():  # noqa: ASYNC110 (a receiver on a socket has no event of ours)
            await asyncio.sleep(0.02)


async def _settled(waqtor: AsyncClient, webhook_id: int, count: int) -> list[Delivery]:
    """Newest first, when so many are delivered."""
    async with asyncio.timeout(15):
        while True:
            found = [one async for one in waqtor.webhooks.deliveries(webhook_id, state="delivered", limit=2)]
            if len(found) == count:
                return found
            await asyncio.sleep(0.02)


def _told(one: receiving.Request, secret: str) -> webhooks.ReceivedEvent:
    return webhooks.verify(one.body, one.headers, secret)


async def test_an_event_reaches_its_receiver_is_in_the_log_and_is_made_again(waqtor: AsyncClient) -> None:
    async with receiver() as there:
        made = await waqtor.webhooks.create(
            there.url(), ["contact.*"], fields=["name"], headers={"X-Api-Key": "of-theirs"}, description="shop"
        )
        person = await waqtor.contacts.create(phone="+966500000001", name="Sara")
        await _until(lambda: len(there.requests) >= 1)
        event = _told(there.requests[0], made.secret)
        assert (event.type, event.data) == ("contact.saved", {"contact_id": person.id, "name": "Sara"})
        sent = {name.lower(): value for name, value in there.requests[0].headers.items()}
        assert (sent["x-api-key"], sent["content-type"]) == ("of-theirs", "application/json")

        (logged,) = await _settled(waqtor, made.id, 1)
        whole = await waqtor.webhooks.delivery(logged.id)
        assert (whole.event_id, whole.body, whole.contact_id) == (event.id, there.requests[0].body.decode(), person.id)
        assert [(one.number, one.status, one.error) for one in whole.tried] == [(1, 204, None)]
        assert "of-theirs" not in str(whole.tried[0].request_headers)

        assert (await waqtor.webhooks.replay(logged.id)).event_id == event.id
        await _until(lambda: len(there.requests) >= 2)
        again = there.requests[1]
        assert (_told(again, made.secret).id, again.body) == (event.id, there.requests[0].body)
        assert sum([one.attempts async for one in waqtor.webhooks.deliveries(made.id, event_id=event.id)]) >= 1

        await waqtor.contacts.create(phone="+966500000002", name="Omar")
        await _settled(waqtor, made.id, 2)
        assert (await waqtor.webhooks.count_replay(made.id)).count == 0, "those that failed"
        assert (await waqtor.webhooks.count_replay(made.id, state=None, type="contact.saved")).count == 2
        figures = await waqtor.webhooks.statistics(made.id)
        assert (figures.deliveries["delivered"], figures.answers, figures.succeeded) == (2, {"204": 3}, 3)
        assert figures.p99_ms is not None
        assert (await waqtor.webhooks.statistics()).attempts == 3


async def test_two_secrets_fit_while_they_overlap(waqtor: AsyncClient) -> None:
    async with receiver() as there:
        made = await waqtor.webhooks.create(there.url(), ["contact.*"], signs_v1a=True)
        new = await waqtor.webhooks.rotate(made.id, overlap_s=3600)
        assert (await waqtor.webhooks.test(made.id)).ok
        for secret in (made.secret, new.secret, made.public_key or ""):
            assert _told(there.requests[-1], secret).type == "webhook.test"
        newest = await waqtor.webhooks.rotate(made.id, overlap_s=0)
        await waqtor.webhooks.test(made.id)
        assert _told(there.requests[-1], newest.secret)
        for old in (made.secret, new.secret):
            with pytest.raises(webhooks.NotVerified):
                _told(there.requests[-1], old)


async def test_a_test_tells_the_truth(waqtor: AsyncClient) -> None:
    async with receiver() as there:
        made = await waqtor.webhooks.create(there.url(), ["contact.*"])
        fine = await waqtor.webhooks.test(made.id)
        assert (fine.ok, fine.status, fine.error) == (True, 204, None)
        assert _told(there.requests[0], made.secret).id == fine.event_id
        there.answering = BROKEN
        broken = await waqtor.webhooks.test(made.id)
        assert (broken.ok, broken.status, broken.response_body) == (False, 500, "sorry")
    gone = await waqtor.webhooks.test(made.id)
    assert (gone.ok, gone.status, gone.error) == (False, None, "connect_failed")
    tests = [one async for one in waqtor.webhooks.deliveries(made.id)]
    assert [(one.is_test, one.state) for one in tests] == [(True, "failed"), (True, "failed"), (True, "delivered")]
    assert (await waqtor.webhooks.get(made.id)).failing_since is None, "a test is none of its failures"


async def test_the_rest_of_what_one_does_with_them(waqtor: AsyncClient) -> None:
    made = await waqtor.webhooks.create("https://example.com/hooks", ["message.*"], rate=5, is_ordered=True)
    assert [one.id async for one in waqtor.webhooks.list(limit=1)] == [made.id]
    changed = await waqtor.webhooks.change(made.id, {"events": ["*"], "rate": None})
    assert (changed.events, changed.rate, changed.is_ordered) == (["*"], None, True)
    assert not (await waqtor.webhooks.disable(made.id)).is_enabled
    assert (await waqtor.webhooks.enable(made.id)).is_enabled
    assert "message.sent" in {one.name for one in (await waqtor.webhooks.events()).data}
    replay = await waqtor.webhooks.replay_all(made.id, state=None, rate=10)
    assert (replay.total, (await waqtor.webhooks.get_replay(replay.id)).webhook_id) == (0, made.id)
    assert [one.id async for one in waqtor.webhooks.replays(made.id)] == [replay.id]
    assert (await waqtor.webhooks.remove(made.id)).url == "https://example.com/hooks"
    with pytest.raises(sdk.NotFound):
        await waqtor.webhooks.get(made.id)

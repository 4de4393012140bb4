"""Following what happens through the shipped client: every event once and in order, whatever breaks."""

import asyncio
import json
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

import scenes
import waqtor as sdk
from accounts import signed_in
from api.app import Server as Listening
from core import bus, events
from core.database import Database, DatabaseClock, connect
from core.settings import Settings
from serving import ROOT, Process, Server, api_process, environment, free_port, made_key, new_installation
from waqtor import AsyncClient, Backoff, Client, Gap, LiveEvent
from waqtor.asking import Sleep
from waqtor.following import ASK_S, Hear, Open, Say, Stream, broken

AT_ONCE = Backoff(base_s=0.2, cap_s=0.4)
WRITER = """
import asyncio
from core import events
from core.database import DatabaseClock, connect
from core.settings import Settings

async def main():
    database = connect(Settings())
    for number in range(300):
        async with database.transaction() as tx:
            moved = events.CampaignMoved(campaign_id=7 + number % 2, what="paused", reason=str(number))
            await events.publish(tx, moved, at=await DatabaseClock().now(tx))
        await asyncio.sleep(0.02)
    await database.close()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Process]:
    with api_process(new_installation(tmp_path_factory.mktemp("live"), sqlite_template)) as process:
        yield process


@pytest.fixture
async def url(server: Server) -> AsyncIterator[str]:
    """The app on a real port."""
    port = free_port()
    listening = Listening(server.app, server.platform.settings, host="127.0.0.1", port=port)
    task = asyncio.create_task(listening.serve())
    while not listening.started:  # noqa: ASYNC110  uvicorn's own flag
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    listening.should_exit = True
    await task


async def happen(database: Database, *reasons: str, campaign: int = 7) -> None:
    async with database.transaction() as tx:
        now = await DatabaseClock().now(tx)
        for reason in reasons:
            await events.publish(tx, events.CampaignMoved(campaign_id=campaign, what="paused", reason=reason), at=now)


def happens(settings: Settings, *reasons: str) -> None:
    """Written by us, while the process reads."""

    async def write() -> None:
        database = connect(settings)
        await happen(database, *reasons)
        await database.close()

    asyncio.run(write())


# ---- real processes ------------------------------------------------------------------------------------------------


def test_killed_and_restarted_while_another_process_writes(tmp_path: Path, sqlite_template: Path) -> None:
    """Two ways of both clients, through a kill -9 and a restart as operators do it: all see all, once and in order."""
    settings = new_installation(tmp_path, sqlite_template)
    port, key = free_port(), made_key(settings)
    seen: dict[str, list[LiveEvent]] = {}
    threads = []
    with ExitStack() as first:
        process = first.enter_context(api_process(settings, port=port))
        for transport in ("websocket", "sse"):
            for follow in (_follow_at_once, _follow_awaited):
                mine = seen[f"{follow.__name__} {transport}"] = []
                threads.append(threading.Thread(target=follow, args=(process.url, key, transport, mine), daemon=True))
                threads[-1].start()
        happens(settings, "first")
        until(lambda: all(len(mine) == 1 for mine in seen.values()))
        writer = subprocess.Popen([sys.executable, "-c", WRITER], env=environment(settings, port), cwd=ROOT)
        until(lambda: all(len(mine) > 40 for mine in seen.values()))
        process.popen.send_signal(signal.SIGKILL)
        process.popen.wait(10)
    with api_process(settings, port=port) as process:
        until(lambda: all(len(mine) > 150 for mine in seen.values()))
        process.popen.terminate()
        process.popen.wait(20)
    with api_process(settings, port=port):
        assert writer.wait(60) == 0
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive(), {who: len(mine) for who, mine in seen.items()}
    for who, mine in seen.items():
        assert [one.data["reason"] for one in mine] == ["first", *map(str, range(300))], who
        numbers = [one.seq or 0 for one in mine]
        assert numbers == list(range(numbers[0], numbers[0] + 301)), who


def _follow_at_once(url: str, key: str, transport: Any, seen: list[LiveEvent]) -> None:
    with Client(url, key) as waqtor:
        topics = ("campaigns", "campaign:7")  # both show the same events
        for event in waqtor.events.follow(*topics, since=0, transport=transport, attempts=None, backoff=AT_ONCE):
            seen.append(event)
            if len(seen) == 301:
                return


def _follow_awaited(url: str, key: str, transport: Any, seen: list[LiveEvent]) -> None:
    async def run() -> None:
        async with AsyncClient(url, key) as waqtor:
            stream = waqtor.events.follow("campaigns", since=0, transport=transport, attempts=None, backoff=AT_ONCE)
            async for event in stream:
                seen.append(event)
                if len(seen) == 301:
                    return

    asyncio.run(run())


def until(is_so: Callable[[], bool], *, within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("transport", ["websocket", "sse"])
def test_where_the_log_does_not_reach_back_one_learns_it_and_goes_on(process: Process, transport: Any) -> None:
    with Client(process.url, made_key(process.settings)) as waqtor:
        happens(process.settings, "lost", "lost too")
        head = asyncio.run(_forget_everything(process.settings))
        stream = waqtor.events.follow("campaigns", since=1, transport=transport)
        with pytest.raises(Gap) as gap:
            next(iter(stream))
        assert (gap.value.since, gap.value.seq, gap.value.code, stream.seq) == (1, head, "log_pruned", head)
        happens(process.settings, "new")
        assert next(iter(stream)).data["reason"] == "new"

        gaps: list[Gap] = []
        again = waqtor.events.follow("campaigns", since=1, transport=transport, on_gap=gaps.append)
        threading.Timer(0.5, happens, (process.settings, "newer")).start()
        assert next(iter(again)).data["reason"] == "newer"
        assert [one.since for one in gaps] == [1]


def test_on_the_command_line(process: Process) -> None:
    happens(process.settings, "told")
    command = [sys.executable, "-m", "cli.main", "events", "follow", "campaigns", "--json", "--since"]
    reach = asyncio.run(_reach(process.settings))
    key = {"WAQTOR_API_KEY": made_key(process.settings), "WAQTOR_URL": process.url}
    env = {**environment(process.settings, 1), **key}
    last = subprocess.Popen([*command, str(reach.head - 1)], env=env, cwd=ROOT, stdout=subprocess.PIPE)
    assert last.stdout is not None
    assert json.loads(last.stdout.readline())["data"]["reason"] == "told"
    last.send_signal(signal.SIGINT)
    assert last.wait(30) == 130
    lost = subprocess.run(
        [*command, str(reach.head + 99)], env=env, cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert (lost.returncode, "no longer reaches back" in lost.stderr) == (2, True)


async def _reach(settings: Settings) -> bus.Reach:
    database = connect(settings)
    async with database.reading() as tx:
        found = await bus.reach(tx)
    await database.close()
    return found


async def _forget_everything(settings: Settings) -> int:
    database = connect(settings)
    async with database.reading() as tx:
        now = await DatabaseClock().now(tx)
    await bus.prune(database, before=now + timedelta(days=1))
    async with database.reading() as tx:
        pruned = (await bus.reach(tx)).pruned
    await database.close()
    return pruned


@pytest.mark.parametrize("transport", ["websocket", "sse"])
async def test_who_is_shut_out_gets_the_error_and_does_not_come_back(process: Process, transport: Any) -> None:
    async with AsyncClient(process.url, await asyncio.to_thread(made_key, process.settings)) as admin:
        made = await admin.api_keys.create("a stream", ["read"])
        async with AsyncClient(process.url, made.key) as waqtor:
            stream = waqtor.events.follow("campaigns", transport=transport, attempts=None, backoff=AT_ONCE)
            ended = asyncio.create_task(stream.run())
            while stream.seq is None:  # noqa: ASYNC110  it is told over the wire
                await asyncio.sleep(0.02)
            await admin.api_keys.revoke(made.id)
            with pytest.raises(sdk.NotSignedIn) as refused:
                await asyncio.wait_for(ended, 10)
            assert (refused.value.code, bool(refused.value.hint)) == ("not_signed_in", True)
        with pytest.raises(sdk.Invalid) as unknown:
            await anext(aiter(admin.events.follow("nothing", transport=transport)))
        assert "Topics: campaigns" in (unknown.value.hint or "")
        nobody = await admin.api_keys.create("no stream", ["write"])
        async with AsyncClient(process.url, nobody.key) as waqtor:
            with pytest.raises(sdk.NotAllowed):
                await anext(aiter(waqtor.events.follow("campaigns", transport=transport)))


# ---- the app in this process ---------------------------------------------------------------------------------------


@pytest.mark.only_on("sqlite")
async def test_who_reads_slowly_still_gets_everything(server: Server, url: str) -> None:
    """More than fits in between waits: what the server did not keep for it comes out of the log, in order across
    topics, also where nothing more happens."""
    counts = server.app.state.live.connections.counts
    noise = [secrets.token_urlsafe(45_000) for _ in range(10)]  # does not compress
    seen: list[int] = []
    async with AsyncClient(url, server.key) as waqtor:
        stream = waqtor.events.follow("campaign:7", "campaign:8", since=0)
        following = aiter(stream)
        await happen(server.platform.database, "first")
        seen.append((await anext(following)).seq or 0)
        for _ in range(25):
            await happen(server.platform.database, *noise)
            await happen(server.platform.database, *noise, campaign=8)
        async with asyncio.timeout(10):
            while not counts.missed:  # noqa: ASYNC110  a counter
                await asyncio.sleep(0.02)
        async with asyncio.timeout(30):
            while len(seen) < 501:
                seen.append((await anext(following)).seq or 0)
    assert seen == list(range(seen[0], seen[0] + 501))


async def test_functions_and_states(server: Server, url: str) -> None:
    """Hung on by type; progress comes too and is no event of the log. An access token does as well as a key."""
    await scenes.people(server.platform, 3)
    campaign = await scenes.a_campaign(server.platform, await scenes.a_sender(server.platform))
    called: list[tuple[str, LiveEvent]] = []
    enough = asyncio.Event()

    async def progress(event: LiveEvent) -> None:
        called.append(("progress", event))
        if event.data["total"]:
            enough.set()

    access = (await signed_in(server)).access
    async with AsyncClient(url, access) as waqtor:
        stream = (
            waqtor.events.follow("campaigns")
            .on("campaign.launched", lambda event: called.append(("launched", event)))
            .on("campaign.*", lambda event: called.append(("any", event)))
            .on("campaign.progress", progress)
        )
        running = asyncio.create_task(stream.run())
        while stream.seq is None:  # noqa: ASYNC110  it is told over the wire
            await asyncio.sleep(0.02)
        await scenes.launched(server.platform, campaign.id)
        async with asyncio.timeout(10):
            await enough.wait()
        running.cancel()
    launched = [(how, event) for how, event in called if event.type == "campaign.launched"]
    assert [how for how, _ in launched] == ["launched", "any"]
    event = launched[0][1]
    assert (event.topic, event.data["campaign_id"], event.at.tzinfo) == ("campaigns", campaign.id, UTC)
    assert event.seq == stream.seq or (event.seq or 0) < (stream.seq or 0)
    (last,) = [event for how, event in called[-1:] if how == "progress"]
    assert (last.data["total"], last.seq, last.prev) == (3, None, None)


# ---- a server that sends away --------------------------------------------------------------------------------------


async def test_it_waits_where_it_is_told_to_and_stays_away_where_it_must() -> None:
    """503 and 429 before there is a WebSocket; 1013 and a goodbye after; 1008 is the end."""
    waits: list[float] = []
    heard: list[dict[str, Any]] = []

    def uniform(least: float, most: float) -> float:
        waits.append(most)
        return least

    def process_request(_: ServerConnection, __: Request) -> Response | None:
        refusals = {1: (503, {"Retry-After": "0"}), 2: (429, {})}
        tried.append(len(tried) + 1)
        status, more = refusals.get(len(tried), (0, {}))
        return Response(status, "", Headers(more), b"Not now.") if status else None

    async def serving(ws: ServerConnection) -> None:
        said = json.loads(await ws.recv())
        heard.append(said)
        seq = said.get("since", 4)
        answer = {"type": "subscribed", "id": said["id"], "seq": seq, "recovered": True}
        await ws.send(json.dumps(answer))
        if len(heard) == 4:
            await ws.close(1008, "No longer.")
            return
        event = {"type": "x.y", "topic": "t", "seq": seq + 1, "prev": seq, "data": {}, "timestamp": 0}
        for told in (event, event, {"type": "welcome"}):
            await ws.send(json.dumps(told))
        if len(heard) == 2:
            await ws.send(json.dumps({"type": "goodbye", "retry_in_ms": 1}))
        elif len(heard) == 3:
            ws.transport.abort()
        await ws.close(1013, "Too slow.")

    tried: list[int] = []
    async with serve(serving, "127.0.0.1", 0, process_request=process_request) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with AsyncClient(f"http://127.0.0.1:{port}", "wq_a_b") as waqtor:
            seen: list[int | None] = []
            stream = waqtor.events.follow("t", backoff=Backoff(uniform=uniform))
            with pytest.raises(sdk.NotSignedIn, match="No longer"):
                await stream.on("x.*", lambda event: seen.append(event.seq)).run()
    assert seen == [5, 6, 7]
    assert [one.get("since") for one in heard] == [None, 5, 6, 7]
    assert waits == [0.5, 1.0, 2.0, 4.0]  # nothing for the goodbye


@pytest.mark.parametrize(("status", "error"), [(403, sdk.NotAllowed), (401, sdk.NotSignedIn), (404, sdk.NotFound)])
async def test_refused_is_refused(status: int, error: type[sdk.Error]) -> None:
    def refuse(_: ServerConnection, __: Request) -> Response:
        return Response(status, "", Headers(), b"Not from here.")

    async with serve(lambda ws: ws.wait_closed(), "127.0.0.1", 0, process_request=refuse) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with AsyncClient(f"http://127.0.0.1:{port}", "wq_a_b") as waqtor:
            with pytest.raises(error) as refused:
                await anext(aiter(waqtor.events.follow(attempts=None)))
    assert (refused.value.status, refused.value.message) == (status, "Not from here.")


# ---- without a network ---------------------------------------------------------------------------------------------


class Clockwork:
    """A clock that moves when it is slept, and chance that draws the most there may be."""

    def __init__(self) -> None:
        self.now = 0.0
        self.backoff = Backoff(base_s=1, cap_s=8, held_s=10, uniform=lambda _, most: most, clock=lambda: self.now)

    def stream(self, *, since: int | None = 7, attempts: int | None = 5) -> Stream:
        return Stream(("t",), since, "websocket", attempts, None, self.backoff)

    def pauses(self, stream: Stream, *held_s: float | None) -> Iterator[float]:
        """Of connections that hold so long; None: that could not be opened."""
        steps = stream.run()
        for held in held_s:
            act = next(steps)
            assert isinstance(act, Open)
            if held is not None:
                steps.send(None)
                self.now += held
            pause = steps.throw(broken("gone"))
            assert isinstance(pause, Sleep)
            self.now += pause.seconds
            yield pause.seconds


def test_pauses_grow_up_to_a_limit_and_begin_anew_once_it_held() -> None:
    works = Clockwork()
    assert list(works.pauses(works.stream(), None, None, 1, None, None)) == [1, 2, 4, 8, 8]
    with pytest.raises(sdk.NotReached):
        list(works.pauses(works.stream(), *[None] * 6))
    assert list(works.pauses(works.stream(), None, None, None, None, 10, None)) == [1, 2, 4, 8, 1, 2]
    assert len(list(works.pauses(works.stream(attempts=None), *[None] * 2000))) == 2000
    with pytest.raises(sdk.NotReached):
        list(works.pauses(works.stream(attempts=0), None))
    drawn = [Backoff().pause_s(3) for _ in range(200)]
    assert 0 <= min(drawn) < 1
    assert 3 < max(drawn) <= 4


def test_who_says_nothing_is_asked_and_then_given_up() -> None:
    works = Clockwork()
    steps = works.stream().run()
    acts = [next(steps), next(steps), next(steps)]
    assert [type(act) for act in acts] == [Open, Say, Hear]
    asked = 0
    while isinstance(act := steps.send(None), Hear | Say):
        asked += isinstance(act, Say)
        works.now += ASK_S
    assert isinstance(act, Sleep)
    assert asked == 2


def test_what_is_said_meanwhile() -> None:
    """While it waits for its answer nothing is taken; an answer that was lost is asked for again; what does not fit
    too. How far it is it also learns from a pong."""
    works = Clockwork()
    stream = works.stream()
    steps = stream.run()

    def told(**said: Any) -> Any:
        return steps.send({"timestamp": 0, "data": {}, "topic": "t", **said})

    def subscribes(act: Any) -> tuple[int, str]:
        assert isinstance(act, Say)
        assert isinstance(steps.send(None), Hear)
        return act.said["since"], act.said["id"]

    next(steps)
    assert subscribes(steps.send(None)) == (7, "1")
    assert isinstance(told(type="a.b", seq=9, prev=8), Hear)
    assert isinstance(told(type="error", code="rate_limited", message="Too many."), Sleep)
    assert subscribes(steps.send(None)) == (7, "2")
    assert isinstance(told(type="subscribed", id="1", seq=7, recovered=True), Hear)
    assert subscribes(told(type="pong", id="2", seq=40)) == (7, "3")
    told(type="subscribed", id="3", seq=7, recovered=True)
    assert subscribes(told(type="a.b", seq=9, prev=8)) == (7, "4")
    told(type="subscribed", id="4", seq=7, recovered=True)
    for seq, prev in ((8, 7), (9, 8)):
        event = told(type="a.b", seq=seq, prev=prev)
        assert (event.seq, stream.seq) == (seq, seq)
        steps.send(None)
    assert isinstance(told(type="pong", id="4", seq=30), Hear)
    assert stream.seq == 30
    assert subscribes(told(type="missed", seq=33)) == (33, "5")
    gap = told(type="subscribed", id="5", seq=50, recovered=False)
    assert (type(gap), gap.since, gap.seq) == (Gap, 33, 50)
    steps.send(None)
    with pytest.raises(sdk.NotAllowed) as refused:
        told(type="error", code="not_allowed", message="Not any more.", field="topics")
    assert refused.value.field == "topics"

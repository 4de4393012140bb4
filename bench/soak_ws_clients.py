"""Some of the soak's clients, on the SDK's stream, each judged after it against the log. A process of its own.

Reads one JSON object on its first line (what to do), and one on its second (the log, when nothing more happens).
"""

import asyncio
import json
import random
import sys
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from waqtor import AsyncClient
from waqtor.following import Backoff, LiveEvent

EVERYBODY, BULKY = "campaigns", "templates"
CAMPAIGNS = 10
_CATCH_UP_S = 120.0
_SLOW_S, _AWAKE_S = 45.0, 15.0
_STAYS_S = (20.0, 60.0)
_ONE_IN = 100


@dataclass
class Reader:
    """`kind`: steady, slow (reads nothing for a while, again and again) or vanishing (lies down without a word, and
    comes back on another connection)."""

    number: int
    kind: str
    topics: tuple[str, ...]
    got: "array[int]" = field(default_factory=lambda: array("q"))
    gaps: int = 0
    lives: int = 1
    failed: str = ""


def readers(first: int, count: int) -> list[Reader]:
    """Half see all campaigns, half one of them and a second one twice over; the slow ones also what is bulky."""
    found = []
    for number in range(first, first + count):
        kind = {0: "slow", 1: "vanishing"}.get(number % _ONE_IN, "steady")
        mine = f"campaign:{1 + number % CAMPAIGNS}"
        topics = {"slow": (EVERYBODY, BULKY), "vanishing": (EVERYBODY, mine)}.get(
            kind, (EVERYBODY,) if number % 2 else (mine, f"campaign:{1 + (number + 3) % CAMPAIGNS}")
        )
        found.append(Reader(number, kind, topics))
    return found


async def read(reader: Reader, client: AsyncClient, since: int, over: asyncio.Event) -> None:
    """For ever, until cancelled."""
    left_lying: list[AsyncIterator[LiveEvent]] = []  # neither read nor closed: the server has to find out

    def note_gap(_: object) -> None:
        reader.gaps += 1

    loop = asyncio.get_running_loop()
    while True:
        follow = client.events.follow(
            *reader.topics, since=since, attempts=None, on_gap=note_gap, backoff=Backoff(cap_s=5.0)
        )
        events = aiter(follow)
        turn = loop.time() + (random.uniform(*_STAYS_S) if reader.kind == "vanishing" else _AWAKE_S)
        async for event in events:
            if event.seq is not None:
                reader.got.append(event.seq)
                since = event.seq
            if over.is_set() or reader.kind == "steady" or loop.time() < turn:
                continue
            if reader.kind == "vanishing":
                break
            await _rest(over)
            turn = loop.time() + _AWAKE_S
        left_lying.append(events)
        reader.lives += 1


async def _rest(over: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_SLOW_S):
            await over.wait()
    except TimeoutError:
        return


async def main() -> None:
    loop = asyncio.get_running_loop()
    asked = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    mine = readers(asked["first"], asked["count"])
    over = asyncio.Event()
    async with AsyncClient(asked["url"], asked["key"], retries=20) as client:
        tasks = []
        for reader in mine:
            tasks.append(asyncio.create_task(_kept(reader, client, asked["since"], over)))
            await asyncio.sleep(asked["apart_s"])
        print("all here", flush=True)
        with open(json.loads(await loop.run_in_executor(None, sys.stdin.readline))["log"]) as file:  # noqa: ASYNC230
            log = json.load(file)
        over.set()
        owed = {reader.number: entitled(reader, log) for reader in mine}
        until = loop.time() + _CATCH_UP_S
        while any(len(one.got) < len(owed[one.number]) for one in mine) and loop.time() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.5)
        await asyncio.sleep(2)  # what comes twice comes now
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    print(json.dumps([judged(reader, owed[reader.number]) for reader in mine]), flush=True)


async def _kept(reader: Reader, client: AsyncClient, since: int, over: asyncio.Event) -> None:
    try:
        await read(reader, client, since, over)
    except Exception as error:  # noqa: BLE001  it is told at the end
        reader.failed = f"{type(error).__name__}: {error}"[:200]


def entitled(reader: Reader, log: Sequence[tuple[int, list[str]]]) -> list[int]:
    """Of the log all that one of the reader's topics shows."""
    topics = set(reader.topics)
    return [seq for seq, shown_under in log if not topics.isdisjoint(shown_under)]


def judged(reader: Reader, owed: Sequence[int]) -> dict[str, Any]:
    times = Counter(reader.got)
    return {
        "number": reader.number,
        "kind": reader.kind,
        "owed": len(owed),
        "got": len(reader.got),
        "lost": len(set(owed) - times.keys()),
        "repeated": sum(count - 1 for count in times.values()),
        "out_of_order": sum(after < before for before, after in zip(reader.got, reader.got[1:], strict=False)),
        "not_theirs": len(times.keys() - set(owed)),
        "gaps": reader.gaps,
        "lives": reader.lives,
        "failed": reader.failed,
    }


if __name__ == "__main__":
    asyncio.run(main())

"""Kill the API process and the flow runner while webhooks leave; then compare what happened with what arrived.

`python -m bench.chaos_webhooks --help`. Every event has to have arrived at least once, and under one `webhook-id`, at a
receiver that is well and at one that often is not, beside others that drip, stream a gigabyte, reset or are not there.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil
from sqlalchemy import text

from bench import child
from bench.chaos import stack
from bench.client import Client
from bench.meter import machine
from bench.victims import flow_runs
from bench.webhook_receivers import Arrival, Receivers
from cli.local import VERIFY_TOKEN, Local
from core import keys, webhooks
from core.database import Database, DatabaseClock, connect
from simulator.config import ACCOUNT_ID, APP_SECRET, TOKEN
from waqtor.webhooks import NotVerified, verify

_WANTED = ["segment.saved", "message.sent"]
_CHECKED = ("good", "flaky")
_BAD = ("drip", "gigabyte", "reset", "dead", "hang")
_TARGETS = {"api": 6, "runner": 2, "flow": 2}
_WRITERS = 3
_PATIENT_S = 240.0
_QUIET_S = 30.0
"""So long the memory is watched at the end, while the bad receivers go on."""

Facts = dict[str, Any]


@dataclass
class Chaos:
    """One installation under blows."""

    local: Local
    database: Database
    receivers: Receivers
    client: Client
    draw: random.Random
    people: int
    """Whom each campaign writes to."""
    secrets: dict[str, str] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)
    answered: list[int] = field(default_factory=list)
    campaigns: list[int] = field(default_factory=list)

    async def prepare(self) -> None:
        key = keys.load(self.local.settings.key_file)
        rules = self.local.settings.webhook_rules
        async with self.database.transaction() as tx:
            now = await DatabaseClock().now(tx)
            for kind in (*_CHECKED, *_BAD):
                values = {"url": self.receivers.url(kind), "events": _WANTED, "schedule": [1.0] * 30}
                made = await webhooks.create(tx, key, rules, values, at=now)
                self.secrets[f"/{kind}/0"] = made.secrets[0]

    async def run(self, kills: int) -> None:
        doing = [asyncio.create_task(self._write_segments()) for _ in range(_WRITERS)]
        doing.append(asyncio.create_task(self._send_campaigns()))
        try:
            while self.kills.total() < kills:
                await self._strike()
        finally:
            for task in doing:
                task.cancel()
            ended = await asyncio.gather(*doing, return_exceptions=True)
        broken = [one for one in ended if isinstance(one, Exception)]
        if broken:
            raise broken[0]

    async def _write_segments(self) -> None:
        while True:
            body = {"name": f"s-{uuid.uuid4()}", "filter": 'tag = "vip"'}
            made = await self.client.ask("POST", "/api/v3/segments", json=body)
            self.answered.append(made["id"])
            await asyncio.sleep(self.draw.uniform(0.1, 0.6))

    async def _send_campaigns(self) -> None:
        """Its messages leave from a process of the runner, which publishes events of its own."""
        content = {"name": "chaos", "body": "Hello {name}", "cloud_name": "spring_offer"}
        template = await self.client.ask("POST", "/api/v3/templates", json=content)
        number_id = "100000000000001"
        connected = {
            "name": "chaos",
            "phone_number_id": number_id,
            "waba_id": ACCOUNT_ID,
            "access_token": TOKEN,
            "app_secret": APP_SECRET,
            "verify_token": VERIFY_TOKEN,
            "rate": 4,
        }
        sender = await self.client.ask("POST", "/api/v3/senders", json=connected)
        await asyncio.to_thread(self.local.add_number, sender["id"], number_id)
        people = "".join(f"+9665000{number:05d},Person {number},chaos\n" for number in range(self.people))
        file = {"file": ("p.csv", "phone,name,tags\n" + people)}
        job = await self.client.ask("POST", "/api/v3/contacts/import", files=file)
        while job["state"] == "running":
            await asyncio.sleep(0.3)
            job = await self.client.ask("GET", f"/api/v3/imports/{job['id']}")
        while True:
            wanted = {
                "name": f"chaos-{len(self.campaigns)}",
                "sender_id": sender["id"],
                "template_id": template["id"],
                "audience": {"tag": "chaos"},
                "purpose": "service",
            }
            made = await self.client.ask("POST", "/api/v3/campaigns", json=wanted)
            await self.client.ask("POST", f"/api/v3/campaigns/{made['id']}/launch")
            self.campaigns.append(made["id"])
            state = "running"
            while state == "running":
                await asyncio.sleep(1)
                state = (await self.client.ask("GET", f"/api/v3/campaigns/{made['id']}"))["state"]

    async def _strike(self) -> None:
        await asyncio.sleep(self.draw.uniform(0.05, 2))
        drawn = self.draw.choices(list(_TARGETS), weights=list(_TARGETS.values()))[0]
        target = drawn if self.kills else "api"
        if target == "api" and self.draw.random() < 0.9:  # else wherever it is, also on its way up
            await self._until_ready()
            await asyncio.sleep(self.draw.uniform(0, 1.5))
        if (pid := await asyncio.to_thread(self._pid, target)) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.kills[target] += 1
                if self.kills.total() % 20 == 0:
                    print(f"{self.kills.total()} kills, {len(self.answered)} segments", flush=True)

    def _pid(self, target: str) -> int | None:
        if target == "flow":
            running = list(flow_runs(self.local.stack.mark).values())
            return self.draw.choice(running) if running else None
        return self.local.stack.pid({"api": "api", "runner": "flows"}[target])

    async def _until_ready(self) -> None:
        until = time.monotonic() + _PATIENT_S
        async with httpx.AsyncClient(trust_env=False, timeout=2) as http:
            while time.monotonic() < until:
                with suppress(httpx.HTTPError):
                    if (await http.get(f"{self.local.settings.api_url}/readyz")).status_code == 200:
                        return
                await asyncio.sleep(0.1)

    # ---- afterwards ----

    async def happened(self) -> set[tuple[str, int]]:
        """What was committed, by the tables themselves."""
        async with self.database.reading() as tx:
            segments = (await tx.execute(text("SELECT id FROM segments"))).scalars().all()
            sent = (await tx.execute(text("SELECT id FROM messages WHERE state = 'sent'"))).scalars().all()
        return {*(("segment.saved", one) for one in segments), *(("message.sent", one) for one in sent)}

    async def settled(self, timeout_s: float) -> float:
        """Seconds until all of it was there and nobody sends; `timeout_s` if it never was."""
        began = time.monotonic()
        while (took := time.monotonic() - began) < timeout_s:
            arrived = _by_path(await asyncio.to_thread(self.receivers.arrivals))
            happened = await self.happened()
            if await self._is_at_rest() and all(happened <= arrived[f"/{kind}/0"].keys() for kind in _CHECKED):
                return took
            await asyncio.sleep(1)
        return timeout_s

    async def _is_at_rest(self) -> bool:
        query = text("SELECT count(*) FROM campaigns WHERE state = 'running'")
        async with self.database.reading() as tx:
            return not (await tx.execute(query)).scalar_one()

    async def memory_mb(self) -> tuple[float, float]:
        """Of the API process, now and the most within a while of nothing but bad receivers being tried."""
        await self._until_ready()
        pid = await asyncio.to_thread(self.local.stack.pid, "api")
        process = psutil.Process(pid)
        first = most = process.memory_info().rss
        for _ in range(int(_QUIET_S * 10)):
            await asyncio.sleep(0.1)
            most = max(most, process.memory_info().rss)
        return first / 2**20, most / 2**20


def _event(one: Arrival) -> tuple[str, int]:
    told = orjson.loads(one["body"])
    return told["type"], told["data"]["segment_id" if told["type"] == "segment.saved" else "message_id"]


def _by_path(arrivals: Sequence[Arrival]) -> dict[str, dict[tuple[str, int], list[Arrival]]]:
    found: dict[str, dict[tuple[str, int], list[Arrival]]] = {f"/{kind}/0": {} for kind in (*_CHECKED, *_BAD)}
    for one in arrivals:
        found[one["path"]].setdefault(_event(one), []).append(one)
    return found


async def check(chaos: Chaos) -> Facts:
    """`contradictions` is empty where nothing was lost and nothing came under two names."""
    happened = await chaos.happened()
    arrived = _by_path(await asyncio.to_thread(chaos.receivers.arrivals))
    wrong: Counter[str] = Counter()
    evidence: list[str] = []

    def found(what: str, about: object) -> None:
        wrong[what] += 1
        evidence.append(f"{what}: {about}")

    for number in set(chaos.answered) - {one for kind, one in happened if kind == "segment.saved"}:
        found("answered and not there", number)
    facts: Facts = {"events": len(happened)}
    for kind in _CHECKED:
        path = f"/{kind}/0"
        for event in happened - arrived[path].keys():
            found("never arrived", (path, event))
        for event, those in arrived[path].items():
            if event not in happened and event[0] == "segment.saved":
                found("arrived and never happened", (path, event))
            if len({one["webhook-id"] for one in those}) > 1:
                found("one event under several ids", (path, event))
            if len({one["body"] for one in those}) > 1:
                found("one id with several bodies", (path, event))
            for one in those:
                try:
                    verify(one["body"], _signed(one), chaos.secrets[path], tolerance=7200)
                except NotVerified as error:
                    found("not verified", (path, event, error.code))
        names = Counter(those[0]["webhook-id"] for those in arrived[path].values())
        if doubles := sum(times > 1 for times in names.values()):
            wrong["one id for several events"] += doubles
        total = sum(len(those) for those in arrived[path].values())
        facts[kind] = {"arrivals": total, "duplicates": total - len(arrived[path])}
    facts["bad"] = {kind: sum(len(those) for those in arrived[f"/{kind}/0"].values()) for kind in _BAD}
    return facts | {"contradictions": dict(wrong), "evidence": evidence[:20], "kills": dict(chaos.kills)}


def _signed(one: Arrival) -> dict[str, str]:
    return {name: one[name] for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}


async def _one(local: Local, receivers: Receivers, block: "_Block", asked: argparse.Namespace) -> Facts:
    database, client = connect(local.settings), Client(local, patience_s=_PATIENT_S)
    chaos = Chaos(local, database, receivers, client, random.Random(block.seed), asked.people)
    began = time.monotonic()
    try:
        await chaos.prepare()
        await chaos.run(block.kills)
        under_blows = time.monotonic() - began
        await asyncio.to_thread(receivers.get_well)  # what it has not answered yet would be tried for hours
        settled = await chaos.settled(asked.timeout)
        facts = await check(chaos)
        first, most = await chaos.memory_mb() if asked.memory and block.is_last else (0.0, 0.0)
    finally:
        await client.close()
        await database.close()
    if facts["contradictions"]:
        facts["logs"] = {name: local.stack.log(name, lines=60) for name in ("flows", "api")}
    return facts | {"seconds": under_blows, "settled_s": settled, "rss_mb": first, "rss_most_mb": most}


@dataclass(frozen=True, slots=True)
class _Block:
    """So many kills of one installation."""

    database: str
    seed: int
    kills: int
    is_last: bool

    @property
    def key(self) -> tuple[str, int, int]:
        return self.database, self.seed, self.kills


def _blocks(asked: argparse.Namespace) -> Iterator[_Block]:
    databases = child.DATABASES[asked.database]
    each = -(-asked.kills // len(databases))
    for first in range(0, each, asked.block):
        for database in databases:
            kills = min(asked.block, each - first)
            yield _Block(database, asked.seed + first // asked.block, kills, is_last=first + kills == each)


def written(facts: str, found: Sequence[Facts]) -> str:
    rows = []
    for database in sorted({one["database"] for one in found}):
        theirs = [one for one in found if one["database"] == database]
        kills = sum((Counter(one["kills"]) for one in theirs), Counter[str]())
        wrong = sum((Counter(one["contradictions"]) for one in theirs), Counter[str]())
        sums = {
            kind: [sum(one[kind][which] for one in theirs) for which in ("arrivals", "duplicates")] for kind in _CHECKED
        }
        rows.append(
            (
                database,
                f"{kills.total()}: {', '.join(f'{what} {times}' for what, times in sorted(kills.items()))}",
                sum(one["events"] for one in theirs),
                *(f"{arrivals} ({again} again)" for arrivals, again in sums.values()),
                f"{max(one['settled_s'] for one in theirs):.0f} s",
                " ".join(f"{one['rss_mb']:.0f} to {one['rss_most_mb']:.0f} MB" for one in theirs if one["rss_mb"]),
                dict(wrong) or "none",
            )
        )
    heading = (
        "database",
        "kill -9",
        "events",
        *_CHECKED,
        "all there at most after",
        f"API in {_QUIET_S:g} s",
        "contradictions",
    )
    return "\n".join(
        [
            "# Webhooks while processes are killed",
            "",
            f"{facts}. Beside the receivers that are held against the database there were, each asking for the same "
            f"events: {', '.join(_BAD)}.",
            "",
            *child.table(heading, rows),
            "",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.chaos_webhooks", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="in all")
    parser.add_argument("--block", type=int, default=50, help="of them to one installation; what is done is kept")
    parser.add_argument("--database", choices=sorted(child.DATABASES), default="both")
    parser.add_argument("--seed", type=int, default=1, help="of the first block")
    parser.add_argument("--people", type=int, default=40, help="whom each campaign writes to")
    parser.add_argument("--minutes", type=float, default=25, help="begin no block that may not end by then")
    parser.add_argument("--timeout", type=float, default=240, help="seconds until all has to be there afterwards")
    parser.add_argument("--no-memory", dest="memory", action="store_false", help="do not watch it at the end")
    parser.add_argument("--out", type=Path, default=Path("bench/results/chaos_webhooks.jsonl"))
    parser.add_argument("--keep", action="store_true", help="leave data and logs behind, and say where")
    asked = parser.parse_args(arguments)
    facts, began, longest = machine(), time.monotonic(), 0.0
    blocks = list(_blocks(asked))
    done = {(one["database"], one["seed"], one["asked"]): one for one in child.lines(asked.out)}
    for block in blocks:
        if block.key in done:
            continue
        block_began = time.monotonic()
        if block_began - began + longest > asked.minutes * 60:
            print("time is up; run it again to go on")
            break
        postgres = block.database == "postgresql"
        local = {"webhook_networks": "127.0.0.0/8", "webhook_http": True}
        with Receivers() as receivers, stack("chaos-webhooks", postgres=postgres, keep=asked.keep, **local) as made:
            one = asyncio.run(_one(made[0], receivers, block, asked))
        about = {"database": block.database, "seed": block.seed, "asked": block.kills, "machine": facts}
        done[block.key] = about | one
        child.add_line(asked.out, done[block.key])
        longest = max(longest, time.monotonic() - block_began)
        print(f"{block.database}, {one['kills']}, {longest:.0f} s, {one['contradictions'] or 'nothing wrong'}")
        if one["contradictions"]:
            print(orjson.dumps(done[block.key], option=orjson.OPT_INDENT_2, default=str).decode())
    found = [done[block.key] for block in blocks if block.key in done]
    child.keep(asked.out.with_suffix(".md"), written(facts, found))
    return int(any(one["contradictions"] for one in found) or len(found) < len(blocks))


if __name__ == "__main__":
    sys.exit(main())

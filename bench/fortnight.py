"""Two weeks of five senders in minutes: clocks are advanced, all else is real. `python -m bench.fortnight --help`.

Our core with the Cloud connector speaks over real sockets to the simulator, and the simulator's webhooks come to the
real API. Each hour of their time both clocks are moved on, and the sweep decides what runs, as in production.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn

from api.app import create_app
from bench import child
from bench.fortnight_check import Facts, gathered, problems
from bench.fortnight_plan import DEAD, HOME, PAUSED_TEMPLATE, Plan, fortnight, phones
from bench.fortnight_report import written
from bench.meter import machine
from connectors.choose import CloudConnectors
from core import (
    campaigns,
    consents,
    contacts,
    health,
    inbox,
    keys,
    runs,
    schedules,
    schema,
    senders,
    template_sync,
    templates,
)
from core.bootstrap import Platform
from core.contacts import NewContact
from core.database import DatabaseClock, Tx, connect
from core.errors import Conflict
from core.ports import Job, Jobs
from core.runs import Run
from core.settings import Settings
from simulator.config import ACCOUNT_ID, APP_SECRET, Config
from simulator.profiles import PROFILES
from simulator.server import running

_VERIFY = "fortnight"
_LIFE = replace(
    PROFILES["demo"],
    name="fortnight",
    rate_per_s=0,
    tier_per_day=0,
    receipt_speed=1.0,
    sent_s=1,
    delivered_s=5,
    read_s=600,
    answer_latency_s=(0.0, 0.0),
)


@dataclass
class Ahead:
    """`core.ports.Clock`, moved on together with the simulator's."""

    ahead: timedelta = timedelta()

    async def now(self, tx: Tx) -> datetime:
        return await DatabaseClock().now(tx) + self.ahead


@dataclass
class Asked(Jobs):
    """`core.ports.Jobs`: what the sweep and the API ask for, to be run here. Nobody shifts what is scheduled."""

    campaign_ids: set[int] = field(default_factory=set)
    shown: dict[str, Job] = field(default_factory=dict)

    async def start(self, deployment: str, parameters: Mapping[str, object], *, key: str, about: str) -> None:
        self.campaign_ids.add(int(str(parameters["campaign_id"])))

    async def schedule(
        self, deployment: str, parameters: Mapping[str, object], *, key: str, about: str, due_at: datetime
    ) -> Job:
        return self.shown.setdefault(key, Job(key, "scheduled", due_at))

    async def find(self, ids: Sequence[str]) -> Mapping[str, Job]:
        return {one: self.shown[one] for one in ids}

    async def move(self, job_id: str, *, due_at: datetime) -> None:
        self.shown[job_id] = Job(job_id, "scheduled", due_at)

    async def cancel(self, job_id: str, *, why: str) -> None:
        self.shown[job_id] = Job(job_id, "cancelled", None)

    async def mark(self, deployment: str) -> str:
        return deployment

    async def leave_mark(self, deployment: str) -> str:
        return deployment

    async def close(self) -> None: ...


class Fortnight:
    """One world, from its first Monday."""

    def __init__(
        self, plan: Plan, platform: Platform, api: str, simulator: str, session: aiohttp.ClientSession
    ) -> None:
        self.plan, self.platform, self.api, self.simulator_url = plan, platform, api, simulator
        self.clock: Ahead = platform.clock  # type: ignore[assignment]
        self.jobs: Asked = platform.jobs  # type: ignore[assignment]
        self._session = session
        self.sender_ids: list[int] = []
        self.template_ids: list[int] = []
        self.campaign_ids: list[int] = []
        self.began = datetime.now(UTC)
        self.steps = 0
        self._step = timedelta(hours=plan.step_h)

    async def simulator(self, method: str, path: str, **body: Any) -> Any:
        async with self._session.request(method, f"{self.simulator_url}/_sim/{path}", json=body or None) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def now(self) -> datetime:
        async with self.platform.database.reading() as tx:
            return await self.clock.now(tx)

    async def prepare(self) -> None:
        monday = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=7)
        self.began = monday - timedelta(days=monday.weekday())
        await self._advance_to(self.began)
        for place, caps in enumerate(self.plan.senders):
            await self._sender(place, dict(caps))
        async with self.platform.database.transaction() as tx:
            now = await self.clock.now(tx)
            for name in self.plan.templates:
                made = await templates.create(tx, name=name, body="Hello {name}", cloud_name=name, at=now)
                self.template_ids.append(made.id)
            people = [
                NewContact(contacts.e164(phone, "SA"), f"Person {number}", tags=(f"group{number % self.plan.groups}",))
                for number, phone in enumerate(phones(self.plan.people))
            ]
            await contacts.save(tx, self.platform.key, people, at=now)
            agreed = [self.platform.key.hash("phone", one.phone) for one in people]
            await consents.grant(tx, agreed, purpose="marketing", source="form", wording="yes", given_at=now, at=now)
        for name in self.plan.templates:
            await self.simulator("POST", "templates", name=name, body="Hello {{1}}", category="MARKETING")

    async def _sender(self, place: int, caps: dict[str, Any]) -> None:
        number, token = f"30000000000000{place}", f"token-{place}"
        tier = caps.pop("tier")
        async with self.platform.database.transaction() as tx:
            made = await senders.create(
                tx,
                self.platform.key,
                name=f"sender {place}",
                phone_number_id=number,
                waba_id=ACCOUNT_ID,
                access_token=token,
                app_secret=APP_SECRET,
                verify_token=_VERIFY,
                rate=200,
                at=await self.clock.now(tx),
                **caps,
            )
        self.sender_ids.append(made.id)
        await self.simulator(
            "POST",
            "accounts",
            phone_number_id=number,
            waba_id=ACCOUNT_ID,
            token=token,
            app_secret=APP_SECRET,
            callback_url=f"{self.api}/webhooks/cloud/{made.id}",
            verify_token=_VERIFY,
            tier=tier,
        )
        await health.check(self.platform, made.id)

    async def run(self) -> None:
        """Hour by hour."""
        happenings = self._happenings()
        end = self.began + timedelta(days=self.plan.days)
        while (now := await self.now()) < end:
            while happenings and happenings[0][0] <= now:
                _, happen = happenings.pop(0)
                try:
                    await happen()
                except Conflict:  # nobody launches by a paused sender; who wanted to tries again later
                    happenings = sorted([*happenings, (now + self._step, happen)], key=lambda one: one[0])
            await health.check_all(self.platform)
            await template_sync.sync_all(self.platform)
            await self._send()
            await self._quiet()
            done = self._step * ((now - self.began) // self._step + 1)
            await self._advance_to(self.began + done + timedelta(seconds=1))
            self.steps += 1
        for campaign_id in self.campaign_ids:
            async with self.platform.database.transaction() as tx:
                if (await campaigns.get(tx, campaign_id)).state not in campaigns.OVER:
                    await campaigns.cancel(tx, campaign_id, at=await self.clock.now(tx))
        await self._advance_to(end + timedelta(days=1))  # the last receipts; who heard nothing by then is unknown
        await self._quiet()
        await runs.sweep(self.platform)

    async def _send(self) -> None:
        await runs.sweep(self.platform)
        wanted, self.jobs.campaign_ids = sorted(self.jobs.campaign_ids), set()
        await asyncio.gather(*(self._send_one(one) for one in wanted))

    async def _send_one(self, campaign_id: int) -> None:
        run = await Run.opened(self.platform, campaign_id)
        if run is None:
            return
        try:
            await run.plan()
            while await run.has_more(await run.send_batch()):
                pass
        finally:
            await run.close()

    async def _quiet(self) -> None:
        """Until nothing that has happened is still on its way."""
        calm = 0
        while calm < 2:
            idle = await self.simulator("GET", "idle")
            async with self.platform.database.reading() as tx:
                waits = await inbox.oldest_waiting(tx)
            due = idle["next_due_s"]
            is_calm = not idle["posts_in_flight"] and waits is None and (due is None or due > 0.1)
            calm = calm + 1 if is_calm else 0
            await asyncio.sleep(0.02)

    async def _advance_to(self, moment: datetime) -> None:
        ahead = moment - await self.now()
        self.clock.ahead += ahead
        await self.simulator("POST", "clock", advance_s=ahead.total_seconds())
        await asyncio.sleep(0.01)

    def _happenings(self) -> list[tuple[datetime, Callable[[], Awaitable[None]]]]:
        found: list[tuple[datetime, Callable[[], Awaitable[None]]]] = [
            (self.began + timedelta(days=one.day), self._launching(place))
            for place, one in enumerate(self.plan.campaigns)
        ]
        for day, name, what in self.plan.happenings:
            found.append((self.began + timedelta(days=day), lambda name=name, what=what: getattr(self, name)(**what)))  # type: ignore[misc]
        return sorted(found, key=lambda one: one[0])

    def _launching(self, place: int) -> Callable[[], Awaitable[None]]:
        async def launch() -> None:
            asked = self.plan.campaigns[place]
            async with self.platform.database.transaction() as tx:
                now = await self.clock.now(tx)
                made = await campaigns.create(
                    tx,
                    name=f"campaign {place}",
                    sender_id=self.sender_ids[asked.sender],
                    template_id=self.template_ids[asked.template],
                    audience=dict(asked.audience),
                    purpose=asked.purpose,
                    quiet_hours=self.plan.quiet_hours,
                    at=now,
                )
                if (weekly := asked.weekly) is None:
                    await campaigns.launch(tx, made.id, at=now)
                else:
                    times = schedules.asked(cron=weekly.cron, timezone=HOME, now=now)
                    await schedules.put(tx, made.id, times, include_earlier=weekly.include_earlier, at=now)
            self.campaign_ids.append(made.id)

        return launch

    # -- what happens besides (bench/fortnight_plan.py names these) ----------------------------------------------

    async def tier(self, sender: int, tier: int) -> None:
        await self.simulator("POST", "accounts", phone_number_id=f"30000000000000{sender}", tier=tier)

    async def template(self, status: str) -> None:
        """Once it is approved again the operator lets go on what it had stopped."""
        await self.simulator("POST", "templates", name=self.plan.templates[PAUSED_TEMPLATE], status=status)
        if status != "APPROVED":
            return
        await self._quiet()
        await template_sync.sync_all(self.platform)
        async with self.platform.database.reading() as tx:
            paused = await campaigns.listed(tx, after=0, limit=100, state=campaigns.PAUSED)
        for one in paused:
            async with self.platform.database.transaction() as tx:
                await campaigns.resume(tx, one.id, at=await self.clock.now(tx))

    async def token_dies(self) -> None:
        await self.simulator("POST", "accounts", phone_number_id=f"30000000000000{DEAD}", token_expired=True)

    async def token_replaced(self) -> None:
        number = f"30000000000000{DEAD}"
        await self.simulator("POST", "accounts", phone_number_id=number, token="fresh", token_expired=False)
        async with self.platform.database.transaction() as tx:
            now = await self.clock.now(tx)
            await senders.replace_token(tx, self.platform.key, self.sender_ids[DEAD], access_token="fresh", at=now)


@asynccontextmanager
async def world(plan: Plan, settings: Settings) -> AsyncIterator[Fortnight]:
    """Simulator, API and platform in this process, on sockets of their own."""
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(running(Config(port=0, profile=_LIFE, seed=plan.seed)))
        settings = settings.model_copy(
            update={"cloud_api_url": f"{simulator}/v23.0", "marketing_per_week": plan.per_week}
        )
        keys.init(settings.key_file)
        database = connect(settings)
        await schema.upgrade(database)
        await database.close()
        app = create_app(settings, connectors=CloudConnectors(settings), jobs=Asked(), clock=Ahead())
        await stack.enter_async_context(app.router.lifespan_context(app))
        server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", access_log=False, log_config=None))
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110  it tells nobody
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        session = await stack.enter_async_context(aiohttp.ClientSession())
        try:
            yield Fortnight(plan, app.state.platform, f"http://127.0.0.1:{port}", simulator, session)
        finally:
            server.should_exit = True
            await serving


async def simulated(plan: Plan, settings: Settings) -> tuple[Facts, int]:
    """Everything that came of it, and in how many steps."""
    async with world(plan, settings) as made:
        await made.prepare()
        await made.run()
        facts = await gathered(plan, made.platform, made.simulator_url, made.campaign_ids, began=made.began)
        return facts, made.steps


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.fortnight", description=__doc__)
    parser.add_argument("--people", type=int, default=2_400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--out", type=Path, default=Path("bench/results/fortnight.md"))
    asked = parser.parse_args(arguments)
    about = machine()
    with child.installation("fortnight", asked.database) as settings:
        began = time.monotonic()
        plan = fortnight(people=asked.people, seed=asked.seed)
        facts, steps = asyncio.run(simulated(plan, settings))
    wrong = problems(facts)
    about += f"; {asked.database}, {steps} steps in {time.monotonic() - began:.0f} s"
    child.keep(asked.out, written(facts, wrong, about))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())

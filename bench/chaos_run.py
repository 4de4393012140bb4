"""One seed's campaign on a running installation: prepared, launched, struck, brought to rest."""

import asyncio
import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text

from bench.client import Client, Refused
from bench.seeds import Seed, Single, Strike
from bench.victims import Victims
from bench.watch import Watch
from cli.local import VERIFY_TOKEN, Local
from core.database import Database
from simulator.config import ACCOUNT_ID, APP_SECRET, TOKEN

_OUR_PAUSE = "chaos"
_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class World:
    """The installation that the seeds share."""

    local: Local
    database: Database
    client: Client
    victims: Victims
    watch: Watch
    template_id: int


@dataclass(slots=True)
class Run:
    """`pauses`: from the answer to pause to the asking for resume; no intent may lie in between."""

    world: World
    plan: Seed
    sender_id: int = 0
    number_id: str = ""
    campaigns: list[int] = field(default_factory=list)
    singles: list[int] = field(default_factory=list)
    hits: list[dict[str, Any]] = field(default_factory=list)
    pauses: list[tuple[datetime, datetime]] = field(default_factory=list)
    seconds: float = 0.0
    is_at_rest: bool = False

    def phone(self, person: int) -> str:
        return f"+96650{self.plan.seed % 10_000:04d}{person:03d}"

    async def prepare(self) -> None:
        plan, client = self.plan, self.world.client
        name = f"seed-{plan.seed}"
        self.number_id = f"1{plan.seed:014d}"
        sender = await client.ask(
            "POST",
            "/api/v3/senders",
            json={
                "name": name,
                "phone_number_id": self.number_id,
                "waba_id": ACCOUNT_ID,
                "access_token": TOKEN,
                "app_secret": APP_SECRET,
                "verify_token": VERIFY_TOKEN,
                "rate": plan.rate,
            },
        )
        self.sender_id = sender["id"]
        await asyncio.to_thread(self.world.local.add_number, self.sender_id, self.number_id)
        lines = "".join(f"{self.phone(n)},Person {n},{name}\n" for n in range(plan.people))
        file = {"file": ("p.csv", "phone,name,tags\n" + lines)}
        job = await client.ask("POST", "/api/v3/contacts/import", files=file)
        while job["state"] == "running":
            await asyncio.sleep(0.3)
            job = await client.ask("GET", f"/api/v3/imports/{job['id']}")
        for which in range(1 + plan.twin):
            campaign = await client.ask(
                "POST",
                "/api/v3/campaigns",
                json={
                    "name": f"{name}-{which}",
                    "sender_id": self.sender_id,
                    "template_id": self.world.template_id,
                    "audience": {"tag": name},
                    "purpose": "service",
                },
            )
            self.campaigns.append(campaign["id"])
        for rule in plan.faults:
            await self._simulator("POST", "faults", **rule, match={"phone_number_id": self.number_id})
        self.world.watch.add(self.campaigns)

    async def go(self, *, timeout_s: float) -> None:
        """Until it is at rest, or its time is up."""
        began = time.monotonic()
        for campaign in self.campaigns:
            await self.world.client.ask("POST", f"/api/v3/campaigns/{campaign}/launch")
        doing = [asyncio.create_task(self._strike(i, blow)) for i, blow in enumerate(self.plan.strikes)]
        doing += [asyncio.create_task(one()) for one in (self._pause, self._cancel, self._say_stop, self._operate)]
        asking = [asyncio.create_task(self._write_singly(one)) for one in self.plan.singles]
        doing += asking
        try:
            while time.monotonic() - began < timeout_s and not self.is_at_rest:
                await asyncio.sleep(_LOOK_S)
                seen = [self.world.watch.of(campaign) for campaign in self.campaigns]
                is_written = all(task.done() for task in asking) and self.world.watch.are_settled(self.singles)
                self.is_at_rest = is_written and all(one.is_at_rest for one in seen)
        finally:
            for task in doing:
                task.cancel()
            ended = await asyncio.gather(*doing, return_exceptions=True)
            self.seconds = time.monotonic() - began
        broken = [one for one in ended if isinstance(one, Exception)]
        if broken:
            raise broken[0]

    async def _until(self, share: float, *, of: int = 0, or_at_rest: bool = False) -> None:
        """So many are on their way or through. One that is cancelled may never come so far."""
        wanted = share * self.plan.people
        while (seen := self.world.watch.of(self.campaigns[of])).left < wanted:
            if or_at_rest and seen.is_at_rest:
                return
            await asyncio.sleep(_LOOK_S)

    async def _strike(self, place: int, blow: Strike) -> None:
        which = place % len(self.campaigns)
        await self._until(blow.at_share, of=which)
        await asyncio.sleep(blow.delay_s)
        campaign = self.campaigns[which]
        hit = await self.world.victims.strike(blow, campaign)
        hit["left"] = self.world.watch.of(campaign).left
        if "flow_since" in hit and hit["signal"] == "SIGKILL":
            hit["intents"] = await self._intents_since(campaign, hit["flow_since"])
        self.hits.append(hit)

    async def _intents_since(self, campaign: int, since: float) -> int:
        """Hand-overs without a settled answer that the struck process, and no earlier one, left behind."""
        query = text(
            "SELECT m.at FROM messages m JOIN recipients r ON r.id = m.recipient_id"
            " WHERE r.campaign_id = :campaign AND m.state = 'intent'"
        )
        for _ in range(50):
            try:
                async with self.world.database.reading() as tx:
                    moments = (await tx.execute(query, {"campaign": campaign})).scalars().all()
                return sum(moment(one).timestamp() >= since for one in moments)
            except Exception:  # noqa: BLE001  the database may have been struck as well
                await asyncio.sleep(0.2)
        return 0

    async def _pause(self) -> None:
        if self.plan.pause_at is None:
            return
        await self._until(self.plan.pause_at)
        path = f"/api/v3/campaigns/{self.campaigns[0]}"
        try:
            await self.world.client.ask("POST", f"{path}/pause", json={"reason": _OUR_PAUSE})
            paused = datetime.now(UTC)
            await asyncio.sleep(self.plan.pause_s)
            self.pauses.append((paused, datetime.now(UTC)))
            await self.world.client.ask("POST", f"{path}/resume")
        except Refused:  # it was over, or paused for a better reason
            return

    async def _cancel(self) -> None:
        if self.plan.cancel_at is None:
            return
        await self._until(self.plan.cancel_at)
        try:
            await self.world.client.ask("POST", f"/api/v3/campaigns/{self.campaigns[0]}/cancel")
        except Refused:
            return

    async def _write_singly(self, some: Single) -> None:
        """Over REST, out of the API process, while the campaign goes to the same people from the same number."""
        await self._until(some.at_share, or_at_rest=True)
        content = {"type": "template", "template_id": self.world.template_id}
        wanted = [
            {"sender_id": self.sender_id, "to": self.phone(person), "content": content} for person in some.persons
        ]
        answer = await self.world.client.ask("POST", "/api/v3/messages/bulk", json={"messages": wanted})
        taken = [one["message"]["id"] for one in answer["results"] if one["message"]]
        self.world.watch.add_singles(taken)
        self.singles += taken

    async def _say_stop(self) -> None:
        if self.plan.stops_at is None:
            return
        await self._until(self.plan.stops_at)
        draw = random.Random(self.plan.seed)
        for person in draw.sample(range(self.plan.people), self.plan.stop_words):
            try:
                await self._simulator("POST", f"contacts/{self.phone(person)}/say", to=self.number_id, text="STOP")
            except RuntimeError:  # not on WhatsApp
                continue
            await asyncio.sleep(draw.uniform(0, 0.5))

    async def _operate(self) -> None:
        """What a person does when the platform stopped by itself: a new token, resume."""
        while True:
            await asyncio.sleep(1)
            for campaign in self.campaigns:
                seen = self.world.watch.of(campaign)
                try:
                    if seen.sender != "active":
                        path = f"/api/v3/senders/{self.sender_id}/token"
                        await self.world.client.ask("PUT", path, json={"access_token": TOKEN})
                    elif seen.state == "paused" and seen.reason != _OUR_PAUSE:
                        await self.world.client.ask("POST", f"/api/v3/campaigns/{campaign}/resume")
                except Refused:  # somebody was faster
                    continue

    async def _simulator(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        return await asyncio.to_thread(self.world.local.simulator, method, path, **body)


def moment(stored: Any) -> datetime:
    """A time as the bare driver hands it out: text on SQLite, aware on PostgreSQL."""
    moment = datetime.fromisoformat(stored) if isinstance(stored, str) else stored
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def settle_down(run: Run, *, timeout_s: float) -> str:
    """Wait until WhatsApp has told all about this number and we have applied it; what is missing, '' for nothing."""
    until = time.monotonic() + timeout_s
    missing = "never asked"
    newest: int | None = None
    while time.monotonic() < until:
        try:
            idle = await asyncio.to_thread(run.world.local.simulator, "GET", f"idle?phone_number_id={run.number_id}")
            missing = f"statuses due {idle['statuses_due']}, inbounds due {idle['inbounds_due']}"
            if idle["idle"]:
                async with run.world.database.reading() as tx:
                    if newest is None:
                        newest = (await tx.execute(text("SELECT coalesce(max(id), 0) FROM inbox"))).scalar_one()
                    left = text("SELECT count(*) FROM inbox WHERE applied_at IS NULL AND id <= :newest")
                    waiting = (await tx.execute(left, {"newest": newest})).scalar_one()
                if not waiting:
                    return ""
                missing = f"webhooks not applied {waiting}"
        except Exception as error:  # noqa: BLE001  the database may have been struck just now
            missing = repr(error)
        await asyncio.sleep(0.3)
    return missing

"""Webhooks out: batched, signed, a few in flight for each number, retried until answered 200."""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from simulator.accounts import Number
from simulator.clock import Clock
from simulator.ledger import Inbound, Ledger, Post, Status
from simulator.profiles import Profile

_NOTICE_ATTEMPTS = 5  # a second longer apart each time


@dataclass(slots=True)
class Parcel:
    """One status or inbound message. `signing` spoils the first attempt's signature, or all if `always`."""

    row: Status | Inbound
    field: str
    content: dict[str, Any]
    signing: str = ""
    always: bool = False
    contact: dict[str, Any] | None = None


@dataclass(slots=True)
class Batch:
    """What goes in one POST, and goes again byte for byte when it is not answered 200."""

    number: Number
    parcels: list[Parcel]
    body: bytes
    since: float
    attempts: int = 0


@dataclass(slots=True)
class Box:
    """What waits for one number's webhook."""

    number: Number
    statuses: deque[Parcel] = field(default_factory=deque)
    inbounds: deque[Parcel] = field(default_factory=deque)
    again: deque[Batch] = field(default_factory=deque)
    in_flight: int = 0
    timer: asyncio.TimerHandle | None = None


class Poster:
    """Hands parcels to the webhooks, at least once each. `put` and forget."""

    def __init__(self, profile: Profile, clock: Clock, ledger: Ledger, session: aiohttp.ClientSession) -> None:
        self.profile = profile
        self.clock = clock
        self.ledger = ledger
        self.session = session
        self._boxes: dict[str, Box] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timeout = aiohttp.ClientTimeout(total=profile.post_timeout_s)

    @property
    def in_flight(self) -> int:
        return sum(box.in_flight for box in self._boxes.values())

    def put(self, number: Number, parcel: Parcel) -> None:
        """Send with the next POST of this number; a moment's wait lets a batch gather."""
        box = self._boxes.get(number.id)
        if box is None:
            box = self._boxes[number.id] = Box(number)
        (box.statuses if isinstance(parcel.row, Status) else box.inbounds).append(parcel)
        if box.timer is None:
            self._soon(box)

    def notice(self, number: Number, name: str, value: dict[str, Any]) -> None:
        """Tell the webhook something of the account that is in no ledger, such as a template's new status."""
        change = {"value": value, "field": name}
        entry = {"id": number.account.id, "time": int(self.clock.now()), "changes": [change]}
        body = orjson.dumps({"object": "whatsapp_business_account", "entry": [entry]})
        task = asyncio.get_running_loop().create_task(self._post_notice(number, body))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _post_notice(self, number: Number, body: bytes) -> None:
        headers = {"Content-Type": "application/json", "X-Hub-Signature-256": number.signature(body)}
        for attempt in range(_NOTICE_ATTEMPTS):
            await asyncio.sleep(attempt)
            try:
                async with self.session.post(
                    number.webhook_url, data=body, headers=headers, timeout=self._timeout, allow_redirects=False
                ) as answer:
                    if answer.status == 200:
                        return
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
                pass

    def clear(self) -> None:
        """Forget everything; what is in flight lands without effect on the counts."""
        for box in self._boxes.values():
            if box.timer is not None:
                box.timer.cancel()
        self._boxes.clear()
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """End what is in flight."""
        self.clear()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _soon(self, box: Box) -> None:
        box.timer = asyncio.get_running_loop().call_later(self.profile.linger_s, self._pump, box)

    def _pump(self, box: Box) -> None:
        box.timer = None
        while box.in_flight < self.profile.posts_in_flight:
            batch = self._next(box)
            if batch is None:
                return
            box.in_flight += 1
            task = asyncio.get_running_loop().create_task(self._post(box, batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _next(self, box: Box) -> Batch | None:
        if box.again:
            return box.again.popleft()
        if box.inbounds:
            parcels = [box.inbounds.popleft()]
        elif box.statuses:
            parcels = [box.statuses.popleft()]
            mode = parcels[0].signing
            while box.statuses and len(parcels) < self.profile.statuses_per_post and box.statuses[0].signing == mode:
                parcels.append(box.statuses.popleft())
        else:
            return None
        return Batch(box.number, parcels, _body(box.number, parcels), self.clock.now())

    async def _post(self, box: Box, batch: Batch) -> None:
        number, url = batch.number, batch.number.webhook_url
        batch.attempts += 1
        at, started = self.clock.now(), time.monotonic()
        http_status: int | None = None
        if not url:
            outcome = "no webhook"
        else:
            headers = {"Content-Type": "application/json", "User-Agent": "facebookexternalua"}
            signature = self._signature(batch)
            if signature:
                headers["X-Hub-Signature-256"] = signature
            try:
                async with self.session.post(
                    url, data=batch.body, headers=headers, timeout=self._timeout, allow_redirects=False
                ) as answer:
                    await answer.read()
                    http_status = answer.status
                outcome = str(http_status)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                outcome = type(error).__name__
        self.ledger.post_id += 1
        row = batch.parcels[0].row
        kind = "statuses" if isinstance(row, Status) else row.kind
        count, seconds = len(batch.parcels), time.monotonic() - started
        self.ledger.write(
            Post(
                self.ledger.post_id,
                at,
                number.id,
                url,
                kind,
                count,
                batch.attempts,
                http_status,
                outcome,
                seconds,
            )
        )
        box.in_flight -= 1
        self._settle(box, batch, outcome, tried=bool(url))
        if box.timer is None:
            self._pump(box)

    def _settle(self, box: Box, batch: Batch, outcome: str, *, tried: bool) -> None:
        answered = outcome == "200"
        waited = self.clock.now() - batch.since
        done = answered or not tried or waited > self.profile.retry_for_s
        for parcel in batch.parcels:
            row = parcel.row
            row.attempts += tried
            row.answered = row.answered or answered
            row.outcome = "200" if row.answered else outcome
            self.ledger.write(row)
            if done and isinstance(row, Status):
                box.number.statuses_due -= 1
            elif done:
                box.number.inbounds_due -= 1
        if not done:
            wait = min(self.profile.retry_first_s * 2 ** min(batch.attempts - 1, 20), self.profile.retry_longest_s)
            self.clock.at(self.clock.now() + wait, self._again, box, batch)

    def _again(self, box: Box, batch: Batch) -> None:
        box.again.append(batch)
        if box.timer is None:
            self._pump(box)

    def _signature(self, batch: Batch) -> str:
        spoiled = batch.parcels[0]
        if spoiled.signing and (batch.attempts == 1 or spoiled.always):
            return "" if spoiled.signing == "unsigned" else "sha256=" + "0" * 64
        return batch.number.signature(batch.body)


def _body(number: Number, parcels: list[Parcel]) -> bytes:
    value: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": number.phone, "phone_number_id": number.id},
    }
    if isinstance(parcels[0].row, Status):
        value["statuses"] = [parcel.content for parcel in parcels]
        contacts = [parcel.contact for parcel in parcels if parcel.contact is not None]
        if contacts:
            value["contacts"] = contacts
    else:
        value |= parcels[0].content
    change = {"value": value, "field": parcels[0].field}
    return orjson.dumps(
        {"object": "whatsapp_business_account", "entry": [{"id": number.account.id, "changes": [change]}]}
    )

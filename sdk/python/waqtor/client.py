"""`Client` and `AsyncClient`: the same methods, at once or awaited."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from waqtor import errors
from waqtor.api_keys import ApiKeys
from waqtor.asking import Ask, Pages, Sleep, Steps
from waqtor.audit import Audit
from waqtor.auth import Auth
from waqtor.campaigns import Campaigns
from waqtor.canaries import Canaries
from waqtor.chats import Chats
from waqtor.contacts import Contacts
from waqtor.events import EventLog
from waqtor.media import MediaFiles
from waqtor.messages import Messages
from waqtor.protected_pages import ProtectedPages
from waqtor.schedules import Schedules
from waqtor.segments import Segments
from waqtor.senders import Senders
from waqtor.sending import KillSwitch
from waqtor.templates import Templates
from waqtor.users import Users
from waqtor.variants import Variants

T = TypeVar("T")
_AGAIN = frozenset({429, 502, 503, 504})
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 8.0
_LONGEST_RETRY_AFTER_S = 30.0


class _Manner:
    """Where the server is and how patient to be with it; the same for both clients."""

    def __init__(self, url: str | None, api_key: str | None, timeout_s: float, retries: int) -> None:
        self.url = (url or os.environ.get("WAQTOR_URL") or "http://127.0.0.1:8080").rstrip("/")
        key = api_key if api_key is not None else os.environ.get("WAQTOR_API_KEY")
        if key is None:
            raise errors.NotSignedIn(
                "An API key is needed.", code="not_signed_in", hint="Give api_key= or set WAQTOR_API_KEY."
            )
        self.headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self.timeout = httpx.Timeout(timeout_s, connect=min(timeout_s, 10.0))
        self.retries = retries

    def request(self, ask: Ask[Any]) -> dict[str, Any]:
        """What httpx is to be told."""
        told: dict[str, Any] = {"method": ask.method, "url": f"{self.url}/api/v3{ask.path}"}
        told |= {"params": dict(ask.params), "headers": {**self.headers, **ask.headers}}
        if ask.json is not None:
            told["json"] = dict(ask.json)
        if ask.file is not None:
            told |= {"files": {"file": ask.file}, "data": dict(ask.fields)}
        told["timeout"] = self.timeout if ask.timeout_s is None else httpx.Timeout(ask.timeout_s, connect=10.0)
        return told

    def pause(self, attempt: int, outcome: httpx.Response | httpx.TransportError) -> float | None:
        """Seconds before asking again, full jitter; None: that was the last time. Asking again is safe for a
        write too: it carries its idempotency key."""
        if attempt >= self.retries or isinstance(outcome, httpx.UnsupportedProtocol):
            return None
        told = 0.0
        if isinstance(outcome, httpx.Response):
            after = outcome.headers.get("retry-after", "")
            if outcome.status_code not in _AGAIN and not after:
                return None
            told = min(float(after), _LONGEST_RETRY_AFTER_S) if after.isdecimal() else 0.0
        return told + random.uniform(0, min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**attempt))  # noqa: S311

    def read(self, ask: Ask[T], outcome: httpx.Response | httpx.TransportError) -> T:
        if isinstance(outcome, httpx.TransportError):
            raise errors.NotReached(
                f"{self.url} does not answer ({type(outcome).__name__}).",
                code="not_reached",
                hint="Does `waqtor up` run, and is WAQTOR_URL its address?",
            ) from outcome
        if not outcome.is_success:
            raise errors.from_response(outcome)
        return ask.read(outcome.content if ask.is_file else outcome.json())


class Client:
    """Every call returns when it is done. `url` and `api_key` default to WAQTOR_URL and WAQTOR_API_KEY.

    An access token of `auth.sign_in` does in place of a key; an empty key is enough to sign in.
    Close it, or use it in a `with` block. `retries` is how often a request is repeated that found no answer.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout_s: float = 30.0,
        retries: int = 4,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._manner = _Manner(url, api_key, timeout_s, retries)
        self._http = httpx.Client(transport=transport)
        self.contacts = Contacts(self)
        self.schedules = Schedules(self)
        self.segments = Segments(self)
        self.templates = Templates(self)
        self.variants = Variants(self)
        self.senders = Senders(self)
        self.campaigns = Campaigns(self)
        self.canaries = Canaries(self)
        self.messages = Messages(self)
        self.media = MediaFiles(self)
        self.chats = Chats(self)
        self.events = EventLog(self)
        self.sending = KillSwitch(self)
        self.api_keys = ApiKeys(self)
        self.auth = Auth(self)
        self.users = Users(self)
        self.protected_pages = ProtectedPages(self)
        self.audit = Audit(self)

    def _send(self, ask: Ask[T]) -> T:
        attempt = 0
        while True:
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = self._http.request(**self._manner.request(ask))
            except httpx.TransportError as error:
                outcome = error
            pause_s = self._manner.pause(attempt, outcome)
            if _is_done(outcome) or pause_s is None or not ask.is_repeatable:
                return self._manner.read(ask, outcome)
            time.sleep(pause_s)
            attempt += 1

    def _through(self, pages: Pages[T]) -> Iterator[T]:
        cursor: str | None = None
        while True:
            items, cursor = self._send(pages.page(cursor))
            yield from items
            if cursor is None:
                return

    def _walk(self, steps: Steps[T]) -> T:
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            if isinstance(step, Sleep):
                time.sleep(step.seconds)
                answer = None
            else:
                answer = self._send(step)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class AsyncClient:
    """The same methods, awaited; lists are gone through with `async for`."""

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout_s: float = 30.0,
        retries: int = 4,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._manner = _Manner(url, api_key, timeout_s, retries)
        self._http = httpx.AsyncClient(transport=transport)
        self.contacts = Contacts(self)
        self.schedules = Schedules(self)
        self.segments = Segments(self)
        self.templates = Templates(self)
        self.variants = Variants(self)
        self.senders = Senders(self)
        self.campaigns = Campaigns(self)
        self.canaries = Canaries(self)
        self.messages = Messages(self)
        self.media = MediaFiles(self)
        self.chats = Chats(self)
        self.events = EventLog(self)
        self.sending = KillSwitch(self)
        self.api_keys = ApiKeys(self)
        self.auth = Auth(self)
        self.users = Users(self)
        self.protected_pages = ProtectedPages(self)
        self.audit = Audit(self)

    async def _send(self, ask: Ask[T]) -> T:
        attempt = 0
        while True:
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = await self._http.request(**self._manner.request(ask))
            except httpx.TransportError as error:
                outcome = error
            pause_s = self._manner.pause(attempt, outcome)
            if _is_done(outcome) or pause_s is None or not ask.is_repeatable:
                return self._manner.read(ask, outcome)
            await asyncio.sleep(pause_s)
            attempt += 1

    async def _through(self, pages: Pages[T]) -> AsyncIterator[T]:
        cursor: str | None = None
        while True:
            items, cursor = await self._send(pages.page(cursor))
            for item in items:
                yield item
            if cursor is None:
                return

    async def _walk(self, steps: Steps[T]) -> T:
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            if isinstance(step, Sleep):
                await asyncio.sleep(step.seconds)
                answer = None
            else:
                answer = await self._send(step)

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()


def _is_done(outcome: httpx.Response | httpx.TransportError) -> bool:
    return isinstance(outcome, httpx.Response) and outcome.is_success

"""`Client` and `AsyncClient`: the same methods, at once or awaited."""

import asyncio
import functools
import os
import random
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from waqtor import errors, lines
from waqtor.api_keys import ApiKeys
from waqtor.asking import Ask, Pages, Sleep, Steps
from waqtor.attributes import Attributes
from waqtor.audit import Audit
from waqtor.auth import COOKIE, Auth, Browser, SignedIn, refreshed
from waqtor.campaigns import Campaigns
from waqtor.canaries import Canaries
from waqtor.chats import Chats
from waqtor.contacts import Contacts
from waqtor.events import EventLog
from waqtor.following import Open, Stream
from waqtor.media import MediaFiles
from waqtor.messages import Messages
from waqtor.monitor import Monitor
from waqtor.notifications import Notifications
from waqtor.protected_pages import ProtectedPages
from waqtor.schedules import Schedules
from waqtor.segments import Segments
from waqtor.senders import Senders
from waqtor.sending import KillSwitch
from waqtor.streams import AsyncFollowing, Following
from waqtor.system import SystemLook
from waqtor.tags import Tags
from waqtor.templates import Templates
from waqtor.users import Users
from waqtor.variants import Variants
from waqtor.webhook_endpoints import Webhooks

T = TypeVar("T")
_AGAIN = frozenset({429, 502, 503, 504})
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 8.0
_LONGEST_RETRY_AFTER_S = 30.0
_RENEWED_BEFORE_S = 60.0


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Whose certificates count. Reading them takes longer than most requests, so all clients share it."""
    return httpx.create_ssl_context()


class _Manner:
    """Where the server is and how patient to be with it; the same for both clients."""

    def __init__(
        self,
        url: str | None,
        api_key: str | None,
        timeout_s: float,
        retries: int,
        browser: Browser | None,
        headers: Mapping[str, str] | None,
        signed_in: SignedIn | None,
        on_refresh: Callable[[SignedIn], object] | None,
    ) -> None:
        self.url = (url or os.environ.get("WAQTOR_URL") or "http://127.0.0.1:8080").rstrip("/")
        key = "" if browser or signed_in else api_key if api_key is not None else os.environ.get("WAQTOR_API_KEY")
        if key is None:
            raise errors.NotSignedIn(
                "An API key is needed.", code="not_signed_in", hint="Give api_key= or set WAQTOR_API_KEY."
            )
        self.headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        if browser:
            self.headers |= {"Cookie": f"{COOKIE}={browser.cookie}", "X-CSRF-Token": browser.csrf_token}
        self.headers |= headers or {}
        self.on_refresh = on_refresh
        self.signed_in: SignedIn | None = None
        if signed_in:
            self.take(signed_in)
        self.timeout = httpx.Timeout(timeout_s, connect=min(timeout_s, 10.0))
        self.retries = retries

    def take(self, signed_in: SignedIn) -> None:
        """These tokens from now on."""
        self.signed_in = signed_in
        self._renew_at = time.monotonic() + max(signed_in.access_expires_in_s - _RENEWED_BEFORE_S, 0)
        self.headers = {**self.headers, "Authorization": f"Bearer {signed_in.access_token}"}

    def renewal(self, ask: Ask[Any], *, refused: SignedIn | None = None) -> Ask[SignedIn] | None:
        """The request for the next pair of tokens, if it is time, or if this pair was refused and is still in use."""
        now = self.signed_in
        if now is None or ask.path == "/auth/refresh":
            return None
        is_due = now is refused or (refused is None and time.monotonic() >= self._renew_at)
        return refreshed(now.refresh_token) if is_due else None

    def renewed(self, signed_in: SignedIn) -> None:
        self.take(signed_in)
        if self.on_refresh:
            self.on_refresh(signed_in)

    def request(self, ask: Ask[Any]) -> dict[str, Any]:
        """What httpx is to be told."""
        told: dict[str, Any] = {"method": ask.method, "url": f"{self.url}{ask.under}{ask.path}"}
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
        if not _is_done(ask, outcome):
            raise errors.from_response(outcome)
        if ask.is_file:
            return ask.read(outcome.content)
        answer = outcome.json()
        return ask.read({**answer, "cookie": outcome.cookies.get(ask.cookie)} if ask.cookie else answer)


class Client:
    """Every call returns when it is done. `url` and `api_key` default to WAQTOR_URL and WAQTOR_API_KEY.

    An access token of `auth.sign_in` does in place of a key; an empty key is enough to sign in.
    Close it, or use it in a `with` block. `retries` is how often a request is repeated that found no answer.
    `browser`: whom a server of yours speaks for. `headers` go with each request.
    `signed_in`: what `auth.sign_in` gave, instead of a key. Its tokens are renewed in time, and `on_refresh` is handed
    the new ones to keep: the old refresh token, used once more, ends the sign-in.
    """

    is_sync = True

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout_s: float = 30.0,
        retries: int = 4,
        browser: Browser | None = None,
        headers: Mapping[str, str] | None = None,
        signed_in: SignedIn | None = None,
        on_refresh: Callable[[SignedIn], object] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._manner = _Manner(url, api_key, timeout_s, retries, browser, headers, signed_in, on_refresh)
        self._http = httpx.Client(transport=transport, verify=_trusted())
        self._renewing = threading.Lock()
        self.attributes = Attributes(self)
        self.contacts = Contacts(self)
        self.notifications = Notifications(self)
        self.schedules = Schedules(self)
        self.segments = Segments(self)
        self.tags = Tags(self)
        self.templates = Templates(self)
        self.variants = Variants(self)
        self.webhooks = Webhooks(self)
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
        self.monitor = Monitor(self)
        self.system = SystemLook(self)

    def _send(self, ask: Ask[T]) -> T:
        self._renew(ask)
        tried = self._manner.signed_in
        try:
            return self._try(ask)
        except errors.NotSignedIn:
            if tried is None or not ask.is_repeatable:
                raise
            self._renew(ask, refused=tried)
            return self._try(ask)

    def _renew(self, ask: Ask[Any], *, refused: SignedIn | None = None) -> None:
        """Of many threads that come at once one asks: a refresh token is good once."""
        if self._manner.renewal(ask, refused=refused) is None:
            return
        with self._renewing:
            if (renewal := self._manner.renewal(ask, refused=refused)) is not None:
                self._manner.renewed(self._try(renewal))

    def _try(self, ask: Ask[T]) -> T:
        attempt = 0
        while True:
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = self._http.request(**self._manner.request(ask))
            except httpx.TransportError as error:
                outcome = error
            pause_s = self._manner.pause(attempt, outcome)
            if _is_done(ask, outcome) or pause_s is None or not ask.is_repeatable:
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

    def _follow(self, stream: Stream) -> Following:
        def opened(how: Open) -> lines.Line:
            if stream.transport == "websocket":
                return lines.WebSocketLine(self._manner.url, self._manner.headers)
            return lines.SseLine(self._http, self._manner.request(lines.listening(stream.topics, how.since)))

        return Following(stream, opened)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class AsyncClient:
    """The same methods, awaited; lists are gone through with `async for`."""

    is_sync = False

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout_s: float = 30.0,
        retries: int = 4,
        browser: Browser | None = None,
        headers: Mapping[str, str] | None = None,
        signed_in: SignedIn | None = None,
        on_refresh: Callable[[SignedIn], object] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._manner = _Manner(url, api_key, timeout_s, retries, browser, headers, signed_in, on_refresh)
        self._http = httpx.AsyncClient(transport=transport, verify=_trusted())
        self._renewing = asyncio.Lock()
        self.attributes = Attributes(self)
        self.contacts = Contacts(self)
        self.notifications = Notifications(self)
        self.schedules = Schedules(self)
        self.segments = Segments(self)
        self.tags = Tags(self)
        self.templates = Templates(self)
        self.variants = Variants(self)
        self.webhooks = Webhooks(self)
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
        self.monitor = Monitor(self)
        self.system = SystemLook(self)

    async def _send(self, ask: Ask[T]) -> T:
        await self._renew(ask)
        tried = self._manner.signed_in
        try:
            return await self._try(ask)
        except errors.NotSignedIn:
            if tried is None or not ask.is_repeatable:
                raise
            await self._renew(ask, refused=tried)
            return await self._try(ask)

    async def _renew(self, ask: Ask[Any], *, refused: SignedIn | None = None) -> None:
        if self._manner.renewal(ask, refused=refused) is None:
            return
        async with self._renewing:
            if (renewal := self._manner.renewal(ask, refused=refused)) is not None:
                self._manner.renewed(await self._try(renewal))

    async def _try(self, ask: Ask[T]) -> T:
        attempt = 0
        while True:
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = await self._http.request(**self._manner.request(ask))
            except httpx.TransportError as error:
                outcome = error
            pause_s = self._manner.pause(attempt, outcome)
            if _is_done(ask, outcome) or pause_s is None or not ask.is_repeatable:
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

    def _follow(self, stream: Stream) -> AsyncFollowing:
        def opened(how: Open) -> lines.AsyncLine:
            if stream.transport == "websocket":
                return lines.AsyncWebSocketLine(self._manner.url, self._manner.headers)
            return lines.AsyncSseLine(self._http, self._manner.request(lines.listening(stream.topics, how.since)))

        return AsyncFollowing(stream, opened)

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()


def _is_done(ask: Ask[Any], outcome: httpx.Response | httpx.TransportError) -> bool:
    return isinstance(outcome, httpx.Response) and (outcome.is_success or outcome.status_code in ask.answers)

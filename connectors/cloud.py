"""WhatsApp Cloud API: one business number."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import orjson
from multidict import CIMultiDict
from yarl import URL

from connectors import cloud_history, cloud_templates
from connectors.cloud_content import body_of
from connectors.cloud_errors import from_answer
from connectors.cloud_http import Attempt, GuardedSession, NotWritten, attempt_in_progress, open_session
from core import media_types
from core.ports import (
    Accepted,
    AccountTemplate,
    Ambiguous,
    Capabilities,
    Expired,
    Found,
    Outgoing,
    PermanentContent,
    Retryable,
    SenderConfig,
    SenderHealth,
    SendError,
    SessionLost,
)

HISTORY_PAGES: Final = 10
TEMPLATE_PAGES: Final = 100  # of 100 each; Meta allows an account 6,000 templates
MEDIA_BYTES: Final = {kind: most for kind, (most, _) in media_types.KINDS.items()}
MEDIA_HOST: Final = "lookaside.fbsbx.com"
UNKNOWN_OBJECT: Final = 100
PIECE_BYTES: Final = 64 * 1024
LARGEST_ANSWER: Final = 8 * 1024 * 1024
STALLED_S: Final = 30.0  # a transfer may take long, but not without a byte
CAPABILITIES: Final = Capabilities(
    content=frozenset(("text", "template", "buttons", "location", "reaction", "contacts", *MEDIA_BYTES)),
    receipts=frozenset(("sent", "delivered", "read", "failed")),
    client_message_id=False,
    lookup="weak",
    free_form_anytime=False,
    templates=True,
    max_media_bytes=MEDIA_BYTES,
    pair_interval_s=6.0,
    max_rate=80.0,
)
_HEALTH_FIELDS: Final = (
    "display_phone_number,verified_name,quality_rating,whatsapp_business_manager_messaging_limit,status"
)
_HISTORY_FIELDS: Final = "id,message_id,events{delivery_status,timestamp}"


class CloudConnector:
    """Without a session it opens one of its own, inside a running loop, and closes it."""

    capabilities = CAPABILITIES

    def __init__(
        self,
        sender: SenderConfig,
        *,
        base_url: str,
        request_timeout_s: float,
        session: GuardedSession | None = None,
    ) -> None:
        self._session = session if session is not None else open_session()
        self._owns_session = session is None
        self._timeout_s = request_timeout_s
        self._transfer_timeout = aiohttp.ClientTimeout(
            total=None, connect=request_timeout_s, sock_read=max(STALLED_S, request_timeout_s)
        )
        self._base = base_url.rstrip("/")
        self._number = f"{self._base}/{sender.phone_number_id}"
        self._account = f"{self._base}/{quote(sender.waba_id, safe='')}"
        self._origin = URL(self._base).origin()
        self._messages_url = URL(f"{self._number}/messages")
        self._authorization = {
            "Authorization": f"Bearer {sender.access_token.strip()}",
            "User-Agent": "WaQtor/3",
        }
        self._json_headers = CIMultiDict(
            {**self._authorization, "Content-Type": "application/json", "Accept-Encoding": "identity"}
        )

    async def send(self, message: Outgoing) -> Accepted:
        body = orjson.dumps(body_of(message))
        attempt = Attempt(message.send_by)
        failure: SendError
        try:
            status, answer, retry_after = await self._post(body, attempt)
        except Exception as broken:  # noqa: BLE001  whatever broke, only `begun` may decide what it means
            failure = _broken(attempt, broken)
        else:
            provider_id = _message_id(answer) if 200 <= status < 300 else None
            if provider_id is not None:
                return Accepted(provider_id)
            if 200 <= status < 300:
                failure = Ambiguous("in_doubt", "accepted without a message id")
            else:
                failure = from_answer(status, answer, retry_after)
        # Raised here so that no exception of the client, which knows the token, hangs on to ours.
        raise failure

    async def _post(self, body: bytes, attempt: Attempt) -> tuple[int, bytes, str | None]:
        connect_s = attempt.send_by - time.monotonic()
        if connect_s <= 0:
            raise NotWritten
        context = attempt_in_progress.set(attempt)
        try:
            async with self._session.post(
                self._messages_url,
                data=body,
                headers=self._json_headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._timeout_s, connect=connect_s),
            ) as response:
                return response.status, await response.read(), response.headers.get("Retry-After")
        finally:
            attempt_in_progress.reset(context)

    async def lookup(self, message: Outgoing, *, since: datetime) -> Found:
        """`since` is the time of the intent. Only exactly one candidate counts, and even then the caller must
        make sure that no other message of ours holds that provider id."""
        if message.to.kind != "phone":
            return cloud_history.UNKNOWN
        digits = message.to.value.removeprefix("+")
        query = {"fields": _HISTORY_FIELDS, "limit": "100"}
        candidates: list[Found] = []
        try:
            for _ in range(HISTORY_PAGES):
                answer = await self._graph("GET", f"{self._number}/message_history", params=query)
                page = cloud_history.read(answer, digits=digits, since=since)
                candidates += page.candidates
                if page.cursor is None or page.too_old:
                    return candidates[0] if len(candidates) == 1 else cloud_history.UNKNOWN
                query["after"] = page.cursor
        except SendError:
            return cloud_history.UNKNOWN
        return cloud_history.UNKNOWN

    async def health(self) -> SenderHealth:
        try:
            number = await self._graph("GET", self._number, params={"fields": _HEALTH_FIELDS})
        except SendError as refused:
            return SenderHealth(ok=False, detail=refused.code)
        status = number.get("status")
        ok = status in (None, "CONNECTED")
        return SenderHealth(
            ok=ok,
            detail="connected" if ok else str(status).lower(),
            display_phone=_text(number.get("display_phone_number")),
            verified_name=_text(number.get("verified_name")),
            quality=_text(number.get("quality_rating")),
            tier=_text(number.get("whatsapp_business_manager_messaging_limit")),
        )

    async def templates(self) -> Sequence[AccountTemplate]:
        query = {"fields": cloud_templates.FIELDS, "limit": "100"}
        found: list[AccountTemplate] = []
        for _ in range(TEMPLATE_PAGES):
            page, cursor = cloud_templates.read(
                await self._graph("GET", f"{self._account}/message_templates", params=query)
            )
            found += page
            if cursor is None:
                return found
            query["after"] = cursor
        raise Retryable("no_answer", "the list of templates does not end")

    async def mark_read(self, provider_id: str) -> None:
        read = {"messaging_product": "whatsapp", "status": "read", "message_id": provider_id}
        await self._graph("POST", str(self._messages_url), json=read)

    async def upload_media(self, file: Path, *, mime_type: str, filename: str) -> str:
        form = aiohttp.FormData({"messaging_product": "whatsapp", "type": mime_type})
        with await asyncio.to_thread(file.open, "rb") as content:
            form.add_field("file", content, content_type=mime_type, filename=filename)
            body = await self._call("POST", URL(f"{self._number}/media"), data=form, timeout=self._transfer_timeout)
        handle = _json(body).get("id")
        if not isinstance(handle, str) or not handle:
            raise Retryable("no_answer", "the upload was answered without an id")
        return handle

    async def fetch_media(self, handle: str, *, limit: int) -> AsyncIterator[bytes]:
        try:
            place = await self._graph("GET", f"{self._base}/{quote(handle, safe='')}")
        except (SessionLost, PermanentContent) as refused:
            if refused.provider_code != UNKNOWN_OBJECT:
                raise
            raise PermanentContent("media_gone", refused.detail, provider_code=UNKNOWN_OBJECT) from None
        address, failure, size = self._trusted(place.get("url")), None, 0
        try:
            async with self._session.get(
                address, headers=self._authorization, timeout=self._transfer_timeout, allow_redirects=False
            ) as response:
                if response.status == 401:
                    raise from_answer(401, b"")
                if response.status != 200:  # the address lives for minutes; the next attempt asks for another
                    raise Retryable("no_answer", f"HTTP {response.status}")
                async for piece in response.content.iter_chunked(PIECE_BYTES):
                    size += len(piece)
                    if size > limit:
                        raise PermanentContent("media_too_large", f"larger than {limit} bytes")
                    yield piece
        except (aiohttp.ClientError, OSError) as broken:
            failure = Retryable("no_answer", type(broken).__name__)
        if failure is not None:  # raised here so that no exception of the client, which knows the token, hangs on it
            raise failure

    def _trusted(self, address: object) -> URL:
        """The token goes to Graph itself, or to where Meta keeps media, and nowhere else."""
        try:
            url = URL(address if isinstance(address, str) else "")
            if url.host and (url.origin() == self._origin or (url.scheme == "https" and url.host == MEDIA_HOST)):
                return url
        except ValueError:
            pass
        raise PermanentContent("media_unusable", "WhatsApp gave no address to fetch from")

    async def close(self) -> None:
        if self._owns_session:
            await self._session.close()

    async def _graph(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        json: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """A call that does no harm when made twice: where no answer comes, `Retryable`."""
        data = None if json is None else orjson.dumps(json)
        return _json(await self._call(method, URL(url), params=params, data=data, is_json=json is not None))

    async def _call(
        self,
        method: str,
        url: URL,
        *,
        params: Mapping[str, str] | None = None,
        data: bytes | aiohttp.FormData | None = None,
        is_json: bool = False,
        timeout: aiohttp.ClientTimeout | None = None,
    ) -> bytes:
        timeout = timeout or aiohttp.ClientTimeout(total=self._timeout_s)
        headers = self._json_headers if is_json else self._authorization
        failure: SendError
        try:
            async with self._session.request(
                method, url, params=params, data=data, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                body = bytearray()
                async for chunk in response.content.iter_chunked(PIECE_BYTES):
                    body += chunk
                    if len(body) > LARGEST_ANSWER:
                        raise PermanentContent("refused", f"an answer larger than {LARGEST_ANSWER} bytes")
                if 200 <= response.status < 300:
                    return bytes(body)
                failure = from_answer(response.status, bytes(body), response.headers.get("Retry-After"))
        except (aiohttp.ClientError, OSError) as broken:
            failure = Retryable("no_answer", type(broken).__name__)
        if isinstance(failure, Ambiguous):
            failure = Retryable("no_answer", failure.detail, provider_code=failure.provider_code)
        raise failure


def _broken(attempt: Attempt, broken: Exception) -> SendError:
    name = type(broken).__name__
    if attempt.begun:
        return Ambiguous("in_doubt", f"no whole answer ({name})")
    if attempt.late:
        return Expired("expired", "send_by had passed before a byte was written")
    return Retryable("not_connected", name)


def _json(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise Retryable("no_answer", "the answer was not JSON")
    return document


def _message_id(answer: bytes) -> str | None:
    try:
        provider_id = orjson.loads(answer)["messages"][0]["id"]
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError):
        return None
    return provider_id if isinstance(provider_id, str) and provider_id else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None

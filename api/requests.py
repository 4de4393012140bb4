"""Around every request: its id, and the last answer when everything else failed."""

import logging
from collections.abc import AsyncIterator, Iterator
from secrets import token_hex

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import errors
from api.addresses import is_secure
from core.errors import TooLarge

logger = logging.getLogger(__name__)


_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),  # answers hold people
)
_HSTS = (b"strict-transport-security", b"max-age=31536000")


def _guarded(scope: Scope, message: Message) -> Iterator[tuple[bytes, bytes]]:
    """The headers of an answer, with what browsers are to keep to where it says nothing of its own."""
    said = message.get("headers", ())
    if scope["path"].startswith("/webhooks/"):  # thousands a second, and no browser among them
        yield from said
        return
    names = {name.lower() for name, _ in said}
    yield from said
    yield from (one for one in _HEADERS if one[0] not in names)
    if is_secure(Request(scope)):  # browsers take it from nobody else
        yield _HSTS


class Requests:
    """Gives each request an id (header `X-Request-Id`) and turns what nobody caught into a 500 without a trace;
    the trace is in the log under the same id."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        has_begun = False

        async def tell(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                message["headers"] = [*_guarded(scope, message), (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, tell)
        except Exception:  # the last place that can answer
            logger.exception("request_failed request=%s method=%s", request_id, scope["method"])
            if has_begun:
                raise
            failure = errors.answer(
                request_id,
                status=500,
                code="internal",
                message="Something went wrong here, not in your request.",
                hint="The log has the details under this request_id.",
            )
            await failure(scope, receive, tell)


async def pieces(request: Request, *, limit: int) -> AsyncIterator[bytes]:
    """The body as it comes. Stops reading at `limit` bytes, whatever Content-Length says."""
    refusal = TooLarge(f"The body is larger than {limit:,} bytes.", hint="Send it in smaller parts.")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise refusal
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > limit:
            raise refusal
        yield piece


async def whole(request: Request, *, limit: int) -> bytes:
    return b"".join([piece async for piece in pieces(request, limit=limit)])

"""Around every request: its id, and the last answer when everything else failed."""

import logging
from collections.abc import AsyncIterator
from secrets import token_hex

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import errors
from core.errors import TooLarge

logger = logging.getLogger(__name__)


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
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
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

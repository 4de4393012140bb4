"""The classes of our routes: who asks is checked first, and a write is one transaction that happens once."""

import hashlib
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from api.auth import authenticate
from api.deps import Work, platform_of
from api.masking import hide_numbers, sees_numbers
from api.requests import whole
from core import idempotency
from core.idempotency import Answer, Ask

MAX_BODY_BYTES = 1024 * 1024
HEADER = "Idempotency-Key"
_Handler = Callable[[Request], Coroutine[Any, Any, Response]]

DOCUMENTED: dict[str, Any] = {
    "parameters": [
        {
            "name": HEADER,
            "in": "header",
            "required": False,
            "description": "Any text of your own, a UUID for example. The same key with the same request gives the "
            "answer of the first time (header `Idempotency-Replayed: true`) and changes nothing.",
            "schema": {"type": "string", "maxLength": idempotency.MAX_KEY},
        }
    ]
}


class Signed(APIRoute):
    """Only for who is known; of anybody else not even the body is read. Who may not see numbers gets none."""

    def get_route_handler(self) -> _Handler:
        handle = super().get_route_handler()

        async def signed(request: Request) -> Response:
            principal = request.state.principal = await authenticate(request)
            response = await handle(request)
            return response if sees_numbers(principal) else hide_numbers(response)

        return signed


class Once(Signed):
    """Other than GET: one transaction around the whole route, committed before the answer leaves, and with an
    `Idempotency-Key` the answer is kept in it. An error rolls all of it back and leaves nothing behind."""

    def get_route_handler(self) -> _Handler:
        handle = APIRoute.get_route_handler(self)
        route = self.path_format

        async def once(request: Request) -> Response:
            principal = request.state.principal = await authenticate(request)
            response = await carried_out(request)
            return response if sees_numbers(principal) else hide_numbers(response)

        async def carried_out(request: Request) -> Response:
            if request.method in ("GET", "HEAD"):
                return await handle(request)
            request._body = await whole(request, limit=MAX_BODY_BYTES)
            platform = platform_of(request)
            after: list[Work] = []
            request.state.after_commit = after
            ask = asked(request, route, hashlib.sha256(request._body))
            async with platform.database.transaction() as tx:
                request.state.tx = tx
                if ask and (answer := await idempotency.recall(tx, platform.key, ask)):
                    return replayed(answer)
                response = await handle(request)
                if ask:
                    answer = Answer(response.status_code, bytes(response.body).decode())
                    await idempotency.remember(tx, platform.key, ask, answer, at=await platform.clock.now(tx))
            for work in after:
                request.app.state.background.start(work)
            return response

        return once


def asked(request: Request, route: str, body: "hashlib._Hash") -> Ask | None:
    """What makes this request the same as another; None where it carries no key."""
    key = request.headers.get(HEADER)
    if key is None:
        return None
    about = hashlib.sha256(f"{request.url.path}?{request.url.query}\n{body.hexdigest()}".encode())
    return Ask(
        principal=request.state.principal.ref,
        route=f"{request.method} {route}",
        key=key,
        body_hash=about.hexdigest(),
    )


def replayed(answer: Answer) -> Response:
    return Response(
        answer.body,
        status_code=answer.status,
        headers={"Idempotency-Replayed": "true"},
        media_type="application/json",
    )

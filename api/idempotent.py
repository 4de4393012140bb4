"""The classes of our routes: who asks is checked first, and a write is one transaction that happens once."""

import hashlib
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from api import auditing
from api.addresses import address_of
from api.auth import admit, demanded, limits_of, require
from api.deps import Work, platform_of
from api.masking import hide_numbers, hide_numbers_in, sees_numbers
from api.requests import whole
from core import idempotency
from core.errors import WaqtorError
from core.idempotency import Answer, Ask
from core.roles import Permission

MAX_BODY_BYTES = 1024 * 1024
MAX_OPEN_BODY_BYTES = 128 * 1024  # two secrets of 4,096 characters, each character escaped
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


class Open(APIRoute):
    """For everybody, but not too often: a small body, and nothing of who asks."""

    def get_route_handler(self) -> _Handler:
        handle = super().get_route_handler()

        async def opened(request: Request) -> Response:
            limits_of(request).stranger(address_of(request))
            if request.method not in ("GET", "HEAD"):
                request._body = await whole(request, limit=MAX_OPEN_BODY_BYTES)
            return await handle(request)

        return opened


class Signed(APIRoute):
    """Only for who is known and may; of anybody else not even the body is read. Who may not see numbers gets none."""

    max_body_bytes: int | None = MAX_BODY_BYTES
    may_hold_numbers = True

    def get_route_handler(self) -> _Handler:
        handle, permission = self._carrying_out(), self.permission

        async def signed(request: Request) -> Response:
            principal = request.state.principal = await admit(request)
            require(principal, permission)
            if self.max_body_bytes is not None and request.method not in ("GET", "HEAD"):
                request._body = await whole(request, limit=self.max_body_bytes)
            if not self.may_hold_numbers or sees_numbers(principal):
                return await handle(request)
            try:
                return hide_numbers(await handle(request))
            except WaqtorError as refused:
                hide_numbers_in(refused)
                raise

        return signed

    @property
    def permission(self) -> Permission:
        """Raises `TypeError` where it names none: such a route is not even made."""
        if (named := demanded(self)) is None:
            raise TypeError(f"{self.path}: dependencies=[Depends(needs(…))] is missing")
        return named

    def _carrying_out(self) -> _Handler:
        handle, permission = APIRoute.get_route_handler(self), self.permission

        async def carried_out(request: Request) -> Response:
            response = await handle(request)
            await auditing.note_looking(request, permission, self)
            return response

        return carried_out


class Streamed(Signed):
    """The route reads the body itself, in pieces and up to a limit of its own."""

    max_body_bytes = None


class Figures(Signed):
    """The answer tells how many, and of nobody."""

    may_hold_numbers = False


class Once(Signed):
    """Other than GET: one transaction around the whole route, committed before the answer leaves, and with an
    `Idempotency-Key` the answer is kept in it. An error rolls all of it back and leaves nothing behind."""

    def _carrying_out(self) -> _Handler:
        handle, permission, route = APIRoute.get_route_handler(self), self.permission, self.path_format

        async def carried_out(request: Request) -> Response:
            if request.method in ("GET", "HEAD"):
                response = await handle(request)
                await auditing.note_looking(request, permission, self)
                return response
            platform = platform_of(request)
            after: list[Work] = []
            request.state.after_commit = after
            ask = asked(request, route, hashlib.sha256(request._body))
            async with platform.database.transaction() as tx:
                request.state.tx = tx
                if ask and (answer := await idempotency.recall(tx, platform.key, ask)):
                    return replayed(answer)
                response = await handle(request)
                await auditing.note_doing(request, response, permission, self)
                if ask:
                    answer = Answer(response.status_code, bytes(response.body).decode())
                    await idempotency.remember(tx, platform.key, ask, answer, at=await platform.clock.now(tx))
            for work in after:
                request.app.state.background.start(work)
            return response

        return carried_out


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

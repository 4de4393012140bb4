"""The manner of version 2.3.0, for routes at its addresses: its flat errors."""

from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from api.errors import MEANING, ErrorAnswer, status_of
from api.idempotent import Once, Open, Signed
from core.errors import TooMany, WaqtorError

_Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def _flat(handle: _Handler) -> _Handler:
    """Errors as 2.3.0 wrote them: `{"success": false, "error": "text"}`."""

    async def flattened(request: Request) -> Response:
        try:
            return await handle(request)
        except RequestValidationError:
            return _refusal("Validation failed", 400)
        except HTTPException as refused:
            if refused.status_code != 400:
                raise
            return _refusal("The body cannot be read.", 400)
        except WaqtorError as refused:
            status = status_of(refused)
            answer = _refusal(refused.message, 400 if status == 422 else status, refused.code)
            if isinstance(refused, TooMany):
                answer.headers["Retry-After"] = str(refused.retry_after_s)
            return answer

    return flattened


def _refusal(error: str, status: int, code: str = "invalid") -> Response:
    body = orjson.dumps({"success": False, "error": error, "code": code})
    return Response(body, status_code=status, media_type="application/json")


class FlatOpen(Open):
    def get_route_handler(self) -> _Handler:
        return _flat(super().get_route_handler())


class FlatOnce(Once):
    def get_route_handler(self) -> _Handler:
        return _flat(super().get_route_handler())


class FlatSigned(Signed):
    def get_route_handler(self) -> _Handler:
        return _flat(super().get_route_handler())


class Flat(BaseModel):
    """What went wrong, as 2.3.0 said it; `code` is new in 3."""

    success: bool = False
    error: str = Field(examples=["The address or the password is not right."])
    code: str = Field(examples=["not_signed_in"])


def flatly(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of these routes, for OpenAPI. What is not right in a request was 400 there."""
    mine: dict[int | str, dict[str, Any]] = {
        status: {"model": Flat, "description": MEANING[status]} for status in (401, 403, 413, 429, *statuses)
    }
    wrong = {"model": Flat, "description": MEANING[422]}
    return {400: wrong, **mine, 422: wrong, 503: {"model": ErrorAnswer, "description": MEANING[503]}}

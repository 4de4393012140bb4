"""One shape for everything that goes wrong, and the one table from our codes to HTTP's."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from core.errors import TooMany, WaqtorError

STATUS = {
    "invalid": 422,
    "idempotency_key_reused": 422,
    "not_signed_in": 401,
    "bad_signature": 401,
    "not_allowed": 403,
    "not_found": 404,
    "conflict": 409,
    "log_pruned": 410,
    "too_large": 413,
    "too_many": 429,
    "master_key_missing": 503,
    "master_key_wrong": 503,
    "schema_behind": 503,
    "unavailable": 503,
}
_HTTP_CODES = {400: "invalid", 401: "not_signed_in", 403: "not_allowed", 404: "not_found", 405: "method_not_allowed"}
_AWAY = (OperationalError, InterfaceError, PoolTimeout, OSError, asyncpg.PostgresConnectionError)
_ALSO_AWAY = (asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError, asyncpg.AdminShutdownError)
logger = logging.getLogger(__name__)


class Unavailable(WaqtorError):
    """Not now: the request may be repeated as it is."""

    code = "unavailable"


class Problem(BaseModel):
    """What went wrong, for a program (`code`, `field`) and for a person (`message`, `hint`)."""

    code: str = Field(description="Stable; what a program decides by.", examples=["conflict"])
    message: str = Field(description="What happened, in a sentence.", examples=["Campaign 7 was launched already."])
    field: str | None = Field(description="The offending input, where there is one.", examples=["state"])
    hint: str | None = Field(description="What to do about it.", examples=["A paused campaign goes on with resume."])
    request_id: str = Field(description="Also in the header X-Request-Id and in the log.", examples=["f3a9c2d41b07"])


class ErrorAnswer(BaseModel):
    """The body of every answer that is not a success."""

    model_config = ConfigDict(title="Error")
    error: Problem


MEANING = {
    401: "Not signed in: no API key or token, or one that is unknown, revoked or expired.",
    403: "The role or API key lacks the permission for this.",
    404: "There is no such thing.",
    409: "It exists already, or is in a state that does not allow this.",
    410: "The event log no longer reaches back so far.",
    413: "The body is larger than allowed.",
    429: "Too many requests; the header Retry-After says when to come again.",
    422: "Something in the request is not right; `field` says what.",
    503: "Not now: the database or another part is away. The same request may be repeated.",
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route, for OpenAPI. Those that every route may give are always among them."""
    return {
        status: {"model": ErrorAnswer, "description": MEANING[status]}
        for status in sorted({401, 403, 413, 422, 429, 503, *statuses})
    }


def answer(
    request_id: str,
    *,
    status: int,
    code: str,
    message: str,
    field: str | None = None,
    hint: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    problem = {"code": code, "message": message, "field": field, "hint": hint, "request_id": request_id}
    return Response(
        orjson.dumps({"error": problem}), status_code=status, headers=headers, media_type="application/json"
    )


def status_of(error: WaqtorError) -> int:
    """By the code of its class or of the nearest class above."""
    codes = (getattr(kind, "code", "") for kind in type(error).__mro__)
    return next((STATUS[code] for code in codes if code in STATUS), 400)


def install(app: FastAPI) -> None:
    app.add_exception_handler(WaqtorError, _ours)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    for kind in (*_AWAY, *_ALSO_AWAY, DBAPIError):
        app.add_exception_handler(kind, _away)


def is_away(error: Exception) -> bool:
    """The database cannot be reached or is busy; nothing is wrong with the request."""
    return isinstance(error, (*_AWAY, *_ALSO_AWAY)) or (isinstance(error, DBAPIError) and error.connection_invalidated)


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, WaqtorError)  # noqa: S101  # registered for nothing else
    status = status_of(error)
    if status >= 500:
        logger.error("request_refused request=%s code=%s", request.state.request_id, error.code)
    headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}.get(status)
    if isinstance(error, TooMany):
        headers = {"Retry-After": str(error.retry_after_s)}
    return answer(
        request.state.request_id,
        status=status,
        code=error.code,
        message=error.message,
        field=error.field,
        hint=error.hint,
        headers=headers,
    )


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    field, message, hint = _first(error.errors())
    return answer(request.state.request_id, status=422, code="invalid", message=message, field=field, hint=hint)


def first_wrong(error: ValidationError) -> tuple[str | None, str, str | None]:
    """Field, message and hint, as of a whole request that were this."""
    return _first([{**one, "loc": ("body", *one["loc"])} for one in error.errors()])


def _first(errors: Sequence[Any]) -> tuple[str | None, str, str | None]:
    """Of all that is wrong the first, in our words; what was given is not repeated, it may be a secret."""
    first = errors[0]
    if first["type"] == "json_invalid":
        return None, "The body is not JSON.", f"At character {first['loc'][-1]}: {first['ctx']['error']}."
    place = [str(part) for part in first["loc"]]
    field = ".".join(place[1:]) or None
    if first["type"] == "extra_forbidden":
        return field, f"There is no field {place[-1]!r} here.", "The fields there are: /docs."
    if first["type"] == "missing" and field is None:
        return None, "A JSON body is needed.", "Send it with the header Content-Type: application/json."
    if first["type"] in ("model_attributes_type", "dict_type") and field is None:
        return None, "The body is not a JSON object.", "Send it with the header Content-Type: application/json."
    others = f"{len(errors) - 1} more fields are not right." if len(errors) > 1 else None
    return field, f"{first['msg']}.", others


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    status = 422 if error.status_code == 400 else error.status_code
    message = {
        404: "There is nothing at this address.",
        405: f"{request.method} is not for this address.",
        422: "The body cannot be read.",
    }.get(status, str(error.detail))
    return answer(
        request.state.request_id,
        status=status,
        code=_HTTP_CODES.get(error.status_code, "invalid"),
        message=message,
        hint="All addresses: /docs" if status in (404, 405) else None,
        headers={"Allow": _allowed(request)} if status == 405 else error.headers,
    )


def _allowed(request: Request) -> str:
    """Of all routes of the address; Starlette names those of the first."""

    def is_there(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.router.routes)

    return ", ".join(filter(is_there, ("GET", "POST", "PUT", "PATCH", "DELETE")))


async def _away(request: Request, error: Exception) -> Response:
    if not is_away(error):
        raise error
    logger.warning("database_away request=%s error=%s", request.state.request_id, type(error).__name__)
    return answer(
        request.state.request_id,
        status=503,
        code="unavailable",
        message="The database does not answer or is busy.",
        hint="Repeat the request, with the same idempotency key.",
        headers={"Retry-After": "1"},
    )

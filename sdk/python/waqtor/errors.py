"""What can go wrong. Catch `Error` for all of it; `code` is stable, `message` and `hint` are for people."""

from collections.abc import Mapping
from typing import Any

import httpx


class Error(Exception):
    """`status` is HTTP's, None where no answer came. `request_id` finds the request in the server's log."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        status: int | None = None,
        field: str | None = None,
        hint: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(f"{message} {hint}" if hint else message)
        self.message = message
        self.code = code
        self.status = status
        self.field = field
        self.hint = hint
        self.request_id = request_id


class Invalid(Error):
    """Something given is not right; `field` says what."""


class NotSignedIn(Error):
    """No API key or token, or one that is unknown, revoked or expired."""


class NotAllowed(Error):
    """The role or API key lacks the permission for this."""


class NotFound(Error):
    """There is no such thing."""


class Conflict(Error):
    """It exists already, or is in a state that does not allow this."""


class LogPruned(Error):
    """The event log no longer reaches back so far: load anew, then follow from where it begins."""


class Gap(LogPruned):
    """What happened after `since` and up to `seq` can be followed no more: load anew what you need. The stream goes on
    after `seq`."""

    def __init__(self, *, since: int, seq: int) -> None:
        super().__init__(
            f"The log no longer reaches back to {since}.",
            code="log_pruned",
            field="since",
            hint=f"Reload by REST; the stream goes on after {seq}.",
        )
        self.since = since
        self.seq = seq


class TooLarge(Error):
    """The body is larger than the server takes."""


class TooMany(Error):
    """Too many requests, or tries to sign in, also after waiting for a while."""


class ServerError(Error):
    """Something went wrong at the server; nothing was changed by a request with a 5xx answer."""


class Unavailable(ServerError):
    """The server could not do it now, also not when asked again."""


class NotReached(Error):
    """No answer came, also not when asked again. A write may have happened: repeat it with its idempotency key."""


_BY_STATUS: Mapping[int, type[Error]] = {
    401: NotSignedIn,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    410: LogPruned,
    413: TooLarge,
    422: Invalid,
    429: TooMany,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


_BY_CODE: Mapping[str, type[Error]] = {"not_allowed": NotAllowed, "page_closed": NotAllowed, "invalid": Invalid}


def from_told(told: Mapping[str, Any]) -> Error:
    """The error of an answer over the WebSocket."""
    kind = _BY_CODE.get(told["code"], Error)
    return kind(told["message"], code=told["code"], field=told.get("field"), hint=told.get("hint"))


def from_refusal(status: int, said: str) -> Error:
    """The error of a WebSocket that was not opened; `said` is text for people."""
    kind = of_status(status)
    message = said.strip()[:200] or f"The server answered {status} without saying why."
    return kind(message, code="refused", status=status)


def of_status(status: int) -> type[Error]:
    return _BY_STATUS.get(status, ServerError if status >= 500 else Error)


def from_response(response: httpx.Response) -> Error:
    """The error of an answer; also of one that did not come from WaQtor but from a proxy on the way."""
    try:
        problem = response.json()["error"]
        told = {name: problem.get(name) for name in ("field", "hint", "request_id")}
        message, code = str(problem["message"]), str(problem["code"])
    except (ValueError, KeyError, TypeError, AttributeError):
        told = {"request_id": response.headers.get("x-request-id")}
        message, code = f"The server answered {response.status_code} without saying why.", "unexplained"
    return of_status(response.status_code)(message, code=code, status=response.status_code, **told)

"""Who asks, and whether they may."""

from collections.abc import Awaitable, Callable
from typing import Literal

from fastapi import Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer

from api.deps import get_platform
from core import apikeys
from core.errors import NotAllowed, NotSignedIn
from core.models import ApiKey

Scope = Literal["read", "write", "send", "admin"]
_bearer = HTTPBearer(auto_error=False, description="An API key: `Authorization: Bearer wq_…`")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same API key in a header of its own.")


async def authenticate(request: Request) -> ApiKey:
    """The valid key of this request; raises `NotSignedIn`. Looked up each time, so that revoking counts at once."""
    full = request.headers.get("x-api-key", "")
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    if given:
        if kind.lower() != "bearer":
            raise NotSignedIn("Only Bearer is understood here.", hint="Send the header Authorization: Bearer wq_…")
        full = given.strip()
    if not full:
        raise NotSignedIn("An API key is needed.", hint="Send the header Authorization: Bearer wq_…")
    platform = get_platform(request)
    async with platform.database.reading() as tx:
        return await apikeys.authenticate(tx, full, at=await platform.clock.now(tx))


def needs(scope: Scope) -> Callable[..., Awaitable[None]]:
    """A dependency for every route: its key must have this scope."""

    async def check(request: Request, _b: object = Security(_bearer), _h: object = Security(_header)) -> None:
        key: ApiKey = request.state.api_key  # set by the route class, before anything else of the request is read
        if not apikeys.allows(key, scope):
            raise NotAllowed(
                f"This API key lacks the scope {scope!r}.", hint=f"It has: {', '.join(key.scopes)}. Make another key."
            )

    check.scope = scope  # type: ignore[attr-defined]
    return check

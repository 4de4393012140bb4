"""Who asks, and whether they may."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, cast

from fastapi import Request, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPBearer

from api.deps import platform_of
from core import apikeys, roles
from core.errors import NotAllowed, NotSignedIn
from core.principals import Principal
from core.roles import Permission

_bearer = HTTPBearer(auto_error=False, description="An API key: `Authorization: Bearer wq_…`")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same API key in a header of its own.")

Coarse = Literal["read", "write", "send", "admin"]
_COARSE: Mapping[Coarse, Permission] = {
    "read": "contacts.read",
    "write": "contacts.write",
    "send": "campaigns.send",
    "admin": "keys.manage",
}


async def authenticate(request: Request) -> Principal:
    """Who makes this request; raises `NotSignedIn`. Looked up each time, so that revoking counts at once."""
    full = request.headers.get("x-api-key", "")
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    if given:
        if kind.lower() != "bearer":
            raise NotSignedIn("Only Bearer is understood here.", hint="Send the header Authorization: Bearer wq_…")
        full = given.strip()
    if not full:
        raise NotSignedIn("An API key is needed.", hint="Send the header Authorization: Bearer wq_…")
    platform = platform_of(request)
    async with platform.database.reading() as tx:
        key = await apikeys.authenticate(tx, full, at=await platform.clock.now(tx))
    return Principal(
        kind="api_key", id=key.id, may=roles.of_scopes(key.scopes), has=f"the scopes {', '.join(key.scopes)}"
    )


def needs(permission: Permission | Coarse) -> Callable[..., Awaitable[None]]:
    """A dependency for every route: who asks must have this permission."""
    named = _COARSE.get(cast(Coarse, permission), cast(Permission, permission))

    async def check(request: Request, _b: object = Security(_bearer), _h: object = Security(_header)) -> None:
        principal: Principal = request.state.principal  # set by the route class, before anything else is read
        if named not in principal.may:
            raise NotAllowed(
                f"This takes the permission {named}.",
                hint=f"You have {principal.has}. What each allows: docs/permissions.md.",
            )

    check.permission = named  # type: ignore[attr-defined]
    return check


def demanded(route: APIRoute) -> Permission | None:
    """The permission a route names; None for one that is open to everybody."""
    calls = (getattr(one.call, "permission", None) for one in route.dependant.dependencies)
    return next((name for name in calls if name), None)

"""Who asks, and whether they may."""

from collections.abc import Awaitable, Callable

from fastapi import Request, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPBearer

from api import cookies
from api.addresses import address_of
from api.deps import platform_of
from api.limits import Limits
from api.uses import Uses
from core import apikeys, protected_pages, roles, signins
from core.errors import NotAllowed, NotSignedIn
from core.models import ApiKey, SignIn, User
from core.principals import Principal
from core.protected_pages import PageClosed
from core.roles import Permission

_bearer = HTTPBearer(auto_error=False, description="An API key, or an access token: `Authorization: Bearer …`")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same API key in a header of its own.")
_cookie = APIKeyCookie(
    name=cookies.NAME,
    auto_error=False,
    description=f"A browser that signed in; writes also need {cookies.CSRF_HEADER}.",
)
_HINT = "Send the header Authorization: Bearer wq_… (an API key), or sign in."


async def admit(request: Request, by: Callable[[Request], Awaitable[Principal]] | None = None) -> Principal:
    """Who makes this request, found out `by` another way than those of REST where given; raises `NotSignedIn`, or
    `TooMany` where it is one too many."""
    limits, address, credential = limits_of(request), address_of(request), _lasting(request)
    if not limits.was_good(credential):
        limits.look(address)
    try:
        principal = await (by or authenticate)(request)
    except NotSignedIn:
        limits.no_longer_good(credential)
        limits.stranger(address)
        raise
    limits.known(principal.ref, credential)
    return principal


def _lasting(request: Request) -> str:
    """What `authenticate` goes by; empty where that is nothing, and for who opens a WebSocket in another way."""
    if {"ticket", "sig"} & request.query_params.keys():
        return ""
    try:
        return brought(request) or request.cookies.get(cookies.NAME, "")
    except NotSignedIn:
        return ""


def limits_of(request: Request) -> Limits:
    limits: Limits = request.app.state.limits
    return limits


async def authenticate(request: Request) -> Principal:
    """Looked up each time, so that revoking counts at once."""
    if credential := brought(request):
        return await by_credential(request, credential)
    if cookie := request.cookies.get(cookies.NAME):
        return await _by_cookie(request, cookie)
    raise NotSignedIn("An API key is needed, or a sign-in.", hint=_HINT)


def brought(request: Request) -> str:
    """The key or access token that the headers bring; empty where they bring none. Raises `NotSignedIn` for an
    Authorization that says nothing: who sends one does not mean the cookie that a browser sends by itself."""
    authorization = request.headers.get("authorization")
    if authorization is None:
        return request.headers.get("x-api-key", "")
    kind, _, given = authorization.strip().partition(" ")
    if kind.lower() != "bearer":
        raise NotSignedIn("Only Bearer is understood here.", hint=_HINT)
    if not given.strip():
        raise NotSignedIn("The header Authorization says nothing.", hint=_HINT)
    return given.strip()


async def by_credential(request: Request, credential: str) -> Principal:
    """Who has this key or access token."""
    is_access_token = credential.count(".") == 2 and not credential.startswith("wq_")
    return await (_by_access_token(request, credential) if is_access_token else _by_key(request, credential))


async def _by_key(request: Request, full: str) -> Principal:
    platform = platform_of(request)
    async with platform.database.reading() as tx:
        now = await platform.clock.now(tx)
        key = await apikeys.authenticate(tx, platform.key, full, address=address_of(request), at=now)
    _uses(request).key(key.id, at=now)
    return program(key)


async def _by_access_token(request: Request, token: str) -> Principal:
    platform = platform_of(request)
    async with platform.database.reading() as tx:
        now = await platform.clock.now(tx)
        sign_in, user = await signins.by_access_token(tx, platform.key, token, at=now)
        closed = await protected_pages.closed(tx, sign_in.id, at=now)
    _uses(request).sign_in(sign_in.id, at=now)
    return person(sign_in, user, closed)


async def _by_cookie(request: Request, cookie: str) -> Principal:
    platform = platform_of(request)
    async with platform.database.reading() as tx:
        now = await platform.clock.now(tx)
        sign_in, user = await signins.by_cookie(tx, cookie, at=now)
        closed = await protected_pages.closed(tx, sign_in.id, at=now)
    cookies.require_own_page(request, cookie)
    _uses(request).sign_in(sign_in.id, at=now)
    return person(sign_in, user, closed)


def program(key: ApiKey) -> Principal:
    """Who comes with this key."""
    return Principal(
        kind="service" if key.kind == apikeys.SERVICE else "api_key",
        id=key.id,
        may=roles.of_scopes(key.scopes),
        has=f"the scopes {', '.join(key.scopes)}",
        name=key.name,
    )


def person(sign_in: SignIn, user: User, closed: frozenset[str]) -> Principal:
    """Who is signed in by this; `closed` are the areas that take a one-time code first."""
    return Principal(
        kind="user",
        id=user.id,
        may=roles.of_role(user.role),
        has=f"the role {user.role}",
        name=user.name,
        sign_in_id=sign_in.id,
        closed=closed,
    )


def _uses(request: Request) -> Uses:
    uses: Uses = request.app.state.uses
    return uses


def principal_of(request: Request) -> Principal:
    """Who asks; set by the route class, before anything else of the request is read."""
    principal: Principal = request.state.principal
    return principal


def require(principal: Principal, permission: Permission) -> None:
    """Raises `NotAllowed` or `PageClosed`."""
    if permission not in principal.may:
        raise NotAllowed(
            f"This takes the permission {permission}.",
            hint=f"You have {principal.has}. What each allows: docs/permissions.md.",
        )
    if (area := roles.area_of(permission)) in principal.closed:
        raise PageClosed(
            f"This takes a one-time code for {area}.",
            hint=f"An admin gives one out; it goes to POST /api/v3/auth/pages/{area}/open.",
        )


def may(request: Request, permission: Permission) -> bool:
    """For what an answer shows; a route as a whole names its permission by `needs`."""
    return allows(principal_of(request), permission)


def allows(principal: Principal, permission: Permission) -> bool:
    return permission in principal.may and roles.area_of(permission) not in principal.closed


def needs(permission: Permission) -> Callable[..., Awaitable[None]]:
    """A dependency for every route: who asks must have this permission."""

    async def check(
        request: Request,
        _b: object = Security(_bearer),
        _h: object = Security(_header),
        _c: object = Security(_cookie),
    ) -> None:
        require(principal_of(request), permission)

    check.permission = permission  # type: ignore[attr-defined]
    return check


def demanded(route: APIRoute) -> Permission | None:
    """The permission a route names; None for one that is open to everybody."""
    calls = (getattr(one.call, "permission", None) for one in route.dependant.dependencies)
    return next((name for name in calls if name), None)

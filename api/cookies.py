"""The cookie of a browser that is signed in. Only the server reads it, no other site's page can send it, and a write
needs a second word that such a page cannot know."""

import hmac
from urllib.parse import urlsplit

from fastapi import Request, Response

from api.addresses import is_secure
from api.deps import platform_of
from core.errors import NotAllowed
from core.signins import BROWSER_LASTS, csrf_token

NAME = "waqtor_sign_in"
CSRF_HEADER = "X-CSRF-Token"
_PORTS = {"http": 80, "https": 443}
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def give(request: Request, response: Response, secret: str) -> None:
    response.set_cookie(
        NAME,
        secret,
        max_age=int(BROWSER_LASTS.total_seconds()),
        path="/",
        httponly=True,
        samesite="strict",
        secure=is_secure(request),
    )


def take_back(request: Request, response: Response) -> None:
    response.delete_cookie(NAME, path="/", httponly=True, samesite="strict", secure=is_secure(request))


def require_own_page(request: Request, cookie: str) -> None:
    """Raises `NotAllowed` for a write that another site's page may have made the browser send."""
    if request.method in _SAFE:
        return
    require_same_origin(request)
    expected = csrf_token(platform_of(request).key, cookie)
    if not hmac.compare_digest(request.headers.get(CSRF_HEADER, "").encode(), expected.encode()):
        raise NotAllowed(
            f"The header {CSRF_HEADER} is missing or not right.",
            hint="Its value came with the sign-in, and with GET me.",
        )


def require_same_origin(request: Request) -> None:
    """Browsers say where a page is from."""
    origin = request.headers.get("origin")
    if origin is None:
        return
    if not is_own(request, origin):
        raise NotAllowed("This request comes from another site's page.")


def is_own(request: Request, origin: str) -> bool:
    """A page of ours, or of the dashboard. Where we know of no TLS there may be a proxy that nobody named to us: the
    page's own word is taken for it then."""
    theirs = _origin(origin)
    if theirs is None:
        return False
    if theirs == _origin(platform_of(request).settings.public_dashboard_url):
        return True
    scheme = "https" if is_secure(request) else theirs[0]
    return theirs == _origin(f"{scheme}://{request.headers.get('host', '')}")


def _origin(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None for what has none, such as `null`."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname and port else None

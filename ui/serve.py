"""The dashboard's process: Streamlit, and before it the ways in. The only file of `ui/` that knows a web framework.

The browser holds the API's own sign-in in a cookie that no script reads; keys and access tokens never come near it.
"""

import gc
import logging
import os
import secrets
import time
from collections import OrderedDict
from pathlib import Path
from urllib.parse import urlsplit

import streamlit as st
import uvicorn
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui import entry, refusals
from ui.session import forwarded
from ui.words import LANGUAGES, catalogue, nearest
from waqtor import AsyncClient, Browser, BrowserSignIn, Error, NotFound, NotSignedIn
from waqtor.auth import COOKIE

LANGUAGE = "waqtor_language"
_YEAR_S, _CODE_WITHIN_S, _MOST_WAITING = 365 * 24 * 3600, 300.0, 1000
_OPEN = ("/auth/", "/_stcore/", "/static/", "/media/", "/component/")
# Streamlit's page runs scripts of its own and evaluates chart expressions; what it may not do is speak to anybody else.
_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self'; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)


class Waiting:
    """Those whose password was right and whose code is still to come, for a few minutes and in this process only."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[float, str, str]] = OrderedDict()

    def add(self, email: str, password: str) -> str:
        while len(self._known) >= _MOST_WAITING:
            self._known.popitem(last=False)
        ticket = secrets.token_urlsafe(24)
        self._known[ticket] = (time.monotonic(), email, password)
        return ticket

    def take(self, ticket: str) -> tuple[str, str] | None:
        began, email, password = self._known.pop(ticket, (float("-inf"), "", ""))
        return (email, password) if time.monotonic() - began < _CODE_WITHIN_S else None


_waiting = Waiting()


# ---- the ways in --------------------------------------------------------------------------------------------


async def sign_in(request: Request) -> Response:
    language, next_path = _language(request), _path(request.query_params.get("next"))
    if request.method == "GET":
        if await _counts(request):
            return RedirectResponse(next_path, 303)
        told = entry.explained(language, "ended") if "ended" in request.query_params else ""
        page = _html(entry.sign_in(language, next_path=next_path, told=told, is_calm=True))
        if COOKIE in request.cookies:  # one that was not sent along may be good
            page.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict", secure=_is_secure(request))
        return page
    if not _is_own(request):
        return _html(entry.refused(language, entry.explained(language, "elsewhere")), 403)
    form = await _form(request)
    next_path = _path(form.get("next"))
    return await (_with_code if "ticket" in form else _with_password)(request, form, language, next_path)


async def _with_password(request: Request, form: dict[str, str], language: str, next_path: str) -> Response:
    email, password = form.get("email", ""), form.get("password", "")
    try:
        async with _nobody(request) as nobody:
            signed_in = await nobody.auth.sign_in_browser(email, password)
    except Error as error:
        if error.code == "second_factor_needed":
            ticket = _waiting.add(email, password)
            return _html(entry.second_factor(language, ticket=ticket, next_path=next_path))
        told = entry.explained(language, error.code, error.message)
        return _html(entry.sign_in(language, next_path=next_path, email=email, told=told), error.status or 503)
    return _entered(request, signed_in, next_path)


async def _with_code(request: Request, form: dict[str, str], language: str, next_path: str) -> Response:
    known = _waiting.take(form["ticket"])
    if known is None:
        told = entry.explained(language, "again")
        return _html(entry.sign_in(language, next_path=next_path, told=told), 401)
    try:
        async with _nobody(request) as nobody:
            signed_in = await nobody.auth.sign_in_browser(*known, code=form.get("code", ""))
    except Error as error:
        told, ticket = entry.explained(language, error.code, error.message), _waiting.add(*known)
        page = entry.second_factor(language, ticket=ticket, next_path=next_path, told=told)
        return _html(page, error.status or 503)
    return _entered(request, signed_in, next_path)


async def one_time_link(request: Request) -> Response:
    """An invitation makes an account, a reset gives a new password; either way one is signed in after it."""
    language, token = _language(request), str(request.path_params["token"])
    form = await _form(request) if request.method == "POST" else {}
    if form and not _is_own(request):
        return _html(entry.refused(language, entry.explained(language, "elsewhere")), 403)
    seen = None
    try:
        async with _nobody(request) as nobody:
            seen = await nobody.auth.look_at_link(token)
            if not form:
                return _html(entry.welcome(language, kind=seen.kind, email=seen.email, given={}))
            if form.get("password") != form.get("again"):
                told = entry.explained(language, "differ")
                return _html(entry.welcome(language, kind=seen.kind, email=seen.email, given=form, told=told), 422)
            user = await nobody.auth.accept(
                token, form["password"], email=None if seen.email else form.get("email"), name=form.get("name", "")
            )
            signed_in = await nobody.auth.sign_in_browser(user.email, form["password"])
    except NotFound as gone:
        return _html(entry.refused(language, entry.explained(language, gone.code, gone.message)), 404)
    except NotSignedIn:  # the password is new, and the account has a second factor
        return RedirectResponse("/auth/sign-in", 303)
    except Error as error:
        told = entry.explained(language, error.code, " ".join(refusals.told(error, language)).strip())
        if seen is None or not form:
            return _html(entry.refused(language, told), error.status or 503)
        page = entry.welcome(language, kind=seen.kind, email=seen.email, given=form, told=told)
        return _html(page, error.status or 503)
    return _entered(request, signed_in, "/")


async def choose_language(request: Request) -> Response:
    """Before one is signed in; after that it is kept with the account."""
    answer = RedirectResponse(_back(request), 303)
    wanted = request.query_params.get("to", "")
    if wanted in LANGUAGES:
        answer.set_cookie(LANGUAGE, wanted, max_age=_YEAR_S, path="/", httponly=True, samesite="lax")
    return answer


def _entered(request: Request, signed_in: BrowserSignIn, next_path: str) -> Response:
    answer = RedirectResponse(next_path, 303, headers={"Cache-Control": "no-store"})
    lasts_s = int((signed_in.expires_at.timestamp()) - time.time())
    answer.set_cookie(
        COOKIE,
        signed_in.cookie,
        max_age=lasts_s,
        path="/",
        httponly=True,
        samesite="strict",
        secure=_is_secure(request),
    )
    return answer


async def _counts(request: Request) -> bool:
    """Whether the browser is signed in already."""
    cookie = request.cookies.get(COOKIE)
    if not cookie:
        return False
    try:
        async with AsyncClient(browser=Browser(cookie=cookie), headers=_forwarded(request), retries=0) as asking:
            await asking.auth.me()
    except Error:
        return False
    return True


def _nobody(request: Request) -> AsyncClient:
    return AsyncClient(api_key="", headers=_forwarded(request), retries=0)


def _forwarded(request: Request) -> dict[str, str]:
    return forwarded(dict(request.headers), request.client.host if request.client else None)


async def _form(request: Request) -> dict[str, str]:
    return {name: value for name, value in (await request.form()).items() if isinstance(value, str)}


def _language(request: Request) -> str:
    accepted = request.headers.get("accept-language", "").partition(",")[0].partition(";")[0]
    return nearest(request.cookies.get(LANGUAGE), accepted)


def _path(asked: str | None) -> str:
    """Where to go next, on this site only."""
    given = asked or "/"
    is_ours = given.startswith("/") and not given.startswith(("//", "/\\", "/auth/")) and given.isprintable()
    return given if is_ours else "/"


def _back(request: Request) -> str:
    """To the form on which the language was chosen, with what its address says: a one-time link is nowhere else."""
    came = urlsplit(request.headers.get("referer", ""))
    is_form = came.path == "/auth/sign-in" or came.path.startswith("/auth/link/")
    back = f"{came.path}?{came.query}" if came.query else came.path
    return back if is_form and back.isprintable() else "/auth/sign-in"


def _is_own(request: Request) -> bool:
    """A browser says of which page a form comes."""
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host", "")


def _is_secure(request: Request) -> bool:
    return request.url.scheme == "https"


def _html(page: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(page, status, headers=entry.HEADERS)


# ---- around Streamlit ---------------------------------------------------------------------------------------


class Door:
    """Who asks for a page without a cookie is shown the way in; every answer says what a browser may do with it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        is_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
        if is_page and not request.url.path.startswith(_OPEN) and not request.cookies.get(COOKIE):
            wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            if request.headers.get("sec-fetch-site") == "cross-site":
                await _html(entry.once_more(_path(wanted)))(scope, receive, send)
                return
            target = request.url_for("sign_in").include_query_params(next=wanted)
            await RedirectResponse(f"{target.path}?{target.query}", 303)(scope, receive, send)
            return

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                known = {name.lower() for name, _ in message["headers"]}
                extra = {
                    b"content-security-policy": _POLICY.encode(),
                    b"x-content-type-options": b"nosniff",
                    b"referrer-policy": b"same-origin",
                }
                message["headers"] = [*message["headers"], *((n, v) for n, v in extra.items() if n not in known)]
            await send(message)

        await self._app(scope, receive, told)


def app() -> st.App:
    return st.App(
        # Not beside pages/: whoever comes first would be shown the files of that folder, as Streamlit once had pages.
        Path(__file__).parent / "script" / "main.py",
        routes=[
            Route("/auth/sign-in", sign_in, methods=["GET", "POST"], name="sign_in"),
            Route("/auth/link/{token}", one_time_link, methods=["GET", "POST"]),
            Route("/auth/language", choose_language),
        ],
        middleware=[Middleware(Door)],
    )


def _load() -> None:
    """All that pages need, before somebody waits for one. What is loaded stays, so Python's collector need not walk
    over it again after each click, which took longer than the click."""
    from ui import frame  # noqa: F401

    for language in LANGUAGES:
        catalogue(language)
    gc.collect()
    gc.freeze()


def serve(*, host: str, port: int, api_url: str, public_url: str = "", trusted_proxies: str = "") -> int:
    """Run until SIGTERM or Ctrl-C; returns the exit code. Who is named in `trusted_proxies` is believed where a request
    comes from, and over what."""
    _load()
    os.environ["WAQTOR_URL"] = api_url  # where the SDK looks
    os.environ.pop("WAQTOR_API_KEY", None)  # a key of the operator's is nobody's here
    if public_url:
        st.set_option("server.corsAllowedOrigins", [public_url.rstrip("/")])
    config = uvicorn.Config(
        app(),
        host=host,
        port=port,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=trusted_proxies.replace(" ", ",") or None,
        access_log=False,
        server_header=False,
        log_level="warning",
        timeout_graceful_shutdown=3,
    )
    logging.getLogger("uvicorn.access").disabled = True  # Streamlit turns it on, and addresses hold one-time links
    uvicorn.Server(config).run()
    return 0

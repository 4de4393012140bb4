"""The page behind a one-time link: a form without a script, for a new account or a new password."""

from collections.abc import Mapping
from html import escape

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from api.accounts import passwords_of
from api.addresses import here
from api.deps import PlatformDep
from api.docs import STYLE
from api.errors import status_of
from api.idempotent import Open
from core import signing_in, users
from core.errors import Invalid, WaqtorError
from core.passwords import MIN_LENGTH
from core.users import Opened

router = APIRouter(prefix="/links", include_in_schema=False, route_class=Open)

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # the address is a secret
    "Cache-Control": "no-store",
}


@router.get("/{token}")
async def show_link(token: str, platform: PlatformDep) -> HTMLResponse:
    """Looking at it does not use it up: programs that preview links do so too."""
    try:
        async with platform.database.reading() as tx:
            opened = await users.open_link(tx, token, at=await platform.clock.now(tx))
    except WaqtorError as refused:
        return _page(_said(refused), status=status_of(refused))
    return _page(_form(opened, {}))


@router.post("/{token}")
async def use_link(token: str, request: Request, platform: PlatformDep) -> HTMLResponse:
    """What the form sends."""
    given = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
    try:
        if given.get("password") != given.get("again"):
            raise Invalid("The two passwords are not the same.", field="again")
        if any("\0" in value for value in given.values()):
            raise Invalid("One of the fields contains a null character.")
        user = await signing_in.accept(
            platform,
            passwords_of(request),
            token,
            password=given.get("password", ""),
            email=given.get("email"),
            name=given.get("name", ""),
            here=here(request),
        )
    except WaqtorError as refused:
        if status_of(refused) == 404:
            return _page(_said(refused), status=404)
        async with platform.database.reading() as tx:
            opened = await users.open_link(tx, token, at=await platform.clock.now(tx))
        return _page(_said(refused) + _form(opened, given), status=status_of(refused))
    return _page(f"<p>Done. You can sign in as <b>{escape(user.email)}</b>.</p>")


def _form(opened: Opened, given: Mapping[str, str]) -> str:
    email = opened.user.email if opened.user else opened.link.email
    fields = f"<p>Account: <b>{escape(email)}</b></p>" if email else _field("E-mail", "email", "email", given)
    if opened.user is None:
        fields += _field("Name", "name", "text", given)
    return f"""<form method=post>{fields}
    {_field(f"New password, at least {MIN_LENGTH} characters", "password", "password", {})}
    {_field("The same again", "again", "password", {})}<p><button>Save</button></p></form>"""


def _field(label: str, name: str, kind: str, given: Mapping[str, str]) -> str:
    value = escape(given.get(name, ""), quote=True)
    kept = {"password": "new-password", "again": "new-password"}.get(name, name)
    return f'<p><label>{label}<br><input name={name} type={kind} value="{value}" autocomplete={kept}></label></p>'


def _said(refused: WaqtorError) -> str:
    return f"<p role=alert><b>{escape(refused.message)}</b> {escape(refused.hint or '')}</p>"


def _page(body: str, *, status: int = 200) -> HTMLResponse:
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>WaQtor</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>'
        f"<body><h1>WaQtor</h1>{body}</body></html>",
        status_code=status,
        headers=_HEADERS,
    )

"""Pages behind a one-time code: an admin protects them and gives out codes, a person opens them."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from pydantic import Field

from api.accounts import Code
from api.addresses import here
from api.auth import needs, principal_of
from api.bodies import Body, Shown
from api.deps import Now, PlatformDep, Str, Tx
from api.errors import documented
from api.idempotent import DOCUMENTED, Once, Signed
from core import protected_pages, users
from core.models import ProtectedPage
from core.protected_pages import CODE_LASTS, Seen

router = APIRouter(
    prefix="/api/v3/protected-pages",
    tags=["protected-pages"],
    route_class=Once,
    dependencies=[Depends(needs("pages.manage"))],
)
own = APIRouter(
    prefix="/api/v3/auth/pages", tags=["auth"], route_class=Once, dependencies=[Depends(needs("account.own"))]
)
# A try is committed before its code is looked at.
opening = APIRouter(
    prefix="/api/v3/auth/pages", tags=["auth"], route_class=Signed, dependencies=[Depends(needs("account.own"))]
)

PageName = Annotated[
    Str, Path(max_length=40, description="An area of the API, or a page of yours.", examples=["users"])
]


class ProtectIn(Body):
    """How long a code opens it."""

    open_minutes: int = Field(default=30, ge=1, le=720, examples=[30])


class PageOut(Shown):
    """A protected page."""

    name: str = Field(examples=["users"])
    open_minutes: int = Field(description="How long a code opens it.", examples=[30])
    protected_at: datetime


class CodeFor(Body):
    """For whom the code is."""

    user_id: int | None = Field(
        default=None, ge=1, le=2**63 - 1, description="Left out: for whoever has it.", examples=[3]
    )


class PageCodeOut(Shown):
    """A one-time code; shown this once."""

    name: str = Field(examples=["users"])
    code: str = Field(examples=["493027"])
    expires_at: datetime


class OpenIn(Body):
    """The code an admin gave."""

    code: Code = Field(examples=["493027"])


class SeenOut(Shown):
    """A page as this sign-in finds it."""

    name: str = Field(examples=["users"])
    is_protected: bool
    is_open: bool
    until: datetime | None = Field(description="When it closes again; null where it is closed or not protected.")


def _shown(row: ProtectedPage) -> PageOut:
    return PageOut(name=row.name, open_minutes=row.open_s // 60, protected_at=row.protected_at)


def _seen(found: Seen) -> SeenOut:
    return SeenOut(name=found.name, is_protected=found.is_protected, is_open=found.is_open, until=found.until)


@router.get("", responses=documented())
async def list_protected_pages(tx: Tx) -> list[PageOut]:
    """All of them, by name."""
    return [_shown(one) for one in await protected_pages.listed(tx)]


@router.put("/{name}", responses=documented(), openapi_extra=DOCUMENTED)
async def protect_page(name: PageName, body: ProtectIn, tx: Tx, now: Now) -> PageOut:
    """Close a page for people until they give a one-time code. One with the name of an area (`campaigns`, `contacts`,
    `users` …) closes the routes of that area too; API keys are not asked for a code."""
    open_for = timedelta(minutes=body.open_minutes)
    return _shown(await protected_pages.protect(tx, name, open_for=open_for, at=now))


@router.delete("/{name}", responses=documented(404), openapi_extra=DOCUMENTED)
async def release_page(name: PageName, tx: Tx) -> SeenOut:
    """Protect it no more; its codes are void."""
    await protected_pages.release(tx, name)
    return _seen(Seen(name, False, None))


@router.post("/{name}/codes", status_code=201, responses=documented(404), openapi_extra=DOCUMENTED)
async def issue_page_code(name: PageName, body: CodeFor, platform: PlatformDep, tx: Tx, now: Now) -> PageCodeOut:
    """A code that opens the page once, within ten minutes. Give it to that person only."""
    if body.user_id is not None:
        await users.get(tx, body.user_id)
    code = await protected_pages.issue(tx, platform.key, name, user_id=body.user_id, at=now)
    return PageCodeOut(name=name, code=code, expires_at=now + CODE_LASTS)


@own.get("", responses=documented())
async def list_own_pages(request: Request, tx: Tx, now: Now) -> list[SeenOut]:
    """All protected pages, and which of them are open on this device."""
    found = await protected_pages.seen(tx, principal_of(request).sign_in_id or 0, at=now)
    return [_seen(one) for one in found]


@own.get("/{name}", responses=documented())
async def get_own_page(name: PageName, request: Request, tx: Tx, now: Now) -> SeenOut:
    """Whether this page may be shown on this device now."""
    return _seen(await protected_pages.look(tx, name, principal_of(request).sign_in_id or 0, at=now))


@opening.post("/{name}/open", responses=documented(404, 429))
async def open_own_page(name: PageName, body: OpenIn, request: Request, platform: PlatformDep) -> SeenOut:
    """Open a page on this device with a one-time code. After 5 wrong ones the next has to wait."""
    principal = principal_of(request)
    found = await protected_pages.open_page(
        platform,
        name,
        body.code,
        user_id=principal.id,
        sign_in_id=principal.sign_in_id or 0,
        here=here(request),
    )
    return _seen(found)


@own.post("/{name}/close", responses=documented(404), openapi_extra=DOCUMENTED)
async def close_own_page(name: PageName, request: Request, tx: Tx) -> SeenOut:
    """Close it again on this device, before its time."""
    await protected_pages.close_page(tx, name, principal_of(request).sign_in_id or 0)
    return _seen(Seen(name, True, None))

"""People who sign in, as an admin sees them."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from api import auditing
from api.accounts import Done, Email, Ended, Name, SignInOut, UserOut, show_user
from api.auth import needs, principal_of
from api.bodies import Body, Shown
from api.deps import Id, Now, PlatformDep, Tx
from api.errors import documented
from api.idempotent import DOCUMENTED, Once
from api.pages import Page, PlaceDep, page
from core import signins, users
from core.roles import Role

router = APIRouter(
    prefix="/api/v3/users", tags=["users"], route_class=Once, dependencies=[Depends(needs("users.manage"))]
)


class InviteIn(Body):
    """Whom to let in."""

    email: Email = Field(examples=["noura@example.com"])
    role: Role = "user"


class LinkOut(Shown):
    """A one-time link; shown this once."""

    link: str = Field(description="Give it to that person only.", examples=["http://127.0.0.1:8501/auth/link/…"])
    token: str
    expires_at: datetime


class UserChange(Body):
    """What is to be otherwise; what is not given stays."""

    name: Name | None = None
    email: Email | None = None
    role: Role | None = None
    disabled: Annotated[bool | None, Field(description="A disabled account is signed out and stays out.")] = None


@router.get("", responses=documented())
async def list_users(tx: Tx, place: PlaceDep) -> Page[UserOut]:
    """Everybody who has an account."""
    rows = await users.listed(tx, after=place.after, limit=place.limit)
    return page(rows, place, id_of=lambda row: row.id, show=show_user)


@router.get("/{user_id}", responses=documented(404))
async def get_user(user_id: Id, tx: Tx) -> UserOut:
    """One of them."""
    return show_user(await users.get(tx, user_id))


@router.post("/invite", status_code=201, responses=documented(409), openapi_extra=DOCUMENTED)
async def invite_user(body: InviteIn, request: Request, platform: PlatformDep, tx: Tx, now: Now) -> LinkOut:
    """A link with which this person makes an account, within 7 days. An earlier one for the address is void."""
    token = await users.invite(tx, role=body.role, email=body.email, at=now)
    link = (await users.open_link(tx, token, at=now)).link
    auditing.say(request, {"role": body.role}, subject=f"user_link:{link.id}")
    return _shown(platform, token, now + users.INVITE_LASTS)


@router.patch("/{user_id}", responses=documented(404, 409), openapi_extra=DOCUMENTED)
async def change_user(user_id: Id, body: UserChange, request: Request, tx: Tx, now: Now) -> UserOut:
    """Change role, name or address, or disable the account; counts from that person's next request."""
    changes = users.Changes(name=body.name, email=body.email, role=body.role, is_disabled=body.disabled)
    principal = principal_of(request)
    users.own_role_stays(user_id, principal.id if principal.kind == "user" else None, changes)
    before = await users.to_change(tx, user_id)
    role, state = before.role, before.state
    user = await users.change(tx, user_id, changes, at=now)
    said: dict[str, object] = {"fields": sorted(name for name, value in body if value is not None)}
    if user.role != role:
        said |= {"role_before": role, "role": user.role}
    if user.state != state:
        said |= {"state": user.state}
    auditing.say(request, said)
    return show_user(user)


@router.post("/{user_id}/reset-link", status_code=201, responses=documented(404), openapi_extra=DOCUMENTED)
async def reset_user_password(user_id: Id, platform: PlatformDep, tx: Tx, now: Now) -> LinkOut:
    """A link with which this person sets a new password, within 24 hours. The old one works until then."""
    return _shown(platform, await users.reset_link(tx, user_id, at=now), now + users.RESET_LASTS)


@router.post("/{user_id}/totp-off", responses=documented(404), openapi_extra=DOCUMENTED)
async def drop_user_totp(user_id: Id, tx: Tx, now: Now) -> UserOut:
    """Take away the second factor of somebody whose phone is lost."""
    return show_user(await users.drop_second_factor(tx, user_id, at=now))


@router.get("/{user_id}/sign-ins", responses=documented(404))
async def list_user_sign_ins(user_id: Id, tx: Tx, now: Now) -> list[SignInOut]:
    """Where this person is signed in."""
    await users.get(tx, user_id)
    return [SignInOut.model_validate(one) for one in await signins.listed(tx, user_id, at=now)]


@router.delete("/{user_id}/sign-ins", responses=documented(404), openapi_extra=DOCUMENTED)
async def end_user_sign_ins(user_id: Id, tx: Tx, now: Now) -> Ended:
    """Sign this person out everywhere."""
    await users.get(tx, user_id)
    return Ended(ended=await signins.end_all(tx, user_id, why="ended_by_admin", at=now))


@router.delete("/{user_id}/sign-ins/{sign_in_id}", responses=documented(404), openapi_extra=DOCUMENTED)
async def end_user_sign_in(user_id: Id, sign_in_id: Id, tx: Tx, now: Now) -> Done:
    """Sign this person out in one place."""
    await signins.end(tx, sign_in_id, why="ended_by_admin", at=now, of=user_id)
    return Done()


def _shown(platform: PlatformDep, token: str, expires_at: datetime) -> LinkOut:
    return LinkOut(link=platform.settings.link(token), token=token, expires_at=expires_at)

"""Signing in as version 2.3.0 did: its addresses, its shapes, its flat errors. Behind them are the same accounts."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from api.accounts import now_of, passwords_of
from api.addresses import here
from api.auth import needs, principal_of
from api.deps import Now, PlatformDep, Secret, Str, Tx
from api.flat import FlatOnce, FlatOpen, FlatSigned, flatly
from api.idempotent import DOCUMENTED
from core import signing_in, signins, users
from core.errors import NotAllowed
from core.models import User
from core.roles import Role
from core.signing_in import Given
from core.signins import SignedIn

entering = APIRouter(prefix="/api/auth", tags=["auth-v2"], route_class=FlatOpen)
router = APIRouter(
    prefix="/api/auth", tags=["auth-v2"], route_class=FlatOnce, dependencies=[Depends(needs("account.own"))]
)
proving = APIRouter(
    prefix="/api/auth", tags=["auth-v2"], route_class=FlatSigned, dependencies=[Depends(needs("account.own"))]
)
Email = Annotated[Str, Field(max_length=254)]
Name = Annotated[Str, Field(max_length=200)]


class _Given(BaseModel):
    """As 2.3.0 took it: a field it did not know was no error."""

    model_config = ConfigDict(extra="ignore")


class Register(_Given):
    """A new account; only with the token of an invitation."""

    password: Secret
    email: Email | None = None
    name: Name | None = None
    invite: Secret | None = Field(default=None, description="New in 3: the token of the one-time link.")


class Login(_Given):
    """Address and password."""

    email: Email
    password: Secret
    code: Annotated[Str, Field(max_length=40)] | None = Field(default=None, description="New in 3: second factor.")


class Refresh(_Given):
    """The refresh token, good once."""

    refresh_token: Secret = Field(alias="refreshToken")


class Profile(_Given):
    """One's own name. The address is changed by an admin."""

    name: Name | None = None
    email: Email | None = None


class Password(_Given):
    """The old one and the new one."""

    current_password: Secret = Field(alias="currentPassword")
    new_password: Secret = Field(alias="newPassword")


class UserV2(BaseModel):
    """A user as 2.3.0 showed it."""

    id: int
    email: str
    name: str
    role: Role
    is_active: bool
    last_login_at: datetime | None
    created_at: datetime
    updated_at: datetime


class Tokens(BaseModel):
    """The next pair."""

    token: str
    refreshToken: str  # noqa: N815  # the wire's name


class UserTokens(Tokens):
    """Who came in, and the pair."""

    user: UserV2


class TokensAnswer(BaseModel):
    """The next pair of tokens."""

    success: bool = True
    data: Tokens


class SignedInAnswer(BaseModel):
    """Signed in."""

    success: bool = True
    message: str
    data: UserTokens


class UserData(BaseModel):
    """Oneself."""

    user: UserV2


class MeAnswer(BaseModel):
    """Oneself, below `data`."""

    success: bool = True
    data: UserData


class TopAnswer(BaseModel):
    """Oneself, at the top: so these routes answered."""

    success: bool = True
    user: UserV2


class MessageAnswer(BaseModel):
    """It is done."""

    success: bool = True
    message: str


def _shown(user: User) -> UserV2:
    return UserV2(
        id=user.id,
        email=user.email,
        name=user.name,
        role=user.role,
        is_active=user.state == users.ACTIVE,
        last_login_at=user.last_sign_in_at,
        created_at=user.created_at,
        updated_at=user.updated_at,
    )


async def _tokens(platform: PlatformDep, signed_in: SignedIn) -> UserTokens:
    access = signins.access_token(platform.key, signed_in, at=await now_of(platform))
    return UserTokens(user=_shown(signed_in.user), token=access, refreshToken=signed_in.secret)


@entering.post("/register", status_code=201, responses=flatly(404, 409, 429))
async def register_v2(body: Register, request: Request, platform: PlatformDep) -> SignedInAnswer:
    """Not open to everybody any more: it takes the token of an invitation as `invite`."""
    if body.invite is None:
        raise NotAllowed("Registration is by invitation only: give the token of the link as invite.")
    password = body.password.get_secret_value()
    user = await signing_in.accept(
        platform,
        passwords_of(request),
        body.invite.get_secret_value(),
        password=password,
        email=body.email,
        name=body.name or "",
        here=here(request),
    )
    given = Given(user.email, password, kind="tokens")
    signed_in = await signing_in.sign_in(platform, passwords_of(request), given, here(request))
    return SignedInAnswer(message="User registered successfully", data=await _tokens(platform, signed_in))


@entering.post("/login", responses=flatly(429))
async def login_v2(body: Login, request: Request, platform: PlatformDep) -> SignedInAnswer:
    """Address and password, for an access token of 15 minutes and a refresh token."""
    given = Given(body.email, body.password.get_secret_value(), body.code, "tokens")
    signed_in = await signing_in.sign_in(platform, passwords_of(request), given, here(request))
    return SignedInAnswer(message="Login successful", data=await _tokens(platform, signed_in))


@entering.post("/refresh", responses=flatly())
async def refresh_v2(body: Refresh, request: Request, platform: PlatformDep) -> TokensAnswer:
    """The next pair; a refresh token is good once."""
    renewed = await signing_in.refresh(platform, body.refresh_token.get_secret_value(), here(request))
    pair = await _tokens(platform, renewed)
    return TokensAnswer(data=Tokens(token=pair.token, refreshToken=pair.refreshToken))


@router.get("/me", responses=flatly())
async def me_v2(request: Request, tx: Tx) -> MeAnswer:
    """Oneself."""
    return MeAnswer(data=UserData(user=_shown(await users.get(tx, principal_of(request).id))))


@router.get("/verify", responses=flatly())
async def verify_v2(request: Request, tx: Tx) -> TopAnswer:
    """Whether the access token is good, and whose it is."""
    return TopAnswer(user=_shown(await users.get(tx, principal_of(request).id)))


@router.get("/profile", responses=flatly())
async def profile_v2(request: Request, tx: Tx) -> TopAnswer:
    """Oneself."""
    return TopAnswer(user=_shown(await users.get(tx, principal_of(request).id)))


@router.put("/profile", responses=flatly(), openapi_extra=DOCUMENTED)
async def change_profile_v2(body: Profile, request: Request, tx: Tx, now: Now) -> TopAnswer:
    """Change one's own name; the address is changed by an admin."""
    user = await users.get(tx, principal_of(request).id)
    if body.email is not None and users.address(body.email) != user.email:
        raise NotAllowed("An admin changes the address of an account.")
    return TopAnswer(user=_shown(await users.change(tx, user.id, users.Changes(name=body.name), at=now)))


@proving.put("/password", responses=flatly(429))
async def change_password_v2(body: Password, request: Request, platform: PlatformDep) -> MessageAnswer:
    """A new password; every sign-in of the account is ended."""
    await signing_in.change_password(
        platform,
        passwords_of(request),
        principal_of(request).id,
        current=body.current_password.get_secret_value(),
        new=body.new_password.get_secret_value(),
        here=here(request),
    )
    return MessageAnswer(message="Password changed successfully")


@router.post("/logout", responses=flatly(), openapi_extra=DOCUMENTED)
async def logout_v2(request: Request, tx: Tx, now: Now) -> MessageAnswer:
    """End this sign-in; its access token dies with it."""
    principal = principal_of(request)
    await signins.end(tx, principal.sign_in_id or 0, why="signed_out", at=now, of=principal.id)
    return MessageAnswer(message="Logged out successfully")


@router.post("/logout-all", responses=flatly(), openapi_extra=DOCUMENTED)
async def logout_all_v2(request: Request, tx: Tx, now: Now) -> MessageAnswer:
    """End all sign-ins of the account."""
    await signins.end_all(tx, principal_of(request).id, why="revoked", at=now)
    return MessageAnswer(message="Logged out from all devices")

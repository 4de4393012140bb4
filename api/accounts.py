"""Signing in, and what belongs to one's own account."""

from base64 import b64decode, b64encode
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from api import cookies
from api.addresses import here
from api.auth import needs, principal_of
from api.bodies import Body, Shown
from api.deps import Id, Now, PlatformDep, Secret, Str, Tx
from api.errors import documented
from api.idempotent import DOCUMENTED, Once, Open, Signed
from core import protected_pages, signing_in, signins, totp, users
from core.errors import Invalid
from core.models import User
from core.passwords import Passwords
from core.roles import ROLES, Permission, Role
from core.signing_in import Given
from core.signins import ACCESS_LASTS, SignedIn

entering = APIRouter(prefix="/api/v3/auth", tags=["auth"], route_class=Open)
router = APIRouter(prefix="/api/v3/auth", tags=["auth"], route_class=Once, dependencies=[Depends(needs("account.own"))])
# Work on a password is in no transaction, so these open their own.
proving = APIRouter(
    prefix="/api/v3/auth", tags=["auth"], route_class=Signed, dependencies=[Depends(needs("account.own"))]
)

Email = Annotated[Str, Field(max_length=254)]
Name = Annotated[Str, Field(max_length=200)]
Code = Annotated[Str, Field(max_length=40)]


class SignInIn(Body):
    """Who comes in, and what with."""

    email: Email = Field(examples=["noura@example.com"])
    password: Secret
    code: Code | None = Field(default=None, description="Of the authenticator app, or a recovery code.")
    kind: Literal["browser", "tokens"] = Field(
        default="tokens", description="browser: a cookie is set. tokens: an access and a refresh token are given."
    )


class UserOut(Shown):
    """A person who signs in."""

    id: int = Field(examples=[1])
    email: str = Field(examples=["noura@example.com"])
    name: str = Field(examples=["نورة"])
    language: str | None = Field(examples=["ar"], description="That a person wants pages in; null: not said.")
    role: Role
    state: Literal["active", "disabled"]
    has_second_factor: bool
    created_at: datetime
    updated_at: datetime
    last_sign_in_at: datetime | None


class SignedInOut(Shown):
    """Signed in."""

    user: UserOut
    sign_in_id: int = Field(examples=[12])
    expires_at: datetime = Field(description="When the sign-in ends by itself.")
    csrf_token: str | None = Field(description="browser: goes into the header X-CSRF-Token of each write.")
    access_token: str | None = Field(description="tokens: Authorization: Bearer …, for 15 minutes.")
    refresh_token: str | None = Field(description="tokens: good once, for the next pair.")
    access_expires_in_s: int | None = Field(examples=[900])


class RefreshIn(Body):
    """The refresh token, good once."""

    refresh_token: Secret


class AcceptIn(Body):
    """What a one-time link is used for: a new account, or a new password."""

    token: Secret
    password: Secret
    email: Email | None = Field(default=None, description="Only where the invitation names none.")
    name: Name = ""


class MeOut(UserOut):
    """Oneself, and what one may do."""

    sign_in_id: int
    permissions: list[Permission]
    closed_pages: list[str] = Field(description="Protected pages that take a one-time code first.", examples=[[]])
    recovery_codes_left: int
    csrf_token: str | None = Field(description="For the header X-CSRF-Token; null where no cookie was sent.")


class MeIn(Body):
    """What is to be otherwise. The address and the role are changed by an admin."""

    name: Name | None = Field(default=None, examples=["نورة"])
    language: Annotated[Str, Field(max_length=16)] | None = Field(default=None, examples=["ar"])


class AvatarIn(Body):
    """A PNG or JPEG of at most 64 KiB, in base64; null takes the one there is away."""

    picture: Annotated[Str, Field(max_length=90_000)] | None = Field(examples=["iVBORw0KGgo="])


class AvatarOut(Shown):
    """One's own picture."""

    picture: str | None = Field(description="PNG or JPEG in base64.", examples=["iVBORw0KGgo="])


class LinkIn(Body):
    """What stands at the end of a one-time link."""

    token: Secret


class LinkSeen(Shown):
    """What a one-time link is good for."""

    kind: Literal["invite", "reset"]
    email: str | None = Field(description="Null: whoever has the invitation says it.", examples=["noura@example.com"])
    role: Role | None = Field(description="That an invitation gives.")
    expires_at: datetime


class PasswordIn(Body):
    """The old one and the new one."""

    current_password: Secret
    new_password: Secret


class ProofIn(Body):
    """The password, to show that it is really you."""

    password: Secret


class CodeIn(Body):
    """A code of the authenticator app."""

    code: Code = Field(examples=["123456"])


class TotpOut(Shown):
    """What the authenticator app is to know; not in force until confirmed."""

    secret: str
    uri: str = Field(description="For a QR code.", examples=["otpauth://totp/WaQtor:noura%40example.com?secret=…"])


class RecoveryCodesOut(Shown):
    """Each stands in for the app once. Shown this once."""

    recovery_codes: list[str]


class SignInOut(Shown):
    """A device on which somebody is signed in."""

    id: int = Field(examples=[12])
    kind: Literal["browser", "tokens"]
    address: str = Field(examples=["203.0.113.7"])
    agent: str = Field(examples=["Mozilla/5.0"])
    created_at: datetime
    last_seen_at: datetime = Field(description="To the minute.")
    expires_at: datetime


class Ended(Shown):
    """How many sign-ins were ended."""

    ended: int = Field(examples=[3])


class Done(Shown):
    """It is done."""

    ok: bool = True


def show_user(user: User) -> UserOut:
    plain = {name: getattr(user, name) for name in UserOut.model_fields if name != "has_second_factor"}
    return UserOut(**plain, has_second_factor=user.totp is not None)


def passwords_of(request: Request) -> Passwords:
    work: Passwords = request.app.state.passwords
    return work


def shown_tokens(platform: PlatformDep, signed_in: SignedIn, *, at: datetime) -> SignedInOut:
    is_browser = signed_in.sign_in.kind == "browser"
    return SignedInOut(
        user=show_user(signed_in.user),
        sign_in_id=signed_in.sign_in.id,
        expires_at=signed_in.sign_in.expires_at,
        csrf_token=signins.csrf_token(platform.key, signed_in.secret) if is_browser else None,
        access_token=None if is_browser else signins.access_token(platform.key, signed_in, at=at),
        refresh_token=None if is_browser else signed_in.secret,
        access_expires_in_s=None if is_browser else int(ACCESS_LASTS.total_seconds()),
    )


async def now_of(platform: PlatformDep) -> datetime:
    async with platform.database.reading() as tx:
        return await platform.clock.now(tx)


# ---- the ways in --------------------------------------------------------------------------------------------


@entering.post("/sign-in", responses=documented(429))
async def sign_in(body: SignInIn, request: Request, response: Response, platform: PlatformDep) -> SignedInOut:
    """Come in with address and password, and the code of the authenticator app where there is one
    (`second_factor_needed` says so). After 5 wrong tries an account waits 1, 2, 4 … seconds, at most 15 minutes."""
    if body.kind == "browser":
        cookies.require_same_origin(request)
    given = Given(body.email, body.password.get_secret_value(), body.code, body.kind)
    signed_in = await signing_in.sign_in(platform, passwords_of(request), given, here(request))
    if body.kind == "browser":
        cookies.give(request, response, signed_in.secret)
    response.headers["Cache-Control"] = "no-store"
    return shown_tokens(platform, signed_in, at=await now_of(platform))


@entering.post("/refresh", responses=documented())
async def refresh(body: RefreshIn, request: Request, response: Response, platform: PlatformDep) -> SignedInOut:
    """The next pair of tokens. A refresh token that comes a second time ends the sign-in: somebody has a copy."""
    renewed = await signing_in.refresh(platform, body.refresh_token.get_secret_value(), here(request))
    response.headers["Cache-Control"] = "no-store"
    return shown_tokens(platform, renewed, at=await now_of(platform))


@entering.post("/accept", status_code=201, responses=documented(404, 409))
async def accept(body: AcceptIn, request: Request, platform: PlatformDep) -> UserOut:
    """Use a one-time link: an invitation makes an account, a reset gives a new password. Then sign in."""
    user = await signing_in.accept(
        platform,
        passwords_of(request),
        body.token.get_secret_value(),
        password=body.password.get_secret_value(),
        email=body.email,
        name=body.name,
        here=here(request),
    )
    return show_user(user)


@entering.post("/link", responses=documented(404))
async def look_at_link(body: LinkIn, platform: PlatformDep) -> LinkSeen:
    """What a one-time link is good for. Looking does not use it up."""
    async with platform.database.reading() as tx:
        now = await platform.clock.now(tx)
        opened = await users.open_link(tx, body.token.get_secret_value(), at=now)
    link, email = opened.link, opened.user.email if opened.user else opened.link.email
    return LinkSeen.model_validate(
        {"kind": link.kind, "email": email, "role": link.role, "expires_at": link.expires_at}
    )


# ---- one's own account --------------------------------------------------------------------------------------


@router.get("/me", responses=documented())
async def me(request: Request, platform: PlatformDep, tx: Tx, now: Now) -> MeOut:
    """Oneself, and what one may do."""
    user = await users.get(tx, principal_of(request).id)
    sign_in_id = principal_of(request).sign_in_id or 0
    pages = await protected_pages.seen(tx, sign_in_id, at=now)
    cookie = request.cookies.get(cookies.NAME)
    return MeOut(
        **show_user(user).model_dump(),
        sign_in_id=sign_in_id,
        permissions=sorted(ROLES[user.role]),  # type: ignore[index]
        closed_pages=[one.name for one in pages if not one.is_open],
        recovery_codes_left=await totp.recovery_codes_left(tx, user.id),
        csrf_token=signins.csrf_token(platform.key, cookie) if cookie else None,
    )


@router.patch("/me", responses=documented(), openapi_extra=DOCUMENTED)
async def change_me(body: MeIn, request: Request, tx: Tx, now: Now) -> UserOut:
    """Change one's own name, or the language of one's pages. What is left out stays."""
    changes = users.Changes(name=body.name, language=body.language)
    return show_user(await users.change(tx, principal_of(request).id, changes, at=now))


@router.get("/me/avatar", responses=documented())
async def my_avatar(request: Request, tx: Tx) -> AvatarOut:
    """One's own picture."""
    picture = await users.avatar(tx, principal_of(request).id)
    return AvatarOut(picture=b64encode(picture).decode() if picture else None)


@router.put("/me/avatar", responses=documented(), openapi_extra=DOCUMENTED)
async def set_my_avatar(body: AvatarIn, request: Request, tx: Tx, now: Now) -> UserOut:
    """Set one's own picture, or take it away."""
    try:
        picture = None if body.picture is None else b64decode(body.picture, validate=True)
    except ValueError:
        raise Invalid("The picture is not in base64.", field="picture") from None
    return show_user(await users.set_avatar(tx, principal_of(request).id, picture, at=now))


@proving.post("/password", responses=documented(429))
async def change_password(body: PasswordIn, request: Request, response: Response, platform: PlatformDep) -> Done:
    """A new password. Every sign-in of the account is ended, this one too."""
    await signing_in.change_password(
        platform,
        passwords_of(request),
        principal_of(request).id,
        current=body.current_password.get_secret_value(),
        new=body.new_password.get_secret_value(),
        here=here(request),
    )
    cookies.take_back(request, response)
    return Done()


@router.post("/sign-out", responses=documented(), openapi_extra=DOCUMENTED)
async def sign_out(request: Request, response: Response, tx: Tx, now: Now) -> Done:
    """End this sign-in; its access token dies with it."""
    principal = principal_of(request)
    await signins.end(tx, principal.sign_in_id or 0, why="signed_out", at=now, of=principal.id)
    cookies.take_back(request, response)
    return Done()


@router.get("/sign-ins", responses=documented())
async def list_sign_ins(request: Request, tx: Tx, now: Now) -> list[SignInOut]:
    """Where one is signed in, the newest first."""
    return [SignInOut.model_validate(one) for one in await signins.listed(tx, principal_of(request).id, at=now)]


@router.delete("/sign-ins/{sign_in_id}", responses=documented(404), openapi_extra=DOCUMENTED)
async def end_sign_in(sign_in_id: Id, request: Request, tx: Tx, now: Now) -> Done:
    """End one of them."""
    await signins.end(tx, sign_in_id, why="revoked", at=now, of=principal_of(request).id)
    return Done()


@router.delete("/sign-ins", responses=documented(), openapi_extra=DOCUMENTED)
async def end_sign_ins(request: Request, response: Response, tx: Tx, now: Now) -> Ended:
    """End all of them, also this one."""
    cookies.take_back(request, response)
    return Ended(ended=await signins.end_all(tx, principal_of(request).id, why="revoked", at=now))


# ---- the second factor --------------------------------------------------------------------------------------


@proving.post("/totp", responses=documented(409, 429))
async def begin_totp(body: ProofIn, request: Request, platform: PlatformDep) -> TotpOut:
    """A secret for an authenticator app. In force once a code of it was confirmed."""
    user_id = principal_of(request).id
    await signing_in.confirm_password(platform, passwords_of(request), user_id, body.password.get_secret_value())
    async with platform.database.transaction() as tx:
        secret, uri = totp.begin(platform.key, await users.get(tx, user_id, locked=True))
    return TotpOut(secret=secret, uri=uri)


@proving.post("/totp/confirm", responses=documented(409, 429))
async def confirm_totp(body: CodeIn, request: Request, platform: PlatformDep) -> RecoveryCodesOut:
    """Put the app in force with a code of it. The recovery codes are shown this once."""
    codes = await signing_in.confirm_second_factor(platform, principal_of(request).id, body.code, here(request))
    return RecoveryCodesOut(recovery_codes=list(codes))


@proving.post("/totp/off", responses=documented(429))
async def drop_totp(body: ProofIn, request: Request, platform: PlatformDep) -> Done:
    """Do without a second factor; takes the password."""
    user_id = principal_of(request).id
    await signing_in.confirm_password(platform, passwords_of(request), user_id, body.password.get_secret_value())
    await signing_in.drop_second_factor(platform, user_id, here(request))
    return Done()

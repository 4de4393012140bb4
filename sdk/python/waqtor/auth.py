"""Signing in, and one's own account."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import Field, TypeAdapter

from waqtor.asking import Ask, C, Model, Resource, call, get, given, write
from waqtor.protected_pages import PageSeen
from waqtor.users import Ended, User

COOKIE = "waqtor_sign_in"


class SignedIn(Model):
    """`access_token` does for 15 minutes in place of an API key; `refresh_token` is good once, for the next pair."""

    user: User
    sign_in_id: int
    expires_at: datetime
    access_token: str = Field(repr=False)
    refresh_token: str = Field(repr=False)
    access_expires_in_s: int


class BrowserSignIn(Model):
    """For a server that a browser speaks to: `cookie` is what it keeps there, out of reach of scripts. With
    `Client(url, browser=…)` it speaks for that browser."""

    user: User
    sign_in_id: int
    expires_at: datetime
    csrf_token: str = Field(repr=False)
    cookie: str = Field(repr=False)


class Browser(Model):
    """What a browser that signed in is known by. Reading takes no `csrf_token`; `auth.me()` tells it."""

    cookie: str = Field(repr=False)
    csrf_token: str = Field(default="", repr=False)


class LinkSeen(Model):
    """What a one-time link is good for: `kind` is invite or reset."""

    kind: str
    email: str | None
    role: str | None
    expires_at: datetime


class Avatar(Model):
    """PNG or JPEG in base64; None where there is none."""

    picture: str | None = Field(repr=False)


class SignIn(Model):
    """A device on which one is signed in."""

    id: int
    kind: str
    address: str
    agent: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


class Me(User):
    """Oneself, and what one may do. `closed_pages` take a one-time code that was not given yet."""

    sign_in_id: int
    permissions: Sequence[str]
    closed_pages: Sequence[str] = ()
    recovery_codes_left: int
    csrf_token: str | None = Field(default=None, repr=False)


class Totp(Model):
    """What the authenticator app is to know."""

    secret: str = Field(repr=False)
    uri: str = Field(repr=False)


class RecoveryCodes(Model):
    """Each stands in for the app once."""

    recovery_codes: Sequence[str] = Field(repr=False)


class Done(Model):
    """It is done."""

    ok: bool


_PAGES: TypeAdapter[list[PageSeen]] = TypeAdapter(list[PageSeen])
_SIGN_INS: TypeAdapter[list[SignIn]] = TypeAdapter(list[SignIn])


def _once(path: str, model: Any, **json: Any) -> Ask[Any]:
    """Not asked again by itself: a second try at a password counts, and a refresh token is good once."""
    return Ask("POST", f"/auth{path}", model.model_validate, json=given(**json), is_repeatable=False)


def refreshed(refresh_token: str) -> Ask[SignedIn]:
    return _once("/refresh", SignedIn, refresh_token=refresh_token)


class Auth(Resource[C]):
    @call
    def sign_in(self, email: str, password: str, *, code: str | None = None) -> Ask[SignedIn]:
        """`code`: of the authenticator app, or a recovery code. Then `Client(url, signed_in.access_token)`."""
        return _once("/sign-in", SignedIn, email=email, password=password, code=code, kind="tokens")

    @call
    def sign_in_browser(self, email: str, password: str, *, code: str | None = None) -> Ask[BrowserSignIn]:
        """For a browser that a server of yours speaks for, such as the dashboard."""
        ask = _once("/sign-in", BrowserSignIn, email=email, password=password, code=code, kind="browser")
        return replace(ask, cookie=COOKIE)

    @call
    def look_at_link(self, token: str) -> Ask[LinkSeen]:
        """What a one-time link is good for; it stays good."""
        return _once("/link", LinkSeen, token=token)

    @call
    def refresh(self, refresh_token: str) -> Ask[SignedIn]:
        """Keep the new refresh token: the old one, used again, ends the sign-in."""
        return refreshed(refresh_token)

    @call
    def accept(self, token: str, password: str, *, email: str | None = None, name: str = "") -> Ask[User]:
        """Use a one-time link: make the account, or set the new password."""
        return _once("/accept", User, token=token, password=password, email=email, name=name)

    @call
    def me(self) -> Ask[Me]:
        return get("/auth/me", Me)

    @call
    def change_me(
        self, *, name: str | None = None, language: str | None = None, idempotency_key: str | None = None
    ) -> Ask[User]:
        """What is not given stays. `language` such as `ar` is that of one's pages."""
        return write("PATCH", "/auth/me", User, json=given(name=name, language=language), key=idempotency_key)

    @call
    def avatar(self) -> Ask[Avatar]:
        return get("/auth/me/avatar", Avatar)

    @call
    def set_avatar(self, picture: bytes | None, *, idempotency_key: str | None = None) -> Ask[User]:
        """PNG or JPEG of at most 64 KiB; None takes it away."""
        sent = {"picture": None if picture is None else b64encode(picture).decode()}
        return write("PUT", "/auth/me/avatar", User, json=sent, key=idempotency_key)

    @call
    def change_password(self, current_password: str, new_password: str) -> Ask[Done]:
        """Ends every sign-in, this one too."""
        return _once("/password", Done, current_password=current_password, new_password=new_password)

    @call
    def sign_out(self, *, idempotency_key: str | None = None) -> Ask[Done]:
        return write("POST", "/auth/sign-out", Done, key=idempotency_key)

    @call
    def sign_ins(self) -> Ask[list[SignIn]]:
        return Ask("GET", "/auth/sign-ins", _SIGN_INS.validate_python)

    @call
    def end_sign_in(self, sign_in_id: int, *, idempotency_key: str | None = None) -> Ask[Done]:
        return write("DELETE", f"/auth/sign-ins/{sign_in_id}", Done, key=idempotency_key)

    @call
    def end_sign_ins(self, *, idempotency_key: str | None = None) -> Ask[Ended]:
        """All of them, this one too."""
        return write("DELETE", "/auth/sign-ins", Ended, key=idempotency_key)

    @call
    def begin_totp(self, password: str) -> Ask[Totp]:
        """A second factor, in force once confirmed."""
        return _once("/totp", Totp, password=password)

    @call
    def confirm_totp(self, code: str) -> Ask[RecoveryCodes]:
        return _once("/totp/confirm", RecoveryCodes, code=code)

    @call
    def drop_totp(self, password: str) -> Ask[Done]:
        return _once("/totp/off", Done, password=password)

    @call
    def pages(self) -> Ask[list[PageSeen]]:
        """Pages behind a one-time code, and which are open in this sign-in."""
        return Ask("GET", "/auth/pages", _PAGES.validate_python)

    @call
    def page(self, name: str) -> Ask[PageSeen]:
        return get(f"/auth/pages/{name}", PageSeen)

    @call
    def open_page(self, name: str, code: str) -> Ask[PageSeen]:
        """With the code an admin gave; good once."""
        return _once(f"/pages/{name}/open", PageSeen, code=code)

    @call
    def close_page(self, name: str, *, idempotency_key: str | None = None) -> Ask[PageSeen]:
        return write("POST", f"/auth/pages/{name}/close", PageSeen, key=idempotency_key)

"""The ways in, each of several transactions: a try is committed before its password is looked at, and the work on a
password is in none."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from core import audit, notices, notifications, passwords, signins, throttles, totp, users
from core.audit import Happened
from core.bootstrap import Platform
from core.database import Tx
from core.errors import Invalid, NotSignedIn
from core.models import User
from core.passwords import Passwords
from core.signins import Here, Kind, SignedIn

_WRONG = "The address or the password is not right."


class SecondFactorNeeded(NotSignedIn):
    """The password is right; a code of the authenticator app is needed with it."""

    code = "second_factor_needed"


@dataclass(frozen=True, slots=True)
class Given:
    """What somebody says to come in. `code` is one of the app, or a recovery code."""

    email: str
    password: str
    code: str | None = None
    kind: Kind = "browser"


async def sign_in(platform: Platform, work: Passwords, given: Given, here: Here) -> SignedIn:
    """Raises `TooMany`, `NotSignedIn` (the same for an account that is none) or `SecondFactorNeeded`."""
    account = given.email.strip().casefold()[:254]
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        shuts_account = await throttles.take(tx, platform.key, throttles.ACCOUNT, account, at=now)
        shuts_address = await throttles.take(tx, platform.key, throttles.ADDRESS, here.neighbourhood, at=now)
        known = await users.by_email(tx, account)
    fits = await work.fits(given.password, known.password_hash if known else None)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        outcome = await _decide(tx, platform, known if fits else None, given, here, now)
        who = f"user:{known.id}" if known else audit.NOBODY
        if isinstance(outcome, NotSignedIn):
            if outcome.code != SecondFactorNeeded.code or given.code:
                _note(tx, platform, Happened(who, "sign_in.failed", who if known else ""), here, now)
                if shuts_account and known:
                    await notifications.tell(tx, notices.sign_ins_failed(known.id, at=now), at=now)
                if shuts_address:
                    await notifications.tell(tx, notices.sign_ins_failed(None, at=now), at=now)
            else:  # right so far; the try of the account stays, or codes could be tried without end
                await throttles.give_back(tx, platform.key, throttles.ADDRESS, here.neighbourhood)
        else:
            _note(tx, platform, Happened(who, "sign_in", f"sign_in:{outcome.sign_in.id}"), here, now)
            await throttles.clear(tx, platform.key, throttles.ACCOUNT, account)
            await throttles.give_back(tx, platform.key, throttles.ADDRESS, here.neighbourhood)
    if isinstance(outcome, NotSignedIn):  # raised only now: the entry in the audit log stays
        raise outcome
    return outcome


async def _decide(
    tx: Tx, platform: Platform, known: User | None, given: Given, here: Here, now: datetime
) -> SignedIn | NotSignedIn:
    user = await users.get(tx, known.id, locked=True) if known else None
    if user is None or known is None or user.state != users.ACTIVE or user.password_hash != known.password_hash:
        return NotSignedIn(_WRONG, field="password")
    if user.totp is not None and not given.code:
        return SecondFactorNeeded("A code of your authenticator app is needed.", field="code")
    if not await totp.passes(tx, platform.key, user, given.code or "", at=now):
        return NotSignedIn("This code is not right, or was used.", field="code")
    return await signins.begin(tx, user, kind=given.kind, here=here, at=now)


async def accept(
    platform: Platform, work: Passwords, token: str, *, password: str, email: str | None, name: str, here: Here
) -> User:
    """Use a one-time link: make the account, or give it a new password. Raises `NotFound`, `Invalid`, `Conflict`."""
    async with platform.database.reading() as tx:
        opened = await users.open_link(tx, token, at=await platform.clock.now(tx))
        theirs = opened.user.email if opened.user else users.address(opened.link.email or email or "")
    passwords.check(password, email=theirs, name=name)
    kept = await work.hash(password)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        user = await users.use_link(tx, platform.key, token, password_hash=kept, email=email, name=name, at=now)
        action = "user.password_reset" if opened.user else "user.joined"
        details = {} if opened.user else {"role": user.role, "user_link": opened.link.id}
        _note(tx, platform, Happened(f"user:{user.id}", action, f"user:{user.id}", details=details), here, now)
    return user


async def change_password(
    platform: Platform, work: Passwords, user_id: int, *, current: str, new: str, here: Here
) -> None:
    """Ends every sign-in of the user, also the one that asks. Wrong tries count as those to sign in do."""
    user = await confirm_password(platform, work, user_id, current, field="current_password")
    passwords.check(new, email=user.email, name=user.name)
    kept = await work.hash(new)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await users.set_password(tx, platform.key, await users.get(tx, user_id, locked=True), kept, at=now)
        _note(tx, platform, Happened(f"user:{user_id}", "user.password_changed", f"user:{user_id}"), here, now)


async def confirm_password(
    platform: Platform, work: Passwords, user_id: int, password: str, *, field: str = "password"
) -> User:
    """It is really this user who sits there. Raises `Invalid` or `TooMany`."""
    async with platform.database.transaction() as tx:
        user = await users.get(tx, user_id)
        await throttles.take(tx, platform.key, throttles.ACCOUNT, user.email, at=await platform.clock.now(tx))
    if not await work.fits(password, user.password_hash):
        raise Invalid("The password is not right.", field=field)
    async with platform.database.transaction() as tx:
        await throttles.clear(tx, platform.key, throttles.ACCOUNT, user.email)
    return user


async def confirm_second_factor(platform: Platform, user_id: int, code: str, here: Here) -> Sequence[str]:
    """The recovery codes, shown this once. Wrong codes count as wrong tries to sign in do."""
    async with platform.database.transaction() as tx:
        user = await users.get(tx, user_id)
        await throttles.take(tx, platform.key, throttles.ACCOUNT, user.email, at=await platform.clock.now(tx))
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        codes = await totp.confirm(tx, platform.key, await users.get(tx, user_id, locked=True), code, at=now)
        await throttles.clear(tx, platform.key, throttles.ACCOUNT, user.email)
        _note(tx, platform, Happened(f"user:{user_id}", "user.second_factor_on", f"user:{user_id}"), here, now)
    return codes


async def drop_second_factor(platform: Platform, user_id: int, here: Here) -> None:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        await totp.off(tx, await users.get(tx, user_id, locked=True))
        _note(tx, platform, Happened(f"user:{user_id}", "user.second_factor_off", f"user:{user_id}"), here, now)


async def refresh(platform: Platform, token: str, here: Here) -> SignedIn:
    """Raises `NotSignedIn`; a refresh token that comes a second time ends its sign-in."""
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        renewed = await signins.refresh(tx, token, at=now)
        if isinstance(renewed, signins.Reused):
            what = Happened(audit.NOBODY, "refresh_token.reused", f"sign_in:{renewed.sign_in_id}")
            _note(tx, platform, what, here, now)
    if isinstance(renewed, signins.Reused):
        raise NotSignedIn("This refresh token was used before; its sign-in is ended.", hint="Sign in again.")
    return renewed


def _note(tx: Tx, platform: Platform, what: Happened, here: Here, now: datetime) -> None:
    known = {"address": here.address, "request_id": here.request_id}
    audit.record(
        tx, platform.key, Happened(what.actor, what.action, what.subject, **known, details=what.details), at=now
    )

"""People who sign in: nobody makes an account for themselves, and none comes with a password."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, update

from core import notices, notifications, signins, throttles, totp
from core.database import Tx
from core.errors import Conflict, Invalid, NotAllowed, NotFound
from core.keys import MasterKey
from core.models import User, UserLink
from core.roles import ROLE_NAMES

ACTIVE, DISABLED = "active", "disabled"
INVITE, RESET = "invite", "reset"
INVITE_LASTS = timedelta(days=7)
RESET_LASTS = timedelta(hours=24)
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}")
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
MAX_AVATAR_BYTES = 64 * 1024
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]+\.[^@\s.]{2,}")


@dataclass(frozen=True, slots=True)
class Changes:
    """What is None stays."""

    name: str | None = None
    language: str | None = None
    email: str | None = None
    role: str | None = None
    is_disabled: bool | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """What a link is good for. `user` is None for an invitation."""

    link: UserLink
    user: User | None


# ---- links --------------------------------------------------------------------------------------------------


async def invite(tx: Tx, *, role: str, email: str | None = None, at: datetime) -> str:
    """The token of a link that makes one account. Without `email` whoever has the link says it: for the first admin."""
    if email is not None:
        email = address(email)
        if await _by_email(tx, email):
            raise Conflict(f"There is an account for {email} already.", field="email")
        open_ones = UserLink.kind == INVITE, UserLink.email == email, UserLink.used_at.is_(None)
        await tx.execute(update(UserLink).where(*open_ones).values(used_at=at))
    return await _link(tx, UserLink(kind=INVITE, role=_role(role), email=email), lasts=INVITE_LASTS, at=at)


async def first_admin(tx: Tx, *, at: datetime) -> str | None:
    """The token of an invitation for an admin; None where there is a user already. Those given before are void."""
    if (await tx.execute(select(User.id).limit(1))).first():
        return None
    nobodys = UserLink.kind == INVITE, UserLink.email.is_(None), UserLink.used_at.is_(None)
    await tx.execute(update(UserLink).where(*nobodys).values(used_at=at))
    return await invite(tx, role="admin", at=at)


async def reset_link(tx: Tx, user_id: int, *, at: datetime) -> str:
    """The token of a link that gives this user a new password; those given before are void."""
    user = await get(tx, user_id)
    open_ones = UserLink.user_id == user.id, UserLink.used_at.is_(None)
    await tx.execute(update(UserLink).where(*open_ones).values(used_at=at))
    return await _link(tx, UserLink(kind=RESET, user_id=user.id), lasts=RESET_LASTS, at=at)


async def _link(tx: Tx, row: UserLink, *, lasts: timedelta, at: datetime) -> str:
    token = secrets.token_urlsafe(32)
    row.token_hash, row.created_at, row.expires_at = _hash(token), at, at + lasts
    tx.add(row)
    await tx.flush()
    return token


async def open_link(tx: Tx, token: str, *, at: datetime, locked: bool = False) -> Opened:
    """Raises `NotFound`, the same for a link that never was, was used or is too old."""
    wanted = select(UserLink).where(UserLink.token_hash == _hash(token))
    row = (await tx.execute(wanted.with_for_update() if locked else wanted)).scalar()
    user = await tx.get(User, row.user_id) if row is not None and row.user_id is not None else None
    is_dead = row is None or row.used_at is not None or row.expires_at <= at
    if row is None or is_dead or (user is not None and user.state != ACTIVE):
        raise NotFound("This link is not good any more.", field="token", hint="Ask an admin for another.")
    return Opened(row, user)


async def use_link(
    tx: Tx, key: MasterKey, token: str, *, password_hash: str, email: str | None, name: str, at: datetime
) -> User:
    """The account that was made, or the one whose password is new; its sign-ins are ended."""
    opened = await open_link(tx, token, at=at, locked=True)
    opened.link.used_at = at
    if opened.user is not None:
        await set_password(tx, key, opened.user, password_hash, at=at)
        return opened.user
    theirs = address(opened.link.email or email or "")
    if await _by_email(tx, theirs):
        raise Conflict("There is an account for this address already.", field="email")
    user = User(
        email=theirs,
        name=_name(name),
        role=_role(opened.link.role or ""),
        state=ACTIVE,
        password_hash=password_hash,
        password_changed_at=at,
        totp_step=0,
        created_at=at,
        updated_at=at,
    )
    tx.add(user)
    await tx.flush()
    if user.role == "admin":
        await notifications.tell(tx, notices.made_admin(user, at=at), at=at)
    return user


# ---- people -------------------------------------------------------------------------------------------------


async def get(tx: Tx, user_id: int, *, locked: bool = False) -> User:
    user = await tx.get(User, user_id, with_for_update=locked or None)
    if user is None:
        raise NotFound(f"There is no user {user_id}.", field="user_id")
    return user


async def by_email(tx: Tx, email: str) -> User | None:
    """None also for what is no address."""
    return await _by_email(tx, email.strip().casefold())


async def listed(tx: Tx, *, after: int, limit: int) -> Sequence[User]:
    return (await tx.execute(select(User).where(User.id > after).order_by(User.id).limit(limit))).scalars().all()


async def to_change(tx: Tx, user_id: int) -> User:
    """Locked, as `change` locks: two admins who demote each other at once wait here for one another."""
    await tx.execute(select(User.id).where(User.role == "admin").order_by(User.id).with_for_update())
    return await get(tx, user_id, locked=True)


async def change(tx: Tx, user_id: int, changes: Changes, *, at: datetime) -> User:
    """Counts from the next request of that user. Somebody who may let others in always remains."""
    user = await to_change(tx, user_id)
    before = (user.role, user.state)
    if changes.email is not None and (email := address(changes.email)) != user.email:
        if await _by_email(tx, email):
            raise Conflict("There is an account for this address already.", field="email")
        user.email = email
    if changes.name is not None:
        user.name = _name(changes.name)
    if changes.language is not None:
        user.language = _language(changes.language)
    if changes.role is not None:
        user.role = _role(changes.role)
    if changes.is_disabled is not None:
        user.state = DISABLED if changes.is_disabled else ACTIVE
    user.updated_at = at
    await tx.flush()
    if before == ("admin", ACTIVE) and (user.role, user.state) != before and not await _admins(tx):
        raise Conflict("This is the last admin.", field="role", hint="Make somebody else an admin first.")
    if (user.role, user.state) == ("admin", ACTIVE) != before:
        await notifications.tell(tx, notices.made_admin(user, at=at), at=at)
    if user.state == DISABLED:
        await signins.end_all(tx, user.id, why="disabled", at=at)
    return user


async def avatar(tx: Tx, user_id: int) -> bytes | None:
    return (await tx.execute(select(User.avatar).where(User.id == user_id))).scalar()


async def set_avatar(tx: Tx, user_id: int, picture: bytes | None, *, at: datetime) -> User:
    """PNG or JPEG; None takes it away. Kept as it comes: whoever shows it says of which type it is."""
    if picture is not None and (len(picture) > MAX_AVATAR_BYTES or not picture.startswith(_PICTURES)):
        raise Invalid("A picture is a PNG or JPEG of at most 64 KiB.", field="picture")
    user = await get(tx, user_id, locked=True)
    user.avatar, user.updated_at = picture, at
    await tx.flush()
    return user


async def set_password(tx: Tx, key: MasterKey, user: User, password_hash: str, *, at: datetime) -> None:
    """Whoever was signed in with the old one is not any more, and no link to replace it is good any longer."""
    open_ones = UserLink.kind == RESET, UserLink.user_id == user.id, UserLink.used_at.is_(None)
    await tx.execute(update(UserLink).where(*open_ones).values(used_at=at))
    user.password_hash, user.password_changed_at, user.updated_at = password_hash, at, at
    await signins.end_all(tx, user.id, why="password_changed", at=at)
    await throttles.clear(tx, key, throttles.ACCOUNT, user.email)
    await tx.flush()


async def drop_second_factor(tx: Tx, user_id: int, *, at: datetime) -> User:
    """For somebody whose phone is lost; an admin's decision."""
    user = await get(tx, user_id, locked=True)
    await totp.off(tx, user)
    user.updated_at = at
    return user


def own_role_stays(user_id: int, by_user_id: int | None, changes: Changes) -> None:
    """Raises `NotAllowed` where an admin takes away their own rights: that is another admin's to do."""
    if user_id == by_user_id and (changes.role is not None or changes.is_disabled):
        raise NotAllowed("Nobody changes their own role.", hint="Another admin can.")


def address(email: str) -> str:
    """As it is kept. Raises `Invalid`."""
    plain = email.strip().casefold()
    if len(plain) > 254 or not _EMAIL.fullmatch(plain):
        raise Invalid("This is no e-mail address.", field="email", hint="Example: noura@example.com")
    return plain


async def _by_email(tx: Tx, email: str) -> User | None:
    return (await tx.execute(select(User).where(User.email == email))).scalar()


async def _admins(tx: Tx) -> int:
    found = await tx.execute(select(func.count()).where(User.role == "admin", User.state == ACTIVE))
    return int(found.scalar_one())


def _role(role: str) -> str:
    if role not in ROLE_NAMES:
        raise Invalid(f"There is no role {role!r}.", field="role", hint=f"Roles: {', '.join(ROLE_NAMES)}.")
    return role


def _language(language: str) -> str:
    if not _LANGUAGE.fullmatch(language):
        raise Invalid("This is no code of a language.", field="language", hint="Examples: ar, en, pt-BR")
    return language


def _name(name: str) -> str:
    if len(name) > 200:
        raise Invalid("A name has at most 200 characters.", field="name")
    return name.strip()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()

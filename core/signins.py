"""Where people are signed in: each can be seen and ended, and counts from the next request on."""

import hashlib
import ipaddress
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import jwt
from sqlalchemy import delete, select, update

from core.database import Database, Tx
from core.errors import NotFound, NotSignedIn
from core.keys import MasterKey
from core.models import RefreshToken, SignIn, User

Kind = Literal["browser", "tokens"]
BROWSER_LASTS = timedelta(hours=12)
TOKENS_LAST = timedelta(days=30)
ACCESS_LASTS = timedelta(minutes=15)
_KEPT = timedelta(days=90)
_ALGORITHM = "HS256"
_SECRET_BYTES = 32
_BY_OUR_CLOCK: Any = {"verify_exp": False, "verify_iat": False}  # the database's; it is compared below
_HINT = "Sign in again."


@dataclass(frozen=True, slots=True)
class Here:
    """Where a request came from."""

    address: str
    agent: str = ""
    request_id: str = ""

    @property
    def neighbourhood(self) -> str:
        """What tries are counted by."""
        return neighbourhood(self.address)


def neighbourhood(address: str) -> str:
    """Of IPv6 the network that one subscriber has, with all of its addresses; empty for what is none."""
    try:
        is_v6 = ipaddress.ip_address(address).version == 6
        return str(ipaddress.ip_network(f"{address}/64", strict=False)) if is_v6 else address
    except ValueError:
        return ""


@dataclass(frozen=True, slots=True)
class Reused:
    """The refresh token was used before: two have it, so the whole sign-in is ended."""

    sign_in_id: int


@dataclass(frozen=True, slots=True)
class SignedIn:
    """`secret` is the cookie, or the refresh token; shown now and never again."""

    user: User
    sign_in: SignIn
    secret: str


async def begin(tx: Tx, user: User, *, kind: Kind, here: Here, at: datetime) -> SignedIn:
    """A new one, with a secret of its own: what the browser had before counts for nothing."""
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    row = SignIn(
        user_id=user.id,
        kind=kind,
        secret_hash=_hash(secret) if kind == "browser" else None,
        address=here.address[:45],
        agent=here.agent[:200],
        created_at=at,
        last_seen_at=at,
        expires_at=at + (BROWSER_LASTS if kind == "browser" else TOKENS_LAST),
    )
    tx.add(row)
    await tx.flush()
    if kind == "tokens":
        tx.add(RefreshToken(sign_in_id=row.id, token_hash=_hash(secret), created_at=at))
    user.last_sign_in_at = at
    await tx.flush()
    return SignedIn(user, row, secret)


async def by_cookie(tx: Tx, secret: str, *, at: datetime) -> tuple[SignIn, User]:
    """Raises `NotSignedIn`."""
    return await _valid(tx, SignIn.secret_hash == _hash(secret), at=at)


async def by_access_token(tx: Tx, key: MasterKey, token: str, *, at: datetime) -> tuple[SignIn, User]:
    """Raises `NotSignedIn`. The row is looked up each time: a token dies with its sign-in, not after 15 minutes."""
    try:
        said = jwt.decode(token, _signing_key(key), algorithms=[_ALGORITHM], options=_BY_OUR_CLOCK)
        sign_in_id, ends = int(said["sid"]), int(said["exp"])
    except (jwt.InvalidTokenError, KeyError, ValueError, TypeError):
        raise NotSignedIn("This access token is not ours.", hint=_HINT) from None
    if ends <= at.timestamp():
        raise NotSignedIn("This access token has expired.", hint="Get another with the refresh token.")
    return await _valid(tx, SignIn.id == sign_in_id, at=at)


async def _valid(tx: Tx, which: object, *, at: datetime) -> tuple[SignIn, User]:
    found = (
        await tx.execute(select(SignIn, User).join(User, User.id == SignIn.user_id).where(which))  # type: ignore[arg-type]
    ).first()
    if found is None or not _counts(found[0], found[1], at=at):
        raise NotSignedIn("You are not signed in any more.", hint=_HINT)
    return found[0], found[1]


async def valid(tx: Tx, ids: Collection[int], *, at: datetime) -> Mapping[int, tuple[SignIn, User]]:
    """Those of `ids` that count now, by id, with who they are."""
    query = select(SignIn, User).join(User, User.id == SignIn.user_id).where(SignIn.id.in_(ids))
    rows = await tx.execute(query)
    return {sign_in.id: (sign_in, user) for sign_in, user in rows if _counts(sign_in, user, at=at)}


def _counts(sign_in: SignIn, user: User, *, at: datetime) -> bool:
    return sign_in.ended_at is None and sign_in.expires_at > at and user.state == "active"


def access_token(key: MasterKey, signed_in: SignedIn, *, at: datetime) -> str:
    user = signed_in.user
    said = {"sub": str(user.id), "id": user.id, "email": user.email, "role": user.role, "sid": signed_in.sign_in.id}
    times = {"iat": int(at.timestamp()), "exp": int((at + ACCESS_LASTS).timestamp())}
    return jwt.encode({**said, **times}, _signing_key(key), algorithm=_ALGORITHM)


async def refresh(tx: Tx, token: str, *, at: datetime) -> SignedIn | Reused:
    """A new refresh token for this one. `Reused`: commit that, then refuse. Raises `NotSignedIn`."""
    row = (
        await tx.execute(select(RefreshToken).where(RefreshToken.token_hash == _hash(token)).with_for_update())
    ).scalar()
    if row is None:
        raise NotSignedIn("This refresh token is not known.", hint=_HINT)
    if row.used_at is not None:
        await end(tx, row.sign_in_id, why="refresh_token_reused", at=at)
        return Reused(row.sign_in_id)
    sign_in, user = await _valid(tx, SignIn.id == row.sign_in_id, at=at)
    row.used_at = at
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    tx.add(RefreshToken(sign_in_id=sign_in.id, token_hash=_hash(secret), created_at=at))
    await tx.flush()
    return SignedIn(user, sign_in, secret)


async def end(tx: Tx, sign_in_id: int, *, why: str, at: datetime, of: int | None = None) -> None:
    """For good; ending again changes nothing. `of`: raises `NotFound` unless it is this user's."""
    row = await tx.get(SignIn, sign_in_id, with_for_update=True)
    if row is None or (of is not None and row.user_id != of):
        raise NotFound(f"There is no sign-in {sign_in_id}.", field="sign_in_id")
    if row.ended_at is None:
        row.ended_at, row.ended_why = at, why
    await tx.flush()


async def end_all(tx: Tx, user_id: int, *, why: str, at: datetime) -> int:
    open_ones = update(SignIn).where(SignIn.user_id == user_id, SignIn.ended_at.is_(None))
    done = await tx.execute(open_ones.values(ended_at=at, ended_why=why))
    return int(done.rowcount)  # type: ignore[attr-defined]


async def listed(tx: Tx, user_id: int, *, at: datetime) -> Sequence[SignIn]:
    """Those in force, the newest first."""
    valid = SignIn.user_id == user_id, SignIn.ended_at.is_(None), SignIn.expires_at > at
    return (await tx.execute(select(SignIn).where(*valid).order_by(SignIn.id.desc()).limit(200))).scalars().all()


async def note_use(tx: Tx, used: Mapping[int, datetime]) -> None:
    """When each was used last, by id. Another process may have seen a later use."""
    for sign_in_id in sorted(used):
        at = used[sign_in_id]
        await tx.execute(
            update(SignIn).where(SignIn.id == sign_in_id, SignIn.last_seen_at < at).values(last_seen_at=at)
        )


async def purge(database: Database, *, at: datetime) -> int:
    """Forget those that ended long ago, with the addresses they came from."""
    async with database.transaction() as tx:
        gone = await tx.execute(delete(SignIn).where(SignIn.expires_at < at - _KEPT))
        return int(gone.rowcount)  # type: ignore[attr-defined]


def csrf_token(key: MasterKey, cookie: str) -> str:
    """What a browser has to say beside its cookie; a page of somebody else's cannot know it."""
    return key.hash("csrf", cookie)


def _signing_key(key: MasterKey) -> bytes:
    return bytes.fromhex(key.hash("access-tokens", "signing"))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()

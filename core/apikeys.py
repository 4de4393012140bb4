"""Keys by which programs come in: shown once, kept as a hash, refused at once when revoked or expired."""

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import select, update

from core import notices, notifications
from core.database import Tx
from core.errors import Conflict, Invalid, NotFound, NotSignedIn
from core.events import ApiKeyMoved, publish
from core.keys import MasterKey
from core.models import ApiKey
from core.roles import SCOPE_NAMES

SCOPES = SCOPE_NAMES
"""What each may do: core/roles.py."""

Kind = Literal["program", "service"]
PROGRAM: Kind = "program"
SERVICE: Kind = "service"
OUR_SERVICES = ("api", "flows")
"""What our own processes are called in the audit log."""

_SERVICE_NAME = re.compile(r"[a-z][a-z0-9-]{0,29}")
_PREFIX_BYTES = 5
_LONGEST_PREFIX = 16
_SECRET_BYTES = 32  # of such length a plain hash is as good as a slow one: nobody guesses it
_NOBODY = "0" * 64
_HINT = "Send the header Authorization: Bearer wq_… with a key made by: waqtor keys create"


@dataclass(frozen=True, slots=True)
class Created:
    """`full` is shown to its owner now and never again."""

    row: ApiKey
    full: str


async def create(
    tx: Tx,
    master: MasterKey,
    *,
    name: str,
    scopes: Iterable[str],
    expires_at: datetime | None = None,
    addresses: Sequence[str] | None = None,
    kind: Kind = PROGRAM,
    at: datetime,
) -> Created:
    """`addresses`: the only ones, or networks such as 10.0.0.0/8, that it is taken from. A `service` is a part of the
    installation: known in the audit log by its name, and never an admin."""
    wanted = [scope for scope in SCOPES if scope in set(scopes)]
    if unknown := sorted(set(scopes) - set(SCOPES)):
        raise Invalid(f"There is no scope {unknown[0]!r}.", field="scopes", hint=f"Scopes: {', '.join(SCOPES)}.")
    if not wanted:
        raise Invalid("A key without a scope can do nothing.", field="scopes", hint=f"Scopes: {', '.join(SCOPES)}.")
    if not name.strip() or len(name) > 100:
        raise Invalid("A key has a name of 1 to 100 characters, to be known by in the list.", field="name")
    if kind == SERVICE:
        await _check_service(tx, name.strip(), wanted, at=at)
    if expires_at is not None and expires_at <= at:
        raise Invalid("This moment has passed.", field="expires_at")
    prefix, secret = secrets.token_hex(_PREFIX_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    row = ApiKey(
        name=name.strip(),
        prefix=prefix,
        key_hash=_hash(master, secret),
        signing=master.encrypt({"secret": signing_secret(secret)}),
        kind=kind,
        scopes=wanted,
        addresses=_networks(addresses) if addresses else None,
        created_at=at,
        expires_at=expires_at,
    )
    tx.add(row)
    await tx.flush()
    await publish(tx, ApiKeyMoved(api_key_id=row.id, what="created"), at=at)
    await notifications.tell(tx, notices.key_made(row), at=at)
    return Created(row=row, full=f"wq_{prefix}_{secret}")


async def authenticate(tx: Tx, master: MasterKey, full: str, *, address: str = "", at: datetime) -> ApiKey:
    """The key that is valid now and from there; raises `NotSignedIn`, which tells why only to who holds the secret."""
    mark, _, rest = full.partition("_")
    prefix, _, secret = rest.partition("_")
    row = await _look_up(tx, prefix) if mark == "wq" else None
    is_old = row is not None and row.signing is None  # its hash is a plain one
    made = signing_secret(secret) if is_old else _hash(master, secret)
    if not hmac.compare_digest(made, row.key_hash if row else _NOBODY) or row is None:
        raise NotSignedIn("This API key is not known.", hint=_HINT)
    if row.revoked_at is not None:
        raise NotSignedIn("This API key was revoked.", hint=_HINT)
    if row.expires_at is not None and row.expires_at <= at:
        raise NotSignedIn("This API key has expired.", hint=_HINT)
    if not is_taken_from(row, address):
        raise NotSignedIn(
            "This API key is not taken from this address.", hint="Behind a proxy: is it among trusted_proxies?"
        )
    return row


async def by_prefix(tx: Tx, prefix: str, *, address: str, at: datetime) -> ApiKey | None:
    """The key of that prefix where it is valid now and from there. Not yet who asks: that takes its secret."""
    row = await _look_up(tx, prefix)
    if row is None or not _counts(row, at=at) or not is_taken_from(row, address):
        return None
    return row


async def _look_up(tx: Tx, prefix: str) -> ApiKey | None:
    """What cannot be a prefix the database is not asked for: PostgreSQL takes no NUL."""
    if not (prefix.isascii() and prefix.isalnum() and len(prefix) <= _LONGEST_PREFIX):
        return None
    return (await tx.execute(select(ApiKey).where(ApiKey.prefix == prefix))).scalar()


async def valid(tx: Tx, ids: Collection[int], *, at: datetime) -> Mapping[int, ApiKey]:
    """Those of `ids` that count now, by id."""
    rows = (await tx.execute(select(ApiKey).where(ApiKey.id.in_(ids)))).scalars()
    return {row.id: row for row in rows if _counts(row, at=at)}


def is_taken_from(row: ApiKey, address: str) -> bool:
    return not row.addresses or _within(address, row.addresses)


def _counts(row: ApiKey, *, at: datetime) -> bool:
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > at)


async def note_use(tx: Tx, used: Mapping[int, datetime]) -> None:
    """When each was used last, by id. Another process may have seen a later use."""
    for key_id in sorted(used):
        at = used[key_id]
        earlier = ApiKey.last_used_at.is_(None) | (ApiKey.last_used_at < at)
        await tx.execute(update(ApiKey).where(ApiKey.id == key_id, earlier).values(last_used_at=at))


async def revoke(tx: Tx, key_id: int, *, at: datetime) -> ApiKey:
    """For good, and from the next request on. Revoking again changes nothing."""
    row = await tx.get(ApiKey, key_id, with_for_update=True)
    if row is None:
        raise NotFound(f"There is no API key {key_id}.", field="api_key_id")
    if row.revoked_at is None:
        row.revoked_at = at
        await publish(tx, ApiKeyMoved(api_key_id=row.id, what="revoked"), at=at)
        await notifications.tell(tx, notices.key_revoked(row), at=at)
    return row


async def listed(tx: Tx, *, after: int, limit: int, kind: Kind | None = None) -> Sequence[ApiKey]:
    wanted = select(ApiKey).where(ApiKey.id > after).order_by(ApiKey.id).limit(limit)
    rows = await tx.execute(wanted if kind is None else wanted.where(ApiKey.kind == kind))
    return rows.scalars().all()


async def _check_service(tx: Tx, name: str, scopes: Sequence[str], *, at: datetime) -> None:
    if not _SERVICE_NAME.fullmatch(name) or name in OUR_SERVICES:
        hint = f"Small letters, digits and hyphens, at most 30; not {' or '.join(OUR_SERVICES)}, which are ours."
        raise Invalid("This is no name of a service.", field="name", hint=hint)
    if "admin" in scopes:
        raise Invalid("A service is no admin: it lets nobody in.", field="scopes", hint="Scopes: read, write, send.")
    in_force = ApiKey.kind == SERVICE, ApiKey.revoked_at.is_(None), ApiKey.name == name
    for old in (await tx.execute(select(ApiKey).where(*in_force).with_for_update())).scalars():
        if old.expires_at is None or old.expires_at > at:
            raise Conflict(f"The service {name} has a key: {old.id}.", field="name", hint="Revoke that one first.")
        old.revoked_at = at
    await tx.flush()


def _networks(addresses: Sequence[str]) -> list[str]:
    try:
        return [str(ipaddress.ip_network(one.strip(), strict=False)) for one in addresses]
    except ValueError:
        raise Invalid(
            "One of these is no address.", field="addresses", hint="Examples: 203.0.113.7, 10.0.0.0/8, 2001:db8::/32"
        ) from None


def _within(address: str, networks: Sequence[str]) -> bool:
    try:
        plain = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(plain in ipaddress.ip_network(one) for one in networks)


def signing_secret(secret: str) -> str:
    """What the owner of a key signs with: the hex SHA-256 of its secret part. Who has it can come in by a signature."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def signs_with(master: MasterKey, row: ApiKey) -> str:
    """`signing_secret` of this key, as it is kept."""
    return row.key_hash if row.signing is None else str(master.decrypt(row.signing)["secret"])


async def reseal(tx: Tx, master: MasterKey) -> int:
    """Every stored secret under the newest encryption key."""
    rows = (await tx.execute(select(ApiKey).where(ApiKey.signing.is_not(None)))).scalars().all()
    for row in rows:
        row.signing = master.reseal(row.signing) if row.signing else None
    return len(rows)


def _hash(master: MasterKey, secret: str) -> str:
    """Keyed, so that the database alone tells nothing that lets anybody in."""
    return master.hash("api-key", signing_secret(secret))

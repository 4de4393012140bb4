"""Coming in without showing a secret: a request that is signed with a key, and a ticket that is good once."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jwt
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError

from core import apikeys
from core.database import Database, Tx
from core.errors import NotSignedIn
from core.keys import MasterKey
from core.models import ApiKey, Nonce

CLOCKS_APART = timedelta(minutes=5)
TICKET_LASTS = timedelta(seconds=30)
_NONCE_LENGTH = range(8, 101)
_ALGORITHM = "HS256"
_BY_OUR_CLOCK: Any = {"verify_exp": False, "verify_iat": False}


@dataclass(frozen=True, slots=True)
class Signed:
    """What a signed request says. `bound_to`: the address it was signed for; empty where it may come from any."""

    key: str
    timestamp_ms: int
    nonce: str
    signature: str
    bound_to: str = ""

    @property
    def text(self) -> bytes:
        """What the signature is over."""
        return ".".join((self.key, str(self.timestamp_ms), self.nonce, self.bound_to)).encode()


def signature(secret: str, text: bytes) -> str:
    """Hex HMAC-SHA256, keyed with the hex SHA-256 of the key's secret part: that is what the server has of it,
    encrypted."""
    return _hmac(apikeys.signing_secret(secret), text)


def _hmac(signs_with: str, text: bytes) -> str:
    return hmac.new(signs_with.encode(), text, hashlib.sha256).hexdigest()


async def by_signature(tx: Tx, master: MasterKey, said: Signed, *, address: str, at: datetime) -> ApiKey:
    """The key it is signed with. Only looks: who cannot sign takes no lock. `spend` its nonce before it counts. Raises
    `NotSignedIn`."""
    key = await apikeys.by_prefix(tx, said.key, address=address, at=at)
    expected = _hmac(apikeys.signs_with(master, key) if key else secrets.token_hex(32), said.text)
    if not hmac.compare_digest(expected.encode(), said.signature.encode()) or key is None:
        raise NotSignedIn("The signature is not right.", field="sig")
    if key.signing is None:  # what it would sign with can be read in any copy of the database
        raise NotSignedIn("This key is too old to sign with. Make another.", field="sig")
    if abs(at.timestamp() - said.timestamp_ms / 1000) > CLOCKS_APART.total_seconds():
        raise NotSignedIn("The signature is too old, or your clock is wrong.", field="ts")
    if said.bound_to and said.bound_to != address:
        raise NotSignedIn("The signature is for another address.", field="ip")
    if len(said.nonce) not in _NONCE_LENGTH:
        raise NotSignedIn("A nonce has 8 to 100 characters.", field="nonce")
    return key


def ticket(key: MasterKey, about: Mapping[str, Any], *, at: datetime) -> str:
    """Good once, for `TICKET_LASTS`: a browser's script can put it into an address, where no secret belongs."""
    said = {**about, "jti": secrets.token_hex(16), "exp": int((at + TICKET_LASTS).timestamp()) + 1}
    return jwt.encode(said, _signing_key(key), algorithm=_ALGORITHM)


def by_ticket(key: MasterKey, given: str, *, at: datetime) -> Mapping[str, Any]:
    """What the ticket is about. `spend` its `jti` before it counts. Raises `NotSignedIn`."""
    try:
        said: dict[str, Any] = jwt.decode(given, _signing_key(key), algorithms=[_ALGORITHM], options=_BY_OUR_CLOCK)
        ends, _ = int(said["exp"]), str(said["jti"])
    except (jwt.InvalidTokenError, KeyError, ValueError, TypeError):
        raise NotSignedIn("This ticket is not ours.", field="ticket") from None
    if ends <= at.timestamp():
        raise NotSignedIn("This ticket has expired.", field="ticket")
    return said


async def spend(tx: Tx, word: str, *, at: datetime) -> None:
    """It is good once. Raises `NotSignedIn` for one that was spent."""
    try:
        async with tx.begin_nested():
            tx.add(Nonce(word=hashlib.sha256(word.encode()).hexdigest(), until=at + 2 * CLOCKS_APART))
    except IntegrityError:
        raise NotSignedIn("This was used before: it is good once.", field="nonce") from None


async def purge(database: Database, *, at: datetime) -> int:
    """Forget what nobody could use again anyway; returns how many."""
    async with database.transaction() as tx:
        gone = await tx.execute(delete(Nonce).where(Nonce.until < at))
        return int(gone.rowcount)  # type: ignore[attr-defined]


def _signing_key(key: MasterKey) -> bytes:
    return bytes.fromhex(key.hash("tickets", "signing"))

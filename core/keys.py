"""The master key: outside the database, so that a stolen database alone opens no secret and names nobody."""

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from core.errors import Conflict, MasterKeyMissing, MasterKeyWrong

_LOOKUP_BYTES = 32


@dataclass(frozen=True)
class MasterKey:
    """`encryption` is newest first: the first encrypts, all decrypt. `lookup` never rotates: it keys the
    hashes by which a suppressed person is known again, and those cannot be recomputed from the database."""

    encryption: tuple[bytes, ...] = field(repr=False)
    lookup: bytes = field(repr=False)

    def encrypt(self, secret: Mapping[str, Any]) -> bytes:
        return self._box.encrypt(orjson.dumps(dict(secret)))

    def decrypt(self, sealed: bytes) -> dict[str, Any]:
        try:
            opened: dict[str, Any] = orjson.loads(self._box.decrypt(sealed))
        except InvalidToken:
            raise MasterKeyWrong(
                "A stored secret cannot be opened with this master key.",
                hint="Put back the key file this database was written with (WAQTOR_MASTER_KEY_FILE).",
            ) from None
        return opened

    def reseal(self, sealed: bytes) -> bytes:
        """The same secret under the newest key."""
        return self.encrypt(self.decrypt(sealed))

    def hash(self, kind: str, value: str) -> str:
        """The keyed hash (hex, 64) of an identity; equal input gives equal hash on this installation only."""
        return hmac.new(self.lookup, f"{kind}:{value}".encode(), hashlib.sha256).hexdigest()

    @property
    def fingerprint(self) -> str:
        """Tells a wrong key file from the right one; reveals nothing of it."""
        return hmac.new(self.lookup, b"fingerprint", hashlib.sha256).hexdigest()[:16]

    def check(self) -> None:
        """Raises `ValueError` where a part is not a key: found at start, not at the first secret."""
        if len(self.lookup) != _LOOKUP_BYTES or not self.encryption:
            raise ValueError("not a master key")
        self._box  # noqa: B018  # Fernet refuses what is not a key of its kind

    @property
    def _box(self) -> MultiFernet:
        return MultiFernet([Fernet(key) for key in self.encryption])


def init(path: Path) -> MasterKey:
    """Create the key file (mode 0600). Never overwrites one: that would lose every secret."""
    key = MasterKey(encryption=(Fernet.generate_key(),), lookup=secrets.token_bytes(_LOOKUP_BYTES))
    try:
        _write(path, key, replace=False)
    except FileExistsError:
        raise Conflict(f"There is a master key at {path} already.", hint="To change it: waqtor keys rotate") from None
    return key


def load(path: Path) -> MasterKey:
    try:
        raw = orjson.loads(path.read_bytes())
        key = MasterKey(
            encryption=tuple(str(key).encode() for key in raw["encryption"]),
            lookup=base64.b64decode(raw["lookup"], validate=True),
        )
        key.check()
    except FileNotFoundError:
        raise MasterKeyMissing(
            f"The master key {path} is not there.",
            hint="A new installation: waqtor keys init. An existing one: put the file back from its backup; "
            "without it stored tokens and opt-outs cannot be read.",
        ) from None
    except OSError as error:
        raise MasterKeyMissing(
            f"The master key {path} cannot be read: {error.strerror}.", hint="It belongs to the user that runs WaQtor."
        ) from None
    except (orjson.JSONDecodeError, KeyError, ValueError, TypeError):
        raise MasterKeyWrong(f"{path} is not a WaQtor master key.", hint="Put back the file from its backup.") from None
    return key


def with_new_encryption_key(path: Path) -> MasterKey:
    """Add a newest encryption key and keep the old ones, so that nothing is unreadable half-way."""
    old = load(path)
    key = MasterKey(encryption=(Fernet.generate_key(), *old.encryption), lookup=old.lookup)
    _write(path, key)
    return key


def without_old_encryption_keys(path: Path) -> MasterKey:
    """Drop all but the newest; only after every stored secret was resealed and committed."""
    old = load(path)
    key = MasterKey(encryption=old.encryption[:1], lookup=old.lookup)
    _write(path, key)
    return key


def _write(path: Path, key: MasterKey, *, replace: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    body = orjson.dumps(
        {
            "encryption": [one.decode() for one in key.encryption],
            "lookup": base64.b64encode(key.lookup).decode(),
        },
        option=orjson.OPT_INDENT_2,
    )
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, body)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    # Whole or not at all: a half-written key would lose every secret.
    if replace:
        draft.replace(path)
    else:
        try:
            path.hardlink_to(draft)  # fails where a file is, also one that another process made just now
        finally:
            draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

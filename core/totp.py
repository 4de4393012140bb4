"""The second factor: codes of an authenticator app (RFC 6238), and recovery codes for when the phone is gone."""

import secrets
from collections.abc import Sequence
from datetime import datetime

import pyotp
from sqlalchemy import delete, select

from core.database import Tx
from core.errors import Conflict, Invalid
from core.keys import MasterKey
from core.models import RecoveryCode, User

STEP_S = 30
_DRIFT = 1  # steps either way: a phone's clock may be half a minute off
_RECOVERY_CODES = 10
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


def begin(key: MasterKey, user: User) -> tuple[str, str]:
    """A new secret, not in force until confirmed: (secret, otpauth address for a QR code)."""
    if user.totp is not None:
        raise Conflict("There is a second factor already.", hint="Turn it off first.")
    secret = pyotp.random_base32()
    user.totp_pending = key.encrypt({"totp": secret})
    return secret, pyotp.TOTP(secret).provisioning_uri(name=user.email, issuer_name="WaQtor")


async def confirm(tx: Tx, key: MasterKey, user: User, code: str, *, at: datetime) -> Sequence[str]:
    """Put the pending secret in force; returns recovery codes, shown this once."""
    if user.totp_pending is None:
        raise Conflict("No second factor was begun.")
    step = _step(key, user.totp_pending, code, after=0, at=at)
    if step is None:
        raise Invalid("This code is not right.", field="code", hint="Is the clock of the phone right?")
    user.totp, user.totp_pending, user.totp_step = user.totp_pending, None, step
    await tx.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    codes = ["-".join(_word() for _ in range(3)) for _ in range(_RECOVERY_CODES)]
    tx.add_all([RecoveryCode(user_id=user.id, code_hash=_hash(key, user.id, code)) for code in codes])
    await tx.flush()
    return codes


async def off(tx: Tx, user: User) -> None:
    user.totp = user.totp_pending = None
    user.totp_step = 0
    await tx.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))


async def passes(tx: Tx, key: MasterKey, user: User, code: str, *, at: datetime) -> bool:
    """Whether this is a code of now, or a recovery code; either is good once. The user's row is locked."""
    if user.totp is None:
        return True
    code = code.strip().lower().replace(" ", "")
    if (step := _step(key, user.totp, code, after=user.totp_step, at=at)) is not None:
        user.totp_step = step
        return True
    unused = RecoveryCode.user_id == user.id, RecoveryCode.used_at.is_(None)
    wanted = select(RecoveryCode).where(*unused, RecoveryCode.code_hash == _hash(key, user.id, code)).with_for_update()
    row = (await tx.execute(wanted)).scalar()
    if row is not None:
        row.used_at = at
    return row is not None


async def recovery_codes_left(tx: Tx, user_id: int) -> int:
    unused = RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None)
    return len((await tx.execute(select(RecoveryCode.id).where(*unused))).all())


async def reseal(tx: Tx, key: MasterKey) -> int:
    """Every secret under the newest encryption key; part of rotating it."""
    rows = (await tx.execute(select(User).where(User.totp.is_not(None) | User.totp_pending.is_not(None)))).scalars()
    number = 0
    for user in rows:
        user.totp = key.reseal(user.totp) if user.totp else None
        user.totp_pending = key.reseal(user.totp_pending) if user.totp_pending else None
        number += 1
    return number


def _step(key: MasterKey, sealed: bytes, code: str, *, after: int, at: datetime) -> int | None:
    """The step whose code this is; None where it is of none near now, or of one that was used."""
    if len(code) != 6 or not code.isascii() or not code.isdigit():
        return None
    generator = pyotp.HOTP(str(key.decrypt(sealed)["totp"]))
    now = int(at.timestamp()) // STEP_S
    near = [step for step in range(now - _DRIFT, now + _DRIFT + 1) if secrets.compare_digest(generator.at(step), code)]
    return next((step for step in near if step > after), None)


def _word() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(5))


def _hash(key: MasterKey, user_id: int, code: str) -> str:
    return key.hash("recovery-code", f"{user_id}:{code}")

"""Passwords: which are taken, and how they are kept. Work of tens of milliseconds, so it never stands in the way of
other requests, nor in a transaction."""

import asyncio
import unicodedata
from functools import cache
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from core.errors import Invalid

MIN_LENGTH = 10
MAX_LENGTH = 200
_AT_ONCE = 2  # each takes 19 MiB and a core: a flood of sign-ins waits here instead of taking the machine
_HINT = "Four or five words that do not belong together are easy to keep and hard to guess."

# OWASP's first choice for argon2id at 19 MiB: about 20 ms, some fifty guesses a second for who stole the hashes.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class Passwords:
    """One per process: bounds how many are worked on at once."""

    def __init__(self, at_once: int = _AT_ONCE) -> None:
        self._turn = asyncio.Semaphore(at_once)

    async def hash(self, password: str) -> str:
        async with self._turn:
            return await asyncio.to_thread(_HASHER.hash, _same(password))

    async def fits(self, password: str, kept: str | None) -> bool:
        """False for None, in the same time as for a wrong password: nobody learns which accounts there are."""
        async with self._turn:
            return await asyncio.to_thread(_verify, password, kept or _nobodys()) and kept is not None


def check(password: str, *, email: str, name: str = "") -> None:
    """Raises `Invalid` for one that is short, well known, or made of who it belongs to."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise Invalid(f"A password has {MIN_LENGTH} to {MAX_LENGTH} characters.", field="password", hint=_HINT)
    plain = _same(password).casefold()
    if plain in _breached() or len(set(plain)) < 4:
        raise Invalid("This password is among those that are tried first.", field="password", hint=_HINT)
    own = {email.casefold(), email.partition("@")[0].casefold(), name.casefold()}
    if any(len(part) > 3 and part in plain and len(plain) - len(part) < 6 for part in own):
        raise Invalid("This password is made of your name or address.", field="password", hint=_HINT)


def _verify(password: str, kept: str) -> bool:
    try:
        return _HASHER.verify(kept, _same(password))
    except (VerificationError, InvalidHashError):
        return False


def _same(password: str) -> str:
    """Typed on another keyboard, the same letters may be other code points."""
    return unicodedata.normalize("NFKC", password)


@cache
def _nobodys() -> str:
    return _HASHER.hash("nobody's")


@cache
def _breached() -> frozenset[str]:
    return frozenset(Path(__file__).with_name("breached.txt").read_text(encoding="utf-8").split())

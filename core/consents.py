"""Who must not be written to. The contact's row is the lock: an opt-out and an intent never pass each other."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import insert, select

from core import bulk
from core.database import Tx, is_postgres
from core.events import ContactOptedOut, publish
from core.models import Consent, Identity, Suppression

_ARABIC_FORMS = str.maketrans({"ٱ": "ا", "ة": "ه", "ى": "ي", "ی": "ي", "ـ": None})


def _letters(text: str) -> str:
    # Taken apart, accents and the marks on an alef are characters of their own that can be left out.
    folded = unicodedata.normalize("NFKD", text).casefold().translate(_ARABIC_FORMS)
    return re.sub(r"[\W_]+", "", "".join(char for char in folded if not unicodedata.combining(char)))


_STOP_WORDS = frozenset(
    _letters(word)
    for word in """
    stop stopall unsubscribe cancel end quit optout revoke remove arrêt
    توقف قف إيقاف إلغاء أوقف إلغاء_الاشتراك كفاية إيقاف_الرسائل
    """.split()
)


def is_stop(text: str) -> bool:
    """The whole message is a word for stopping, in English or Arabic; never a substring of a sentence."""
    return _letters(text) in _STOP_WORDS


async def lock(tx: Tx, contact_ids: Iterable[int]) -> None:
    """Hold these contacts until the transaction ends. In order of id, so that two lockers never deadlock; not so
    hard that a row which only refers to one of them has to wait."""
    ids = bulk.ids(contact_ids)
    if is_postgres(tx):  # on SQLite BEGIN IMMEDIATE holds everything
        await bulk.run(tx, f"SELECT id FROM contacts WHERE id {bulk.in_ids(tx)} ORDER BY id FOR NO KEY UPDATE", ids=ids)


async def suppressed(tx: Tx, contact_ids: Iterable[int]) -> set[int]:
    """Those of these contacts who have any suppressed identity."""
    rows = await bulk.run(
        tx,
        "SELECT i.contact_id FROM identities i JOIN suppressions s ON s.identity_hash = i.value_hash "
        f"WHERE i.contact_id {bulk.in_ids(tx)}",
        ids=bulk.ids(contact_ids),
    )
    return set(rows.scalars())


async def opt_out(tx: Tx, contact_id: int, *, reason: str, source: str, wording: str = "", at: datetime) -> bool:
    """Suppress all identities of the person; False when all were suppressed before. Locks the contact."""
    await lock(tx, [contact_id])
    hashes = (await tx.execute(select(Identity.value_hash).where(Identity.contact_id == contact_id))).scalars().all()
    if not await suppress(tx, hashes, reason=reason, source=source, wording=wording, at=at):
        return False
    await publish(tx, ContactOptedOut(contact_id=contact_id, source=source), at=at)
    return True


async def suppress(tx: Tx, hashes: Sequence[str], *, reason: str, source: str, wording: str, at: datetime) -> int:
    """Suppress those of these keyed hashes that are not yet, each with its line in the ledger."""
    known = set(
        (await tx.execute(select(Suppression.identity_hash).where(Suppression.identity_hash.in_(hashes)))).scalars()
    )
    new = sorted(set(hashes) - known)
    if new:
        await tx.execute(
            insert(Suppression), [{"identity_hash": one, "reason": reason, "created_at": at} for one in new]
        )
        await tx.execute(
            insert(Consent),
            [
                {
                    "identity_hash": one,
                    "purpose": "marketing",
                    "action": "withdrawn",
                    "source": source,
                    "wording": wording[:1000],
                    "recorded_at": at,
                }
                for one in new
            ],
        )
    return len(new)

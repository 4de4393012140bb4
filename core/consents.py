"""Who must not be written to. The contact's row is the lock: an opt-out and an intent never pass each other."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import delete, insert, select

from core import bulk
from core.database import Tx, is_postgres
from core.errors import Invalid
from core.events import ContactOptedIn, ContactOptedOut, publish
from core.models import Consent, Identity, Suppression

_ARABIC_FORMS = str.maketrans({"ٱ": "ا", "ة": "ه", "ى": "ي", "ی": "ي", "ـ": None})


MARKETING = "marketing"
_NEEDS_NO_CONSENT = frozenset({"service", "utility", "authentication"})


def purpose(name: str) -> str:
    """What a campaign writes for: `marketing` or a purpose of your own, to which people agree; `service`, `utility`
    and `authentication` need no consent. Raises `Invalid`."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
        raise Invalid("A purpose is a word of small letters, digits and _.", field="purpose", hint="Example: marketing")
    return name


def is_needed(purpose: str) -> bool:
    return purpose not in _NEEDS_NO_CONSENT


def stopped(contact: str) -> str:
    """SQL: whether this contact (a column) has any suppressed identity."""
    return f"""(
        SELECT 1 FROM identities i JOIN suppressions s ON s.identity_hash = i.value_hash
        WHERE i.contact_id = {contact} LIMIT 1
    ) IS NOT NULL"""  # not EXISTS: for that PostgreSQL may read all identities, once for all contacts asked for


def agreed(contact: str) -> str:
    """SQL: whether the last word of any identity of this contact (a column) on `:purpose` is a yes."""
    return f"""(
        SELECT 1 FROM identities i JOIN consents yes ON yes.identity_hash = i.value_hash
        WHERE i.contact_id = {contact} AND yes.purpose = :purpose AND yes.action = 'granted' AND NOT EXISTS (
            SELECT 1 FROM consents later WHERE later.identity_hash = yes.identity_hash
            AND later.purpose = yes.purpose AND later.id > yes.id AND later.action <> 'granted'
        ) LIMIT 1
    ) IS NOT NULL"""


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


_START_WORDS = frozenset(_letters(word) for word in "start unstop subscribe optin ابدأ اشتراك أشترك استئناف".split())


def is_start(text: str) -> bool:
    """The whole message is a word for coming back, in English or Arabic."""
    return _letters(text) in _START_WORDS


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


async def opt_in(tx: Tx, contact_id: int, *, source: str, wording: str, at: datetime) -> bool:
    """Only the person may come back, in their own words; False when they were not stopped. Locks the contact."""
    await lock(tx, [contact_id])
    mine = select(Identity.value_hash).where(Identity.contact_id == contact_id)
    lifted = await tx.execute(
        delete(Suppression).where(Suppression.identity_hash.in_(mine)).returning(Suppression.identity_hash)
    )
    hashes = sorted(lifted.scalars())
    if not hashes:
        return False
    line = {"purpose": MARKETING, "action": "granted", "source": source, "wording": wording[:1000], "given_at": at}
    await tx.execute(insert(Consent), [{"identity_hash": one, "recorded_at": at, **line} for one in hashes])
    await publish(tx, ContactOptedIn(contact_id=contact_id, source=source), at=at)
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


async def grant(
    tx: Tx, hashes: Iterable[str], *, purpose: str, source: str, wording: str, given_at: datetime, at: datetime
) -> int:
    """A line in the ledger for each of these keyed hashes, but not where the last line says so already, where any
    identity of the person is suppressed (only the person may opt in again), or where the person has withdrawn since
    `given_at`. Who calls holds the contacts' rows. Returns how many lines."""
    wanted = list(dict.fromkeys(hashes))
    barred = await bulk.run(
        tx,
        "SELECT mine.value_hash FROM identities mine JOIN identities other ON other.contact_id = mine.contact_id "
        f"JOIN suppressions s ON s.identity_hash = other.value_hash WHERE mine.value_hash {bulk.in_names(tx)}",
        names=bulk.names(wanted),
    )
    settled = dict.fromkeys(barred.scalars(), True)
    lines = await tx.execute(
        select(Consent.identity_hash, Consent.action, Consent.recorded_at)
        .where(Consent.purpose == purpose, Consent.identity_hash.in_([one for one in wanted if one not in settled]))
        .order_by(Consent.id)
    )
    for line in lines:  # the last one of each counts
        settled[line.identity_hash] = line.action == "granted" or line.recorded_at >= given_at
    new = [one for one in wanted if not settled.get(one)]
    if new:
        cast = ("CAST({} AS timestamptz)" if is_postgres(tx) else "{}").format
        await bulk.run(
            tx,
            "INSERT INTO consents (identity_hash, purpose, action, source, wording, given_at, recorded_at) "
            f"SELECT r.hash, :purpose, 'granted', :source, :wording, {cast(':given_at')}, {bulk.now(tx)} "
            f"FROM {bulk.table(tx, hash='text')}",
            ({"hash": one} for one in new),
            purpose=purpose,
            source=source,
            wording=wording,
            given_at=given_at,
            now=at,
        )
    return len(new)

"""How often somebody may try to sign in. A try is counted and committed before its password is looked at, so that
neither many at once nor a restart gives more of them."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from core import bulk
from core.database import Database, Tx
from core.errors import TooMany
from core.keys import MasterKey
from core.models import Throttle

_FORGOTTEN_AFTER = timedelta(hours=1)
_LONGEST_S = 900


@dataclass(frozen=True, slots=True)
class Limit:
    """`free` tries, then one after 1, 2, 4 ... seconds, at most 15 minutes. An hour without a try forgets them."""

    kind: str
    free: int


ACCOUNT = Limit("account", 5)
ADDRESS = Limit("address", 30)
PAGE = Limit("page", 5)


async def take(tx: Tx, key: MasterKey, limit: Limit, whom: str, *, at: datetime) -> bool:
    """Count a try; raises `TooMany`, and counts nothing, while it is closed. Returns whether this was the last free
    one."""
    name = key.hash(f"throttle-{limit.kind}", whom)
    await bulk.run(
        tx,
        f"INSERT INTO throttles (key, tries, last_at) VALUES (:name, 0, {bulk.now(tx)}) ON CONFLICT (key) DO NOTHING",
        name=name,
        now=at,
    )
    row = (await tx.execute(select(Throttle).where(Throttle.key == name).with_for_update())).scalar_one()
    if row.closed_until is not None and row.closed_until > at:
        wait_s = max(1, round((row.closed_until - at).total_seconds()))
        raise TooMany("Too many tries.", retry_after_s=wait_s)
    row.tries = 1 if row.last_at < at - _FORGOTTEN_AFTER else row.tries + 1
    row.last_at = at
    over = row.tries - limit.free
    row.closed_until = at + timedelta(seconds=min(_LONGEST_S, 2 ** min(over, 10))) if over >= 0 else None
    await tx.flush()
    return over == 0


async def clear(tx: Tx, key: MasterKey, limit: Limit, whom: str) -> None:
    await tx.execute(delete(Throttle).where(Throttle.key == key.hash(f"throttle-{limit.kind}", whom)))


async def give_back(tx: Tx, key: MasterKey, limit: Limit, whom: str) -> None:
    """A try that turned out right does not count: an office behind one address is not shut out."""
    name = key.hash(f"throttle-{limit.kind}", whom)
    row = (await tx.execute(select(Throttle).where(Throttle.key == name).with_for_update())).scalar()
    if row is not None:
        row.tries = max(0, row.tries - 1)
        row.closed_until = None if row.tries < limit.free else row.closed_until


async def purge(database: Database, *, at: datetime) -> int:
    """Forget those that count for nothing any more."""
    async with database.transaction() as tx:
        gone = await tx.execute(delete(Throttle).where(Throttle.last_at < at - _FORGOTTEN_AFTER))
        return int(gone.rowcount)  # type: ignore[attr-defined]

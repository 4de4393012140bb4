"""Pages that a person sees only after a one-time code from an admin. One that has the name of an area of core/roles.py
closes the routes of that area too; any other name is a page of the dashboard, which asks here."""

import re
import secrets
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, delete, select

from core import audit, throttles
from core.audit import Happened
from core.bootstrap import Platform
from core.database import Database, Tx
from core.errors import Invalid, NotAllowed, NotFound
from core.keys import MasterKey
from core.models import PageCode, PageOpening, ProtectedPage, SignIn
from core.roles import AREAS
from core.signins import Here

CODE_LASTS = timedelta(minutes=10)
OPEN_FOR = timedelta(minutes=30)
LONGEST_OPEN = timedelta(hours=12)
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_DIGITS = 6  # with the throttle, and for ten minutes, enough


class PageClosed(NotAllowed):
    """May be seen, but only after a one-time code."""

    code = "page_closed"


@dataclass(frozen=True, slots=True)
class Seen:
    """A page as one sign-in finds it; `until` is None where it is closed, or not protected at all."""

    name: str
    is_protected: bool
    until: datetime | None

    @property
    def is_open(self) -> bool:
        return self.until is not None or not self.is_protected


# ---- what an admin does -------------------------------------------------------------------------------------


async def listed(tx: Tx) -> Sequence[ProtectedPage]:
    return (await tx.execute(select(ProtectedPage).order_by(ProtectedPage.name))).scalars().all()


async def protect(tx: Tx, name: str, *, open_for: timedelta = OPEN_FOR, at: datetime) -> ProtectedPage:
    """From the next request on. Again: only for how long a code opens it is otherwise."""
    _check(name)
    if not timedelta(minutes=1) <= open_for <= LONGEST_OPEN:
        raise Invalid("A page is opened for 1 minute to 12 hours.", field="open_minutes")
    row = await tx.get(ProtectedPage, name, with_for_update=True)
    if row is None:
        row = ProtectedPage(name=name, protected_at=at)
        tx.add(row)
    row.open_s = int(open_for.total_seconds())
    await tx.flush()
    return row


async def release(tx: Tx, name: str) -> None:
    """Everybody sees it again who may; its codes are void."""
    await tx.delete(await _get(tx, name))
    await tx.flush()


async def issue(tx: Tx, key: MasterKey, name: str, *, user_id: int | None = None, at: datetime) -> str:
    """A code that opens the page once, within ten minutes; shown now and never again."""
    await _get(tx, name)
    code = "".join(secrets.choice("0123456789") for _ in range(_DIGITS))
    tx.add(
        PageCode(
            page=name, user_id=user_id, code_hash=_hash(key, name, code), created_at=at, expires_at=at + CODE_LASTS
        )
    )
    await tx.flush()
    return code


# ---- what a person does -------------------------------------------------------------------------------------


async def seen(tx: Tx, sign_in_id: int, *, at: datetime) -> Sequence[Seen]:
    """All that are protected."""
    opening = (PageOpening.page == ProtectedPage.name) & (PageOpening.sign_in_id == sign_in_id)
    rows = await tx.execute(
        select(ProtectedPage.name, PageOpening.until).outerjoin(PageOpening, opening).order_by(ProtectedPage.name)
    )
    return [Seen(name, True, until if until is not None and until > at else None) for name, until in rows]


async def look(tx: Tx, name: str, sign_in_id: int, *, at: datetime) -> Seen:
    _check(name)
    found = (one for one in await seen(tx, sign_in_id, at=at) if one.name == name)
    return next(found, Seen(name, False, None))


async def closed(tx: Tx, sign_in_id: int, *, at: datetime) -> frozenset[str]:
    """The areas that this sign-in may not see now; never what it takes to open them again."""
    return (await closed_to(tx, {sign_in_id}, at=at))[sign_in_id]


async def closed_to(tx: Tx, sign_in_ids: Collection[int], *, at: datetime) -> Mapping[int, frozenset[str]]:
    """`closed` of each of them, asked together."""
    openings = and_(
        PageOpening.page == ProtectedPage.name, PageOpening.sign_in_id.in_(sign_in_ids), PageOpening.until > at
    )
    pages = select(ProtectedPage.name, PageOpening.sign_in_id).outerjoin(PageOpening, openings)
    protected: set[str] = set()
    opened: defaultdict[int | None, set[str]] = defaultdict(set)
    for name, sign_in_id in await tx.execute(pages):
        protected.add(name)
        opened[sign_in_id].add(name)
    return {one: AREAS & frozenset(protected - opened[one]) for one in sign_in_ids}


async def open_page(platform: Platform, name: str, code: str, *, user_id: int, sign_in_id: int, here: Here) -> Seen:
    """Raises `NotFound`, `Invalid` or `TooMany`. A try is committed before its code is looked at."""
    who, page = f"user:{user_id}", f"protected_page:{name}"
    async with platform.database.transaction() as tx:
        await _get(tx, name)
        await throttles.take(tx, platform.key, throttles.PAGE, who, at=await platform.clock.now(tx))
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        until = await _use(tx, platform.key, name, code, user_id=user_id, sign_in_id=sign_in_id, at=now)
        action = "page.refused" if until is None else "page.opened"
        what = Happened(who, action, page, address=here.address, request_id=here.request_id)
        audit.record(tx, platform.key, what, at=now)
        if until is not None:
            await throttles.clear(tx, platform.key, throttles.PAGE, who)
    if until is None:  # raised only now: the entry in the audit log stays
        raise Invalid(
            "This code is not right, was used, or is too old.", field="code", hint="Ask an admin for another."
        )
    return Seen(name, True, until)


async def close_page(tx: Tx, name: str, sign_in_id: int) -> None:
    await _get(tx, name)
    await tx.execute(delete(PageOpening).where(PageOpening.sign_in_id == sign_in_id, PageOpening.page == name))


async def purge(database: Database, *, at: datetime) -> int:
    """Forget codes and openings whose time is over."""
    async with database.transaction() as tx:
        codes = await tx.execute(delete(PageCode).where(PageCode.expires_at < at))
        openings = await tx.execute(delete(PageOpening).where(PageOpening.until < at))
        return int(codes.rowcount + openings.rowcount)  # type: ignore[attr-defined]


async def _use(
    tx: Tx, key: MasterKey, name: str, code: str, *, user_id: int, sign_in_id: int, at: datetime
) -> datetime | None:
    page = await _get(tx, name)
    wanted = (
        select(PageCode)
        .where(PageCode.code_hash == _hash(key, name, code), PageCode.used_at.is_(None), PageCode.expires_at > at)
        .where(PageCode.user_id.is_(None) | (PageCode.user_id == user_id))
        .limit(1)
        .with_for_update()
    )
    if (row := (await tx.execute(wanted)).scalar()) is None:
        return None
    row.used_at = at
    await tx.get(SignIn, sign_in_id, with_for_update=True)  # two codes at once open it once
    until = at + timedelta(seconds=page.open_s)
    await tx.merge(PageOpening(sign_in_id=sign_in_id, page=name, until=until))
    await tx.flush()
    return until


async def _get(tx: Tx, name: str) -> ProtectedPage:
    row = await tx.get(ProtectedPage, name)
    if row is None:
        raise NotFound(f"The page {name[:40]!r} is not protected.", field="name")
    return row


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        hint = f"Areas of the API: {', '.join(sorted(AREAS))}. Any other name is a page of the dashboard."
        raise Invalid("A page has a name of letters, digits and hyphens, at most 40.", field="name", hint=hint)


def _hash(key: MasterKey, name: str, code: str) -> str:
    digits = "".join(char for char in code if char.isascii() and char.isdigit())
    return key.hash("page-code", f"{name}:{digits}")

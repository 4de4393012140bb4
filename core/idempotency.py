"""A request that comes again gets the answer it got, and changes nothing. Kept with the change it answers for."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, text, update

from core.database import Database, Tx, is_postgres
from core.errors import Invalid, KeyReused
from core.keys import MasterKey
from core.models import IdempotencyKey

MAX_KEY = 255
_PRUNE_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Ask:
    """One request as it is told from others. `body_hash` covers all that the answer depends on (hex, 64)."""

    principal: str
    route: str
    key: str
    body_hash: str

    def __post_init__(self) -> None:
        if not self.key or len(self.key) > MAX_KEY or "\0" in self.key:
            raise Invalid(f"An idempotency key has 1 to {MAX_KEY} characters.", field="Idempotency-Key")

    @property
    def _primary_key(self) -> tuple[str, str, str]:
        return self.principal, self.route, self.key


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: str


async def recall(tx: Tx, master: MasterKey, ask: Ask) -> Answer | None:
    """The answer once given; None: do it, then `remember` in this transaction. A second request with this key
    waits here until the first has committed or given up. Raises `KeyReused`."""
    await _lock(tx, ask)
    row = await tx.get(IdempotencyKey, ask._primary_key)
    if row is None:
        return None
    _refuse_another_body(row, ask)
    return Answer(row.status, str(master.decrypt(row.answer.encode())["body"]))


async def remember(tx: Tx, master: MasterKey, ask: Ask, answer: Answer, *, at: datetime) -> None:
    """Sealed: an answer may hold what is shown only once, such as a new API key."""
    await tx.merge(
        IdempotencyKey(
            principal=ask.principal,
            route=ask.route,
            key=ask.key,
            body_hash=ask.body_hash,
            status=answer.status,
            answer=master.encrypt({"body": answer.body}).decode(),
            created_at=at,
        )
    )


async def forget(tx: Tx, ask: Ask) -> None:
    """What was answered too early came to nothing: the key may be used again."""
    await tx.execute(
        delete(IdempotencyKey).where(
            IdempotencyKey.principal == ask.principal,
            IdempotencyKey.route == ask.route,
            IdempotencyKey.key == ask.key,
        )
    )


async def purge(database: Database, *, before: datetime) -> int:
    """Forget answers older than `before`, in short transactions; returns how many."""
    purged = 0
    while True:
        async with database.transaction() as tx:
            old = (
                select(IdempotencyKey.created_at)
                .where(IdempotencyKey.created_at < before)
                .order_by(IdempotencyKey.created_at)
                .limit(_PRUNE_BATCH)
                .subquery()
            )
            upto = (await tx.execute(select(old.c.created_at).order_by(old.c.created_at.desc()).limit(1))).scalar()
            if upto is None:
                return purged
            gone = await tx.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at <= upto))
            purged += gone.rowcount  # type: ignore[attr-defined]


async def reseal(tx: Tx, master: MasterKey) -> int:
    """Every kept answer under the newest encryption key; part of rotating it."""
    keys = IdempotencyKey.principal, IdempotencyKey.route, IdempotencyKey.key
    rows = (await tx.execute(select(*keys, IdempotencyKey.answer))).all()
    for principal, route, key, answer in rows:
        await tx.execute(
            update(IdempotencyKey)
            .where(keys[0] == principal, keys[1] == route, keys[2] == key)
            .values(answer=master.reseal(answer.encode()).decode())
        )
    return len(rows)


def _refuse_another_body(row: IdempotencyKey, ask: Ask) -> None:
    if row.body_hash != ask.body_hash:
        raise KeyReused(
            "This idempotency key came before with another request.",
            field="Idempotency-Key",
            hint="Use a new key for each thing to be done, and the same key only to repeat it.",
        )


async def _lock(tx: Tx, ask: Ask) -> None:
    if is_postgres(tx):  # on SQLite BEGIN IMMEDIATE holds everything
        await tx.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"),
            {"name": "\n".join(ask._primary_key)},
        )

"""What the database did, in the order of its commits: written by triggers, so that nothing can pass unseen.

On PostgreSQL each line carries its transaction and the snapshot it saw. Of two lines about one person the first came
before the second if its transaction is visible to the second one's snapshot: that holds whatever is locked or not.
On SQLite there is one writer, and the order of lines is the order of commits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text

from core.database import Database, Tx
from core.keys import MasterKey

_SQLITE = (
    "CREATE TABLE chronicle (seq INTEGER PRIMARY KEY, what text, name text, address text, detail text)",
    *(
        f"""
        CREATE TRIGGER chronicle_{name} AFTER {event} BEGIN
            INSERT INTO chronicle (what, name, address, detail) {line};
        END
        """
        for name, event, line in (
            (
                "intent",
                "INSERT ON messages WHEN NEW.state = 'intent'",
                "SELECT 'intent', NEW.client_id, NEW.address, group_concat(value_hash) FROM identities"
                " WHERE contact_id = NEW.contact_id",
            ),
            (
                "again",
                "UPDATE OF state ON messages WHEN NEW.state = 'intent' AND OLD.state <> 'intent'",
                "SELECT 'intent', NEW.client_id, NEW.address, group_concat(value_hash) FROM identities"
                " WHERE contact_id = NEW.contact_id",
            ),
            (
                "move",
                "UPDATE OF state ON messages WHEN OLD.state <> NEW.state",
                "VALUES ('move', NEW.client_id, OLD.state, NEW.state)",
            ),
            ("stop", "INSERT ON suppressions", "VALUES ('stop', NEW.identity_hash, '', '')"),
            ("start", "DELETE ON suppressions", "VALUES ('start', OLD.identity_hash, '', '')"),
        )
    ),
)
_POSTGRES = (
    """
    CREATE TABLE chronicle (
        seq bigserial PRIMARY KEY, what text, name text, address text, detail text,
        xid xid8 DEFAULT pg_current_xact_id(), seen pg_snapshot DEFAULT pg_current_snapshot()
    )
    """,
    """
    CREATE FUNCTION chronicle_message() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.state = 'intent' AND (TG_OP = 'INSERT' OR OLD.state <> 'intent') THEN
            INSERT INTO chronicle (what, name, address, detail)
            SELECT 'intent', NEW.client_id, NEW.address, string_agg(value_hash, ',') FROM identities
            WHERE contact_id = NEW.contact_id;
        END IF;
        IF TG_OP = 'UPDATE' AND OLD.state <> NEW.state THEN
            INSERT INTO chronicle (what, name, address, detail)
            VALUES ('move', NEW.client_id, OLD.state, NEW.state);
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER chronicle AFTER INSERT OR UPDATE ON messages FOR EACH ROW EXECUTE FUNCTION chronicle_message()
    """,
    """
    CREATE FUNCTION chronicle_word() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF TG_OP = 'INSERT' THEN
            INSERT INTO chronicle (what, name) VALUES ('stop', NEW.identity_hash);
        ELSE
            INSERT INTO chronicle (what, name) VALUES ('start', OLD.identity_hash);
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER chronicle AFTER INSERT OR DELETE ON suppressions FOR EACH ROW EXECUTE FUNCTION chronicle_word()
    """,
)


@dataclass(frozen=True, slots=True)
class Line:
    """`intent`: `name` is the client id, `detail` the hashes of all identities the person had then. `move`: `address`
    and `detail` are the states before and after. `stop` and `start`: `name` is the hash."""

    seq: int
    what: str
    name: str
    address: str
    detail: str
    xid: int
    seen: str

    @property
    def person(self) -> set[str]:
        return set((self.detail or "").split(","))

    def came_before(self, other: "Line") -> bool:
        if self.xid == other.xid:
            return self.seq < other.seq
        low, high, under_way = other.seen.split(":")
        return self.xid < int(low) or (self.xid < int(high) and str(self.xid) not in under_way.split(","))


async def begin(tx: Tx, *, is_postgres: bool) -> None:
    for statement in _POSTGRES if is_postgres else _SQLITE:
        await tx.execute(text(statement))


async def last_intent(database: Database, client_id: str) -> int | None:
    async with database.reading() as tx:
        query = text("SELECT max(seq) FROM chronicle WHERE what = 'intent' AND name = :name")
        seq: int | None = (await tx.execute(query, {"name": client_id})).scalar()
        return seq


async def read(database: Database) -> list[Line]:
    order = "xid::text, seen::text" if database.is_postgres else "seq, seq || ':' || seq || ':'"
    async with database.reading() as tx:
        rows = await tx.execute(text(f"SELECT seq, what, name, address, detail, {order} FROM chronicle ORDER BY seq"))
        return [Line(*row[:5], xid=int(row[5]), seen=str(row[6])) for row in rows]


def intents_after_a_stop(lines: Sequence[Line], key: MasterKey) -> list[tuple[Line, Line]]:
    """Intents that did not come before a stop of the person or the address, and before which nobody lifted it; each
    with that stop."""
    words: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        if line.what in ("stop", "start"):
            words.setdefault((line.what, line.name), []).append(line)
    return [
        (intent, stop)
        for intent in lines
        if intent.what == "intent"
        for identity in intent.person | {key.hash("phone", intent.address)}
        for stop in words.get(("stop", identity), ())
        if not intent.came_before(stop)
        and not any(
            stop.came_before(start) and start.came_before(intent) for start in words.get(("start", identity), ())
        )
    ]

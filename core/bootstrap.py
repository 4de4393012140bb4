"""Puts the platform together from its parts; each process does it once, tests with fakes at the ports."""

import secrets
from dataclasses import dataclass

from core import bulk, keys, schema
from core.database import Database, DatabaseClock, connect
from core.errors import MasterKeyWrong
from core.keys import MasterKey
from core.models import Installation
from core.ports import Clock, Connectors, Jobs
from core.settings import Settings


@dataclass(frozen=True)
class Platform:
    """What core functions need that is neither a row nor a value. `installation` is this database's name, `process`
    what of it this is."""

    settings: Settings
    database: Database
    key: MasterKey
    clock: Clock
    connectors: Connectors
    jobs: Jobs
    installation: str
    process: str = "api"

    @property
    def actor(self) -> str:
        """What this process does by itself stands in the audit log under this."""
        return f"service:{self.process}"

    async def close(self) -> None:
        await self.connectors.close()
        await self.jobs.close()
        await self.database.close()


async def build(
    settings: Settings, *, connectors: Connectors, jobs: Jobs, clock: Clock | None = None, process: str = "api"
) -> Platform:
    """Raises `MasterKeyMissing`, `MasterKeyWrong` or `SchemaBehind` rather than work half."""
    key = keys.load(settings.key_file)
    database = connect(settings)
    clock = clock or DatabaseClock()
    try:
        await schema.require_current(database)
        installation = await _installation(database, key, clock)
    except BaseException:  # also a cancellation: no connection is left open
        await database.close()
        raise
    return Platform(settings, database, key, clock, connectors, jobs, installation, process)


async def _installation(database: Database, key: MasterKey, clock: Clock) -> str:
    async with database.transaction() as tx:
        # Of several processes that start at once on a new database one makes the row, all read it.
        await bulk.run(
            tx,
            f"INSERT INTO installation (id, uid, key_fingerprint, created_at) VALUES (1, :uid, :key, {bulk.now(tx)}) "
            "ON CONFLICT (id) DO NOTHING",
            uid=secrets.token_hex(8),
            key=key.fingerprint,
            now=await clock.now(tx),
        )
        row = await tx.get_one(Installation, 1)
    if row.key_fingerprint != key.fingerprint:
        raise MasterKeyWrong(
            "This master key is not the one the database was written with.",
            hint="Put back the key file of this installation (WAQTOR_MASTER_KEY_FILE).",
        )
    return row.uid

"""Which couriers live. Each holds a lock on a file of its own, and the system lets go of it when the process ends,
however it ends: what a dead one had under way is free at once, and not when its lease lapses.

Only what is proven counts: a lock that can be taken, on a file that is there. A courier on another machine, or one
whose files are gone, may live; what it has waits for its lease.
"""

import logging
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from sqlalchemy import select, text, update

from core import bulk, instances
from core.bootstrap import Platform
from core.models import Delivery

_IS_SENDING = text("deliveries.state = 'sending'")
logger = logging.getLogger(__name__)


class Holder:
    """One of them: `id` is None where its file cannot be written, and then its leases tell when it is dead."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._folder = platform.settings.data_dir / "couriers"
        self._file: IO[bytes] | None = None
        self._lapsed: set[str] = set()
        self.id: int | None = None

    def come(self) -> None:
        if self._file is not None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            while self._file is None:
                self.id = secrets.randbits(62)
                self._file = _locked(self._folder / str(self.id))
        except OSError as error:
            self.id = None
            logger.warning("courier_unheld why=%s", type(error).__name__)

    def go(self) -> None:
        """What it had is settled, or waits for its lease: nobody takes it for dead."""
        if self._file is not None:
            with suppress(OSError):
                (self._folder / str(self.id)).unlink(missing_ok=True)
            self._file.close()
        self._file = self.id = None

    async def take_over(self) -> None:
        """What the dead had lapses now. Each is looked at twice, seconds apart: a server may still have been at the
        last commit that it was asked for."""
        dead = self._dead()
        try:
            if dead:
                await self._lapse([int(path.name) for path, _ in dead])
            for path, _ in dead:
                if path.name in self._lapsed:
                    self._lapsed.discard(path.name)
                    path.unlink(missing_ok=True)
                else:
                    self._lapsed.add(path.name)
        finally:
            for _, file in dead:
                file.close()

    def _dead(self) -> Sequence[tuple[Path, IO[bytes]]]:
        """With the locks on their files, so that of several who look one sees to it."""
        found: list[tuple[Path, IO[bytes]]] = []
        with suppress(OSError):
            for name in os.listdir(self._folder):
                if name.isdigit() and name != str(self.id):
                    path = self._folder / name
                    with suppress(OSError):
                        file = _locked(path, is_new=False)
                        if file is not None:
                            found.append((path, file))
        return found

    async def _lapse(self, holders: Sequence[int]) -> None:
        async with self._platform.database.transaction() as tx:
            theirs = text(f"deliveries.held_by {bulk.in_ids(tx)}")
            had = select(Delivery.id).where(_IS_SENDING, Delivery.webhook_id > 0, theirs)
            had = had.order_by(Delivery.webhook_id, Delivery.lease_until)  # as the index has them
            had = had.with_for_update(skip_locked=True)  # somebody settles it just then
            ids = (await tx.execute(had, {"ids": bulk.ids(holders)})).scalars().all()
            now = await self._platform.clock.now(tx)
            lapsed = update(Delivery).where(text(f"deliveries.id {bulk.in_ids(tx)}")).values(lease_until=now)
            await tx.execute(lapsed.execution_options(synchronize_session=False), {"ids": bulk.ids(ids)})
        if ids:
            logger.info("courier_took_over count=%s", len(ids))


def _locked(path: Path, *, is_new: bool = True) -> IO[bytes] | None:
    """Opened, or None where another has the lock, or took the file away before we had it."""
    file = path.open("ab" if is_new else "r+b")
    if instances.lock_file(file, shared=False) and path.exists():
        return file
    file.close()
    return None

"""One run through a kept file, and what goes on with it after a process died. A chunk of rows and their being counted
are one transaction, so a later run goes on where the counting stopped."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from itertools import islice
from secrets import token_hex

from sqlalchemy import or_, select, update

from core import attributes, consents, contacts, import_files, imports, kept_files, notices, notifications
from core.bootstrap import Platform
from core.contacts import NewContact
from core.database import Tx, is_passing
from core.errors import Invalid
from core.events import ContactsImported, publish
from core.import_columns import Columns, Rejected
from core.models import Import

CHUNK = 500
logger = logging.getLogger(__name__)


class LeaseLost(Exception):
    """Another run has taken the file over; what this one was about to write is not written."""


class Run:
    """Holds the lease of taking one file."""

    def __init__(self, platform: Platform, job: Import, token: str) -> None:
        self._platform = platform
        self._job = job
        self._token = token
        self._files = ExitStack()
        self._rows: Iterator[NewContact | Rejected] | None = None
        self._ahead: asyncio.Task[list[NewContact | Rejected]] | None = None
        self._broken: Invalid | None = None

    @classmethod
    async def opened(cls, platform: Platform, import_id: int) -> "Run | None":
        """Take the lease. None: another run has it, or the file is done."""
        token = token_hex(8)
        async with platform.database.transaction() as tx:
            if not await _hold(tx, platform, import_id, token):
                return None
            return cls(platform, await imports.get(tx, import_id), token)

    async def take_chunk(self) -> bool:
        """Take the next rows; False when there are none left, and the import has ended."""
        try:
            if self._rows is None:
                self._rows = await self._after_what_was_taken()
        except Invalid as error:
            self._broken, self._rows = error, iter(())
        chunk = await (self._ahead or self._reading(self._rows))
        self._ahead = None
        if chunk:
            self._ahead = self._reading(self._rows)  # while the database is at work on these
            await self._take(chunk)
            return True
        await self._end()
        return False

    async def hold_on(self) -> None:
        """Keep the lease until this is cancelled: to come to where the last run stopped may take a while."""
        while True:
            await asyncio.sleep(self._platform.settings.lease_s / 3)
            try:
                async with self._platform.database.transaction() as tx:
                    await _hold(tx, self._platform, self._job.id, self._token)
            except Exception as error:
                if not is_passing(error):
                    raise

    async def close(self) -> None:
        """Give the lease back, where the end was not reached."""
        await self._close_files()
        async with self._platform.database.transaction() as tx:
            await tx.execute(
                update(Import)
                .where(Import.id == self._job.id, Import.run_token == self._token)
                .values(run_token=None, run_until=None)
                .execution_options(synchronize_session=False)
            )

    async def fail(self, because: str) -> None:
        self._broken = Invalid(because)
        await self._end()

    async def _after_what_was_taken(self) -> Iterator[NewContact | Rejected]:
        job, settings = self._job, self._platform.settings
        path = kept_files.path_of(settings, job.stored or "")
        if not path.is_file():
            raise Invalid("The kept file is gone.", field="file", hint="Import it again.")
        if job.total is None:
            total = await asyncio.to_thread(import_files.count, path, job.format)
            async with self._platform.database.transaction() as tx:
                (await self._locked(tx)).total = total
        async with self._platform.database.reading() as tx:
            kinds = await attributes.kinds(tx)
        table = await asyncio.to_thread(self._files.enter_context, import_files.opened(path, job.format))
        country = job.country or settings.default_country
        columns = Columns(table.heading, job.mapping, country=country, kinds=kinds, tags=job.tags)
        await asyncio.to_thread(_skip, table.rows, job.rows)
        return map(columns.read, table.rows)

    def _reading(self, rows: Iterator[NewContact | Rejected]) -> asyncio.Task[list[NewContact | Rejected]]:
        # Reading numbers is work for the processor: in a thread, so that the loop goes on serving.
        return asyncio.create_task(asyncio.to_thread(self._next, rows))

    async def _close_files(self) -> None:
        if self._ahead is not None:
            await asyncio.gather(self._ahead, return_exceptions=True)
        self._files.close()

    def _next(self, rows: Iterator[NewContact | Rejected]) -> list[NewContact | Rejected]:
        """What can be read before a place that cannot is taken all the same."""
        chunk: list[NewContact | Rejected] = []
        try:
            chunk.extend(islice(rows, CHUNK))
        except Invalid as error:
            self._broken = error
        return chunk

    async def _take(self, chunk: Sequence[NewContact | Rejected]) -> None:
        platform = self._platform
        taken = [row for row in chunk if isinstance(row, NewContact)]
        refused = [row for row in chunk if isinstance(row, Rejected)]
        async with platform.database.transaction() as tx:
            now = await platform.clock.now(tx)
            job = await self._locked(tx)
            created, updated = await contacts.save(tx, platform.key, taken, at=now)
            if job.consent is not None:
                hashes = [platform.key.hash("phone", one.phone) for one in taken]
                await consents.grant(tx, hashes, at=now, **imports.terms(job.consent))
            await imports.append(tx, job.id, refused[: max(0, imports.MAX_REPORTED - job.rejected)])
            job.rows += len(chunk)
            job.created += created
            job.updated += updated
            job.rejected += len(refused)
            job.run_until = now + timedelta(seconds=platform.settings.lease_s)
            told = ContactsImported(import_id=job.id, created=created, updated=updated, rejected=len(refused))
            await publish(tx, told, at=now)

    async def _end(self) -> None:
        async with self._platform.database.transaction() as tx:
            job = await self._locked(tx)
            if self._broken is None:
                job.state, job.total = imports.FINISHED, job.rows
            else:
                job.state = imports.FAILED
                await imports.append(tx, job.id, [Rejected(job.rows + 1, imports.FILE, self._broken.message)])
            now = job.finished_at = await self._platform.clock.now(tx)
            if job.rejected or self._broken is not None:
                await notifications.tell(tx, notices.import_ended(job, failed=self._broken is not None), at=now)
            stored, job.stored, job.run_token, job.run_until = job.stored, None, None, None
        await self._close_files()
        if stored:
            kept_files.forget(self._platform.settings, stored)

    async def _locked(self, tx: Tx) -> Import:
        query = select(Import).where(Import.id == self._job.id, Import.run_token == self._token)
        job = (await tx.execute(query.options(imports.WITHOUT_REPORT).with_for_update())).scalar()
        if job is None:
            raise LeaseLost
        return job


async def run(platform: Platform, import_id: int) -> None:
    """Take the file to its end, unless another run does."""
    taking = await Run.opened(platform, import_id)
    if taking is None:
        return
    holding = asyncio.create_task(taking.hold_on())
    try:
        while await taking.take_chunk():
            pass
    except LeaseLost:
        logger.warning("import_taken_over import=%s", import_id)
    except Exception as error:
        if is_passing(error):
            raise
        logger.exception("import_failed import=%s", import_id)
        await taking.fail("Something went wrong here, not in the file. The log has the details.")
    finally:
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)
        await taking.close()


async def resume_waiting(platform: Platform) -> Sequence[int]:
    """Go on with the files that nobody takes any more; returns their ids. Safe at any time and twice at once."""
    async with platform.database.reading() as tx:
        now = await platform.clock.now(tx)
        kept = (await tx.execute(select(Import.stored).where(Import.stored.is_not(None)))).scalars().all()
        abandoned = or_(Import.run_until.is_(None), Import.run_until < now)
        query = select(Import.id).where(Import.state == imports.RUNNING, abandoned).order_by(Import.id)
        waiting = (await tx.execute(query)).scalars().all()
    await asyncio.to_thread(kept_files.forget_orphans, platform.settings, {name for name in kept if name})
    for import_id in waiting:
        await run(platform, import_id)
    return waiting


def _skip(rows: Iterator[object], count: int) -> None:
    for _ in islice(rows, count):
        pass


async def _hold(tx: Tx, platform: Platform, import_id: int, token: str) -> bool:
    """Take or keep the lease; False when another run has it, or the file is done."""
    now = await platform.clock.now(tx)
    held = await tx.execute(
        update(Import)
        .where(
            Import.id == import_id,
            Import.state == imports.RUNNING,
            or_(Import.run_token.is_(None), Import.run_token == token, Import.run_until < now),
        )
        .values(run_token=token, run_until=now + timedelta(seconds=platform.settings.lease_s))
        .execution_options(synchronize_session=False)
    )
    return bool(held.rowcount)  # type: ignore[attr-defined]

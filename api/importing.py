"""Files are taken beside the requests: at once after the upload, and again where a process died over one."""

import asyncio
import logging
from contextlib import suppress

from core import import_runs
from core.bootstrap import Platform

_AT_ONCE = 2  # they are work for the processor, which the other requests want too
logger = logging.getLogger(__name__)


class Importing:
    """`start` begins with a file that is kept; `run` looks for abandoned ones and ends all when it is cancelled."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, import_id: int) -> "asyncio.Task[None]":
        task = asyncio.create_task(self._take(import_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def run(self) -> None:
        try:
            while True:
                try:
                    await import_runs.resume_waiting(self._platform)
                except Exception:  # the database may be restarting; the next round comes
                    logger.exception("imports_stalled")
                await asyncio.sleep(self._platform.settings.sweep_interval_s)
        finally:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _take(self, import_id: int) -> None:
        async with self._turns:
            try:
                await import_runs.run(self._platform, import_id)
            except Exception:  # its lease lapses, and it is taken up again
                logger.exception("import_stalled import=%s", import_id)

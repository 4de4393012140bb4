"""How the process that starts runs ends on SIGTERM: first its runs, which still write down what became of the messages
under way, then it itself, and never later than whoever asked is ready to wait."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

import psutil

_RUNS_S = 6.0
_BY_THEMSELVES_S = 2.0
_LEAVING_S = 8.0  # `waqtor up` kills after ten


@contextmanager
def ended_by_sigterm(work: asyncio.Task[None], *, first: Callable[[], Awaitable[None]]) -> Iterator[None]:
    """Cancels `work` after `first`. Each sweep that Prefect shows sets a handler that raises wherever Python is at that
    moment; raised in a callback or a finalizer that is swallowed, and the process would go on. The loop is told of a
    signal whoever has set a handler since."""
    ending: list[asyncio.Task[None]] = []

    async def end() -> None:
        try:
            await first()
        finally:
            work.cancel()

    def asked() -> None:
        if not ending:
            ending.append(asyncio.create_task(end()))

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, asked)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


async def end_runs() -> None:
    """Prefect would kill them: what they have in flight would be in doubt. One that begins meanwhile ends too. Whoever
    ends a whole group, as supervisord and systemd do, has told them already, and a second SIGTERM breaks into what a
    run is still writing down: they have a moment to end by themselves."""
    told: set[int] = set()
    began = time.monotonic()
    while (running := psutil.Process().children()) and (since_s := time.monotonic() - began) < _RUNS_S:
        for run in running if since_s > _BY_THEMSELVES_S else ():
            if run.pid not in told:
                told.add(run.pid)
                with suppress(psutil.NoSuchProcess):
                    run.terminate()
        await asyncio.sleep(0.05)


async def end_runs_and_leave() -> None:
    _leave_at_the_latest()
    await end_runs()


def _leave_at_the_latest() -> None:
    """Prefect tells its server how a run ended, and tries for a minute where there is none. Nothing waits for that:
    what was done is in the database."""
    leave = threading.Timer(_LEAVING_S, os._exit, [0])
    leave.daemon = True
    leave.start()

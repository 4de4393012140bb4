"""Webhooks are stored before they are answered; those that wait at the same moment share one commit."""

import asyncio
import logging

from core import inbox
from core.bootstrap import Platform

_AT_ONCE = 64
_GATHER_S = 0.004
logger = logging.getLogger(__name__)


class Storing:
    """`store` returns when the body is committed. Whatever number come at once, one transaction is open: the
    commit to disk is the cost, and on SQLite there is one writer anyway."""

    def __init__(self, platform: Platform, stored: asyncio.Event) -> None:
        self._platform = platform
        self._stored = stored
        self._waiting: asyncio.Queue[tuple[bytes, asyncio.Future[None]]] = asyncio.Queue(maxsize=1_000)

    async def store(self, body: bytes) -> None:
        done = asyncio.get_running_loop().create_future()
        await self._waiting.put((body, done))
        await done

    async def run(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            await asyncio.sleep(_GATHER_S)
            while len(batch) < _AT_ONCE and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            failure: Exception | None = None
            try:
                async with self._platform.database.transaction(brief=True) as tx:
                    now = await self._platform.clock.now(tx)
                    await inbox.store(tx, *(body for body, _ in batch), at=now)
            except Exception as error:  # noqa: BLE001  # each who waits is told; WhatsApp posts it again
                failure = error
            for _, done in batch:
                if done.done():  # its request has gone; the body is stored all the same
                    continue
                if failure is None:
                    done.set_result(None)
                else:
                    done.set_exception(failure)
            if failure is None:
                self._stored.set()

"""When keys and sign-ins were used last: remembered here, and written once a minute beside the requests."""

import asyncio
import logging
from datetime import datetime

from core import apikeys, signins
from core.bootstrap import Platform

_EVERY_S = 60.0
logger = logging.getLogger(__name__)


class Uses:
    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._keys: dict[int, datetime] = {}
        self._sign_ins: dict[int, datetime] = {}

    def key(self, key_id: int, *, at: datetime) -> None:
        self._keys[key_id] = at

    def sign_in(self, sign_in_id: int, *, at: datetime) -> None:
        self._sign_ins[sign_in_id] = at

    async def write(self) -> None:
        keys, self._keys = self._keys, {}
        sign_ins, self._sign_ins = self._sign_ins, {}
        if keys or sign_ins:
            async with self._platform.database.transaction() as tx:
                await apikeys.note_use(tx, keys)
                await signins.note_use(tx, sign_ins)

    async def run(self) -> None:
        """Until cancelled; what a death leaves unwritten is a minute's worth at most."""
        while True:
            await asyncio.sleep(_EVERY_S)
            await self.close()

    async def close(self) -> None:
        try:
            await self.write()
        except Exception:  # the database may be away; the next minute brings newer ones, and nobody waits for these
            logger.exception("uses_not_written")

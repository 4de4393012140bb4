"""Names of receivers, looked up so that one that never answers holds up nobody else."""

import asyncio
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

LookUp = Callable[[str, int], Sequence[str]]
"""All addresses of a name, or `OSError`. May block; is called in a thread."""

LOOKED_UP_AT_ONCE: Final = 32
MOST_NAMES: Final = 10_000


class NotResolved(Exception):
    pass


class Names(AbstractResolver):
    """Looks names up and lets none through of which one address is not admitted. A name that answered before is asked
    for in threads of its own, so that names whose servers are silent do not fill those."""

    def __init__(self, admit: Callable[[str], None], look_up: LookUp | None) -> None:
        self._admit = admit
        self._look_up = look_up or _from_the_system
        self._known: OrderedDict[str, None] = OrderedDict()
        self._for_known = asyncio.Semaphore(LOOKED_UP_AT_ONCE)
        self._for_new = asyncio.Semaphore(LOOKED_UP_AT_ONCE)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        try:
            found = await self._in_a_thread(host, port)
        except (OSError, UnicodeError) as error:
            self._known.pop(host, None)
            raise NotResolved(f"{host} has no address") from error
        if not found:
            raise NotResolved(f"{host} has no address")
        for address in found:
            self._admit(address)
        self._known[host] = None
        self._known.move_to_end(host)
        if len(self._known) > MOST_NAMES:
            self._known.popitem(last=False)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    async def close(self) -> None: ...

    async def _in_a_thread(self, host: str, port: int) -> Sequence[str]:
        """Of its own: whoever stops this process does not wait for a name server, as he would with a pool's threads."""
        loop = asyncio.get_running_loop()
        room = self._for_known if host in self._known else self._for_new
        await room.acquire()
        found: asyncio.Future[Sequence[str]] = loop.create_future()

        def settle(addresses: Sequence[str], error: Exception | None) -> None:
            room.release()
            if found.cancelled():
                return
            if error is None:
                found.set_result(addresses)
            else:
                found.set_exception(error)

        def look() -> None:
            addresses: Sequence[str] = ()
            failed: Exception | None = None
            try:
                addresses = self._look_up(host, port)
            except (OSError, UnicodeError) as error:
                failed = error
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(settle, addresses, failed)

        threading.Thread(target=look, name="name-of-a-receiver", daemon=True).start()
        return await found


def _from_the_system(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return list(dict.fromkeys(str(info[4][0]) for info in found))

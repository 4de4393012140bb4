"""What routes ask for: the platform, a transaction, the time, and work for after the commit."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Path, Request
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, SecretStr
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import HTTPConnection

from core.bootstrap import Platform

Work = Callable[[], Awaitable[None]]


class Background:
    """Work that outlives its request; waited for when the process ends."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Work) -> None:
        async def run() -> None:
            await work()

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self, *, timeout_s: float) -> None:
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=timeout_s)
            for task in late:
                task.cancel()


def platform_of(request: HTTPConnection) -> Platform:
    platform: Platform = request.app.state.platform
    return platform


async def get_platform(request: Request) -> Platform:
    return platform_of(request)


async def get_tx(request: Request) -> AsyncIterator[AsyncSession]:
    """The transaction the route class has opened for a write; a snapshot of our own for a read."""
    if (tx := getattr(request.state, "tx", None)) is not None:
        yield tx
        return
    async with platform_of(request).database.reading() as tx:
        yield tx


PlatformDep = Annotated[Platform, Depends(get_platform)]
Tx = Annotated[AsyncSession, Depends(get_tx, scope="function")]


async def get_now(platform: PlatformDep, tx: Tx) -> datetime:
    return await platform.clock.now(tx)


Now = Annotated[datetime, Depends(get_now)]


def after_commit(request: Request, work: Work) -> None:
    """Start `work` once this request's change is committed. It must answer for its own failures."""
    request.state.after_commit.append(work)


def _storable(value: str) -> str:
    if "\0" in value:
        raise ValueError("contains a null character")
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise ValueError("contains half a character (a lone surrogate)")
    return value


def _storable_secret(value: SecretStr) -> SecretStr:
    _storable(value.get_secret_value())
    return value


Str = Annotated[str, AfterValidator(_storable)]
"""Text that both databases take."""
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}.*")


def _written_out(value: object) -> object:
    """A number would be taken for seconds since 1970."""
    if isinstance(value, str) and not _MOMENT.fullmatch(value):
        raise ValueError("is not a time with its zone, such as 2026-11-23T08:00:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_written_out)]
"""A time as a query says it."""
Secret = Annotated[SecretStr, Field(min_length=1, max_length=4096), AfterValidator(_storable_secret)]
Id = Annotated[int, Path(ge=1, le=2**63 - 1, description="The id, as given when it was made.", examples=[7])]

"""The composition root of a flow run: the same platform as everywhere, opened for one run."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from connectors import choose
from core import collector, discreet
from core.bootstrap import Platform, build
from core.settings import Settings


@asynccontextmanager
async def opened() -> AsyncIterator[Platform]:
    settings = Settings()
    discreet.make_all_discreet()  # Prefect's are there by now
    platform = await build(
        settings, connectors=choose.CloudConnectors(settings), jobs=choose.jobs(settings), process="flows"
    )
    collector.leave_alone_what_is_loaded()
    try:
        yield platform
    finally:
        await platform.close()

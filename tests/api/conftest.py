"""The app as the process builds it, spoken to over ASGI."""

from collections.abc import AsyncIterator

import httpx
import pytest

from core.settings import Settings
from fakes import FakeClock, FakeConnector, FakeConnectors, FakeJobs
from serving import Server, inside


@pytest.fixture
async def server(
    settings: Settings, connector: FakeConnector, jobs: FakeJobs, clock: FakeClock
) -> AsyncIterator[Server]:
    async with inside(settings, connectors=FakeConnectors(connector), jobs=jobs, clock=clock) as server:
        yield server


@pytest.fixture
async def api(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client() as client:
        yield client

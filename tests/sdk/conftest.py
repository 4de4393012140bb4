"""The shipped client against the real API: awaited over ASGI on both databases, at once over a real socket."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from core.settings import Settings
from fakes import FakeClock, FakeConnector, FakeConnectors, FakeJobs
from serving import Server, api_process, inside, made_key, new_installation
from waqtor import AsyncClient, Client


@pytest.fixture
async def server(
    settings: Settings, connector: FakeConnector, jobs: FakeJobs, clock: FakeClock
) -> AsyncIterator[Server]:
    async with inside(settings, connectors=FakeConnectors(connector), jobs=jobs, clock=clock) as server:
        yield server


@pytest.fixture
async def waqtor(server: Server) -> AsyncIterator[AsyncClient]:
    async with AsyncClient("http://waqtor", server.key, transport=server.transport) as client:
        yield client


@pytest.fixture(scope="session")
def socket_client(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Client]:
    settings = new_installation(tmp_path_factory.mktemp("sdk"), sqlite_template)
    with api_process(settings) as process, Client(process.url, made_key(settings)) as client:
        yield client

"""The app as the process builds it, spoken to over ASGI; a real server where the wire itself is the matter."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI

from api.app import create_app
from core import apikeys
from core.bootstrap import Platform
from core.settings import Settings
from fakes import FakeClock, FakeConnector, FakeConnectors, FakeJobs


@dataclass
class Server:
    app: FastAPI
    platform: Platform
    key: str

    def client(self, key: str | None = None) -> httpx.AsyncClient:
        """Another client of the same app; with no header where `key` is empty."""
        key = self.key if key is None else key
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=False),
            base_url="http://waqtor",
            headers={"Authorization": f"Bearer {key}"} if key else {},
        )

    async def new_key(self, *scopes: str) -> str:
        async with self.platform.database.transaction() as tx:
            return (await apikeys.create(tx, name="a test", scopes=scopes, at=await self.platform.clock.now(tx))).full


@pytest.fixture
async def server(
    settings: Settings, connector: FakeConnector, jobs: FakeJobs, clock: FakeClock
) -> AsyncIterator[Server]:
    app = create_app(settings, connectors=FakeConnectors(connector), jobs=jobs, clock=clock)
    async with app.router.lifespan_context(app):
        server = Server(app, app.state.platform, "")
        server.key = await server.new_key("admin")
        yield server


@pytest.fixture
async def api(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client() as client:
        yield client

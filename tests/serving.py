"""The API to speak to: inside the test over ASGI, or as a process of its own with its log in a file."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from fastapi import FastAPI
from starlette.datastructures import State

from answering import answers
from api.app import create_app, running
from core import apikeys, keys
from core.bootstrap import Platform
from core.database import DatabaseClock, connect
from core.ports import Clock, Connectors, Jobs, Poster
from core.settings import Settings

ROOT = Path(__file__).parent.parent


@dataclass
class Server:
    """The app inside this process. `key` may do everything."""

    app: FastAPI
    platform: Platform
    key: str

    @property
    def transport(self) -> httpx.ASGITransport:
        return httpx.ASGITransport(self.app, raise_app_exceptions=False)

    def client(self, key: str | None = None) -> httpx.AsyncClient:
        """Another client; with no header where `key` is empty."""
        key = self.key if key is None else key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.AsyncClient(transport=self.transport, base_url="http://waqtor", headers=headers)

    async def new_key(self, *scopes: str) -> str:
        async with self.platform.database.transaction() as tx:
            now = await self.platform.clock.now(tx)
            return (await apikeys.create(tx, self.platform.key, name="a test", scopes=scopes, at=now)).full


# FastAPI works out its 140 routes when an app is first asked, which takes longer than most tests. They hold nothing of
# an installation, so an app whose test is over serves the next.
_idle: list[FastAPI] = []


@asynccontextmanager
async def inside(
    settings: Settings, *, connectors: Connectors, jobs: Jobs, clock: Clock, poster: Poster | None = None
) -> AsyncIterator[Server]:
    app = _idle.pop() if _idle else create_app(settings)
    app.state = State()
    try:
        async with running(app, settings, connectors=connectors, jobs=jobs, clock=clock, poster=poster):
            server = Server(app, app.state.platform, "")
            server.key = await server.new_key("admin")
            yield server
    finally:
        _idle.append(app)


def new_installation(folder: Path, sqlite_template: Path) -> Settings:
    """A master key and an empty, migrated SQLite database in `folder`."""
    keys.init(folder / "master.key")
    shutil.copy(sqlite_template, folder / "waqtor.db")
    return Settings(data_dir=folder)


def made_key(settings: Settings) -> str:
    """A new key that may do everything."""

    async def make() -> str:
        database = connect(settings)
        async with database.transaction() as tx:
            made = await apikeys.create(
                tx, keys.load(settings.key_file), name="t", scopes=["admin"], at=await DatabaseClock().now(tx)
            )
        await database.close()
        return made.full

    return asyncio.run(make())


@dataclass
class Process:
    settings: Settings
    url: str
    log: Path
    popen: subprocess.Popen[bytes]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(settings: Settings, port: int) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'sdk/python'}",
        "WAQTOR_DATA_DIR": str(settings.data_dir),
        "WAQTOR_DATABASE_URL": settings.database_url,
        "WAQTOR_REDIS_URL": settings.redis_url,
        "WAQTOR_API_PORT": str(port),
        "WAQTOR_PREFECT_PORT": "1",  # nobody listens: a nudge fails, and must do no harm
    }


@contextmanager
def api_process(settings: Settings, *, port: int | None = None, **variables: str) -> Iterator[Process]:
    """`variables`: more of its environment."""
    port = port or free_port()
    log = settings.data_dir / f"api-{port}.log"
    with log.open("ab") as out:
        popen = subprocess.Popen(
            [sys.executable, "-m", "api"],
            env={**environment(settings, port), **variables},
            stdout=out,
            stderr=out,
            cwd=settings.data_dir,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 30
        while not answers(f"{url}/healthz"):
            assert popen.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield Process(settings, url, log, popen)
    finally:
        popen.terminate()
        popen.wait(15)

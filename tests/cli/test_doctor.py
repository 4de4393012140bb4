import http.server
import io
import socket
import sqlite3
import threading
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import pytest
from rich.console import Console
from sqlalchemy import update

from cli import doctor
from core import database, inbox, keys, schema
from core.errors import Invalid
from core.models import InboxItem
from core.settings import Settings


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", database_url="", api_port=free_port(), prefect_port=free_port())


async def installed(settings: Settings) -> None:
    settings.data_dir.mkdir(exist_ok=True)
    keys.init(settings.key_file)
    connected = database.connect(settings)
    await schema.upgrade(connected)
    await connected.close()


def findings(settings: Settings) -> dict[str, doctor.Check]:
    return {check.name: check for check in doctor.doctor(settings)}


def test_a_bare_machine_is_told_how_to_get_each_missing_thing(settings: Settings) -> None:
    found = findings(settings)
    assert not found["master key"].ok
    assert "waqtor keys init" in found["master key"].remedy
    assert not found["database"].ok
    assert found["database"].remedy == "waqtor db upgrade"
    assert not settings.data_dir.exists(), "looking must not make anything"
    assert found["data directory"].ok
    assert "waqtor up" in found["Prefect"].detail


async def test_what_is_there_is_found(settings: Settings) -> None:
    await installed(settings)
    assert doctor.master_key(settings).ok
    checks = await doctor._database(settings)
    assert [check.name for check in checks if check.ok] == ["database", "webhooks of WhatsApp", "clock"], checks


async def test_an_older_schema_is_not_current(settings: Settings) -> None:
    settings.data_dir.mkdir()
    sqlite3.connect(settings.data_dir / "waqtor.db").close()
    connected = database.connect(settings)
    async with connected.engine.begin():
        pass
    await connected.close()
    first, *_ = await doctor._database(settings)
    assert (first.ok, first.remedy) == (False, "waqtor db upgrade")
    assert schema.newest() in first.detail


async def test_a_database_that_does_not_answer_is_named_without_its_password(settings: Settings) -> None:
    nowhere = f"postgresql://someone:hunter2@127.0.0.1:{free_port()}/waqtor"
    (found,) = await doctor._database(settings.model_copy(update={"database_url": nowhere}))
    assert not found.ok
    assert "someone:***@127.0.0.1" in found.detail
    assert "hunter2" not in str(found)


async def test_a_master_key_that_others_can_read_is_refused(settings: Settings) -> None:
    await installed(settings)
    settings.key_file.chmod(0o644)
    found = doctor.master_key(settings)
    assert (found.ok, found.remedy) == (False, f"chmod 600 {settings.key_file}")


def test_the_versions_that_break_silently_are_named_with_the_harm() -> None:
    def installed(name: str) -> str:
        return {"sqlalchemy": "2.1.9", "fastapi": "0.165.0"}.get(name) or metadata.version(name)

    wrong = {check.name: check for check in doctor.packages(installed) if not check.ok}
    assert "scheduler creates no runs" in wrong["sqlalchemy"].detail
    assert "0.165.0" in wrong["fastapi"].detail
    assert wrong["sqlalchemy"].remedy.startswith("make setup")


def test_a_missing_package_is_named() -> None:
    def nothing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    summary, *wrong = doctor.packages(nothing)
    assert not summary.ok
    assert {"prefect", "sqlalchemy", "waqtor"} <= {check.name for check in wrong}


def test_a_port_is_free_or_ours_or_taken(settings: Settings) -> None:
    assert "free" in doctor.port("api", "127.0.0.1", settings.api_port, health="/").detail
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        stranger.settimeout(0.1)
        taken = doctor.port("api", "127.0.0.1", stranger.getsockname()[1], health="/")
        assert not taken.ok
        assert "WAQTOR_API_PORT" in taken.remedy
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as ours:
        threading.Thread(target=ours.serve_forever, daemon=True).start()
        assert doctor.port("api", "127.0.0.1", ours.server_port, health="/").detail == "api serves there"
        ours.shutdown()


def test_too_old_and_too_full_are_said_plainly(settings: Settings) -> None:
    assert not doctor.python((3, 10)).ok
    assert "3.38" in doctor.sqlite((3, 37, 2)).remedy
    assert "stops sending" in doctor.disk(settings, needed_bytes=2**60).remedy


def test_a_misspelt_variable_is_refused_with_the_setting_that_was_meant() -> None:
    assert doctor.unknown_environment({"WAQTOR_API_PROT": "1", "WAQTOR_API_PORT": "2", "HOME": "/"}) == {
        "WAQTOR_API_PROT": "WAQTOR_API_PORT"
    }
    with pytest.raises(Invalid, match="WAQTOR_API_PROT is set") as refused:
        doctor.require_known_environment({"WAQTOR_API_PROT": "1"})
    assert refused.value.hint == "Did you mean WAQTOR_API_PORT?"
    doctor.require_known_environment({"WAQTOR_REQUIRE_ALL": "1", "PATH": ""})


def test_run_prints_the_findings_and_fails_where_one_is_missing(settings: Settings) -> None:
    console = Console(record=True, width=200, file=io.StringIO())
    assert doctor.run(settings, console=console) == 1
    assert "waqtor keys init" in console.export_text()


async def test_webhooks_that_were_set_aside_are_counted_with_what_to_do(settings: Settings) -> None:
    await installed(settings)
    connected = database.connect(settings)
    async with connected.transaction() as tx:
        await inbox.store(tx, b"{}", b"{}", at=datetime.now(UTC))
        await tx.execute(update(InboxItem).values(applied_at=datetime.now(UTC), error="KeyError"))
    await connected.close()
    (found,) = [check for check in await doctor._database(settings) if not check.ok]
    assert (found.name, found.detail) == ("webhooks of WhatsApp", "could not be applied: 2 (KeyError)")
    assert found.remedy.endswith("waqtor inbox again")

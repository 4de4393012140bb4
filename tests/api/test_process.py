"""The API process itself: how it refuses to start, what it logs, how it ends."""

import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.logs import Discreet
from core import apikeys, keys
from core.database import DatabaseClock, connect
from core.settings import Settings
from serving import Process, api_process, environment, free_port


@pytest.fixture
def sqlite_settings(tmp_path: Path, sqlite_template: Path) -> Settings:
    keys.init(tmp_path / "master.key")
    shutil.copy(sqlite_template, tmp_path / "waqtor.db")
    return Settings(data_dir=tmp_path)


@pytest.fixture
def process(sqlite_settings: Settings) -> Iterator[Process]:
    with api_process(sqlite_settings) as process:
        yield process


def made_key(settings: Settings) -> str:
    async def make() -> str:
        database = connect(settings)
        async with database.transaction() as tx:
            made = await apikeys.create(tx, name="t", scopes=["admin"], at=await DatabaseClock().now(tx))
        await database.close()
        return made.full

    return asyncio.run(make())


def refused(settings: Settings) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "api"],
        env=environment(settings, free_port()),
        capture_output=True,
        timeout=30,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_lost_master_key_stops_the_start_and_says_so(sqlite_settings: Settings) -> None:
    sqlite_settings.key_file.unlink()
    assert "is not there" in refused(sqlite_settings)


def test_another_master_key_stops_the_start_and_says_so(sqlite_settings: Settings) -> None:
    with api_process(sqlite_settings):
        pass
    sqlite_settings.key_file.unlink()
    keys.init(sqlite_settings.key_file)
    assert "not the one the database was written with" in refused(sqlite_settings)


def test_an_empty_database_stops_the_start_and_says_so(sqlite_settings: Settings) -> None:
    (sqlite_settings.data_dir / "waqtor.db").unlink()
    assert "waqtor db upgrade" in refused(sqlite_settings)


def test_logs_hold_no_number_and_no_secret(process: Process, sqlite_settings: Settings) -> None:
    key = made_key(sqlite_settings)
    with httpx.Client(base_url=process.url, headers={"Authorization": f"Bearer {key}"}) as client:
        client.post("/api/v3/contacts", json={"phone": "+966501234567", "name": "Nora"})
        client.post("/api/v3/contacts", json={"phone": "+966501234567x", "nmae": "+966501234568"})
        client.post("/api/v3/contacts/import", files={"file": ("966501234569.csv", "phone\n+966501234569\nx\n")})
        sender = {"name": "s", "phone_number_id": "106540352242922", "waba_id": "1", "access_token": "EAAsecret"}
        client.post("/api/v3/senders", json=sender | {"app_secret": "app-secret", "verify_token": "verify-secret"})
        client.post("/api/v3/templates", json={"name": "t", "body": "Hi"})
        client.post(
            "/api/v3/campaigns", json={"name": "c", "sender_id": 1, "template_id": 1, "audience": {"all": True}}
        )
        assert client.post("/api/v3/campaigns/1/launch").status_code == 200  # no orchestrator: the nudge is logged
        client.get("/webhooks/cloud/1", params={"hub.mode": "subscribe", "hub.verify_token": "verify-secret"})
        client.get("/api/v3/contacts", headers={"Authorization": f"Bearer {key}x"})
    process.popen.terminate()
    assert process.popen.wait(15) == 0
    log = process.log.read_text()
    assert "nudge_failed campaign=1" in log
    assert key.split("_")[2] not in log
    assert "secret" not in log
    assert not re.search(r"9665\d{8}", log)


def test_what_others_log_is_made_discreet() -> None:
    formatter = Discreet("%(message)s")

    def told(text: str) -> str:
        import logging

        return formatter.format(logging.LogRecord("x", 20, "x", 1, text, None, None))

    assert told("Key (value)=(+966501234567) exists") == "Key (value)=(<number>) exists"
    assert "abcdefgh" not in told("wq_0123456789_abcdefghijk-_x and Bearer abcdefghijk")
    assert (
        told("campaign=7 request=f3a9c2d41b07a1b2 took 12345678 us")
        == "campaign=7 request=f3a9c2d41b07a1b2 took 12345678 us"
    )


def test_a_200_mb_upload_gets_its_answer_over_the_wire(process: Process, sqlite_settings: Settings) -> None:
    key = made_key(sqlite_settings)

    def body() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\nphone\n'
        for _ in range(200):
            yield b"1" * 1024 * 1024

    headers = {"Authorization": f"Bearer {key}", "Content-Type": "multipart/form-data; boundary=x"}
    answer = httpx.post(f"{process.url}/api/v3/contacts/import", content=body(), headers=headers, timeout=60)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert httpx.get(f"{process.url}/readyz").json()["ok"] is True

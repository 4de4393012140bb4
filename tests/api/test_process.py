"""The API process itself: how it refuses to start, what it logs, how it ends."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.app import create_app
from core import keys
from core.errors import MasterKeyWrong, SchemaBehind
from core.settings import Settings
from serving import Process, api_process, environment, free_port, made_key, new_installation


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Process]:
    with api_process(new_installation(tmp_path_factory.mktemp("api"), sqlite_template)) as process:
        yield process


@pytest.fixture
def installation(tmp_path: Path, sqlite_template: Path) -> Settings:
    return new_installation(tmp_path, sqlite_template)


async def start(settings: Settings) -> None:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        pass


def test_a_lost_master_key_ends_the_process_and_says_so(installation: Settings) -> None:
    installation.key_file.unlink()
    done = subprocess.run(
        [sys.executable, "-m", "api"],
        env=environment(installation, free_port()),
        capture_output=True,
        timeout=60,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert "is not there" in done.stderr
    assert "waqtor keys init" in done.stderr
    assert "Traceback" not in done.stderr


async def test_another_master_key_is_refused(installation: Settings) -> None:
    await start(installation)
    installation.key_file.unlink()
    keys.init(installation.key_file)
    with pytest.raises(MasterKeyWrong, match="not the one the database was written with"):
        await start(installation)


async def test_an_empty_database_is_refused(installation: Settings) -> None:
    (installation.data_dir / "waqtor.db").unlink()
    with pytest.raises(SchemaBehind) as refusal:
        await start(installation)
    assert refusal.value.hint == "Run: waqtor db upgrade"


def test_a_200_mb_upload_gets_its_answer_over_the_wire(process: Process) -> None:
    key = made_key(process.settings)

    def body() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\nphone\n'
        for _ in range(200):
            yield b"1" * 1024 * 1024

    headers = {"Authorization": f"Bearer {key}", "Content-Type": "multipart/form-data; boundary=x"}
    answer = httpx.post(f"{process.url}/api/v3/contacts/import", content=body(), headers=headers, timeout=60)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert httpx.get(f"{process.url}/readyz").json()["ok"] is True


def test_logs_hold_no_number_and_no_secret(process: Process) -> None:
    key = made_key(process.settings)
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
    assert process.popen.wait(30) == 0
    log = process.log.read_text()
    assert "nudge_failed campaign=1" in log
    assert key.split("_", 2)[2] not in log
    assert "secret" not in log
    assert not re.search(r"9665\d{8}", log)

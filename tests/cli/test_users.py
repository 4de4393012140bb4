"""People and the audit log at the terminal: real processes."""

import sqlite3
from pathlib import Path

import httpx
import pytest

from accounts import PASSWORD
from cli.main import main
from core.settings import Settings
from serving import api_process, made_key, new_installation


@pytest.fixture
def folder(tmp_path: Path, sqlite_template: Path) -> Path:
    (tmp_path / ".waqtor").mkdir()
    new_installation(tmp_path / ".waqtor", sqlite_template)
    return tmp_path


def test_from_the_first_admin_to_everybody_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(data_dir=folder / ".waqtor")
    monkeypatch.chdir(folder)
    links = []
    for _ in range(2):
        assert main(["users", "invite-admin"]) == 0
        links.append(capsys.readouterr().out.split()[0])
    first, again = links
    with api_process(settings) as process:
        token = again.rsplit("/", 1)[1]
        void = httpx.get(f"{process.url}/links/{first.rsplit('/', 1)[1]}")
        assert void.status_code == 404, "only the last link is good"
        form = {"email": "boss@example.com", "name": "Boss", "password": PASSWORD, "again": PASSWORD}
        assert httpx.post(f"{process.url}/links/{token}", data=form).status_code == 200
        monkeypatch.setenv("WAQTOR_URL", process.url)
        monkeypatch.setenv("WAQTOR_API_KEY", made_key(settings))
        assert main(["users", "invite", "noura@example.com", "--role", "viewer"]) == 0
        body = {"token": capsys.readouterr().out.strip().rsplit("/", 1)[1], "password": PASSWORD}
        assert httpx.post(f"{process.url}/api/v3/auth/accept", json=body).status_code == 201
        for words, said in (
            (("role", "noura@example.com", "user"), "has the role user"),
            (("disable", "noura@example.com"), "signed out"),
            (("enable", "noura@example.com"), "may sign in again"),
            (("totp-off", "noura@example.com"), "password alone"),
            (("sign-out", "noura@example.com"), "0 sign-ins"),
            (("reset-link", "noura@example.com"), "/auth/link/"),
            (("list",), "boss@example.com"),
        ):
            assert main(["users", *words]) == 0, words
            assert said in capsys.readouterr().out, words
        assert main(["users", "disable", "nobody@example.com"]) == 2
        log = process.log.read_text()
    assert "noura" not in log
    assert token not in log
    assert main(["audit", "verify"]) == 0


def test_verify_tells_what_was_done_by_its_exit_code(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    for name in ("a", "b"):
        assert main(["keys", "create", name, "--scope", "read", "--address", "10.0.0.0/8"]) == 0
    assert main(["keys", "create", "reports", "--service"]) == 0
    assert main(["keys", "create", "reports", "--service"]) == 2
    assert main(["audit", "verify"]) == 0
    anchor = folder / ".waqtor" / "audit.anchor"
    assert '"seq":3' in anchor.read_text()
    capsys.readouterr()
    with sqlite3.connect(folder / ".waqtor" / "waqtor.db") as database:
        for verb in ("update", "delete", "replace"):
            database.execute(f"DROP TRIGGER audit_no_{verb}")
        database.execute("DELETE FROM audit_entries WHERE seq = 3")
    assert main(["audit", "verify"]) == 3
    assert "truncated" in capsys.readouterr().out
    with sqlite3.connect(folder / ".waqtor" / "waqtor.db") as database:
        database.execute("UPDATE audit_entries SET actor = 'user:9' WHERE seq = 1")
    assert main(["audit", "verify"]) == 1
    assert "altered" in capsys.readouterr().out
    anchor.write_text("{")
    assert main(["audit", "verify"]) == 2

"""The command line as a person uses it: real processes, and the words of what is refused."""

import json
import stat
from pathlib import Path

import pytest

from terminal import Here


@pytest.fixture
def waqtor(tmp_path: Path) -> Here:
    return Here(tmp_path)


def test_a_new_installation_in_three_commands(waqtor: Here) -> None:
    assert waqtor("keys", "init").returncode == 0
    assert waqtor("db", "upgrade").returncode == 0
    made = waqtor("keys", "create", "laptop")
    assert made.stdout.startswith("wq_")
    assert len(made.stdout.splitlines()) == 1, "nothing but the key, for $(…)"
    key_file = waqtor.folder / ".waqtor" / "master.key"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert waqtor("db", "check").returncode == 0
    assert waqtor("inbox", "again").stdout.startswith("0 webhooks are applied anew")


def test_the_master_key_is_never_overwritten(waqtor: Here) -> None:
    waqtor("keys", "init")
    before = (waqtor.folder / ".waqtor" / "master.key").read_bytes()
    again = waqtor("keys", "init")
    assert again.returncode == 2
    assert "waqtor keys rotate" in again.stderr
    assert (waqtor.folder / ".waqtor" / "master.key").read_bytes() == before


def test_a_lost_master_key_is_refused_with_what_to_do(waqtor: Here) -> None:
    waqtor("db", "upgrade")
    refused = waqtor("api")
    assert refused.returncode == 2
    assert "master key" in refused.stderr
    assert "waqtor keys init" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_database_without_schema_is_refused_with_what_to_do(waqtor: Here) -> None:
    waqtor("keys", "init")
    refused = waqtor("api")
    assert refused.returncode == 2
    assert "waqtor db upgrade" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_rotation_keeps_what_was_encrypted_readable(waqtor: Here) -> None:
    waqtor("keys", "init")
    waqtor("db", "upgrade")
    old = json.loads((waqtor.folder / ".waqtor" / "master.key").read_text())
    assert waqtor("keys", "rotate").returncode == 0
    new = json.loads((waqtor.folder / ".waqtor" / "master.key").read_text())
    assert new["encryption"] != old["encryption"]
    assert new["lookup"] == old["lookup"], "opt-outs are known by it"


def test_a_wrong_setting_is_named(waqtor: Here) -> None:
    refused = waqtor("config", "check", WAQTOR_LEASE_S="3")
    assert refused.returncode == 2
    assert "lease_s" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_unknown_setting_is_refused(waqtor: Here) -> None:
    refused = waqtor("config", "check", WAQTOR_LEASES="3")
    assert refused.returncode == 2
    assert "WAQTOR_LEASES" in refused.stderr


def test_secrets_are_masked_when_settings_are_shown(waqtor: Here) -> None:
    shown = waqtor(
        "config",
        "show",
        WAQTOR_DATABASE_URL="postgresql://waqtor:hunter2@db/waqtor",
        WAQTOR_PREFECT_AUTH="admin:hunter3",
    )
    assert shown.returncode == 0, shown.stderr
    assert "hunter" not in shown.stdout + shown.stderr
    assert "waqtor:***@db" in shown.stdout


def test_commands_that_need_the_api_say_what_they_need(waqtor: Here) -> None:
    refused = waqtor("campaigns", "list")
    assert refused.returncode == 2
    assert "waqtor keys create" in refused.stderr
    refused = waqtor("campaigns", "list", WAQTOR_API_KEY="wq_x_y", WAQTOR_URL="http://127.0.0.1:9")
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    refused = waqtor("contacts", "import", "nothing.csv")
    assert "no file nothing.csv" in refused.stderr


def test_help_is_there_for_each_command(waqtor: Here) -> None:
    assert "campaigns" in waqtor("--help").stdout
    assert "--simulator" in waqtor("up", "--help").stdout


def test_a_backup_goes_back_into_a_new_installation(waqtor: Here, tmp_path_factory: pytest.TempPathFactory) -> None:
    waqtor("keys", "init")
    waqtor("db", "upgrade")
    waqtor("keys", "create", "laptop")
    file = waqtor.folder / "it.gz"
    written = waqtor("backup", str(file))
    assert written.returncode == 0, written.stderr
    assert "master.key" in written.stdout
    new = Here(tmp_path_factory.mktemp("new"))
    key = {"WAQTOR_MASTER_KEY_FILE": str(waqtor.folder / ".waqtor" / "master.key")}
    too_early = new("restore", str(file), **key)
    assert too_early.returncode == 2
    assert "waqtor db upgrade" in too_early.stderr
    new("db", "upgrade")
    restored = new("restore", str(file), **key)
    assert restored.returncode == 0, restored.stderr
    assert "0 senders are paused" in restored.stdout
    again = new("restore", str(file), **key)
    assert again.returncode == 2
    assert "not empty" in again.stderr
    assert new("restore", "nowhere.gz", **key).returncode == 2

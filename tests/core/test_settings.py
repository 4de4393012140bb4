import os
import re
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from core.settings import Settings

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("WAQTOR_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_the_example_names_every_setting_with_its_default() -> None:
    defaults = Settings().model_dump(mode="json")
    assert tomllib.loads(EXAMPLE.read_text()) == {name: value for name, value in defaults.items() if value is not None}
    unset = set(re.findall(r"^# (\w+) = ", EXAMPLE.read_text(), re.MULTILINE))
    assert unset == {name for name, value in defaults.items() if value is None}


def test_every_setting_in_the_example_has_its_reason_above_it() -> None:
    for paragraph in EXAMPLE.read_text().split("\n\n"):
        lines = paragraph.splitlines()
        if any(re.match(r"(# )?\w+ = ", line) for line in lines):
            assert re.match(r"# \S+ \S+", lines[0]), paragraph


def test_the_example_is_a_valid_configuration() -> None:
    defaults = Settings()
    Path("config.toml").write_text(EXAMPLE.read_text())
    assert Settings().model_dump() == defaults.model_dump()
    Path("config.toml").write_text(re.sub(r"^# (\w+ = )", r"\1", EXAMPLE.read_text(), flags=re.MULTILINE))
    assert Settings().key_file == Path("/etc/waqtor/master.key")


def test_environment_wins_over_the_file_and_the_file_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("config.toml").write_text("api_port = 1001\nprefect_port = 1002\n")
    monkeypatch.setenv("WAQTOR_API_PORT", "2001")
    settings = Settings()
    assert (settings.api_port, settings.prefect_port, settings.simulator_port) == (2001, 1002, 8090)


def test_a_lease_shorter_than_the_request_is_refused_with_the_sum() -> None:
    with pytest.raises(ValidationError, match=r"lease_s is 20 but .* is 25: .*Raise lease_s or lower the others"):
        Settings(lease_s=20)
    assert Settings(lease_s=20, request_timeout_s=10).lease_s == 20


def test_an_unknown_name_in_the_file_is_refused_by_name() -> None:
    Path("config.toml").write_text("api_prot = 8081\n")
    with pytest.raises(ValidationError, match=r"api_prot\s+Extra inputs are not permitted"):
        Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [("send_concurrency", 65), ("claim_s", 3), ("pace_ahead_s", 2), ("default_country", "Saudi"), ("max_attempts", 0)],
)
def test_what_the_promise_of_sending_rests_on_cannot_be_exceeded(name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=name):
        Settings(**{name: value})


def test_secrets_do_not_show() -> None:
    settings = Settings(prefect_auth="admin:hunter2")
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()}"
    assert settings.prefect_auth is not None
    assert settings.prefect_auth.get_secret_value() == "admin:hunter2"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgres://u@h/n", "postgresql+asyncpg://u@h/n"),
        ("postgresql://u@h/n", "postgresql+asyncpg://u@h/n"),
        ("postgresql+asyncpg://u@h/n", "postgresql+asyncpg://u@h/n"),
        ("sqlite:////tmp/x.db", "sqlite+aiosqlite:////tmp/x.db"),
    ],
)
def test_the_database_address_gets_an_async_driver(given: str, used: str) -> None:
    assert Settings(database_url=given).database == used


def test_without_an_address_the_database_lies_in_the_data_dir(tmp_path: Path) -> None:
    assert Settings(data_dir=tmp_path).database == f"sqlite+aiosqlite:///{tmp_path}/waqtor.db"

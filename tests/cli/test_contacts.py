"""`waqtor contacts import`, against a server of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.main import main
from serving import api_process, made_key, new_installation


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[tuple[str, str]]:
    settings = new_installation(tmp_path_factory.mktemp("cli"), sqlite_template)
    with api_process(settings) as process:
        yield process.url, made_key(settings)


@pytest.fixture
def file(server: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WAQTOR_URL", server[0])
    monkeypatch.setenv("WAQTOR_API_KEY", server[1])
    path = tmp_path / "people.csv"
    path.write_text("Tel,Full name\n0501234567,نورة\n12,X\n")
    return path


def test_a_file_is_taken_with_its_evidence(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    consent = ["--consent-source", "form", "--consent-wording", "Yes.", "--consent-date", "2026-01-31"]
    assert main(["contacts", "import", str(file), "--map", "Tel=phone", *consent]) == 1
    told = capsys.readouterr().out
    assert "2 rows: 1 new, 0 known, 1 not taken." in told
    assert "row 2: phone:" in told


def test_a_dry_run_writes_nothing(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["contacts", "import", str(file), "--dry-run", "--map", "Tel=phone"]) == 1
    told = capsys.readouterr().out
    assert "Nothing was written." in told
    assert "+966501234567" in told


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (["--map", "Tel"], "names no place"),
        (["--consent-source", "form"], "three things"),
        ([], "No column is 'phone'"),
    ],
)
def test_what_is_asked_wrongly_is_said_so(
    file: Path, capsys: pytest.CaptureFixture[str], asked: list[str], says: str
) -> None:
    assert main(["contacts", "import", str(file), *asked]) == 2
    assert says in capsys.readouterr().err

"""`waqtor notifications …`, against a server of its own."""

from pathlib import Path

import pytest

from cli.main import main
from serving import api_process, made_key, new_installation
from waqtor import Client


def test_looked_at_and_read(
    tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = new_installation(tmp_path, sqlite_template)
    with api_process(settings) as process:
        key = made_key(settings)
        monkeypatch.setenv("WAQTOR_URL", process.url)
        monkeypatch.setenv("WAQTOR_API_KEY", key)
        monkeypatch.setenv("COLUMNS", "200")
        with Client(process.url, key) as client:
            told = client.notifications.create("problem", "[red]brackets[/red]", "stay as they are")
        assert main(["notifications", "list", "--unread"]) == 0
        shown = capsys.readouterr().out
        assert "[red]brackets[/red]" in shown
        assert "stay as they are" in shown
        assert main(["notifications", "read", str(told.id)]) == 0
        assert main(["notifications", "list", "--unread", "--severity", "problem"]) == 0
        assert "There is nothing." in capsys.readouterr().out
        assert main(["notifications", "read", "--all"]) == 0
        assert main(["notifications", "list", "--limit", "1"]) == 0
        assert "0 of " in capsys.readouterr().out
        assert main(["notifications", "read", "999"]) == 2

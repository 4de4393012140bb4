"""`waqtor media …` and `waqtor chats …`, against a server of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import scenes
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
    path = tmp_path / "receipt.png"
    path.write_bytes(scenes.PICTURE)
    return path


def test_a_file_there_and_back(file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["media", "upload", str(file)]) == 0
    said = capsys.readouterr().out
    assert "image/png, to be sent as image" in said
    number = said.split("media ")[1].split(":")[0]
    assert main(["media", "list"]) == 0
    assert "receipt.png" in capsys.readouterr().out
    assert main(["media", "get", number, "--out", str(tmp_path / "copy")]) == 0
    assert (tmp_path / "copy").read_bytes() == scenes.PICTURE
    assert main(["media", "delete", number]) == 0
    assert main(["media", "get", number]) == 2
    assert main(["media", "upload", str(tmp_path / "nothing")]) == 2
    file.write_bytes(b"MZ\0")
    assert main(["media", "upload", str(file)]) == 2
    assert "WhatsApp takes no files of this kind" in capsys.readouterr().err


def test_there_is_no_chat_yet(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chats", "list"]) == 0
    assert "There is no chat." in capsys.readouterr().out
    assert main(["chats", "show", "1-1"]) == 2
    to = ["messages", "send", "--sender", "1", "--to", "+966501234567"]
    assert main([*to, "--media", "99"]) == 2
    assert "There is no media 99" in capsys.readouterr().err

"""`waqtor templates …`, against a server of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.main import main
from serving import api_process, made_key, new_installation
from waqtor import Client


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[tuple[str, str]]:
    settings = new_installation(tmp_path_factory.mktemp("cli"), sqlite_template)
    with api_process(settings) as process:
        key = made_key(settings)
        with Client(process.url, key) as client:
            made = client.templates.create(
                "Spring", "*Hello {name}* [bold]", header={"type": "image", "link": "https://example.com/a.png"}
            )
            client.templates.save_variant(made.id, "ar", {"body": "مرحباً {name}", "defaults": {"name": "صديقنا"}})
            client.contacts.create("+966501234567", name="Nora")
        yield process.url, key


@pytest.fixture(autouse=True)
def _key(server: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAQTOR_URL", server[0])
    monkeypatch.setenv("WAQTOR_API_KEY", server[1])


def test_templates_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["templates", "list"]) == 0
    assert "en, ar" in capsys.readouterr().out
    assert main(["templates", "show", "1"]) == 0
    told = capsys.readouterr().out
    for line in ("Spring (marketing)", "[en]", "(image)", "*Hello {name}* [bold]", "[ar]", "name: صديقنا"):
        assert line in told


@pytest.mark.parametrize(
    ("asked", "code", "says"),
    [
        (["--contact", "1"], 0, "*Hello Nora* [bold]"),
        (["--value", "name=Sara"], 0, "*Hello Sara* [bold]"),
        ([], 1, "No value for: name"),
        (["--value", "name"], 2, "gives no value"),
        (["--value", "name=x", "--contact", "1"], 2, "values of its own"),
        (["--contact", "99"], 2, "There is no contact 99"),
    ],
)
def test_a_preview_says_what_a_person_would_read(
    asked: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["templates", "preview", "1", *asked]) == code
    told = capsys.readouterr()
    assert says in told.out + told.err


def test_a_sync_of_a_sender_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["templates", "sync", "--sender", "9"]) == 2
    assert "There is no sender 9" in capsys.readouterr().err
    assert main(["templates", "sync"]) == 0  # there is no sender, so nothing to do

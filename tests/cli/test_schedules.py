"""`waqtor campaigns schedule …`, against a server of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.main import main
from serving import api_process, made_key, new_installation
from waqtor import Client

SECRETS = {"access_token": "token", "app_secret": "secret", "verify_token": "verify"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[tuple[str, str]]:
    settings = new_installation(tmp_path_factory.mktemp("cli"), sqlite_template)
    with api_process(settings) as process:
        key = made_key(settings)
        with Client(process.url, key) as client:
            sender = client.senders.create("shop", phone_number_id="1", waba_id="2", **SECRETS)
            template = client.templates.create("t", "Hello {name}")
            client.campaigns.create("spring", sender_id=sender.id, template_id=template.id)
        yield process.url, key


@pytest.fixture(autouse=True)
def _key(server: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAQTOR_URL", server[0])
    monkeypatch.setenv("WAQTOR_API_KEY", server[1])


def test_scheduled_shown_and_unscheduled(capsys: pytest.CaptureFixture[str]) -> None:
    once = ["campaigns", "schedule", "1", "--at", "2099-01-01T09:00", "--timezone", "Asia/Riyadh"]
    assert main([*once, "--preview"]) == 0
    assert main(["campaigns", "occurrences", "1"]) == 0
    told = capsys.readouterr().out
    assert "2099-01-01 06:00 UTC" in told
    assert "not launched yet" in told
    assert main(once) == 0
    assert main(["campaigns", "occurrences", "1"]) == 0
    assert "scheduled" in capsys.readouterr().out
    assert main(["campaigns", "unschedule", "1"]) == 0
    assert "it is draft" in capsys.readouterr().out


def test_what_recurs_says_whether_it_writes_again(capsys: pytest.CaptureFixture[str]) -> None:
    weekly = ["campaigns", "schedule", "1", "--cron", "0 9 * * MON", "--timezone", "Asia/Riyadh"]
    assert main(weekly) == 2
    assert "earlier occurrence" in capsys.readouterr().err
    assert main([*weekly, "--no-include-earlier"]) == 0
    assert main(["campaigns", "unschedule", "1"]) == 0

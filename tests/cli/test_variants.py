"""`waqtor campaigns variants`, `choose-variant`, `canary` and `go-on`, against a server of its own."""

from pathlib import Path

import pytest

from cli.main import main
from serving import api_process, made_key, new_installation
from waqtor import Client

SECRETS = {"access_token": "token", "app_secret": "secret", "verify_token": "verify"}


def test_shown_side_by_side_one_chosen_and_told_to_go_on(
    tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = new_installation(tmp_path, sqlite_template)
    with api_process(settings) as process:
        key = made_key(settings)
        monkeypatch.setenv("WAQTOR_URL", process.url)
        monkeypatch.setenv("WAQTOR_API_KEY", key)
        with Client(process.url, key) as client:
            sender = client.senders.create("shop", phone_number_id="1", waba_id="2", **SECRETS)
            template = client.templates.create("t", "Hello {name}")
            made = {"sender_id": sender.id, "template_id": template.id}
            client.campaigns.create("spring", **made, variants=[{"name": "A"}, {"name": "B"}])
            client.campaigns.create("plain", **made)
            client.campaigns.create("careful", **made, canary={"percent": 2})
            client.campaigns.launch(3)
        assert main(["campaigns", "choose-variant", "1", "b"]) == 0
        assert main(["campaigns", "variants", "1"]) == 0
        told = capsys.readouterr().out
        assert told.count("Who is left gets 'B'.") == 1
        assert "B, replied: 0.0% beside 0.0%: too few to tell" in told
        assert main(["campaigns", "choose-variant", "1", "--none"]) == 0
        assert main(["campaigns", "variants", "2"]) == 0
        assert "no variants" in capsys.readouterr().out
        assert main(["campaigns", "choose-variant", "1", "C"]) == 2
        assert "It has: A, B." in capsys.readouterr().err
        assert main(["campaigns", "canary", "2"]) == 0
        assert "no canary" in capsys.readouterr().out
        assert main(["campaigns", "go-on", "3"]) == 0
        assert main(["campaigns", "canary", "3"]) == 0
        told = capsys.readouterr().out
        assert "0 failed or unknown, 0.0% (at most 10 %)" in told
        assert "The canary was overruled by a person." in told
        assert main(["campaigns", "go-on", "2"]) == 2
        assert "waits for no canary" in capsys.readouterr().err

"""`waqtor webhooks …`, against a server of its own."""

from pathlib import Path

import pytest

from cli.main import main
from serving import api_process, made_key, new_installation
from waqtor import Client


def test_registered_tried_and_looked_at(
    tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = new_installation(tmp_path, sqlite_template)
    variables = {"WAQTOR_WEBHOOK_NETWORKS": "127.0.0.0/8", "WAQTOR_WEBHOOK_HTTP": "true"}
    with api_process(settings, **variables) as process:
        key = made_key(settings)
        monkeypatch.setenv("WAQTOR_URL", process.url)
        monkeypatch.setenv("WAQTOR_API_KEY", key)
        monkeypatch.setenv("COLUMNS", "200")

        def said(*asked: str, code: int = 0) -> str:
            assert main(["webhooks", *asked]) == code
            return capsys.readouterr().out

        assert "There are none" in said("list")
        taken = f"{process.url}/healthz"  # it answers a POST with 405
        secret = said(
            "add", taken, "contact.*", "--field", "name", "--header", "X-Key=1", "--description", "[b]shop[/b]"
        )
        assert secret.splitlines()[-1].startswith("whsec_")
        assert "[b]shop[/b]" in said("list")
        assert said("rotate", "1", "--overlap-hours", "0").splitlines()[-1].startswith("whsec_")
        assert "It did not take it: it answered 405" in said("test", "1", code=1)
        with Client(process.url, key) as client:
            client.contacts.create(phone="+966500000001", name="Sara")
        assert "webhook.test" in said("log", "--webhook", "1", "--state", "failed")
        shown = said("log", "1")
        assert "webhook-id: evt_" in shown
        assert "405 in " in shown
        assert "There is nothing." in said("log", "--event", "message.sent", "--since", "2026-01-01T00:00")
        assert "0 would be made again." in said("replay", "--webhook", "1", "--dry-run")
        assert "0 are made again" in said("replay", "--webhook", "1", "--rate", "10")
        assert main(["webhooks", "replay", "999"]) == 2
        assert main(["webhooks", "log", "--since", "yesterday"]) == 2
        assert main(["webhooks", "add", "https://10.0.0.1/", "*"]) == 2
        assert main(["webhooks", "add", taken, "*", "--header", "nothing"]) == 2

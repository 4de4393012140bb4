"""`waqtor apply` and `waqtor export`, against a server of its own."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.main import main
from serving import api_process, made_key, new_installation
from waqtor import Client

SHOP = """\
kind: template
name: Spring offer
language: en
body: |
  Hello {name},
  spring has come.
defaults: {name: friend}
header: {type: image, link: "https://shop.example/spring.png"}
variants:
  ar:
    body: مرحباً {name}
    defaults: {name: صديقنا}
  no:
    body: Hei {name}
---
kind: segment
name: VIPs
filter: tag="vip"  and  not city in ("Riyadh","جدة")
---
kind: campaign
name: Spring
sender: shop
template: Spring offer
audience: {segment: VIPs}
quiet_hours: {from: 21:00, to: 09:00}
timezone: Asia/Riyadh
---
kind: campaign
name: To all
sender: shop
template: Spring offer
audience: {all: true}
purpose: service
variants:
- {name: A}
- {name: B, template: Spring offer, defaults: {name: you}, weight: 3}
holdout_percent: 12.50
canary: {percent: 2, hold_minutes: 90, max_blocked_percent: null}
"""


@pytest.fixture
def server(tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    settings = new_installation(tmp_path, sqlite_template)
    with api_process(settings) as process:
        key = made_key(settings)
        monkeypatch.setenv("WAQTOR_URL", process.url)
        monkeypatch.setenv("WAQTOR_API_KEY", key)
        with Client(process.url, key) as client:
            secrets = {"access_token": "a", "app_secret": "b", "verify_token": "c"}
            client.senders.create("shop", phone_number_id="1", waba_id="2", **secrets)
            yield client


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    file = tmp_path / "shop.yaml"
    file.write_text(SHOP, encoding="utf-8")
    return file


def test_a_file_is_applied_once(server: Client, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["apply", "-f", str(shop), "--dry-run"]) == 2
    assert "4 to make" in capsys.readouterr().out
    assert list(server.templates.list()) == []
    assert main(["apply", "-f", str(shop), "--yes"]) == 0
    (template,) = server.templates.list()
    assert (template.body, template.defaults) == ("Hello {name},\nspring has come.", {"name": "friend"})
    assert {one.language: one.body for one in template.variants} == {"ar": "مرحباً {name}", "no": "Hei {name}"}
    spring, everybody = server.campaigns.list()
    assert (spring.state, spring.audience["segment"]) == ("draft", 1)
    assert spring.quiet_hours == {"from": "21:00", "to": "09:00"}
    assert (everybody.audience["all"], everybody.purpose) == (True, "service")
    assert [(one.template_id, one.weight) for one in everybody.variants] == [(None, 1), (1, 3)]
    assert everybody.canary is not None
    assert (everybody.canary.percent, everybody.canary.hold_minutes) == (2, 90)
    assert (everybody.canary.max_failed_percent, everybody.canary.max_blocked_percent) == (10, None)
    assert (everybody.variants[1].defaults, everybody.holdout_percent) == ({"name": "you"}, 12.5)
    events = [one.type for one in server.events.since().data]
    capsys.readouterr()
    assert main(["apply", "-f", str(shop), "--dry-run"]) == 0
    assert main(["apply", "-f", str(shop), "--yes"]) == 0
    assert "0 to make, 0 to change, 4 as they are." in capsys.readouterr().out
    assert [one.type for one in server.events.since().data] == events


def test_what_differs_is_shown_and_changed(server: Client, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["apply", "-f", str(shop), "--yes"]) == 0
    said = SHOP.replace("spring has come.", "summer has come.").replace('"vip"', '"gold"').replace("Hei {", "Hallo {")
    said = said.replace('header: {type: image, link: "https://shop.example/spring.png"}\n', "")
    said = said.replace("audience: {segment: VIPs}", "audience: {tag: vip}").replace("timezone: Asia/Riyadh\n", "")
    said = said.replace("weight: 3", "weight: 2").replace("holdout_percent: 12.50\n", "")
    said = said.replace("canary: {percent: 2, hold_minutes: 90, max_blocked_percent: null}", "canary: {count: 50}")
    said = said.replace("  ar:\n    body: مرحباً {name}\n    defaults: {name: صديقنا}\n", "")
    shop.write_text(said, encoding="utf-8")
    capsys.readouterr()
    assert main(["apply", "-f", str(shop), "--dry-run"]) == 2
    told = capsys.readouterr().out
    for line in (
        "-  spring has come.",
        "+  summer has come.",
        "-timezone: Asia/Riyadh",
        "holdout_percent",
        "+  count: 50",
        "4 to change, 0 as they are",
    ):
        assert line in told
    assert main(["apply", "-f", str(shop), "--yes"]) == 0
    (template,) = server.templates.list()
    assert (template.header, [one.body for one in template.variants]) == (None, ["Hallo {name}"])
    assert server.segments.get(1).filter.startswith('tag = "gold"')
    changed = server.campaigns.get(1)
    assert (changed.audience["tag"], changed.timezone, changed.state) == ("vip", None, "draft")
    canary = server.campaigns.get(2).canary
    assert canary is not None
    assert (canary.percent, canary.count, canary.hold_minutes) == (None, 50, 60)
    assert (server.campaigns.get(2).variants[1].weight, server.campaigns.get(2).holdout_percent) == (2, None)
    assert main(["apply", "-f", str(shop), "--dry-run"]) == 0


def test_what_is_exported_is_what_there_is(server: Client, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["apply", "-f", str(shop), "--yes"]) == 0
    server.templates.create(
        "odd: one", "  Ends with a blank \n\n\tand a tab {a}\n", defaults={"a": "21:00"}, language="ar_SA"
    )
    server.templates.create("no", "true", cloud_name="null")
    server.campaigns.create("odd # name", sender_id=1, template_id=2, filter="vip=true")
    for _ in range(2):
        server.campaigns.create("twice", sender_id=1, template_id=2)
    server.campaigns.cancel(server.campaigns.create("over", sender_id=1, template_id=2).id)
    capsys.readouterr()
    assert main(["export"]) == 0
    told = capsys.readouterr()
    assert "campaign 4 is left out: 2 campaigns are called 'twice'" in told.err
    assert "over" not in told.out
    shop.write_text(told.out, encoding="utf-8")
    assert main(["apply", "-f", str(shop), "--dry-run"]) == 0
    assert "7 as they are" in capsys.readouterr().out
    assert main(["export", "--out", str(shop)]) == 0
    assert shop.read_text(encoding="utf-8") == told.out


def test_a_launched_campaign_stays_as_it_is(server: Client, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["apply", "-f", str(shop), "--yes"]) == 0
    server.campaigns.launch(2)
    assert main(["apply", "-f", str(shop), "--yes"]) == 0
    shop.write_text(
        SHOP.replace("{all: true}", "{tag: vip}").replace("name: VIPs\nfilter: ", "name: VIPs\nfilter: not ")
    )
    capsys.readouterr()
    assert main(["apply", "-f", str(shop), "--yes"]) == 1
    told = capsys.readouterr()
    assert "document 4" in told.err
    assert "is running and stays as it is; the file differs in audience" in told.err.replace("\n", " ")
    assert server.segments.get(1).filter.startswith("tag"), "nothing of the rest was applied either"


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def test_a_question_needs_a_yes(server: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.yml").write_text("kind: segment\nname: a\nfilter: has x\n")
    for stdin, answer, code in ((io.TextIOWrapper, b"yes\n", 1), (Terminal, b"y\n", 1), (Terminal, b"yes\n", 0)):
        monkeypatch.setattr("sys.stdin", stdin(io.BytesIO(answer)))
        assert main(["apply", "-f", str(tmp_path)]) == code
        assert len(list(server.segments.list())) == (code == 0)


def test_standard_input_and_what_only_the_server_knows(
    server: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for said, problem in (
        ("kind: segment\nname: a\nfilter: created contains 'x'\n".replace("'", '"'), "which contains nothing"),
        ("kind: template\nname: t\nbody: 'Hello {name'", "body: There is a '{'"),
        (SHOP.rpartition("---\n")[2].replace("sender: shop", "sender: nobody"), "sender: There is no sender 'nobody'"),
        (SHOP.rpartition("---\n")[2], "template: There is no template 'Spring offer'"),
        (SHOP.rpartition("---\n")[2].replace("weight: 3", "weight: no"), "variants.1.weight: Input should be a valid"),
        (SHOP.rpartition("---\n")[2].replace("percent: 2, ", ""), "canary: A canary is a percent or a count"),
    ):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(said.encode())))
        assert main(["apply", "-f", "-", "--yes"]) == 1
        told = capsys.readouterr().err
        assert problem in told
        assert "standard input, document 1" in told

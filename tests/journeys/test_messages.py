"""Single messages through a death of the process they leave from."""

import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from cli.local import Local
from cli.main import main
from cli.oracle import Book, compare, ledger
from waqtor import Client, Error
from waqtor.messages import Message

pytestmark = pytest.mark.slow
SETTLED = {"sent", "failed", "unknown"}


@pytest.mark.parametrize(("blow", "doubts"), [(signal.SIGKILL, 2 * 16), (signal.SIGTERM, 0)], ids=("killed", "ended"))
def test_an_api_process_that_goes_loses_and_repeats_no_message(
    scene: Callable[..., Any], local: Local, client: Client, blow: signal.Signals, doubts: int
) -> None:
    shop = scene(120, rate=30.0)
    content = {"type": "template", "template_id": client.campaigns.get(shop.campaign_id).template_id}
    rows = [{"sender_id": shop.sender_id, "to": phone, "content": content} for phone in shop.phones]
    bulk = client.messages.send_many(rows)
    ids = [one.message.id for one in bulk.results if one.message]
    assert (bulk.accepted, len(ids)) == (120, 120)

    def books() -> list[Message]:
        with suppress(Error):  # the process is just coming back
            return [client.messages.get(one) for one in ids]
        return []

    for sent in (15, 60):
        shop.until(lambda sent=sent: shop.effects() > sent, "first messages")
        local.stack.signal("api", blow)
    shop.until(lambda: (found := books()) and all(one.state in SETTLED for one in found), "outcomes", seconds=120)
    shop.until(lambda: local.simulator("GET", f"idle?phone_number_id={shop.number}")["idle"], "receipts")

    def verdict() -> Any:
        return compare(
            [Book(one.client_id, one.state) for one in books()],
            ledger(local.simulator_url, "requests", phone_number_id=shop.number),
            ledger(local.simulator_url, "statuses", phone_number_id=shop.number),
        )

    shop.until(lambda: verdict().agrees, "books that agree", seconds=15)
    assert verdict().recipients == 120
    assert verdict().unknown_with_effect + verdict().unknown_without_effect <= doubts


def test_the_command_line_sends_and_tells(
    scene: Callable[..., Any],
    local: Local,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shop = scene(2)
    first, second = map(shop.reachable, shop.phones)
    monkeypatch.setenv("WAQTOR_URL", local.settings.api_url)
    monkeypatch.setenv("WAQTOR_API_KEY", local.api_key)
    template = client.campaigns.get(shop.campaign_id).template_id
    to = ["messages", "send", "--sender", str(shop.sender_id), "--to", first]
    assert main([*to, "--template", str(template), "--value", "name=Sara"]) == 0
    assert "is sent" in capsys.readouterr().out
    assert main([*to, "--text", "hello"]) == 1
    assert "within 24 hours" in capsys.readouterr().out
    assert main([*to, "--template", str(template), "--value", "name"]) == 2
    assert main(["campaigns", "test", str(shop.campaign_id), second]) == 0
    assert shop.effects() == 2

"""`waqtor webhooks listen`, at a real port."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from cli.main import main
from core import webhook_signing

SECRET = webhook_signing.new_secret().shown
BODY = '{"type":"message.received","timestamp":"2026-11-23T19:00:00Z","data":{"text":"[red]سلام[/red]"}}'.encode()


@contextmanager
def listening(*arguments: str, secret: str = "") -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "cli.main", "webhooks", "listen", "--port", "0", *arguments]
    environment = {**os.environ, "WEBHOOK_SECRET": secret, "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            found = re.search(r"http://\S+?/", process.stdout.readline())
            assert found is not None
            yield process, found[0]
        finally:
            process.kill()


def post(url: str, *secrets: str, body: bytes = BODY) -> int:
    headers = webhook_signing.headers("evt_1", "x", int(time.time()), BODY, [one.encode() for one in secrets], v2=False)
    return httpx.post(url, content=body, headers=headers, trust_env=False).status_code


def test_what_arrives_is_shown_and_verified() -> None:
    with listening("--count", "2", secret=SECRET) as (process, url):
        assert httpx.get(url, trust_env=False).status_code == 501
        assert post(url, SECRET) == 204
        assert post(url, webhook_signing.new_secret().shown) == 400
        shown = process.stdout.read() if process.stdout else ""
        assert process.wait(20) == 1
    assert re.search(r" verified evt_1\n", shown)
    assert '"text": "[red]سلام[/red]"' in shown
    assert re.search(r"NOT VERIFIED evt_1\n  None of the signatures", shown)
    assert SECRET not in shown


def test_an_answer_of_ones_own_and_nothing_to_verify_with() -> None:
    with listening("--count", "1", "--status", "500") as (process, url):
        assert post(url, body=b"no json") == 500
        shown = process.stdout.read() if process.stdout else ""
        assert process.wait(20) == 0
    assert "Nothing is verified" in shown
    assert re.search(r"unchecked evt_1\n\"no json\"", shown)


def test_lines_of_json(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["webhooks", "listen", "--port", str(port), "--json", "--count", "1", "--secret", SECRET]
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(main(command)))
    thread.start()
    for _ in range(100):
        try:
            assert post(f"http://127.0.0.1:{port}/", SECRET) == 204
            break
        except httpx.ConnectError:
            time.sleep(0.05)
    thread.join(20)
    assert codes == [0]
    told = json.loads(capfd.readouterr().out)
    assert (told["id"], told["verified"], told["why"]) == ("evt_1", True, None)
    assert told["body"]["type"] == "message.received"


def test_what_cannot_be_is_said() -> None:
    assert main(["webhooks", "listen", "--secret", "hello"]) == 2
    assert main(["webhooks", "listen", "--host", "203.0.113.1", "--count", "1"]) == 2

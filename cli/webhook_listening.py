"""`waqtor webhooks listen`: what arrives at a port of this machine, and whether it is what it says."""

import argparse
import json
import os
from collections.abc import Sequence
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Final

from rich.markup import escape

from cli.connected import console
from core.errors import Invalid
from waqtor import webhooks

SECRET_VARIABLE: Final = "WEBHOOK_SECRET"  # noqa: S105  where it is, not what it is
LARGEST: Final = 1024 * 1024
STALLED_S: Final = 30


def add_listen(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=8000, help="left out: 8000; 0: a free one")
    parser.add_argument("--host", default="127.0.0.1", help="left out: only this machine")
    parser.add_argument(
        "--secret",
        action="append",
        dest="secrets",
        metavar="WHSEC",
        help=f"whsec_… or whpk_…, also several times; left out: from {SECRET_VARIABLE}, where others do not see it",
    )
    parser.add_argument("--status", type=int, default=204, help="what to answer to what is verified; left out: 204")
    parser.add_argument("--json", action="store_true", help="each as one line of JSON")
    parser.add_argument("--count", type=int, metavar="N", help="stop after so many")


def webhooks_listen(asked: argparse.Namespace) -> int:
    """Until Ctrl-C, or `--count`. 1 where one was not verified."""
    secrets: list[str] = asked.secrets or os.environ.get(SECRET_VARIABLE, "").split()
    if any(not one.startswith(("whsec_", "whpk_")) for one in secrets):
        raise Invalid("A secret begins with whsec_ or whpk_.", field="secret", hint="Copy it whole, as it was shown.")
    try:
        server = _Listener(asked, secrets)
    except OSError as error:
        raise Invalid(f"Nobody can listen at {asked.host}:{asked.port}: {error.strerror}.", field="port") from None
    with server:
        if not asked.json:
            console.print(f"Listening at http://{asked.host}:{server.server_address[1]}/, Ctrl-C ends it.")
            if not secrets:
                console.print(f"[yellow]Nothing is verified: give --secret or {SECRET_VARIABLE}.[/yellow]")
        while asked.count is None or len(server.verdicts) < asked.count:
            server.handle_request()
    return 0 if all(server.verdicts) else 1


class _Listener(HTTPServer):
    """One after the other, as they are shown."""

    def __init__(self, asked: argparse.Namespace, secrets: Sequence[str]) -> None:
        super().__init__((asked.host, asked.port), _Handler)
        self.secrets = secrets
        self.status: int = asked.status
        self.as_json: bool = asked.json
        self.verdicts: list[bool] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever sends hung up."""


class _Handler(BaseHTTPRequestHandler):
    server: _Listener
    timeout = STALLED_S

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self._answer(411)
        elif int(length) > LARGEST:
            self._answer(413)
        else:
            body = self.rfile.read(int(length))
            is_fine = _show(dict(self.headers.items()), body, self.server.secrets, as_json=self.server.as_json)
            self.server.verdicts.append(is_fine)
            self._answer(self.server.status if is_fine else 400)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """What is to be seen is shown by itself."""


def _show(headers: dict[str, str], body: bytes, secrets: Sequence[str], *, as_json: bool) -> bool:
    why: str | None = None
    try:
        event = webhooks.verify(body, headers, secrets) if secrets else None
    except webhooks.NotVerified as error:
        event, why = None, str(error)
    lower = {name.lower(): value for name, value in headers.items()}
    text = body.decode(errors="replace")
    if as_json:
        told = {"id": lower.get("webhook-id"), "verified": event is not None, "why": why, "body": _json(text)}
        print(json.dumps(told, ensure_ascii=False), flush=True)
        return why is None
    mark = (
        "[green]verified[/green]" if event else "[bold red]NOT VERIFIED[/bold red]" if why else "[dim]unchecked[/dim]"
    )
    about = f"{datetime.now().astimezone():%H:%M:%S} {mark} {escape(lower.get('webhook-id', '(no id)'))}"
    console.print(about, highlight=False, soft_wrap=True)
    if why:
        console.print(f"  {why}", markup=False, highlight=False, soft_wrap=True)
    body_shown = json.dumps(_json(text), ensure_ascii=False, indent=2)
    console.print(body_shown, markup=False, highlight=False, soft_wrap=True)
    return why is None


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text

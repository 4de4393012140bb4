"""`waqtor notifications`: what there is to know, as the API key in use may see it."""

import argparse

from rich.markup import escape
from rich.table import Table

from cli.connected import connected, console
from core.notices import SEVERITIES

_STYLES = {"info": "dim", "success": "green", "warning": "yellow", "problem": "bold red"}


def add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--unread", action="store_true", help="only those that were not read")
    parser.add_argument("--severity", choices=SEVERITIES)
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="the newest N; left out: 20")


def add_read(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("id", type=int, nargs="?")
    which.add_argument("--all", action="store_true")


def notifications_list(asked: argparse.Namespace) -> int:
    table = Table("id", "", "when", "what", "about")
    with connected() as client:
        found = client.notifications.list(
            unread=asked.unread, severity=asked.severity, limit=min(500, max(1, asked.limit))
        )
        for one, _ in zip(found, range(asked.limit), strict=False):
            severity = f"[{_STYLES.get(one.severity, '')}]{one.severity}[/]"
            what = escape(one.title if one.read_at is None else f"{one.title} (read)")
            text = f"{what}\n[dim]{escape(one.text)}[/]" if one.text else what
            table.add_row(str(one.id), severity, f"{one.created_at:%Y-%m-%d %H:%M} UTC", text, one.about or "")
        count = client.notifications.count()
    console.print(table if table.row_count else "There is nothing.")
    console.print(f"{count.unread} of {count.total} are unread.")
    return 0


def notifications_read(asked: argparse.Namespace) -> int:
    with connected() as client:
        if asked.all:
            console.print(f"{client.notifications.mark_all().read} are read now.")
        else:
            console.print(f"Read: {client.notifications.mark(asked.id).title}", markup=False)
    return 0

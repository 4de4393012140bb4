"""`waqtor chats …`."""

import argparse
from itertools import islice

from rich.markup import escape
from rich.table import Table

from cli.connected import connected, console
from waqtor.messages import Message

_SHOWN = 50


def add_list(listing: argparse.ArgumentParser) -> None:
    listing.add_argument("--sender", type=int, metavar="ID", help="of this sender only")
    listing.add_argument("--unread", action="store_true", help="only those with unread messages")


def add_show(showing: argparse.ArgumentParser) -> None:
    showing.add_argument("id", help="the sender's id and the contact's: 1-7")
    showing.add_argument("--mark-read", action="store_true", help="nothing of it is unread any more")


def chats_list(asked: argparse.Namespace) -> int:
    table = Table("id", "who", "unread", "last", "", "free text till")
    with connected() as client:
        for chat in islice(client.chats.list(sender_id=asked.sender, unread=asked.unread or None), _SHOWN):
            said = "" if chat.last_message is None else _said(chat.last_message)
            window = f"{chat.window_until:%Y-%m-%d %H:%M}" if chat.window_until else ""
            last = f"{chat.last_at:%Y-%m-%d %H:%M}"
            table.add_row(chat.id, escape(chat.name), str(chat.unread or ""), last, escape(said), window)
    console.print(table if table.row_count else "There is no chat.")
    return 0


def chats_show(asked: argparse.Namespace) -> int:
    """The last messages, the newest at the end."""
    with connected() as client:
        for message in reversed(client.chats.messages(asked.id, limit=_SHOWN).data):
            arrow = "←" if message.direction == "in" else "→"
            console.print(f"{message.at:%Y-%m-%d %H:%M} {arrow} {_said(message)}", markup=False, highlight=False)
        if asked.mark_read:
            client.chats.mark_read(asked.id)
    return 0


def _said(message: Message) -> str:
    """In one line."""
    content = message.content
    words = content.get("body") or content.get("text") or content.get("caption") or content.get("emoji") or ""
    kind = content.get("type", "")
    said = words if kind in ("text", "template", "reaction") else f"[{kind}] {words}"
    return " ".join(said.split())[:80]

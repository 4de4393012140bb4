"""`waqtor messages …` and the test of a campaign: one message, watched until its outcome is known."""

import argparse
from pathlib import Path
from typing import Any

from cli.connected import connected, console
from cli.media import uploaded
from cli.templates import pair
from core.reasons import explained
from waqtor import Client
from waqtor.messages import Message

_WAIT_S = 30.0


def add_send(sending: argparse.ArgumentParser) -> None:
    sending.add_argument("--sender", type=int, required=True, metavar="ID")
    sending.add_argument("--to", required=True, metavar="PHONE")
    content = sending.add_mutually_exclusive_group(required=True)
    content.add_argument("--text")
    content.add_argument("--template", type=int, metavar="ID")
    content.add_argument("--file", type=Path, metavar="FILE", help="an image, a document, audio, video or a sticker")
    content.add_argument("--media", type=int, metavar="ID", help="a file that was uploaded before")
    sending.add_argument("--caption", help="of a file")
    sending.add_argument("--as-document", action="store_true", help="send a file as a document, whatever it is")
    sending.add_argument("--value", action="append", default=[], metavar="NAME=VALUE", help="of the template")
    sending.add_argument("--purpose", default="service", help="other than service, the person must have agreed to it")


def add_test(testing: argparse.ArgumentParser) -> None:
    testing.add_argument("id", type=int)
    testing.add_argument("phone")
    testing.add_argument("--as", type=int, dest="as_contact", metavar="ID", help="filled in as for this contact")
    testing.add_argument("--variant", metavar="NAME", help="where it has some; left out: the first")


def messages_send(asked: argparse.Namespace) -> int:
    """Returns 1 where it is not sent when the waiting ends."""
    with connected() as client:
        sent = client.messages.send(asked.sender, _content(client, asked), to=asked.to, purpose=asked.purpose)
        return _outcome(client, sent)


def campaigns_test(asked: argparse.Namespace) -> int:
    """Returns 1 where it is not sent when the waiting ends."""
    with connected() as client:
        how = {"as_contact_id": asked.as_contact, "variant": asked.variant}
        return _outcome(client, client.campaigns.test(asked.id, to=asked.phone, **how))


def messages_show(asked: argparse.Namespace) -> int:
    with connected() as client:
        return _told(client.messages.get(asked.id))


def _content(client: Client, asked: argparse.Namespace) -> dict[str, Any]:
    if asked.text is not None:
        return {"type": "text", "body": asked.text}
    if asked.file is not None or asked.media is not None:
        file = uploaded(client, asked.file) if asked.file is not None else client.media.get(asked.media)
        kind = "document" if asked.as_document else file.kind
        return {"type": kind, "media_id": file.id} | ({"caption": asked.caption} if asked.caption else {})
    return {"type": "template", "template_id": asked.template, "variables": dict(map(pair, asked.value))}


def _outcome(client: Client, message: Message) -> int:
    """Ctrl-C stops the watching, not the message."""
    with console.status(f"Message {message.id} is queued …"):
        return _told(client.messages.wait(message.id, timeout_s=_WAIT_S))


def _told(message: Message) -> int:
    console.print(f"Message {message.id} is {message.state}, receipt: {message.receipt}.", highlight=False)
    if message.reason:
        console.print(explained(message.reason), markup=False)
    return 0 if message.state == "sent" else 1

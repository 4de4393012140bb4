"""`waqtor media …`: files that go with messages."""

import argparse
from pathlib import Path

from rich.table import Table

from cli.connected import connected, console
from core.errors import Invalid
from core.reasons import explained
from waqtor import Client
from waqtor.media import Media


def add_upload(uploading: argparse.ArgumentParser) -> None:
    uploading.add_argument("file", type=Path)


def add_get(getting: argparse.ArgumentParser) -> None:
    getting.add_argument("id", type=int)
    getting.add_argument("--out", type=Path, metavar="FILE", help="left out: its own name, here")


def uploaded(client: Client, path: Path) -> Media:
    if not path.is_file():
        raise Invalid(f"There is no file {path}.", field="file")
    with console.status(f"Uploading {path.name} …"):
        return client.media.upload(path)


def media_upload(asked: argparse.Namespace) -> int:
    with connected() as client:
        taken = uploaded(client, asked.file)
    console.print(f"It is media {taken.id}: {taken.mime_type}, to be sent as {taken.kind}.", highlight=False)
    return 0


def media_list(_: argparse.Namespace) -> int:
    table = Table("id", "", "kind", "type", "bytes", "name", "state")
    with connected() as client:
        for one in client.media.list():
            size = "" if one.size is None else f"{one.size:,}"
            table.add_row(str(one.id), one.direction, one.kind, one.mime_type, size, one.filename or "", one.state)
    console.print(table if table.row_count else "There is no file yet.")
    return 0


def media_get(asked: argparse.Namespace) -> int:
    """Exit code 1 where it is not here."""
    with connected() as client:
        media = client.media.get(asked.id)
        if media.state != "stored":
            console.print(f"Media {media.id} is {media.state}. {explained(media.reason or '')}", markup=False)
            return 1
        target = asked.out or Path(Path(media.filename or "").name or f"media-{media.id}")
        if asked.out is None and target.exists():
            raise Invalid(f"There is a file {target} already.", hint=f"waqtor media get {media.id} --out FILE")
        target.write_bytes(client.media.content(media.id))
    console.print(f"{media.size:,} bytes are in {target}.", soft_wrap=True, markup=False)
    return 0


def media_delete(asked: argparse.Namespace) -> int:
    with connected() as client:
        client.media.delete(asked.id)
    console.print(f"Media {asked.id} is deleted here.")
    return 0

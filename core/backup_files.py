"""The contents of media within a backup: in pieces, each a line of its own."""

import base64
from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import select, update

from core import media, media_files
from core.database import Tx
from core.errors import Invalid
from core.media_files import Part
from core.models import MediaFile
from core.settings import Settings

NAME = "@file"
_PIECE = 1024 * 1024


async def named(tx: Tx) -> list[str]:
    """Hashes of all contents that should be here."""
    query = select(MediaFile.sha256).where(MediaFile.state == media.STORED).distinct().order_by(MediaFile.sha256)
    return [one for one in (await tx.execute(query)).scalars() if one is not None]


def pieces(settings: Settings, sha256: str) -> Iterator[dict[str, str]]:
    """Nothing, where the file is not on this machine."""
    path = media_files.path_of(settings, sha256)
    if path.is_file():
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield {"sha256": sha256, "data": base64.b64encode(piece).decode()}


def restore(settings: Settings, lines: Iterator[Any]) -> set[str]:
    """Back onto the disk; their hashes. Raises `Invalid` for a file that is not what it is named by."""
    restored: set[str] = set()
    part: Part | None = None
    name = ""
    try:
        for line in lines:
            if part is None or line["sha256"] != name:
                _close(part, name, restored)
                part, name = Part(settings), line["sha256"]
            part.write(base64.b64decode(line["data"]))
        _close(part, name, restored)
    finally:
        if part is not None:
            part.drop()
    return restored


def _close(part: Part | None, name: str, restored: set[str]) -> None:
    if part is None:
        return
    if part.sha256 != name:
        part.drop()
        raise Invalid("A file in the backup is broken.", field="file")
    part.finish()
    part.place()
    restored.add(name)


async def miss(tx: Tx, settings: Settings, restored: Collection[str]) -> int:
    """Say so of the files whose contents are not here; returns how many."""
    rows = (await tx.execute(select(MediaFile).where(MediaFile.state == media.STORED))).scalars()
    lost = [
        row.id
        for row in rows
        if row.sha256 not in restored and not media_files.path_of(settings, row.sha256 or "").is_file()
    ]
    if lost:
        gone = update(MediaFile).where(MediaFile.id.in_(lost)).values(state=media.FAILED, reason=media.LOST)
        await tx.execute(gone.execution_options(synchronize_session=False))
    return len(lost)

"""Pictures, documents and the like on disk, by what is in them: the same file twice is kept once."""

import hashlib
import os
import time
from collections.abc import Collection
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from core.settings import Settings

_PIECE = 1024 * 1024
_ORPHAN_S = 3600.0
_PART = ".part"


def folder(settings: Settings) -> Path:
    return settings.data_dir / "media"


def path_of(settings: Settings, sha256: str) -> Path:
    return folder(settings) / sha256[:2] / sha256


class Part:
    """A file as it comes in, for its owner only. `finish` puts it on the disk, `place` makes it one of those that are
    kept; a part that is not placed leaves nothing behind."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        folder(settings).mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = folder(settings) / f"{token_hex(16)}{_PART}"
        self._file = os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, piece: bytes) -> None:
        self._digest.update(piece)
        self.size += len(piece)
        self._file.write(piece)

    def take(self, file: BinaryIO) -> None:
        while piece := file.read(_PIECE):
            self.write(piece)

    def finish(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def place(self) -> None:
        """In the transaction that notes it, under the lock of `media.hold_files`: who sweeps sees both or neither."""
        path = path_of(self._settings, self.sha256)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        self.path.replace(path)
        for changed in (path.parent, path.parent.parent):
            _sync(changed)

    def drop(self) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)


def _sync(directory: Path) -> None:
    """A name is on the disk only when its directory is."""
    opened = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def old(settings: Settings) -> list[str]:
    """Hashes of files that are old enough to be nobody's, if no row names them; parts as old are gone after it."""
    found = []
    for path in folder(settings).rglob("*"):
        if not path.is_file() or time.time() - path.stat().st_mtime < _ORPHAN_S:
            continue
        if path.suffix == _PART:
            path.unlink(missing_ok=True)
        else:
            found.append(path.name)
    return found


def forget(settings: Settings, hashes: Collection[str]) -> None:
    for sha256 in hashes:
        path_of(settings, sha256).unlink(missing_ok=True)

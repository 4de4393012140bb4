"""Uploaded files, kept beside the database until they are worked in. They are full of people: nobody else may read
them, and none stays longer than it is needed."""

import os
import shutil
import time
from collections.abc import Collection
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from core.settings import Settings

_ORPHAN_S = 3600.0


def path_of(settings: Settings, name: str) -> Path:
    return settings.data_dir / "imports" / name


def keep(settings: Settings, file: BinaryIO) -> str:
    """A copy that is on the disk when this returns; gives its name."""
    name = token_hex(16)
    path = path_of(settings, name)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as copy:
        shutil.copyfileobj(file, copy, 1024 * 1024)
        copy.flush()
        os.fsync(copy.fileno())
    return name


def forget(settings: Settings, name: str) -> None:
    path_of(settings, name).unlink(missing_ok=True)


def forget_orphans(settings: Settings, wanted: Collection[str]) -> None:
    """Those of a process that died between keeping a file and noting it."""
    folder = path_of(settings, "")
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.name not in wanted and time.time() - path.stat().st_mtime > _ORPHAN_S:
            path.unlink(missing_ok=True)

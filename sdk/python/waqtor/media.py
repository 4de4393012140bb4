"""Files that go with messages, ours and theirs."""

import os
import time
import uuid
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from waqtor import errors
from waqtor.asking import Ask, C, Model, Pages, Resource, Sleep, Steps, call, get, paged, pages, steps, write


class Media(Model):
    """`direction` in: a person sent it; its `state` is waiting until its contents are here, then stored or failed."""

    id: int
    direction: str
    kind: str
    mime_type: str
    filename: str | None
    size: int | None
    sha256: str | None
    state: str
    reason: str | None
    created_at: datetime


class MediaFiles(Resource[C]):
    @steps
    def upload(
        self, file: bytes | str | os.PathLike[str], *, filename: str | None = None, idempotency_key: str | None = None
    ) -> Steps[Media]:
        """Take a file, by its path or as bytes; then name its id in a message: {"type": "image", "media_id": 7}."""
        key = idempotency_key or str(uuid.uuid4())
        if isinstance(file, bytes):
            taken: Media = yield _upload(filename or "file", file, key)
            return taken
        path = Path(file)
        with path.open("rb") as content:
            taken = yield _upload(filename or path.name, content, key)
        return taken

    @call
    def get(self, media_id: int) -> Ask[Media]:
        return get(f"/media/{media_id}", Media)

    @call
    def of_message(self, message_id: int) -> Ask[Media]:
        """The file that goes, went or came with it."""
        return get(f"/messages/{message_id}/media", Media)

    @call
    def content(self, media_id: int) -> Ask[bytes]:
        """The file itself, all of it."""
        return Ask("GET", f"/media/{media_id}/content", bytes, is_file=True)

    @steps
    def wait(self, media_id: int, *, every_s: float = 0.2, timeout_s: float = 60.0) -> Steps[Media]:
        """Until what a person sent is stored or failed."""
        deadline = time.monotonic() + timeout_s
        while True:
            media: Media = yield get(f"/media/{media_id}", Media)
            if media.state != "waiting":
                return media
            if time.monotonic() >= deadline:
                raise errors.Error(f"Media {media_id} is still being fetched.", code="timeout")
            yield Sleep(every_s)

    @paged
    def list(self, *, direction: str | None = None, limit: int = 100) -> Pages[Media]:
        """All, oldest first; or only theirs (`in`), or only ours (`out`)."""
        return pages("/media", Media, direction=direction, limit=limit)

    @call
    def delete(self, media_id: int, *, idempotency_key: str | None = None) -> Ask[Media]:
        """Refused while a message is still to be sent with it, or a template has it in its header."""
        return write("DELETE", f"/media/{media_id}", Media, key=idempotency_key)


def _upload(filename: str, content: bytes | BinaryIO, key: str) -> Ask[Media]:
    return Ask("POST", "/media", Media.model_validate, file=(filename, content), key=key, timeout_s=300.0)

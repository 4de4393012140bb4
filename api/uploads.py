"""A file in a request, with the fields beside it: read in pieces, never beyond the limit."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from api.requests import pieces
from core.errors import Invalid, TooLarge

_FRAME_BYTES = 64 * 1024  # what multipart and the fields add around the file
_MAX_FIELDS = 10
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Upload:
    """The file is on disk where it is large. `digest` covers all of the request that counts."""

    file: UploadFile
    fields: dict[str, str]
    digest: "hashlib._Hash"
    filename: str


async def receive(request: Request, *, limit: int, default_name: str, too_large: str) -> Upload:
    """Reading stops at the limit."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Invalid("A file is needed, as multipart/form-data.", field="file", hint=f"curl -F file=@{default_name} …")

    async def stream() -> AsyncIterator[bytes]:
        async for piece in pieces(request, limit=limit + _FRAME_BYTES):
            yield piece

    try:
        parser = MultiPartParser(request.headers, stream(), max_files=1, max_fields=_MAX_FIELDS)  # type: ignore[arg-type]
        form = await parser.parse()
    except MultiPartException as error:
        raise Invalid(f"The upload cannot be read: {error.message}", field="file") from None
    except TooLarge:
        raise TooLarge(
            f"The file is larger than {limit:,} bytes.",
            field="file",
            hint=too_large,
        ) from None
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise Invalid("There is no file in the field 'file'.", field="file")
    fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    filename = (file.filename or default_name).replace("\0", "")
    return Upload(file, fields, await _digest(file, fields), filename)


async def _digest(file: UploadFile, fields: dict[str, str]) -> "hashlib._Hash":
    digest = hashlib.sha256(repr((file.filename, sorted(fields.items()))).encode("utf-8", "backslashreplace"))
    while piece := await file.read(1024 * 1024):
        digest.update(piece)
    await file.seek(0)
    return digest


def field_json(upload: Upload, name: str, model: type[M]) -> M | None:
    """A field that holds JSON; None where it is not there or empty."""
    if not (written := upload.fields.get(name, "").strip()):
        return None
    try:
        return model.model_validate_json(written)
    except ValidationError as refused:
        first = refused.errors(include_url=False, include_input=False)[0]
        where = ".".join([name, *(str(part) for part in first["loc"])])
        raise Invalid(f"{where}: {first['msg']}.", field=where) from None

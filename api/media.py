"""Files that go with messages: taken from programs, fetched from WhatsApp, given back."""

import asyncio
from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field
from starlette.responses import FileResponse

from api.auth import needs
from api.bodies import Shown
from api.deps import Id, Now, PlatformDep, Tx, after_commit
from api.errors import documented
from api.idempotent import DOCUMENTED, Once, Streamed, asked, replayed
from api.pages import Page, PlaceDep, page
from api.uploads import Upload, receive
from core import idempotency, media, media_files, media_types
from core.bootstrap import Platform
from core.errors import Conflict, NotFound
from core.idempotency import Answer, Ask
from core.media_files import Part
from core.models import MediaFile

# A file is written to disk before its row, so the route opens its own transaction (`Streamed`, not `Once`).
taking = APIRouter(prefix="/api/v3/media", tags=["media"], route_class=Streamed)
router = APIRouter(prefix="/api/v3/media", tags=["media"], route_class=Once)

_ROUTE = "/api/v3/media"
_UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary", "description": "The file."}},
                }
            }
        },
    }
}


class MediaOut(Shown):
    """A file, ours or one that a person sent."""

    id: int = Field(examples=[7])
    direction: Literal["in", "out"] = Field(description="in: a person sent it.")
    kind: str = Field(description="image, sticker, audio, video or document.", examples=["image"])
    mime_type: str = Field(description="Of ours by its bytes, of theirs as WhatsApp says.", examples=["image/png"])
    filename: str | None = Field(examples=["receipt.pdf"])
    size: int | None = Field(description="In bytes.", examples=[20480])
    sha256: str | None = Field(description="Of the contents, in hex.", examples=["9f86d08…"])
    state: Literal["waiting", "stored", "failed"] = Field(description="waiting: it is being fetched from WhatsApp.")
    reason: str | None = Field(description="Why it failed, or waits so long.", examples=[None])
    created_at: datetime


@taking.post(
    "",
    status_code=201,
    response_model=MediaOut,
    dependencies=[Depends(needs("messages.send"))],
    responses=documented(),
    openapi_extra={**DOCUMENTED, **_UPLOAD},
)
async def upload_media(request: Request, platform: PlatformDep) -> Response:
    """Take a file (multipart field `file`) for messages and templates. What it is its bytes tell. At most: JPEG and PNG
    5 MB, WebP stickers 100 KB (500 KB where they move), audio and video 16 MB, documents 100 MB."""
    upload = await receive(
        request, limit=media_types.LARGEST, default_name="file", too_large="WhatsApp takes nothing larger."
    )
    try:
        return await _kept(platform, upload, asked(request, _ROUTE, upload.digest))
    finally:
        await upload.file.close()


async def _kept(platform: Platform, upload: Upload, ask: Ask | None) -> Response:
    """The file is whole on the disk before its row is there."""
    part = Part(platform.settings)
    try:
        await asyncio.to_thread(_write, part, upload)
        declared = upload.file.content_type or ""
        mime_type, kind = await asyncio.to_thread(
            media_types.look, part.path, declared=declared, filename=upload.filename
        )
        async with platform.database.transaction() as tx:
            now = await platform.clock.now(tx)
            if ask and (known := await idempotency.recall(tx, platform.key, ask)):
                return replayed(known)
            filename = upload.filename.strip()[: media.MAX_FILENAME] or None
            row = await media.create(tx, part, mime_type=mime_type, kind=kind, filename=filename, at=now)
            answer = Answer(201, MediaOut.model_validate(row).model_dump_json())
            if ask:
                await idempotency.remember(tx, platform.key, ask, answer, at=now)
        return Response(answer.body, status_code=answer.status, media_type="application/json")
    finally:
        part.drop()


def _write(part: Part, upload: Upload) -> None:
    part.take(upload.file.file)
    part.finish()


@router.get("", dependencies=[Depends(needs("messages.read"))], responses=documented())
async def list_media(
    tx: Tx,
    place: PlaceDep,
    direction: Annotated[Literal["in", "out"] | None, Query(description="Only theirs, or only ours.")] = None,
) -> Page[MediaOut]:
    """Files, oldest first."""
    rows = await media.listed(tx, after=place.after, limit=place.limit, direction=direction)
    return page(rows, place, id_of=lambda row: row.id, show=MediaOut.model_validate)


@router.get("/{media_id}", dependencies=[Depends(needs("messages.read"))], responses=documented(404))
async def get_media(media_id: Id, tx: Tx) -> MediaOut:
    """What is known of a file; its contents are at `/content`."""
    return MediaOut.model_validate(await media.get(tx, media_id))


@router.get(
    "/{media_id}/content",
    dependencies=[Depends(needs("messages.read"))],
    response_class=FileResponse,
    responses={
        200: {"content": {"application/octet-stream": {}}, "description": "The file; parts of it with `Range`."},
        **documented(404, 409),
    },
)
async def get_media_content(media_id: Id, platform: PlatformDep) -> FileResponse:
    """The file itself. It takes `numbers.read` too: nobody looks into it for phone numbers."""
    async with platform.database.reading() as tx:
        row = await media.get(tx, media_id)
    if row.state != media.STORED or row.sha256 is None:
        raise Conflict(f"The contents of media {media_id} are not here: {row.state}.", hint=row.reason)
    path = media_files.path_of(platform.settings, row.sha256)
    if not path.is_file():
        raise NotFound(f"The contents of media {media_id} are not on this machine.", field="media_id")
    return FileResponse(path, media_type="application/octet-stream", headers=_headers(row))


def _headers(row: MediaFile) -> dict[str, str]:
    """A stranger's file is never shown by a browser as a page of ours."""
    name = quote(row.filename or f"media-{row.id}", safe="")
    return {
        "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
        "Content-Security-Policy": "sandbox",
        "X-Content-Type-Options": "nosniff",
        "X-Media-Type": row.mime_type.encode("ascii", "replace").decode(),
    }


@router.delete(
    "/{media_id}",
    dependencies=[Depends(needs("messages.send"))],
    responses=documented(404, 409),
    openapi_extra=DOCUMENTED,
)
async def delete_media(media_id: Id, request: Request, platform: PlatformDep, tx: Tx, now: Now) -> MediaOut:
    """Delete a file here. What was sent stays with the people who got it. Refused while a message is still to be sent
    with it, or a template has it in its header."""
    shown = MediaOut.model_validate(await media.get(tx, media_id))
    sha256 = await media.remove(tx, media_id, at=now)

    async def forget() -> None:
        if sha256 is not None:
            await media.forget_file(platform, sha256)

    after_commit(request, forget)
    return shown

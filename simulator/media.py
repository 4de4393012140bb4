"""Media: upload with Meta's types and sizes, description, download, deletion."""

import hashlib
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from aiohttp import BodyPartReader, web

from simulator import files
from simulator.accounts import Number, unknown_object
from simulator.errors import GraphError

if TYPE_CHECKING:
    from simulator.world import World

MB = 1024 * 1024
_OFFICE = "application/vnd.openxmlformats-officedocument."
# MIME type -> largest size. Stickers: 100 KB, 500 KB when animated; we cannot tell, so the larger.
LARGEST: dict[str, int] = {
    **dict.fromkeys(("image/jpeg", "image/png"), 5 * MB),
    "image/webp": 500 * 1024,
    **dict.fromkeys(("audio/aac", "audio/mp4", "audio/mpeg", "audio/amr", "audio/ogg", "audio/opus"), 16 * MB),
    **dict.fromkeys(("video/mp4", "video/3gpp"), 16 * MB),
    **dict.fromkeys(
        (
            "text/plain",
            "application/pdf",
            "application/msword",
            "application/vnd.ms-excel",
            "application/vnd.ms-powerpoint",
            _OFFICE + "wordprocessingml.document",
            _OFFICE + "spreadsheetml.sheet",
            _OFFICE + "presentationml.presentation",
        ),
        100 * MB,
    ),
}
UPLOADED_FOR_S = 30 * 86400.0
_FIRST_ID = 400_000_000_000_000


async def upload(world: "World", request: web.Request, number: Number) -> str:
    """Take a multipart upload and answer its id."""
    if not request.content_type.startswith("multipart/"):
        raise GraphError(100, "The parameter file is required, as multipart/form-data.")
    said: dict[str, str] = {}
    content, filename, kind = None, "", ""
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                raise GraphError(100, "Nested multipart bodies are not supported.")
            if part.name == "file":
                filename = part.filename or "file"
                kind = part.headers.get("Content-Type", "").split(";")[0].strip()
                content = await _content(part)
            else:
                said[str(part.name)] = (await part.read_chunk(4096)).decode(errors="replace")
    except ValueError as error:
        raise GraphError(100, f"The multipart body cannot be read: {error}") from None
    if said.get("messaging_product") != "whatsapp":
        raise GraphError(100, "The parameter messaging_product is required and must be 'whatsapp'.")
    if content is None:
        raise GraphError(100, "The parameter file is required.")
    if kind not in LARGEST:
        kind = said.get("type", kind).split(";")[0].strip()
    if kind not in LARGEST:
        raise GraphError(100, f"Param file must be a file with one of the following types: {', '.join(LARGEST)}.")
    if len(content) > LARGEST[kind]:
        raise GraphError(131053, f"File of type {kind} is larger than {LARGEST[kind]} bytes")
    return await store(world, number, kind, filename, content)


async def store(world: "World", number: Number, kind: str, filename: str, content: bytes) -> str:
    """Keep the content and answer its id."""
    digest = hashlib.sha256(content).hexdigest()
    row = await world.ledger.execute(
        "INSERT INTO media (at, phone_number_id, mime_type, filename, sha256, file_size, content)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (world.clock.now(), number.id, kind, filename, digest, len(content), content),
    )
    return str(_FIRST_ID + row)


async def attached(world: "World", number: Number, kind: str, caption: str, size: int = 0) -> dict[str, Any]:
    """A file that a contact sends, as the webhook describes it."""
    content = files.made(kind, size)
    mime_type = files.TYPES[kind]
    media_id = await store(world, number, mime_type.partition(";")[0], kind, content)
    digest = b64encode(hashlib.sha256(content).digest()).decode()
    described: dict[str, Any] = {"mime_type": mime_type, "sha256": digest, "id": media_id}
    if caption and kind not in ("audio", "sticker"):
        described["caption"] = caption
    if kind == "document":
        described["filename"] = "document.pdf"
    return described


async def exists(world: "World", media_id: str) -> bool:
    """Whether a message may refer to it."""
    return bool(await _rows(world, "id", media_id))


async def describe(world: "World", request: web.Request, media_id: str) -> dict[str, Any]:
    """What the Graph API tells of a media object, with the URL of its content."""
    rows = await _rows(world, "mime_type, sha256, file_size", media_id)
    if not rows:
        raise unknown_object(media_id)
    return {
        "messaging_product": "whatsapp",
        "url": f"{request.url.origin()}/_media/{media_id}?ext={int(world.clock.now()) + 300}",
        "mime_type": rows[0]["mime_type"],
        "sha256": rows[0]["sha256"],
        "file_size": str(rows[0]["file_size"]),
        "id": media_id,
    }


async def download(world: "World", media_id: str, expires: str) -> web.Response:
    """The content; the URL lives five minutes."""
    if not expires.isdigit() or int(expires) < world.clock.now():
        raise GraphError(100, "URL signature expired", status=404)
    rows = await _rows(world, "mime_type, content", media_id)
    if not rows:
        raise unknown_object(media_id)
    return web.Response(body=rows[0]["content"], content_type=rows[0]["mime_type"])


async def delete(world: "World", media_id: str) -> None:
    """Forget the content."""
    if not await exists(world, media_id):
        raise unknown_object(media_id)
    await world.ledger.execute("DELETE FROM media WHERE id = ?", (int(media_id) - _FIRST_ID,))


async def _rows(world: "World", columns: str, media_id: str) -> list[Any]:
    if not media_id.isdigit() or len(media_id) > 18:
        return []
    oldest = world.clock.now() - UPLOADED_FOR_S
    return await world.ledger.query(
        f"SELECT {columns} FROM media WHERE id = ? AND at > ?", (int(media_id) - _FIRST_ID, oldest)
    )


async def _content(part: BodyPartReader) -> bytes:
    largest, content = max(LARGEST.values()), bytearray()
    while chunk := await part.read_chunk(256 * 1024):
        content += chunk
        if len(content) > largest:
            raise GraphError(131053, f"The file is larger than {largest} bytes")
    return bytes(content)

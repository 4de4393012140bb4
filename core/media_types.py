"""Which files WhatsApp takes, and what a file really is: by its bytes, whatever it calls itself."""

from collections.abc import Mapping
from pathlib import Path

from core.errors import Invalid, TooLarge

_KB, _MB = 1024, 1024 * 1024
_OFFICE = "application/vnd.openxmlformats-officedocument."
_WORD, _EXCEL, _POWERPOINT = "application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint"
KINDS: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "image": (5 * _MB, ("image/jpeg", "image/png")),
    "sticker": (500 * _KB, ("image/webp",)),
    "audio": (16 * _MB, ("audio/aac", "audio/amr", "audio/mp4", "audio/mpeg", "audio/ogg")),
    "video": (16 * _MB, ("video/mp4", "video/3gpp")),
    "document": (
        100 * _MB,
        (
            "application/pdf",
            "text/plain",
            _WORD,
            _EXCEL,
            _POWERPOINT,
            _OFFICE + "wordprocessingml.document",
            _OFFICE + "spreadsheetml.sheet",
            _OFFICE + "presentationml.presentation",
        ),
    ),
}
"""By kind: the most bytes, and the types. WhatsApp goes by the type: a picture sent as a document is no larger."""
TYPES = {mime_type: (kind, most) for kind, (most, types) in KINDS.items() for mime_type in types}
LARGEST = max(most for most, _ in KINDS.values())
_STILL_STICKER = 100 * _KB
_LOOKED_AT = 64 * _KB
_DIRECTORY = 4 * _MB  # of a ZIP; an Office file of 100 MB has some KB of it
_BY_ENDING = {".doc": _WORD, ".xls": _EXCEL, ".ppt": _POWERPOINT}
_INSIDE = (
    (b"word/document.xml", _OFFICE + "wordprocessingml.document"),
    (b"xl/workbook.xml", _OFFICE + "spreadsheetml.sheet"),
    (b"ppt/presentation.xml", _OFFICE + "presentationml.presentation"),
)
_NO_TEXT = frozenset(range(32)) - frozenset(b"\t\n\r\f\x1b")


def plain(mime_type: str) -> str:
    """Without what follows it: `audio/ogg; codecs=opus` is `audio/ogg`."""
    return mime_type.partition(";")[0].strip().lower()


def look(path: Path, *, declared: str, filename: str) -> tuple[str, str]:
    """Type and kind of the file. What it is declared as only decides between types that look alike. Raises `Invalid`
    for what WhatsApp does not take, `TooLarge` for too much of it."""
    with path.open("rb") as file:
        head = file.read(_LOOKED_AT)
    size = path.stat().st_size
    if not size:
        raise Invalid("The file is empty.", field="file")
    found = _recognised(head, path, plain(declared), filename)
    if found is None:
        raise Invalid(
            "WhatsApp takes no files of this kind; what counts is what is in it, not its name.",
            field="file",
            hint="Images (JPEG, PNG), stickers (WebP), audio (AAC, AMR, MP3, M4A, OGG with Opus), video (MP4, 3GP), "
            "PDF, text and Office documents.",
        )
    kind, most = TYPES[found]
    if kind == "sticker" and not _is_animated(head):
        most = _STILL_STICKER
    if size > most:
        raise TooLarge(f"It has {size:,} bytes; of {found} WhatsApp takes {most:,} at most.", field="file")
    return found, kind


def fits(mime_type: str, as_type: str) -> bool:
    """Whether a message of this type may carry it. Any file may go as a document."""
    kind = TYPES.get(plain(mime_type), ("", 0))[0]
    return bool(kind) and as_type in (kind, "document")


def _recognised(head: bytes, path: Path, declared: str, filename: str) -> str | None:
    if head[4:8] == b"ftyp":
        return _boxed(head[8:12], declared)
    if head.startswith(b"PK\x03\x04"):
        directory = _directory(path)
        return next((mime_type for name, mime_type in _INSIDE if name in directory), None)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        by_name = _BY_ENDING.get(Path(filename).suffix.lower())
        return declared if declared in _BY_ENDING.values() else by_name
    if head.startswith(b"OggS"):
        return "audio/ogg" if b"OpusHead" in head[:512] else None
    if head.startswith(b"RIFF"):
        return "image/webp" if head[8:12] == b"WEBP" else None
    for start, mime_type in _STARTS:
        if head.startswith(start):
            return mime_type
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return _framed(head[1])
    if b"%PDF-" in head[:1024]:
        return "application/pdf"
    return None if _NO_TEXT & set(head) else "text/plain"


_STARTS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"#!AMR", "audio/amr"),
    (b"ID3", "audio/mpeg"),
)


def _boxed(brand: bytes, declared: str) -> str | None:
    """An ISO container; of sound alone and of pictures it may say the same."""
    if brand in (b"M4A ", b"M4B "):
        return "audio/mp4"
    if brand.startswith((b"3gp", b"3g2")):
        return "video/3gpp"
    if brand.startswith((b"qt", b"hei", b"hev", b"mif", b"msf", b"avi", b"crx")):
        return None
    return "audio/mp4" if declared in ("audio/mp4", "audio/x-m4a", "audio/m4a") else "video/mp4"


def _framed(second: int) -> str | None:
    """Frames of sound: the two bits of the layer are 0 in AAC and 1 in MP3."""
    layer = second >> 1 & 3
    return {0: "audio/aac" if second & 0xF0 == 0xF0 else None, 1: "audio/mpeg"}.get(layer)


def _is_animated(head: bytes) -> bool:
    return head[12:16] == b"VP8X" and len(head) > 20 and bool(head[20] & 2)


def _directory(path: Path) -> bytes:
    """The table of contents of a ZIP, as it is: nothing is unpacked."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(max(0, end - _LOOKED_AT - 22))
        tail = file.read()
        place = tail.rfind(b"PK\x05\x06")
        if place < 0 or len(tail) < place + 20:
            return b""
        size = int.from_bytes(tail[place + 12 : place + 16], "little")
        begin = int.from_bytes(tail[place + 16 : place + 20], "little")
        if size > _DIRECTORY:
            return b""
        file.seek(min(begin, end))
        return file.read(size)

"""What a file is its bytes say, and what WhatsApp does not take is refused before anything else."""

import io
import zipfile
from pathlib import Path

import pytest

from core import media_types
from core.errors import Invalid, TooLarge

_OFFICE = "application/vnd.openxmlformats-officedocument."
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)


def webp(*, moves: bool, size: int) -> bytes:
    return b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0" + (b"\x02" if moves else b"\0") + bytes(size)


def boxed(brand: bytes) -> bytes:
    return b"\0\0\0\x20ftyp" + brand + bytes(64)


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "x" * 1000)
    return file.getvalue()


def look(folder: Path, content: bytes, *, declared: str = "", filename: str = "file") -> tuple[str, str]:
    path = folder / "file"
    path.write_bytes(content)
    return media_types.look(path, declared=declared, filename=filename)


@pytest.mark.parametrize(
    ("content", "declared", "mime_type", "kind"),
    [
        (b"\xff\xd8\xff\xe0" + bytes(40), "image/png", "image/jpeg", "image"),
        (PNG, "", "image/png", "image"),
        (webp(moves=False, size=90_000), "", "image/webp", "sticker"),
        (webp(moves=True, size=400_000), "", "image/webp", "sticker"),
        (b"\xff\xf1" + bytes(40), "", "audio/aac", "audio"),
        (b"\xff\xfb" + bytes(40), "", "audio/mpeg", "audio"),
        (b"ID3\x04" + bytes(40), "", "audio/mpeg", "audio"),
        (b"#!AMR\n" + bytes(40), "", "audio/amr", "audio"),
        (b"OggS" + bytes(24) + b"OpusHead", "", "audio/ogg", "audio"),
        (boxed(b"M4A "), "", "audio/mp4", "audio"),
        (boxed(b"isom"), "audio/mp4; codecs=mp4a", "audio/mp4", "audio"),
        (boxed(b"isom"), "", "video/mp4", "video"),
        (boxed(b"3gp5"), "video/mp4", "video/3gpp", "video"),
        (b"\n%PDF-1.7" + bytes(40), "text/plain", "application/pdf", "document"),
        ("سعر,Preis\n".encode() * 9, "text/csv", "text/plain", "document"),
        ("مرحبا".encode("cp1256"), "", "text/plain", "document"),
        (zipped("[Content_Types].xml", "word/document.xml"), "", _OFFICE + "wordprocessingml.document", "document"),
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "", _OFFICE + "spreadsheetml.sheet", "document"),
        (OLE, "application/vnd.ms-excel", "application/vnd.ms-excel", "document"),
    ],
)
def test_it_is_known_by_its_bytes(tmp_path: Path, content: bytes, declared: str, mime_type: str, kind: str) -> None:
    assert look(tmp_path, content, declared=declared) == (mime_type, kind)


def test_the_name_tells_old_office_files_apart(tmp_path: Path) -> None:
    assert look(tmp_path, OLE, filename="قائمة.DOC") == ("application/msword", "document")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"MZ\x90\0" + bytes(40),  # a program that calls itself a picture
        b"OggS" + bytes(24) + b"\x01vorbis",
        boxed(b"qt  "),
        boxed(b"heic"),
        b"RIFF\0\0\0\0WAVE" + bytes(40),
        OLE,
        zipped("a.txt"),
        b"PK\x03\x04" + bytes(40),
        b"PK\x03\x04" + bytes(40) + b"PK\x05\x06" + bytes(6) + b"\xff" * 12,
        b"text\0with a null",
        b"\xff\xe7" + bytes(9),
    ],
)
def test_what_whatsapp_does_not_take_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(Invalid) as refused:
        look(tmp_path, content, declared="image/png", filename="a.png")
    assert refused.value.field == "file"


@pytest.mark.parametrize(
    "content",
    [
        PNG + bytes(5 * 1024 * 1024),
        webp(moves=False, size=103_000),
        webp(moves=True, size=520_000),
        boxed(b"isom") + bytes(16 * 1024 * 1024),
    ],
    ids=["image", "sticker", "moving sticker", "video"],
)
def test_more_than_whatsapp_takes_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(TooLarge):
        look(tmp_path, content)


def test_any_file_may_go_as_a_document() -> None:
    assert media_types.fits("audio/ogg; codecs=opus", "audio")
    assert media_types.fits("image/png", "document")
    assert not media_types.fits("image/png", "video")
    assert not media_types.fits("application/x-thing", "document")

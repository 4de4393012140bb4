"""Files: on disk before their row, once each, gone when no row names them."""

import os
import time
from pathlib import Path

import pytest

import scenes
from core import media, media_files, templates
from core.bootstrap import Platform
from core.errors import Conflict, Invalid, NotFound
from core.media_files import Part
from core.models import Sender
from fakes import FakeConnector


@pytest.fixture
async def sender(platform: Platform) -> Sender:
    await scenes.people(platform, 2)
    return await scenes.a_sender(platform)


def _kept(platform: Platform) -> list[Path]:
    return [path for path in media_files.folder(platform.settings).rglob("*") if path.is_file()]


def _age(platform: Platform) -> None:
    for path in _kept(platform):
        os.utime(path, (time.time() - 7200,) * 2)


async def _deleted(platform: Platform, media_id: int) -> None:
    async with platform.database.transaction() as tx:
        sha256 = await media.remove(tx, media_id, at=await platform.clock.now(tx))
    await media.forget_file(platform, sha256 or "")


async def test_the_same_file_twice_is_kept_once_and_till_the_last_is_deleted(platform: Platform) -> None:
    first, second = [await scenes.a_file(platform) for _ in range(2)]
    (path,) = _kept(platform)
    assert path.read_bytes() == scenes.PICTURE
    assert path.stat().st_mode & 0o077 == 0
    await _deleted(platform, first.id)
    assert _kept(platform) == [path]
    await _deleted(platform, second.id)
    assert _kept(platform) == []
    async with platform.database.reading() as tx:
        with pytest.raises(NotFound):
            await media.get(tx, second.id)


async def test_what_no_row_names_is_swept_once_it_is_old(platform: Platform) -> None:
    kept = await scenes.a_file(platform)
    orphan, half = Part(platform.settings), Part(platform.settings)
    for part in (orphan, half):
        part.write(b"of a process that died")
    orphan.finish()
    orphan.place()
    assert await media.sweep(platform) == 0, "somebody may be about to note it"
    _age(platform)
    assert await media.sweep(platform) == 1
    assert [path.name for path in _kept(platform)] == [kept.sha256]
    half.drop()


async def test_what_is_still_needed_is_not_deleted(
    platform: Platform, sender: Sender, connector: FakeConnector
) -> None:
    file = await scenes.a_file(platform)
    message = await scenes.a_message(platform, sender, content=scenes.picture(file))
    with pytest.raises(Conflict, match=f"Message {message.id}"):
        await _deleted(platform, file.id)
    await scenes.let_out(platform)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        header = {"type": "image", "media_id": file.id}
        template = await templates.create(tx, name="Spring", body="Hi", header=header, at=now)
    with pytest.raises(Conflict, match="Spring"):
        await _deleted(platform, file.id)
    async with platform.database.transaction() as tx:
        await templates.change(tx, template.id, {"header": None}, at=now)
    await _deleted(platform, file.id)


@pytest.mark.parametrize(
    ("header", "error"),
    [({"type": "image", "media_id": 99}, NotFound), ({"type": "video", "media_id": 1}, Invalid)],
)
async def test_a_header_names_a_file_that_fits(platform: Platform, header: dict[str, object], error: type) -> None:
    await scenes.a_file(platform)
    async with platform.database.transaction() as tx:
        with pytest.raises(error) as refused:
            await templates.create(tx, name="t", body="Hi", header=header, at=await platform.clock.now(tx))
    assert refused.value.field == "header.media_id"

"""The master key: made once, whole or not there, turned without losing a secret, and never shown."""

import asyncio
import os
import stat
import sys
from pathlib import Path

import pytest

import scenes
from core import keys, senders
from core.bootstrap import Platform, build
from core.errors import Conflict, MasterKeyMissing, MasterKeyWrong
from core.settings import Settings
from fakes import FakeConnector, FakeConnectors, FakeJobs

_SECRET = {"access_token": "EAAsecret", "digits": 5}


def test_a_key_once_made_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    keys.init(path)
    before = path.read_bytes()
    with pytest.raises(Conflict):
        keys.init(path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["master.key"]


async def test_of_many_that_make_the_key_at_once_one_wins(tmp_path: Path) -> None:
    code = f"from pathlib import Path; from core import keys; print(keys.init(Path({str(tmp_path / 'k')!r})).lookup)"
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            code,
            cwd=Path(__file__).parents[2],
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        for _ in range(4)
    ]
    made = [out.decode().strip() for out, _ in await asyncio.gather(*(one.communicate() for one in processes)) if out]
    assert made == [str(keys.load(tmp_path / "k").lookup)]


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "master.key"
    before = os.umask(0)
    try:
        keys.init(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        keys.with_new_encryption_key(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_a_missing_key_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MasterKeyMissing) as refused:
        keys.load(tmp_path / "master.key")
    assert "waqtor keys init" in str(refused.value.hint)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b"\x00\xff",
        b'{"encryption": [], "lookup": ""}',
        b'{"encryption": ["short"], "lookup": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}',
        b'{"encryption": ["MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA="], "lookup": "AAAA"}',
        b'{"encryption": 5, "lookup": 5}',
    ],
)
def test_a_corrupt_key_is_refused_at_the_start(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(body)
    with pytest.raises(MasterKeyWrong, match="not a WaQtor master key"):
        keys.load(path)


def test_half_a_key_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    keys.init(path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(MasterKeyWrong):
        keys.load(path)


def test_a_folder_in_its_place_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(MasterKeyMissing, match="cannot be read"):
        keys.load(tmp_path)


def test_old_secrets_open_at_each_step_of_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    first = keys.init(path)
    sealed, lookup = first.encrypt(_SECRET), first.hash("phone", "+966501234567")
    both = keys.with_new_encryption_key(path)
    assert keys.load(path) == both
    assert both.decrypt(sealed) == _SECRET
    resealed = both.reseal(sealed)
    assert both.decrypt(resealed) == _SECRET
    only_new = keys.without_old_encryption_keys(path)
    assert keys.load(path) == only_new
    assert only_new.decrypt(resealed) == _SECRET
    with pytest.raises(MasterKeyWrong):
        only_new.decrypt(sealed)
    with pytest.raises(MasterKeyWrong):
        first.decrypt(resealed)
    assert lookup == both.hash("phone", "+966501234567") == only_new.hash("phone", "+966501234567")
    assert first.fingerprint == only_new.fingerprint


def test_another_installation_hashes_the_same_number_otherwise(tmp_path: Path) -> None:
    one, other = keys.init(tmp_path / "one"), keys.init(tmp_path / "other")
    assert one.hash("phone", "+966501234567") != other.hash("phone", "+966501234567")
    assert one.hash("phone", "5") != one.hash("lid", "5")


def test_a_key_shows_nothing_of_itself(tmp_path: Path) -> None:
    key = keys.init(tmp_path / "master.key")
    for part in (*key.encryption, key.lookup):
        assert str(part) not in f"{key!r} {key}"


async def test_a_sender_shows_none_of_its_secrets(platform: Platform) -> None:
    sender = await scenes.a_sender(platform)
    shown = repr(senders.config(sender, platform.key)) + repr(sender) + repr(platform)
    assert "'token'" not in shown
    assert "app-secret" not in shown


async def test_the_key_of_another_installation_is_refused(platform: Platform, settings: Settings) -> None:
    settings.key_file.unlink()
    keys.init(settings.key_file)
    with pytest.raises(MasterKeyWrong) as refused:
        await build(settings, connectors=FakeConnectors(FakeConnector()), jobs=FakeJobs())
    assert "WAQTOR_MASTER_KEY_FILE" in str(refused.value.hint)


async def test_processes_that_start_at_once_agree_on_the_installation(settings: Settings) -> None:
    platforms = await asyncio.gather(
        *(build(settings, connectors=FakeConnectors(FakeConnector()), jobs=FakeJobs()) for _ in range(6))
    )
    assert len({one.installation for one in platforms}) == 1
    for one in platforms:
        await one.close()

"""A restored installation knows what the old one knew, and writes to nobody by itself."""

import gzip
import re
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, text

import scenes
from core import backup, campaigns, keys, media, media_files, messages, retrying, schema, senders
from core.bootstrap import Platform, build
from core.database import Database, connect
from core.errors import Conflict, Invalid, MasterKeyWrong
from core.models import Base, Campaign, Consent, Recipient, Sender
from core.ports import Accepted, Outgoing, Retryable, SendError
from core.settings import Settings
from fakes import FakeConnector, FakeConnectors, FakeJobs


@pytest.fixture
async def elsewhere(tmp_path: Path, sqlite_template: Path) -> Any:
    """A new, migrated, empty installation; on SQLite, wherever the backup comes from."""
    (tmp_path / "new").mkdir()
    shutil.copy(sqlite_template, tmp_path / "new" / "waqtor.db")
    database = connect(Settings(data_dir=tmp_path / "new"))
    yield database
    await database.close()


async def _everything(database: Database) -> dict[str, Sequence[Any]]:
    async with database.reading() as tx:
        tables = Base.metadata.sorted_tables
        return {
            table.name: [tuple(row) for row in await tx.execute(select(table).order_by(*table.primary_key.columns))]
            for table in tables
        }


async def _at_work(platform: Platform, connector: FakeConnector) -> Campaign:
    """Half of 1,200 people written to, some to be tried again, the campaign still running and not planned through."""

    def answer(message: Outgoing) -> Accepted | SendError:
        return Retryable("busy") if message.to.value.endswith("7") else Accepted(f"wamid.{message.client_id}")

    connector.answering = answer
    await scenes.people(platform, 600)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform, daily_cap=400))
    await scenes.launched(platform, campaign.id)
    await scenes.dispatched(platform, connector, campaign.id)
    connector.answering = None
    return campaign


async def test_there_and_back_nothing_is_lost_and_nothing_can_leave(
    platform: Platform, connector: FakeConnector, elsewhere: Database, tmp_path: Path
) -> None:
    await _at_work(platform, connector)
    sent = len(connector.effects)
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        line = {"identity_hash": "x" * 64, "purpose": "marketing", "action": "granted", "source": "نموذج"}
        await tx.execute(insert(Consent).values(**line, wording="نعم", recorded_at=now))
    before = await _everything(platform.database)
    written = await backup.write(platform.database, platform.settings, tmp_path / "it.gz", at=datetime.now(UTC))
    assert written.rows == sum(map(len, before.values()))
    assert (tmp_path / "it.gz").stat().st_mode & 0o077 == 0
    restored = await backup.read(elsewhere, Settings(data_dir=tmp_path / "new"), platform.key, tmp_path / "it.gz")
    assert (restored.rows, restored.senders) == (written.rows, 1)
    after = await _everything(elsewhere)
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {"senders", "campaigns", "recipients", "messages", "events", "event_log", "notifications"}
    async with elsewhere.transaction() as tx:
        campaign = (await tx.execute(select(Campaign))).scalar_one()
        sender = (await tx.execute(select(Sender))).scalar_one()
        states = list((await tx.execute(select(Recipient.state))).scalars())
        assert (campaign.state, campaign.state_reason) == ("paused", "restored")
        assert (sender.state, sender.state_reason) == ("paused", "restored")
        assert (states.count("sent"), states.count("unknown")) == (sent, 600 - sent) == (sent, restored.unknown)
        await tx.execute(insert(Consent).values(**line, wording="again", recorded_at=now))  # counters go on


async def test_a_person_decides_and_it_goes_on(
    platform: Platform, connector: FakeConnector, elsewhere: Database, tmp_path: Path
) -> None:
    campaign = await _at_work(platform, connector)
    await backup.write(platform.database, platform.settings, tmp_path / "it.gz", at=datetime.now(UTC))
    restored = await backup.read(elsewhere, Settings(data_dir=tmp_path / "new"), platform.key, tmp_path / "it.gz")
    shutil.copy(tmp_path / "master.key", tmp_path / "new" / "master.key")
    settings = Settings(data_dir=tmp_path / "new")
    copy = await build(settings, connectors=FakeConnectors(connector), jobs=FakeJobs(), clock=platform.clock)
    try:
        async with copy.database.transaction() as tx:
            now = await copy.clock.now(tx)
            sender = await senders.change(tx, 1, {"daily_cap": None}, at=now)
            await senders.move(tx, sender, senders.ACTIVE, reason="", at=now)
            sender.next_slot = 0.0
            await campaigns.resume(tx, campaign.id, at=now)
        sent = len(connector.effects)
        await scenes.dispatched(copy, connector, campaign.id)
        assert len(connector.effects) == sent  # nobody is written to before somebody says so
        async with copy.database.transaction() as tx:
            await retrying.resend_unknown(tx, campaign.id, confirm=restored.unknown, at=now)
        await scenes.dispatched(copy, connector, campaign.id)
        assert len({one.to.value for one in connector.effects}) == len(connector.effects) == 600
    finally:
        await copy.close()


async def test_into_the_same_kind_of_database(platform: Platform, tmp_path: Path) -> None:
    """On PostgreSQL the counters of the tables go on after the highest number."""
    await scenes.people(platform, 3)
    await backup.write(platform.database, platform.settings, tmp_path / "it.gz", at=datetime.now(UTC))
    with pytest.raises(Conflict, match="not empty"):
        await backup.read(platform.database, platform.settings, platform.key, tmp_path / "it.gz")
    await schema.downgrade(platform.database, "base")
    await schema.upgrade(platform.database)
    await backup.read(platform.database, platform.settings, platform.key, tmp_path / "it.gz")
    await scenes.people(platform, 1, start=3)
    async with platform.database.reading() as tx:
        assert (await tx.execute(text("SELECT count(*), max(id) FROM contacts"))).one() == (4, 4)


async def test_what_is_no_whole_backup_changes_nothing(platform: Platform, elsewhere: Database, tmp_path: Path) -> None:
    await scenes.people(platform, 3)
    file = tmp_path / "it.gz"
    await backup.write(platform.database, platform.settings, file, at=datetime.now(UTC))
    whole, lines = file.read_bytes(), gzip.decompress(file.read_bytes()).splitlines()
    empty = await _everything(elsewhere)
    broken = {
        "cut": whole[:-20],
        "text": b"hello",
        "other": gzip.compress(b'{"kind": "other"}\n'),
        "no row": gzip.compress(lines[0] + b"\n[1]\n"),
        "no table": gzip.compress(lines[0] + b'\n["ghosts", {}]\n'),
    }
    for content in broken.values():
        file.write_bytes(content)
        with pytest.raises(Invalid) as refused:
            await backup.read(elsewhere, Settings(data_dir=tmp_path / "new"), platform.key, file)
        assert refused.value.field == "file"
        assert await _everything(elsewhere) == empty
    file.write_bytes(gzip.compress(re.sub(rb'"revision":"\d+"', b'"revision":"9999"', lines[0]) + b"\n"))
    with pytest.raises(Conflict, match="9999"):
        await backup.read(elsewhere, Settings(data_dir=tmp_path / "new"), platform.key, file)


async def test_a_backup_needs_its_own_key(platform: Platform, elsewhere: Database, tmp_path: Path) -> None:
    await backup.write(platform.database, platform.settings, tmp_path / "it.gz", at=datetime.now(UTC))
    keys.init(tmp_path / "other.key")
    with pytest.raises(MasterKeyWrong):
        await backup.read(
            elsewhere, Settings(data_dir=tmp_path / "new"), keys.load(tmp_path / "other.key"), tmp_path / "it.gz"
        )


async def test_of_a_single_message_that_waited_nobody_knows_whether_it_left(
    platform: Platform, elsewhere: Database, tmp_path: Path
) -> None:
    await scenes.people(platform, 1)
    message = await scenes.a_message(platform, await scenes.a_sender(platform))
    await backup.write(platform.database, platform.settings, tmp_path / "b.gz", at=datetime.now(UTC))
    assert (
        await backup.read(elsewhere, Settings(data_dir=tmp_path / "new"), platform.key, tmp_path / "b.gz")
    ).unknown == 1
    async with elsewhere.reading() as tx:
        found = await messages.get(tx, message.id)
    assert (found.state, found.reason) == ("unknown", "restored")


async def test_media_come_back_with_their_contents(platform: Platform, elsewhere: Database, tmp_path: Path) -> None:
    there = Settings(data_dir=tmp_path / "new")
    await scenes.a_file(platform)
    large = await scenes.a_file(platform, scenes.PICTURE * 1000)
    lost = await scenes.a_file(platform, b"lost")
    media_files.forget(platform.settings, [lost.sha256 or ""])
    written = await backup.write(platform.database, platform.settings, tmp_path / "b.gz", at=datetime.now(UTC))
    assert (written.files, written.missing) == (2, 1)
    restored = await backup.read(elsewhere, there, platform.key, tmp_path / "b.gz")
    assert (restored.files, restored.missing) == (2, 1)
    assert media_files.path_of(there, large.sha256 or "").read_bytes() == scenes.PICTURE * 1000
    async with elsewhere.reading() as tx:
        rows = [(row.state, row.reason) for row in await media.listed(tx, after=0, limit=9, direction=None)]
    assert rows == [("stored", None), ("stored", None), ("failed", "media_lost")]


async def test_a_backup_without_media_says_what_is_missing(
    platform: Platform, elsewhere: Database, tmp_path: Path
) -> None:
    await scenes.a_file(platform)
    file, now = tmp_path / "b.gz", datetime.now(UTC)
    assert (await backup.write(platform.database, platform.settings, file, at=now, with_media=False)).files == 0
    assert (await backup.read(elsewhere, Settings(data_dir=tmp_path / "new"), platform.key, file)).missing == 1


async def test_a_file_that_was_changed_in_the_backup_is_refused(
    platform: Platform, elsewhere: Database, tmp_path: Path
) -> None:
    await scenes.a_file(platform)
    file = tmp_path / "b.gz"
    await backup.write(platform.database, platform.settings, file, at=datetime.now(UTC))
    lines = gzip.decompress(file.read_bytes()).splitlines(keepends=True)
    file.write_bytes(gzip.compress(b"".join(lines[:-1]) + lines[-1].replace(b"AAAA", b"BBBB", 1)))
    empty = await _everything(elsewhere)
    with pytest.raises(Invalid):
        await backup.read(elsewhere, Settings(data_dir=tmp_path / "new"), platform.key, file)
    assert await _everything(elsewhere) == empty

"""Messages move between states only as the one table says, whatever statement moves them."""

import random
from datetime import UTC, datetime
from pathlib import Path
from shutil import copy

import pytest
from sqlalchemy import text

import scenes
from conftest import with_settings
from core import keys, messages, settling
from core.bootstrap import Platform
from core.ports import Accepted, Ambiguous, Outgoing, PermanentContent, Receipt, Retryable, SendError
from core.settings import Settings
from fakes import FakeClock, FakeConnector

RECORD = """
CREATE TRIGGER record_moves AFTER UPDATE OF state ON messages WHEN new.state <> old.state
BEGIN INSERT INTO moves VALUES (old.state, new.state); END
"""


@pytest.fixture
def settings(tmp_path: Path, sqlite_template: Path) -> Settings:
    """The trigger that records is written for one database; the statements are the same on both."""
    keys.init(tmp_path / "master.key")
    copy(sqlite_template, tmp_path / "waqtor.db")
    return Settings(data_dir=tmp_path)


@pytest.mark.parametrize("seed", range(4))
async def test_every_move_is_in_the_table(
    platform: Platform, connector: FakeConnector, clock: FakeClock, seed: int
) -> None:
    draw = random.Random(seed)
    answers = (Ambiguous("timeout"), Retryable("busy"), PermanentContent("bad"), None, None)

    def answering(message: Outgoing) -> Accepted | SendError:
        return draw.choice(answers) or Accepted(f"wamid.{message.client_id}")

    connector.answering = answering
    platform = with_settings(platform, max_attempts=2)
    async with platform.database.transaction() as tx:
        await tx.execute(text("CREATE TABLE moves (was TEXT, is_now TEXT)"))
        await tx.execute(text(RECORD))
    await scenes.people(platform, 60)
    campaign = await scenes.a_campaign(platform, await scenes.a_sender(platform))
    await scenes.launched(platform, campaign.id)
    for _ in range(6):
        await scenes.dispatched(platform, connector, campaign.id)
        for status in ("failed", "delivered", "sent", "read"):
            some = draw.sample(connector.calls, k=min(8, len(connector.calls)))
            receipts = [Receipt(f"wamid.{one.client_id}", one.client_id, status, datetime.now(UTC)) for one in some]
            async with platform.database.transaction() as tx:
                await messages.apply_receipts(tx, receipts, at=await platform.clock.now(tx))
        clock.advance(minutes=15)
        await settling.reconcile(platform)
    async with platform.database.reading() as tx:
        seen = {(row[0], row[1]) for row in await tx.execute(text("SELECT DISTINCT was, is_now FROM moves"))}
    allowed = {(was, now) for was, after in messages.MOVES.items() for now in after}
    assert seen <= allowed
    assert {("intent", "sent"), ("intent", "queued"), ("intent", "in_doubt"), ("in_doubt", "unknown")} <= seen

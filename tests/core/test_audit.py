"""The audit log tells what was altered from what was cut off, and takes nothing back."""

import asyncio
from contextlib import suppress

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from core import audit
from core.audit import Happened, Verdict
from core.bootstrap import Platform
from core.database import Tx
from core.errors import Invalid


async def _some(platform: Platform, number: int = 5) -> None:
    for one in range(number):
        async with platform.database.transaction() as tx:
            what = Happened("user:1", "tested", f"thing:{one}", "203.0.113.77", "r", {"b": one, "a": "é"})
            audit.record(tx, platform.key, what, at=await platform.clock.now(tx))


async def _verdict(platform: Platform) -> Verdict:
    async with platform.database.reading() as tx:
        return await audit.verify(tx, platform.key)


async def _by_hand(platform: Platform, *statements: str) -> None:
    """As somebody would who may do everything to the database, but has not the master key."""
    async with platform.database.transaction() as tx:
        await _without_triggers(tx)
        for statement in statements:
            await tx.execute(text(statement))


async def _without_triggers(tx: Tx) -> None:
    if tx.get_bind().dialect.name == "postgresql":
        await tx.execute(text("DROP TRIGGER IF EXISTS audit_insert_only ON audit_entries"))
    else:
        for verb in ("update", "delete", "replace"):
            await tx.execute(text(f"DROP TRIGGER IF EXISTS audit_no_{verb}"))


async def test_what_is_written_is_whole_and_names_no_machine(platform: Platform) -> None:
    assert await _verdict(platform) == Verdict("whole", 0)
    await _some(platform)
    assert await _verdict(platform) == Verdict("whole", 5)
    async with platform.database.reading() as tx:
        newest, *_ = await audit.listed(tx, before=None, limit=2)
    assert (newest.seq, newest.subject, newest.address) == (5, "thing:4", "203.0.113.0/24")


async def test_what_is_rolled_back_leaves_no_entry_and_no_gap(platform: Platform) -> None:
    await _some(platform, 1)
    with suppress(ZeroDivisionError):
        async with platform.database.transaction() as tx:
            audit.record(tx, platform.key, Happened("user:1", "tested"), at=await platform.clock.now(tx))
            raise ZeroDivisionError
    await _some(platform, 1)
    assert await _verdict(platform) == Verdict("whole", 2)


async def test_many_at_once_make_one_chain(platform: Platform) -> None:
    await asyncio.gather(*(_some(platform, 3) for _ in range(6)))
    assert await _verdict(platform) == Verdict("whole", 18)


async def test_two_entries_of_one_transaction(platform: Platform) -> None:
    async with platform.database.transaction() as tx:
        for one in range(2):
            audit.record(tx, platform.key, Happened("user:1", f"did {one}"), at=await platform.clock.now(tx))
    assert await _verdict(platform) == Verdict("whole", 2)


@pytest.mark.parametrize("statement", ["UPDATE audit_entries SET actor = 'user:2'", "DELETE FROM audit_entries"])
async def test_it_takes_nothing_back(platform: Platform, statement: str) -> None:
    await _some(platform, 1)
    with pytest.raises(DBAPIError, match="insert-only"):
        async with platform.database.transaction() as tx:
            await tx.execute(text(statement))


async def test_nor_is_an_entry_put_in_the_place_of_another(platform: Platform) -> None:
    await _some(platform, 1)
    same = "1, at, 'user:2', action, subject, address, request_id, details, previous, hash FROM audit_entries"
    or_replace = "" if platform.database.is_postgres else "OR REPLACE "
    with pytest.raises(DBAPIError):
        async with platform.database.transaction() as tx:
            await tx.execute(text(f"INSERT {or_replace}INTO audit_entries SELECT {same}"))
    assert await _verdict(platform) == Verdict("whole", 1)


@pytest.mark.parametrize(
    ("statement", "state", "at"),
    [
        ("UPDATE audit_entries SET actor = 'user:2' WHERE seq = 3", "altered", 3),
        ("UPDATE audit_entries SET details = '{}' WHERE seq = 1", "altered", 1),
        ("DELETE FROM audit_entries WHERE seq = 3", "altered", 3),
        ("DELETE FROM audit_entries WHERE seq = 1", "altered", 1),
        ("DELETE FROM audit_entries WHERE seq >= 4", "truncated", 4),
        ("DELETE FROM audit_entries", "truncated", 1),
        ("DELETE FROM audit_head", "altered", 1),
        ("UPDATE audit_entries SET seq = seq + 100 WHERE seq = 5", "altered", 5),
    ],
)
async def test_what_was_done_to_it_is_seen(platform: Platform, statement: str, state: str, at: int) -> None:
    await _some(platform)
    await _by_hand(platform, statement)
    verdict = await _verdict(platform)
    assert (verdict.state, verdict.at) == (state, at)


async def test_who_cuts_it_cannot_make_the_head_fit(platform: Platform) -> None:
    await _some(platform)
    await _by_hand(
        platform,
        "DELETE FROM audit_entries WHERE seq > 3",
        "UPDATE audit_head SET seq = 3, hash = (SELECT hash FROM audit_entries WHERE seq = 3)",
    )
    assert (await _verdict(platform)).state == "altered"


async def test_entries_put_in_a_row_by_somebody_else_are_seen(platform: Platform) -> None:
    await _some(platform, 2)
    await _by_hand(
        platform,
        "INSERT INTO audit_entries SELECT 3, at, actor, action, subject, address, request_id, details, hash, hash "
        "FROM audit_entries WHERE seq = 2",
    )
    assert (await _verdict(platform)).state == "altered"


async def test_head_and_entries_put_back_together_are_seen_by_the_anchor(platform: Platform) -> None:
    async def judged() -> Verdict:
        async with platform.database.reading() as tx:
            return await audit.verify(tx, platform.key, audit.anchored(platform.settings))

    await _some(platform, 2)
    async with platform.database.reading() as tx:
        earlier = (await tx.execute(text("SELECT seq, hash, seal FROM audit_head"))).one()
    await _some(platform, 3)
    async with platform.database.reading() as tx:
        await audit.drop_anchor(tx, platform.settings)
    assert await judged() == Verdict("whole", 5)
    await _some(platform, 1)
    assert await judged() == Verdict("whole", 6), "it goes on"
    back = f"UPDATE audit_head SET seq = {earlier.seq}, hash = '{earlier.hash}', seal = '{earlier.seal}'"
    await _by_hand(platform, "DELETE FROM audit_entries WHERE seq > 2", back)
    assert (await _verdict(platform)).state == "whole", "by itself it fits"
    assert ((await judged()).state, (await judged()).at) == ("truncated", 3)
    async with platform.database.reading() as tx:
        await audit.drop_anchor(tx, platform.settings)
    await _some(platform, 4)
    assert ((await judged()).state, (await judged()).at) == ("altered", 5), "others in their place are not they"
    await _by_hand(platform, "DELETE FROM audit_entries", "DELETE FROM audit_head")
    assert ((await judged()).state, (await judged()).at) == ("truncated", 1)
    audit.lift_anchor(platform.settings)
    assert await judged() == Verdict("whole", 0)


async def test_an_anchor_that_cannot_be_read_is_no_anchor(platform: Platform) -> None:
    (platform.settings.data_dir / "audit.anchor").write_text("{")
    with pytest.raises(Invalid, match="anchor"):
        audit.anchored(platform.settings)


@pytest.mark.parametrize(
    ("address", "kept"),
    [("203.0.113.77", "203.0.113.0/24"), ("2001:db8:1:2::3", "2001:db8:1::/48"), ("", ""), ("a socket", "")],
)
def test_of_an_address_only_the_network_is_kept(address: str, kept: str) -> None:
    assert audit.network(address) == kept

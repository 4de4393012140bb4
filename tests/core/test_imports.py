"""A file is taken to its end, once, whoever dies meanwhile; giving it again changes nothing."""

import asyncio
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from core import attributes, contacts, import_files, import_runs, imports, kept_files
from core.bootstrap import Platform
from core.errors import Invalid, NotFound
from core.import_runs import Run
from core.imports import Agreed, Asked
from core.models import Consent, Contact, ContactTag, Event, Identity, Import, Suppression
from core.ports import Address
from fakes import FakeClock

ROOT = Path(__file__).parent.parent.parent
AGREED = Agreed("order form", "Send me offers.", datetime(2026, 1, 31, tzinfo=UTC))


async def _kept(
    platform: Platform,
    body: str | bytes,
    *,
    filename: str = "people.csv",
    mapping: Mapping[str, str] | None = None,
    consent: Agreed | None = None,
) -> int:
    """The file as it stands after the upload: nobody has begun to take it."""
    content = body.encode() if isinstance(body, str) else body
    asked = Asked(filename, import_files.format_of(filename, content[:64]), "SA", mapping or {}, consent)
    stored = kept_files.keep(platform.settings, io.BytesIO(content))
    imports.check(asked, kept_files.path_of(platform.settings, stored))
    async with platform.database.transaction() as tx:
        at = await platform.clock.now(tx)
        return (await imports.create(tx, asked, stored=stored, lease_s=30, at=at)).id


async def _get(platform: Platform, import_id: int) -> Import:
    async with platform.database.reading() as tx:
        return await imports.get(tx, import_id)


async def _import(platform: Platform, body: str | bytes, **how: Any) -> Import:
    import_id = await _kept(platform, body, **how)
    await import_runs.run(platform, import_id)
    return await _get(platform, import_id)


async def _report(platform: Platform, job: Import) -> Sequence[Mapping[str, Any]]:
    async with platform.database.reading() as tx:
        return await imports.report(tx, job.id)


async def _taken(platform: Platform, import_id: int, *, chunks: int) -> Run:
    """A run that has taken some chunks and now does nothing more, as one whose process was killed."""
    run = await Run.opened(platform, import_id)
    assert run is not None
    for _ in range(chunks):
        assert await run.take_chunk()
    return run


def _file(numbers: Iterator[int] | range) -> str:
    return "phone,name,tags\n" + "".join(f"+9665{one:08d},Person {one},vip\n" for one in numbers)


def _as_json(numbers: range) -> str:
    return json.dumps([{"phone": f"+9665{one:08d}", "name": f"Person {one}"} for one in numbers])


def _kept_files(platform: Platform) -> list[Path]:
    return list(kept_files.path_of(platform.settings, "").glob("*"))


async def _people(platform: Platform) -> list[tuple[str, str]]:
    async with platform.database.reading() as tx:
        rows = await tx.execute(
            select(Identity.value, Contact.name)
            .join(Contact, Contact.id == Identity.contact_id)
            .order_by(Identity.value)
        )
        found = [(row.value, row.name) for row in rows]
        assert (await tx.execute(select(func.count()).select_from(Contact))).scalar_one() == len(found)
    return found


async def test_the_report_tells_of_every_row(platform: Platform) -> None:
    job = await _import(
        platform,
        "phone,name\n+966501234567,Sara\nwrong,Ali\n+966501234567,Sara again\n+966501234568,Omar\nshort\n",
    )
    assert (job.state, job.rows, job.created, job.updated, job.rejected) == ("finished", 5, 2, 1, 2)
    assert [(one["row"], one["field"]) for one in await _report(platform, job)] == [(2, "phone"), (5, "row")]
    assert job.finished_at is not None
    assert await _people(platform) == [("+966501234567", "Sara again"), ("+966501234568", "Omar")]


async def test_giving_the_file_again_changes_nothing(platform: Platform) -> None:
    body = _file(range(700))
    first, again = await _import(platform, body), await _import(platform, body)
    assert (first.created, first.updated) == (700, 0)
    assert (again.created, again.updated) == (0, 700)
    assert len(await _people(platform)) == 700
    async with platform.database.reading() as tx:
        assert (await tx.execute(select(func.count()).select_from(ContactTag))).scalar_one() == 700


async def test_what_is_known_of_a_person_is_added_to(platform: Platform) -> None:
    await _import(platform, "phone,name,tags,city\n+966501234567,Sara,vip,Riyadh\n")
    await _import(platform, "phone,name,tags,size\n+966501234567,,new,M\n")
    async with platform.database.reading() as tx:
        card = await contacts.card(tx, 1)
    assert card.contact.name == "Sara"
    assert card.contact.attributes == {"city": "Riyadh", "size": "M"}
    assert list(card.tags) == ["new", "vip"]
    assert list(card.identities) == [Address("phone", "+966501234567")]
    assert not card.suppressed


async def test_two_rows_of_one_person_add_up_wherever_they_stand(platform: Platform) -> None:
    twice = "+966501234567,Sara,vip,Riyadh,yes\n+966501234567,,new,,\n"
    await _import(platform, "phone,name,tags,city,opted_out\n" + twice)
    async with platform.database.reading() as tx:
        card = await contacts.card(tx, 1)
    assert (card.contact.name, card.contact.attributes, list(card.tags)) == ("Sara", {"city": "Riyadh"}, ["new", "vip"])
    assert card.suppressed


async def test_an_opt_out_in_the_file_is_kept_when_a_later_file_is_silent(platform: Platform) -> None:
    await _import(platform, "phone,opted_out\n+966501234567,yes\n")
    await _import(platform, "phone,opted_out\n+966501234567,no\n")
    async with platform.database.reading() as tx:
        assert (await contacts.card(tx, 1)).suppressed
        assert (await tx.execute(select(func.count()).select_from(Suppression))).scalar_one() == 1


async def test_one_event_per_chunk_that_names_nobody(platform: Platform) -> None:
    await _import(platform, _file(range(600)))
    async with platform.database.reading() as tx:
        told = (await tx.execute(select(Event.data).order_by(Event.id))).scalars().all()
    assert told == [
        {"import_id": 1, "created": 500, "updated": 0, "rejected": 0},
        {"import_id": 1, "created": 100, "updated": 0, "rejected": 0},
    ]


async def test_the_same_numbers_from_many_sides_make_one_person_each(platform: Platform) -> None:
    chance = random.Random(3)
    numbers = list(range(300))

    async def bring() -> None:
        mine = chance.sample(numbers, 250)
        await _import(platform, _file(iter(mine)))

    async def write_in() -> None:
        for one in chance.sample(numbers, 40):
            async with platform.database.transaction() as tx:
                await contacts.who(
                    tx,
                    platform.key,
                    [Address("phone", f"+9665{one:08d}"), Address("lid", str(one))],
                    name="",
                    at=await platform.clock.now(tx),
                )

    await asyncio.gather(bring(), bring(), bring(), write_in(), write_in())
    async with platform.database.reading() as tx:
        per_number = await tx.execute(select(func.count()).where(Identity.kind == "phone").group_by(Identity.value))
        assert set(per_number.scalars()) == {1}
        people = (await tx.execute(select(func.count()).select_from(Contact))).scalar_one()
        owners = (await tx.execute(select(func.count(func.distinct(Identity.contact_id))))).scalar_one()
    assert people == owners <= 300


# ---- going on -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("body", "filename"), [(_file(range(1_700)), "a.csv"), (_as_json(range(1_700)), "a.json")])
async def test_an_import_whose_process_died_goes_on_after_the_last_chunk(
    platform: Platform, clock: FakeClock, body: str, filename: str
) -> None:
    body = body.replace("+9665" + "00000777", "wrong")
    import_id = await _kept(platform, body, filename=filename)
    await _taken(platform, import_id, chunks=2)
    assert await import_runs.resume_waiting(platform) == []  # its lease still runs
    job = await _get(platform, import_id)
    assert (job.state, job.rows, job.total) == ("running", 1_000, 1_700)
    clock.advance(seconds=platform.settings.lease_s + 1)
    assert await import_runs.resume_waiting(platform) == [import_id]
    job = await _get(platform, import_id)
    assert (job.state, job.rows, job.created, job.updated, job.rejected) == ("finished", 1_700, 1_699, 0, 1)
    assert [one["row"] for one in await _report(platform, job)] == [778]
    assert _kept_files(platform) == []
    assert await import_runs.resume_waiting(platform) == []


async def test_a_run_that_was_taken_over_writes_nothing_more(platform: Platform, clock: FakeClock) -> None:
    import_id = await _kept(platform, _file(range(1_200)))
    slow = await _taken(platform, import_id, chunks=1)
    clock.advance(seconds=platform.settings.lease_s + 1)
    await _taken(platform, import_id, chunks=1)
    with pytest.raises(import_runs.LeaseLost):
        await slow.take_chunk()
    assert (await _get(platform, import_id)).rows == 1_000


async def test_two_at_once_take_a_file_once(platform: Platform) -> None:
    import_id = await _kept(platform, _file(range(1_200)))
    await asyncio.gather(*(import_runs.run(platform, import_id) for _ in range(3)))
    job = await _get(platform, import_id)
    assert (job.state, job.rows, job.created, job.updated) == ("finished", 1_200, 1_200, 0)


async def test_a_run_that_is_told_to_end_leaves_the_file_to_the_next(platform: Platform) -> None:
    import_id = await _kept(platform, _file(range(5_000)))
    task = asyncio.create_task(import_runs.run(platform, import_id))
    while not (await _get(platform, import_id)).rows:  # noqa: ASYNC110  the row is what another process sees
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await import_runs.resume_waiting(platform) == [import_id]
    job = await _get(platform, import_id)
    assert (job.state, job.rows, job.created) == ("finished", 5_000, 5_000)


_TAKING = """
import asyncio, sys
from core import import_runs
from core.bootstrap import build
from core.settings import Settings
from fakes import FakeConnector, FakeConnectors, FakeJobs

async def main():
    platform = await build(Settings(), connectors=FakeConnectors(FakeConnector()), jobs=FakeJobs())
    await import_runs.run(platform, int(sys.argv[1]))

asyncio.run(main())
"""


async def test_no_row_counts_twice_when_the_process_is_killed(platform: Platform, clock: FakeClock) -> None:
    import_id = await _kept(platform, _file(range(6_000)))
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
        "WAQTOR_DATA_DIR": str(platform.settings.data_dir),
        "WAQTOR_DATABASE_URL": platform.settings.database_url,
    }
    command = [sys.executable, "-c", _TAKING, str(import_id)]
    process = subprocess.Popen(command, env=environment)  # noqa: ASYNC220
    until = time.monotonic() + 60
    while not (await _get(platform, import_id)).rows:
        assert process.poll() is None
        assert time.monotonic() < until
        await asyncio.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = (await _get(platform, import_id)).rows
    assert 0 < before < 6_000
    clock.advance(seconds=platform.settings.lease_s + 1)
    await import_runs.resume_waiting(platform)
    job = await _get(platform, import_id)
    assert (job.state, job.rows, job.created, job.updated) == ("finished", 6_000, 6_000, 0)


# ---- what cannot be read ------------------------------------------------------------------------------------


async def test_a_file_that_ends_in_rubbish_keeps_what_was_taken_and_says_so(platform: Platform) -> None:
    job = await _import(platform, _file(range(600)).encode() + b"\n" * 20_000 + b"\xff\xfe\xff" + b"\n" * 20_000)
    assert (job.state, job.rows, job.created) == ("failed", 600, 600)
    assert job.finished_at is not None
    (line,) = await _report(platform, job)
    assert line == {"row": 601, "field": "file", "message": "The file is not UTF-8 text."}
    assert _kept_files(platform) == []


async def test_a_kept_file_that_is_gone_is_said_so(platform: Platform) -> None:
    import_id = await _kept(platform, _file(range(3)))
    _kept_files(platform)[0].unlink()
    await import_runs.run(platform, import_id)
    job = await _get(platform, import_id)
    assert job.state == "failed"
    assert "gone" in (await _report(platform, job))[0]["message"]


async def test_what_nobody_foresaw_ends_the_import_and_is_in_the_log(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr("core.contacts.save", broken)
    job = await _import(platform, _file(range(3)))
    assert (job.state, job.rows) == ("failed", 0)
    assert "import_failed" in caplog.text


async def test_the_report_grows_by_chunks_to_its_limit(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "MAX_REPORTED", 900)
    job = await _import(platform, "phone,name\n" + 'x,"it\'s ""quoted"" [1,2]"\n' * 1_300)
    assert (job.state, job.rejected) == ("finished", 1_300)
    assert [one["row"] for one in await _report(platform, job)] == list(range(1, 901))


@pytest.mark.parametrize("country", ["XX", "sa", "", "966"])
async def test_a_country_that_is_none_is_refused(platform: Platform, country: str) -> None:
    stored = kept_files.keep(platform.settings, io.BytesIO(b"phone\n1\n"))
    with pytest.raises(Invalid) as refused:
        imports.check(Asked("a.csv", "csv", country, {}), kept_files.path_of(platform.settings, stored))
    assert refused.value.field == "country"


async def test_an_import_that_is_not_there_is_said_so(platform: Platform) -> None:
    async with platform.database.reading() as tx:
        with pytest.raises(NotFound):
            await imports.get(tx, 5)


# ---- the kept file ------------------------------------------------------------------------------------------


def test_only_its_owner_may_read_a_kept_file(platform: Platform) -> None:
    path = kept_files.path_of(platform.settings, kept_files.keep(platform.settings, io.BytesIO(b"x")))
    assert (path.read_bytes(), path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (b"x", 0o600, 0o700)


async def test_a_file_that_no_import_knows_goes_after_an_hour(platform: Platform) -> None:
    import_id = await _kept(platform, _file(range(3)))
    kept_files.keep(platform.settings, io.BytesIO(b"young"))
    old = kept_files.path_of(platform.settings, kept_files.keep(platform.settings, io.BytesIO(b"old")))
    for path in _kept_files(platform):
        if path.read_bytes() != b"young":
            os.utime(path, (time.time() - 4_000, time.time() - 4_000))
    await import_runs.resume_waiting(platform)
    assert not old.exists()
    assert len(_kept_files(platform)) == 2
    await import_runs.run(platform, import_id)
    assert (await _get(platform, import_id)).state == "finished"


# ---- consent ------------------------------------------------------------------------------------------------


async def _ledger(platform: Platform) -> list[tuple[str, str, str, str]]:
    async with platform.database.reading() as tx:
        rows = await tx.execute(
            select(Identity.value, Consent.purpose, Consent.action, Consent.source)
            .join(Identity, Identity.value_hash == Consent.identity_hash)
            .order_by(Consent.id)
        )
        return [(row[0], row[1], row[2], row[3]) for row in rows]


async def test_with_consent_each_person_taken_has_a_line_in_the_ledger_once(platform: Platform) -> None:
    for _ in range(2):
        await _import(platform, "phone\n+966501234567\nwrong\n+966501234568\n+966501234567\n", consent=AGREED)
    granted = [(f"+96650123456{n}", "marketing", "granted", "order form") for n in (7, 8)]
    assert await _ledger(platform) == granted
    async with platform.database.reading() as tx:
        line = (await tx.execute(select(Consent).order_by(Consent.id))).scalars().first()
    assert line is not None
    assert (line.wording, line.given_at) == (AGREED.wording, AGREED.given_at)
    other = Agreed("fair", "Write me about orders.", AGREED.given_at, purpose="orders")
    await _import(platform, "phone\n+966501234567\n", consent=other)
    assert (await _ledger(platform))[2:] == [("+966501234567", "orders", "granted", "fair")]


async def test_without_consent_nothing_is_written_to_the_ledger(platform: Platform) -> None:
    await _import(platform, "phone\n+966501234567\n")
    assert await _ledger(platform) == []


async def test_no_file_brings_back_who_said_no(platform: Platform) -> None:
    await _import(platform, "phone,opted_out\n+966501234567,yes\n+966501234568,\n")
    async with platform.database.transaction() as tx:
        addresses = [Address("phone", "+966501234567"), Address("phone", "+966501234569")]
        await contacts.who(tx, platform.key, addresses, name="", at=await platform.clock.now(tx))
    both = "phone,opted_out\n+966501234567,no\n+966501234568,no\n+966501234569,no\n+966501234560,yes\n"
    await _import(platform, both, consent=AGREED)
    assert [one for one in await _ledger(platform) if one[2] == "granted"] == [
        ("+966501234568", "marketing", "granted", "order form")
    ]


async def test_evidence_older_than_a_withdrawal_does_not_count(platform: Platform) -> None:
    async with platform.database.transaction() as tx:
        now = await platform.clock.now(tx)
        line = {"purpose": "marketing", "action": "withdrawn", "source": "whatsapp", "wording": "", "recorded_at": now}
        tx.add(Consent(identity_hash=platform.key.hash("phone", "+966501234567"), **line))
    before = Agreed("form", "Yes.", now - timedelta(days=1))
    await _import(platform, "phone\n+966501234567\n", consent=before)
    assert [one[2] for one in await _ledger(platform)] == ["withdrawn"]
    after = Agreed("form", "Yes.", now + timedelta(microseconds=1))
    await _import(platform, "phone\n+966501234567\n", consent=after)
    assert [one[2] for one in await _ledger(platform)] == ["withdrawn", "granted"]


async def test_consent_of_tomorrow_is_refused(platform: Platform) -> None:
    tomorrow = Agreed("form", "Yes.", datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(Invalid, match="has not come"):
        await _kept(platform, "phone\n1\n", consent=tomorrow)


async def test_kinds_are_checked_and_time_zones_are_the_persons(platform: Platform) -> None:
    async with platform.database.transaction() as tx:
        await attributes.declare(tx, "age", "number")
    job = await _import(platform, "phone,timezone,age\n+966501234567,Asia/Riyadh,٣٠\n+966501234568,,old\n")
    assert (job.created, job.rejected) == (1, 1)
    await _import(platform, "phone,timezone,age\n+966501234567,,31\n")
    async with platform.database.reading() as tx:
        (card,) = await contacts.cards(tx, after=0, limit=9)
    assert (card.contact.timezone, card.contact.attributes) == ("Asia/Riyadh", {"age": "31"})

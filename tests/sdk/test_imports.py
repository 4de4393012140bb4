"""Files of contacts through the client: waited for, watched, looked at beforehand."""

from datetime import date
from pathlib import Path

import pytest

import waqtor as sdk
from waqtor import AsyncClient, Consent
from waqtor.contacts import Import

WRONG = "phone,name\n" + "1,\n" * 700


async def test_a_file_is_waited_for_and_watched(
    waqtor: AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.imports._WAIT_S", 0.0)
    file = tmp_path / "people.csv"
    file.write_text("Tel.,Name\n" + "".join(f"+9665{n:08d},Person {n}\n" for n in range(1_200)))
    seen: list[Import] = []
    consent = Consent(source="order form", wording="Send me offers.", given_at=date(2026, 1, 31))
    done = await waqtor.contacts.import_file(
        file, mapping={"Tel.": "phone"}, country="SA", consent=consent, on_progress=seen.append, every_s=0.01
    )
    assert (done.state, done.rows, done.total, done.created) == ("finished", 1_200, 1_200, 1_200)
    assert seen[0].state == "running"
    assert seen[-1] == done == await waqtor.contacts.wait_import(done.id)


async def test_one_need_not_wait(waqtor: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.imports._WAIT_S", 0.0)
    begun = await waqtor.contacts.import_file(WRONG.encode(), wait=False)
    assert begun.state == "running"
    with pytest.raises(sdk.Error, match="still running"):
        await waqtor.contacts.wait_import(begun.id, every_s=0.01, timeout_s=0)
    done = await waqtor.contacts.wait_import(begun.id, every_s=0.01)
    assert done.rejected == len([row async for row in waqtor.contacts.rejected_rows(done.id)]) == 700


async def test_a_file_whose_end_cannot_be_read_is_refused_whenever_that_is_found(
    waqtor: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"phone\n" + b"+966501234567\n" + b"\n" * 20_000 + b"\xff" * 9_000
    for wait_s in (5.0, 0.0):
        monkeypatch.setattr("api.imports._WAIT_S", wait_s)
        with pytest.raises(sdk.Invalid, match="UTF-8"):
            await waqtor.contacts.import_file(content, every_s=0.01)


async def test_a_preview_tells_what_a_file_would_come_to(waqtor: AsyncClient) -> None:
    body = '[{"الجوال": "٠٥٠١٢٣٤٥٦٧", "الاسم": "نورة", "city": "جدة"}, {"الجوال": "x"}]'.encode()
    found = await waqtor.contacts.preview_import(body, filename="people.json", mapping={"city": ""})
    assert (found.format, found.rows, found.rejected) == ("json", 2, 1)
    assert found.columns == {"الجوال": "phone", "الاسم": "name", "city": ""}
    assert (found.sample[0].phone, found.sample[0].name) == ("+966501234567", "نورة")
    assert [one async for one in waqtor.contacts.list()] == []

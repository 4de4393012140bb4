"""Files of contacts over HTTP: bad rows are told, large files are refused before they are read."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest
from openpyxl import Workbook

from core import import_runs, imports, kept_files
from core.imports import Asked
from core.settings import Settings
from fakes import FakeClock, FakeConnector, FakeConnectors, FakeJobs
from serving import Server, inside

GOOD = "phone,name,city\n+966501234567,نورة,Riyadh\n+966501234568,Sara,Jeddah\n"


def upload(content: str | bytes, *, filename: str = "people.csv", **fields: Any) -> dict[str, Any]:
    data = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
    return {"files": {"file": (filename, content)}, "data": data}


def people(count: int) -> str:
    return "phone,name\n" + "".join(f"+9665{n:08d},Person {n}\n" for n in range(count))


async def test_a_broken_csv_row_is_told_and_the_others_are_taken(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/v3/contacts/import", **upload(GOOD + "123,Nobody,X\n+966501234569,too,many,values\n"))
    report = answer.json()
    assert answer.status_code == 201
    assert (report["rows"], report["created"], report["rejected"], report["state"]) == (4, 2, 2, "finished")
    assert [(row["row"], row["field"]) for row in report["report"]] == [(3, "phone"), (4, "row")]
    assert (await api.get(f"/api/v3/imports/{report['id']}")).json() == report
    lines = (await api.get(f"/api/v3/imports/{report['id']}/rejected.csv")).text.splitlines()
    assert lines[0] == "row,field,message"
    assert len(lines) == 3
    assert (await api.get("/api/v3/imports/99")).status_code == 404


async def test_the_same_file_again_changes_nothing(api: httpx.AsyncClient) -> None:
    await api.post("/api/v3/contacts/import", **upload(GOOD))
    again = (await api.post("/api/v3/contacts/import", **upload(GOOD))).json()
    assert (again["created"], again["updated"]) == (0, 2)
    assert len((await api.get("/api/v3/contacts")).json()["data"]) == 2


@pytest.mark.parametrize("content", ["name\nNora\n", "", b"phone\n\xff\xfe\n", b"\0\0\0"])
async def test_a_file_that_is_no_list_of_contacts(server: Server, api: httpx.AsyncClient, content: str | bytes) -> None:
    answer = await api.post("/api/v3/contacts/import", **upload(content))
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "file")
    assert (await api.get("/api/v3/imports")).json()["data"] == []
    assert list(server.platform.settings.data_dir.glob("imports/*")) == []


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"phone\n1", "text/csv"),
        (b"nonsense", "multipart/form-data"),
        (b"nonsense", "multipart/form-data; boundary=x"),
        (
            b'--x\r\nContent-Disposition: form-data; name="other"\r\n\r\n1\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
        ),
    ],
)
async def test_an_upload_that_is_none(api: httpx.AsyncClient, content: bytes, kind: str) -> None:
    answer = await api.post("/api/v3/contacts/import", content=content, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "file")


class Counting:
    """A body of 200 MB that counts what is read of it."""

    def __init__(self) -> None:
        self.read = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\nphone\n'
        for _ in range(200):
            self.read += 1024 * 1024
            yield b"1" * 1024 * 1024


@pytest.mark.parametrize("declared", [None, "209715200", "10"])
async def test_a_200_mb_upload_is_refused_without_reading_it(server: Any, declared: str | None) -> None:
    body = Counting()
    sent: list[dict[str, Any]] = []
    pieces = body.__aiter__()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": await anext(pieces), "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [
        (b"authorization", f"Bearer {server.key}".encode()),
        (b"content-type", b"multipart/form-data; boundary=x"),
    ]
    if declared:
        headers.append((b"content-length", declared.encode()))
    path = "/api/v3/contacts/import"
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    await server.app(scope | {"headers": headers, "http_version": "1.1", "scheme": "http"}, receive, send)
    assert sent[0]["status"] == 413
    assert b'"code":"too_large"' in sent[1]["body"]
    assert body.read <= server.platform.settings.max_upload_bytes + 2 * 1024 * 1024
    if declared == "209715200":
        assert body.read == 0


async def test_a_workbook_with_mapping_country_and_consent(api: httpx.AsyncClient) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (["Tel", "الاسم", "City"], [1012345678.0, "منى", "القاهرة"]):
        sheet.append(row)
    content = io.BytesIO()
    book.save(content)
    consent = {"source": "order form", "wording": "Send me offers.", "given_at": "2026-01-31"}
    mapping = {"Tel": "phone", "City": "attributes.city"}
    sent = upload(content.getvalue(), filename="a.xlsx", mapping=mapping, country="eg", consent=consent)
    answer = await api.post("/api/v3/contacts/import", **sent)
    report = answer.json()
    assert (answer.status_code, report["created"], report["total"]) == (201, 1, 1)
    assert (report["format"], report["country"], report["mapping"]) == ("xlsx", "EG", mapping)
    assert report["consent"] == consent | {"given_at": "2026-01-31T00:00:00+00:00", "purpose": "marketing"}
    (person,) = (await api.get("/api/v3/contacts")).json()["data"]
    assert (person["phone"], person["name"], person["attributes"]) == ("+201012345678", "منى", {"city": "القاهرة"})


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"mapping": "{"}, "mapping"),
        ({"mapping": '{"phone": 1}'}, "mapping.phone"),
        ({"mapping": {"none": "phone"}}, "mapping"),
        ({"country": "Egypt"}, "country"),
        ({"tags": ";".join(map(str, range(21)))}, "tags"),
        ({"tags": "a\0"}, "tags"),
        ({"consent": {"source": "x"}}, "consent.wording"),
        ({"consent": {"source": "x", "wording": "y", "given_at": "yesterday"}}, "consent.given_at"),
        ({"consent": {"source": "x", "wording": "y", "given_at": "2026-01-31T10:00:00"}}, "consent.given_at"),
        ({"consent": {"source": "x", "wording": "y", "given_at": "2099-01-31"}}, "consent.given_at"),
        ({"consent": {"source": "x", "wording": "y", "given_at": "2026-01-31", "purpose": "A B"}}, "purpose"),
        ({"consent": {"source": "x", "wording": "y\0", "given_at": "2026-01-31"}}, "consent.wording"),
    ],
)
async def test_a_field_that_is_not_right_is_named(
    server: Server, api: httpx.AsyncClient, fields: dict[str, Any], field: str
) -> None:
    answer = await api.post("/api/v3/contacts/import", **upload(GOOD, **fields))
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)
    assert (await api.get("/api/v3/imports")).json()["data"] == []
    assert list(server.platform.settings.data_dir.glob("imports/*")) == []


async def test_a_file_gives_everybody_in_it_tags(api: httpx.AsyncClient) -> None:
    sent = upload("phone,tags\n+966501234567,vip؛autumn\n+966501234568,\n", tags=" autumn ;عيد;autumn")
    found = (await api.post("/api/v3/contacts/import/preview", **sent)).json()
    assert [one["tags"] for one in found["sample"]] == [["vip", "autumn", "عيد"], ["autumn", "عيد"]]
    taken = (await api.post("/api/v3/contacts/import", **sent)).json()
    assert (taken["created"], taken["tags"]) == (2, ["autumn", "عيد"])
    for tag, how_many in (("vip", 1), ("autumn", 2), ("عيد", 2)):
        assert len((await api.get("/api/v3/contacts", params={"tag": tag})).json()["data"]) == how_many


async def test_a_preview_writes_nothing(server: Server, api: httpx.AsyncClient) -> None:
    sent = upload(GOOD + "123,Nobody,X\n", mapping={"city": "attributes.town"})
    found = (await api.post("/api/v3/contacts/import/preview", **sent)).json()
    assert found["columns"] == {"phone": "phone", "name": "name", "city": "attributes.town"}
    assert (found["format"], found["rows"], found["rejected"]) == ("csv", 3, 1)
    assert found["sample"][0]["attributes"] == {"town": "Riyadh"}
    assert [one["row"] for one in found["report"]] == [3]
    for path in ("contacts", "imports"):
        assert (await api.get(f"/api/v3/{path}")).json()["data"] == []
    assert list(server.platform.settings.data_dir.glob("imports/*")) == []


async def _done(api: httpx.AsyncClient, import_id: int) -> Any:
    for _ in range(600):
        job = (await api.get(f"/api/v3/imports/{import_id}")).json()
        if job["state"] != "running":
            return job
        await asyncio.sleep(0.05)
    raise AssertionError("the import does not end")


async def test_a_large_file_is_answered_while_it_is_taken(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.imports._WAIT_S", 0.01)
    key = {"Idempotency-Key": "once"}
    answer = await api.post("/api/v3/contacts/import", **upload(people(3_000)), headers=key)
    job = answer.json()
    assert (answer.status_code, job["state"], job["finished_at"]) == (202, "running", None)
    again = await api.post("/api/v3/contacts/import", **upload(people(3_000)), headers=key)
    assert (again.status_code, again.json()["id"], again.headers["idempotency-replayed"]) == (202, job["id"], "true")
    done = await _done(api, job["id"])
    assert (done["state"], done["rows"], done["total"], done["created"]) == ("finished", 3_000, 3_000, 3_000)


async def test_the_rows_that_were_not_taken_come_in_pages(api: httpx.AsyncClient) -> None:
    wrong = "phone,=x\n" + "1,\n" * 150 + "+966501234567," + "x" * 1_001 + "\n"
    job = (await api.post("/api/v3/contacts/import", **upload(wrong))).json()
    assert (job["rejected"], len(job["report"])) == (151, 100)
    first = (await api.get(f"/api/v3/imports/{job['id']}/rejected")).json()
    then = (await api.get(f"/api/v3/imports/{job['id']}/rejected?cursor={first['next_cursor']}")).json()
    rows = first["data"] + then["data"]
    assert ([one["row"] for one in rows], then["next_cursor"]) == (list(range(1, 152)), None)
    lines = (await api.get(f"/api/v3/imports/{job['id']}/rejected.csv")).text.splitlines()
    assert (len(lines), lines[-1].split(",")[1]) == (152, "'=x")
    assert (await api.get("/api/v3/imports/99/rejected")).status_code == 404


async def test_a_file_whose_end_cannot_be_read(api: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "once"}
    content = people(600).encode() + b"\n" * 20_000 + b"\xff" * 9_000
    refused = await api.post("/api/v3/contacts/import", **upload(content), headers=key)
    problem = refused.json()["error"]
    assert (refused.status_code, problem["field"], problem["message"]) == (422, "file", "The file is not UTF-8 text.")
    assert "600 rows" in problem["hint"]
    (job,) = (await api.get("/api/v3/imports")).json()["data"]
    assert (await api.get(f"/api/v3/imports/{job['id']}")).json()["reason"] == "The file is not UTF-8 text."
    corrected = await api.post("/api/v3/contacts/import", **upload(people(601)), headers=key)
    assert (corrected.status_code, corrected.json()["created"]) == (201, 1)


async def test_what_a_process_left_is_taken_up_by_the_next(
    settings: Settings, connector: FakeConnector, jobs: FakeJobs, clock: FakeClock
) -> None:
    def process() -> AbstractAsyncContextManager[Server]:
        return inside(settings, connectors=FakeConnectors(connector), jobs=jobs, clock=clock)

    async with process() as before:
        platform = before.platform
        stored = kept_files.keep(settings, io.BytesIO(people(1_200).encode()))
        async with platform.database.transaction() as tx:
            at = await clock.now(tx)
            job = await imports.create(tx, Asked("a.csv", "csv", "SA", {}), stored=stored, lease_s=30, at=at)
        run = await import_runs.Run.opened(platform, job.id)
        assert run is not None
        assert await run.take_chunk()
    clock.advance(seconds=31)
    async with process() as after, after.client() as api:
        done = await _done(api, job.id)
    assert (done["state"], done["rows"], done["created"]) == ("finished", 1_200, 1_200)

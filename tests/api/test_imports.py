"""Files of contacts over HTTP: bad rows are told, large files are refused before they are read."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

GOOD = "phone,name,city\n+966501234567,نورة,Riyadh\n+966501234568,Sara,Jeddah\n"


def upload(content: str | bytes) -> dict[str, Any]:
    return {"files": {"file": ("people.csv", content, "text/csv")}}


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
async def test_a_file_that_is_no_list_of_contacts(api: httpx.AsyncClient, content: str | bytes) -> None:
    answer = await api.post("/api/v3/contacts/import", **upload(content))
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "file")
    assert [one["state"] for one in (await api.get("/api/v3/imports")).json()["data"]] == ["failed"]


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

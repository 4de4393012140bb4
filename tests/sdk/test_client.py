"""The client that does things at once: over a real socket, and with a network that fails."""

import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

import waqtor as sdk
from waqtor import Client

SDK = Path(sdk.__file__).parent


def test_over_a_real_socket(socket_client: Client, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("phone,name\n+966501234567,نورة\n")
    assert socket_client.contacts.import_file(file).created == 1
    for number in range(3):
        socket_client.contacts.create(f"+96650123457{number}")
    assert len(list(socket_client.contacts.list(limit=2))) == 4
    found = socket_client.contacts.find("050 123 4571")
    assert found is not None
    assert found.phone == "+966501234571"
    assert socket_client.contacts.find("0501234599") is None
    with pytest.raises(sdk.NotFound):
        socket_client.campaigns.get(1)
    assert socket_client.events.since(0).head >= 4


Answering = Callable[[httpx.Request], httpx.Response]


def client(answering: Answering, *, retries: int = 4) -> Client:
    return Client("http://waqtor", "wq_a_b", retries=retries, transport=httpx.MockTransport(answering))


def test_a_write_that_found_no_answer_is_repeated_under_the_same_key(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    seen: list[str] = []

    def answering(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Idempotency-Key"])
        if len(seen) == 1:
            raise httpx.ConnectError("refused")
        if len(seen) == 2:
            raise httpx.ReadTimeout("lost")
        if len(seen) == 3:
            return httpx.Response(503, headers={"Retry-After": "2"})
        return httpx.Response(200, json={"on": True, "reason": "", "changed_at": "2026-01-01T00:00:00Z"})

    assert client(answering).sending.start().on
    assert len(seen) == 4
    assert len(set(seen)) == 1
    assert pauses[0] <= 0.25
    assert pauses[2] >= 2


@pytest.mark.parametrize("status", [400, 404, 409, 422, 500])
def test_what_would_fail_again_is_not_repeated(status: int) -> None:
    calls = 0

    def answering(request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        return httpx.Response(status, text="<html>a proxy</html>")

    with pytest.raises(sdk.Error) as failure:
        client(answering).sending.get()
    assert (calls, failure.value.status, failure.value.code) == (1, status, "unexplained")


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(sdk.NotReached, match="waqtor up"):
        Client("http://127.0.0.1:1", "wq_a_b", retries=0).sending.get()


def test_where_the_server_is_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAQTOR_API_KEY", raising=False)
    with pytest.raises(sdk.NotSignedIn, match="WAQTOR_API_KEY"):
        Client()
    monkeypatch.setenv("WAQTOR_API_KEY", "wq_a_b")
    monkeypatch.setenv("WAQTOR_URL", "http://example.test/")

    def answering(request: httpx.Request) -> httpx.Response:
        assert str(request.url) == "http://example.test/api/v3/sending"
        assert request.headers["Authorization"] == "Bearer wq_a_b"
        return httpx.Response(200, json={"on": True, "reason": "", "changed_at": "2026-01-01T00:00:00Z", "new": 1})

    assert Client(transport=httpx.MockTransport(answering)).sending.get().on


def test_both_clients_have_the_same_concepts() -> None:
    def concepts(client: object) -> dict[str, type]:
        return {name: type(value) for name, value in vars(client).items() if not name.startswith("_")}

    assert concepts(Client("http://x", "k")) == concepts(sdk.AsyncClient("http://x", "k"))


def test_it_is_small_typed_and_stands_alone() -> None:
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in SDK.rglob("*"):
            if path.suffix in (".py", ".typed"):
                packed.write(path)
    assert wheel.tell() < 100_000, "bytes to download"
    assert (SDK / "py.typed").exists()
    code = (
        "import sys, waqtor; print([one for one in ('core', 'api', 'connectors', 'sqlalchemy') if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=SDK.parent, check=True)
    assert done.stdout.strip() == "[]"

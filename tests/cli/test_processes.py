"""A real supervisord with a real Prefect server, and small HTTP servers where the API and the simulator would be."""

import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli import processes_leftovers, processes_supervisor
from cli.prefect_env import prefect_env
from cli.processes import Child, Stack, children, settings_env
from cli.processes_probes import NotServing, PortTaken, answers, polls
from core.errors import Conflict, Invalid
from core.settings import Settings

BACK_WITHIN_S = 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def web(name: str, *, before: str = "", env: dict[str, str] | None = None) -> Child:
    """A stand-in: one small HTTP server, the code in `before` run first."""
    port = free_port()
    serve = f"http.server.test(http.server.SimpleHTTPRequestHandler, port={port}, bind='127.0.0.1')"
    code = f"{textwrap.dedent(before)}\nimport http.server\n{serve}"
    return Child(
        name,
        (sys.executable, "-c", f"exec({code!r})"),
        lambda _: answers("127.0.0.1", port, "/"),
        port=port,
        port_setting=f"{name}_port",
        env=env or {},
        settle_s=1,
        stop_s=3,
    )


def alive(pid: int) -> bool:
    """A zombie is not alive: in a container nobody may be there to reap it."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(shown.strip()) and not shown.strip().startswith("Z")


@pytest.fixture
def settings() -> Iterator[Settings]:
    directory = Path(tempfile.mkdtemp(prefix="wq-"))
    yield Settings(data_dir=directory, prefect_port=free_port(), api_port=free_port())
    processes_leftovers.end(Stack(Settings(data_dir=directory), []).mark)
    shutil.rmtree(directory)


@pytest.mark.slow
def test_each_killed_child_serves_again_while_the_others_stay(settings: Settings) -> None:
    prefect = children(settings)[0]
    with Stack(settings, [prefect, web("api"), web("simulator")]) as stack:
        ready: list[str] = []
        stack.wait_ready(60, report=lambda name, _: ready.append(name))
        assert sorted(ready) == ["api", "prefect", "simulator"]

        for name in ("simulator", "api", "prefect"):
            before = {each: stack.pid(each) for each in stack.children}
            killed = stack.signal(name, signal.SIGKILL)
            took = stack.wait_serving(name, timeout_s=BACK_WITHIN_S, not_pid=killed)
            print(f"{name}: serves again after {took:.2f} s")
            after = {each: stack.pid(each) for each in stack.children}
            assert after.pop(name) != before.pop(name)
            assert after == before

    assert processes_leftovers.marked(stack.mark) == []
    assert stack.status() == {}


@pytest.mark.slow
def test_a_child_that_cannot_start_is_tried_again_and_again(settings: Settings) -> None:
    flag = settings.data_dir / "may-start"
    broken = web("api", before=f"import pathlib, sys\nif not pathlib.Path({str(flag)!r}).exists(): sys.exit('not yet')")
    with Stack(settings, [broken, web("simulator")]) as stack:
        with pytest.raises(NotServing, match=r"(?s)api does not serve.*api\.log.*not yet"):
            stack.wait_ready(3)
        assert stack.serves("simulator")
        flag.touch()
        stack.wait_serving("api", timeout_s=10)


def test_no_process_is_left_behind_not_even_in_a_session_of_its_own(settings: Settings) -> None:
    stray = settings.data_dir / "stray"
    flows = web(
        "flows",
        before=f"""
        import pathlib, subprocess
        other = subprocess.Popen(['sleep', '300'], start_new_session=True)
        with open({str(stray)!r}, 'a') as pids: print(other.pid, file=pids)
        """,
    )
    stack = Stack(settings, [flows])
    stack.start()
    stack.wait_ready(20)
    killed = stack.signal("flows", signal.SIGKILL)
    stack.wait_serving("flows", timeout_s=BACK_WITHIN_S, not_pid=killed)
    strays = [int(pid) for pid in stray.read_text().split()]
    assert len(strays) == 2
    assert all(map(alive, strays))

    Stack(settings, [flows]).stop()  # as another process would

    assert not any(map(alive, [*strays, killed]))
    assert processes_leftovers.marked(stack.mark) == []


def test_what_a_killed_supervisord_left_is_ended_by_the_next_start(settings: Settings) -> None:
    child = web("api")
    stack = Stack(settings, [child])
    stack.start()
    stack.wait_ready(20)
    orphan = stack.pid("api")
    assert orphan is not None
    os.kill(int((stack.run_dir / "supervisord.pid").read_text()), signal.SIGKILL)
    while stack.running():
        time.sleep(0.05)
    assert alive(orphan)

    with Stack(settings, [child]) as again:
        again.wait_ready(20)
        assert not alive(orphan)


def test_a_second_start_on_the_same_data_is_refused(settings: Settings) -> None:
    with Stack(settings, [web("api")]), pytest.raises(Conflict, match="running already"):
        Stack(settings, [web("api")]).start()


def test_a_taken_port_is_named_together_with_its_setting(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", settings.prefect_port)):
        stack = Stack(settings)
        with pytest.raises(
            PortTaken, match=rf"Port {settings.prefect_port} on 127\.0\.0\.1.*prefect.*taken"
        ) as refused:
            stack.start()
    assert refused.value.field == "prefect_port"
    assert "WAQTOR_PREFECT_PORT" in (refused.value.hint or "")
    assert processes_leftovers.marked(stack.mark) == []


def test_two_settings_with_one_port_are_told_apart(settings: Settings) -> None:
    same = settings.model_copy(update={"api_port": settings.prefect_port})
    with pytest.raises(Invalid, match="prefect_port and api_port are both"):
        Stack(same).start()


def test_settings_and_extra_environment_reach_the_children(settings: Settings, tmp_path: Path) -> None:
    seen = settings.data_dir / "seen"
    odd = 'a, b="c" 100% %(x)s'
    child = web("api", before=f"import os; open({str(seen)!r}, 'w').write(repr(dict(os.environ)))", env={"ODD": odd})
    secret = settings.model_copy(update={"database_url": "postgresql://u:secret@h/db"})
    secret = Settings(**{name: getattr(secret, name) for name in (*settings.model_fields_set, "database_url")})
    with Stack(secret, [child]) as stack:
        stack.wait_ready(20)
        config = stack.run_dir / "supervisord.conf"
        assert "secret" not in config.read_text()
        assert stack.run_dir.stat().st_mode & 0o777 == 0o700
        assert config.stat().st_mode & 0o777 == 0o600
    environment = eval(seen.read_text())
    assert environment["ODD"] == odd
    assert environment["WAQTOR_DATABASE_URL"] == "postgresql://u:secret@h/db"
    assert environment["WAQTOR_API_PORT"] == str(settings.api_port)
    assert environment["PREFECT_API_URL"] == settings.prefect_api_url


def test_a_data_dir_too_deep_for_a_socket_works(settings: Settings) -> None:
    deep = settings.model_copy(update={"data_dir": settings.data_dir / ("d" * 120)})
    stack = Stack(deep, [web("api")])
    stack.start()
    stack.wait_ready(20)
    assert len(str(processes_supervisor.control_socket(stack.run_dir))) < 100
    elsewhere = processes_supervisor.control_socket(stack.run_dir).parent
    stack.stop()
    assert not elsewhere.exists()
    assert not stack.running()
    assert list(stack.run_dir.iterdir()) == []


@pytest.mark.slow
def test_up_tells_what_it_does_and_ends_all_on_a_signal(settings: Settings) -> None:
    code = f"""
        from pathlib import Path
        from cli.processes import Stack, up
        from core.settings import Settings
        from tests.cli.test_processes import web
        raise SystemExit(up(Stack(Settings(data_dir=Path({str(settings.data_dir)!r})), [web("api")])))
    """
    up = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd(), "COLUMNS": "200"},
    )
    assert up.stdout is not None
    said = ""
    while "Ctrl-C" not in said:
        line = up.stdout.readline()
        assert line, said
        said += line
    assert re.search(r"api\s+serves after \d", said)
    up.send_signal(signal.SIGINT)
    assert up.wait(20) == 0
    assert processes_leftovers.marked(Stack(settings, []).mark) == []


def test_every_prefect_setting_exists_in_the_prefect_we_pin(settings: Settings) -> None:
    """Prefect ignores a name it does not know, so a misspelt one would never be missed."""
    from prefect.settings import Settings as PrefectSettings

    with_auth = Settings(data_dir=settings.data_dir, prefect_auth="user:password")
    theirs = {"DO_NOT_TRACK"} | set(_environment_names(PrefectSettings))
    assert set(prefect_env(with_auth)) - theirs == set()


def _environment_names(model: type, prefix: str = "") -> Iterator[str]:
    for field_name, info in model.model_fields.items():  # type: ignore[attr-defined]
        name = f"{prefix}{field_name}"
        annotation = info.annotation
        if isinstance(annotation, type) and hasattr(annotation, "model_fields"):
            yield from _environment_names(annotation, f"{name}_")
        else:
            yield f"PREFECT_{name}".upper()


def test_settings_env_gives_back_equal_settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    given = Settings(
        data_dir=settings.data_dir, prefect_auth="user:pass", lease_s=31.5, master_key_file=Path("k").resolve()
    )
    for name, value in settings_env(given).items():
        monkeypatch.setenv(name, value)
    assert Settings().model_dump() == given.model_dump() | {"data_dir": given.data_dir.resolve()}


@pytest.mark.parametrize(
    ("polled_s_ago", "started_s_ago", "serves"),
    [(1, 60, True), (60, 100, False), (5, 2, False), (None, 60, False)],
    ids=["polled of late", "no longer polls", "its predecessor polled", "never polled"],
)
def test_a_runner_serves_while_it_polls(polled_s_ago: int | None, started_s_ago: int, serves: bool) -> None:
    now = datetime.now(UTC)
    moment = None if polled_s_ago is None else (now - timedelta(seconds=polled_s_ago)).isoformat()
    asked: list[str | None] = []

    class Prefect(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.headers["Authorization"])
            body = json.dumps([{"last_polled": None}, {"last_polled": moment}]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Prefect) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings = Settings(prefect_port=server.server_port, prefect_auth="user:pass")
        assert polls(settings, now.timestamp() - started_s_ago) is serves
        server.shutdown()
    assert asked == ["Basic dXNlcjpwYXNz"]

"""What the documentation names is there: links, commands, routes, settings, calls of the SDK."""

import ast
import inspect
import json
import re
import shlex
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.main import _parser
from core.settings import Settings
from waqtor import AsyncClient, Client

ROOT = Path(__file__).resolve().parents[1]
_LEFT_OUT = {".venv", ".git", ".waqtor", "node_modules"}
LARGEST_PICTURE_BYTES = 300_000

_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_NOT_SETTINGS = {"inbox_lag_s", "write_bytes"}  # a field of an answer, and a method of aiohttp


def _tracked() -> list[Path]:
    """What belongs to the project, also what is new and not committed; ignored files do not."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]
    return [path for path in ROOT.rglob("*") if path.is_file() and not _LEFT_OUT & set(path.parts)]


TRACKED = _tracked()
PAGES = [path for path in TRACKED if path.suffix == ".md" and "results" not in path.parts]


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


each_page = pytest.mark.parametrize("page", PAGES, ids=_name)


def _fences(page: Path, *kinds: str) -> list[str]:
    return [textwrap.dedent(body) for kind, body in _FENCE.findall(page.read_text()) if kind in kinds]


def _prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text())


def _commands(page: Path) -> list[str]:
    """Shell: fenced blocks, and code within sentences."""
    return _fences(page, "sh", "ini", "") + _SPAN.findall(_prose(page))


def _anchors(page: Path) -> set[str]:
    """As GitHub makes them from headings."""
    headings = _HEADING.findall(_FENCE.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_there_are_pages_to_look_at() -> None:
    named = {_name(page) for page in PAGES}
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/architecture.md", "docs/promise.md"} <= named


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in _LINK.findall(_prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), f"{link}: there is no such file"
        if anchor:
            assert anchor in _anchors(target), f"{link}: there is no such heading"


@each_page
def test_every_make_target_is_there(page: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for code in _commands(page) for name in re.findall(r"(?:^|[\s&(])make ([a-z][a-z-]*)", code)}
    assert named <= targets


@each_page
def test_every_waqtor_command_is_understood(page: Path) -> None:
    for code in _commands(page):
        for said in re.findall(r"(?:^|(?<=[\s(/]))waqtor ([a-z](?:'[^'\n]*'|[^#;&|)'\n])*)", code):
            if "…" in said:
                continue
            assert _is_understood(shlex.split(said)), f"waqtor {said}"


def _is_understood(arguments: list[str]) -> bool:
    try:
        _parser().parse_args(arguments)
    except SystemExit as refused:
        return refused.code == 0  # --help
    return True


@each_page
def test_every_route_is_one_of_ours(page: Path) -> None:
    routes = json.loads((ROOT / "api" / "openapi.json").read_text())["paths"]
    for code in _commands(page):
        for method, path in re.findall(r"\b(GET|POST|PUT|DELETE) (/[\w/{}.-]+)", code):
            if path.startswith("/_sim/"):
                continue
            fitting = [
                methods
                for route, methods in routes.items()
                if re.fullmatch(re.sub(r"\\{\w+\\}", r"(?:\\d+|{\\w+})", re.escape(route)), path)
            ]
            assert any(method.lower() in methods for methods in fitting), f"{method} {path}"


@each_page
def test_every_setting_is_one(page: Path) -> None:
    ends = ("_s", "_days", "_bytes", "_port", "_dir", "_auth", "_country", "_attempts", "_concurrency")
    named = {code for code in _SPAN.findall(_prose(page)) if re.fullmatch(r"[a-z]+(_[a-z]+)+", code)}
    assert {name for name in named if name.endswith(ends)} - _NOT_SETTINGS <= set(Settings.model_fields)
    variables = set(re.findall(r"\bWAQTOR_([A-Z_]+[A-Z])\b", page.read_text()))
    known = {name.upper() for name in Settings.model_fields} | {"API_KEY", "URL", "REQUIRE_ALL", "TEST_PG_URL"}
    assert variables <= known


@each_page
def test_every_python_block_compiles_and_calls_what_the_sdk_has(page: Path) -> None:
    with Client("http://localhost", "key") as client:
        for block in _fences(page, "python"):
            tree = compile(block, _name(page), "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            for call, (resource, method) in _sdk_calls(tree):
                found = getattr(getattr(client, resource), method)
                given = {one.arg: None for one in call.keywords if one.arg}
                inspect.signature(found).bind(None, *call.args, **given)  # the first is the resource itself


def _sdk_calls(tree: ast.AST) -> Iterator[tuple[ast.Call, tuple[str, str]]]:
    """Calls of the form `waqtor.<resource>.<method>(…)`."""
    for call in ast.walk(tree):
        match call:
            case ast.Call(func=ast.Attribute(ast.Attribute(ast.Name("waqtor"), resource), method)):
                yield call, (resource, method)
            case _:
                pass


def test_the_async_client_has_what_the_pages_say_of_both() -> None:
    with Client("http://localhost", "key") as client:
        assert vars(client).keys() == vars(AsyncClient("http://localhost", "key")).keys()


def test_every_picture_is_shown_somewhere_and_small() -> None:
    shown = {
        (page.parent / link).resolve() for page in PAGES for link in _LINK.findall(_prose(page)) if "pictures/" in link
    }
    taken = {path for path in TRACKED if path.parent == ROOT / "docs" / "pictures"}
    assert taken == shown
    assert [path.name for path in taken if path.stat().st_size > LARGEST_PICTURE_BYTES] == []
    for picture in taken:
        if picture.suffix == ".svg":
            assert "@font-face" not in picture.read_text(), "a picture must not ask a foreign host for a font"


def test_every_decision_is_in_the_list_and_has_its_three_parts() -> None:
    folder = ROOT / "docs" / "decisions"
    pages = {page for page in PAGES if page.parent == folder and page.name != "README.md"}
    listed = {(folder / link).resolve() for link in _LINK.findall((folder / "README.md").read_text())}
    assert pages == listed
    for page in pages:
        headings = _HEADING.findall(page.read_text())
        assert re.match(r"\d{4}: ", headings[0]), page.name
        assert headings[0][:4] == page.name[:4]
        assert headings[1:] == ["Context", "Decision", "Consequences"], page.name


# Put together here, so that this file does not contain what it forbids.
_HOMES = "|".join(("work", "root", "Users", "home"))
_REGISTRIES = "|".join(("py" + r"pi\.org", "python" + r"hosted\.org", "npm" + r"js\.org"))
_FORBIDDEN = {
    "a path of somebody's machine": re.compile(rf"(?<![\w.])/(?:{_HOMES})/[\w.]"),
    "an environment of somebody's machine": re.compile("/tmp/" + "venv"),
    "a package registry": re.compile(rf"\b(?:{_REGISTRIES})\b|--(?:extra-)?index-" + "url"),
}


@pytest.mark.parametrize("what", _FORBIDDEN)
def test_no_file_names(what: str) -> None:
    found = []
    for path in TRACKED:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture
        found += [f"{_name(path)}: {match.group()}" for match in _FORBIDDEN[what].finditer(text)]
    assert found == []

"""What the API refuses is said in the reader's language."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from api import app, errors
from core.errors import WaqtorError
from ui import refusals
from waqtor import Conflict, Error, Invalid

ROOT = Path(app.__file__).parent.parent
NOT_OF_A_PAGE = {
    "error",  # of no kind; each that is raised has one
    "method_not_allowed",
    "bad_signature",
    "log_pruned",
    "another_instance",
    "not_serving",
    "port_taken",
    "too_many_connections",
}
"""The dashboard asks nothing that is answered so."""
SAID_IN_ARABIC = (
    *("import_columns", "import_files", "import_json", "import_xlsx", "imports", "contacts", "segments", "campaigns"),
    *("drafts", "filters_text", "media_types", "passwords", "totp", "users"),
)
"""All that these modules refuse; each has its words."""


def _codes(kind: type[WaqtorError]) -> Iterator[str]:
    yield kind.code
    for one in kind.__subclasses__():
        yield from _codes(one)


def _texts(node: ast.AST) -> Iterator[str]:
    """With {} for what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    if isinstance(node, ast.JoinedStr):
        yield "".join(str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values)


def _refused(module: str) -> Iterator[str]:
    for call in ast.walk(ast.parse((ROOT / "core" / f"{module}.py").read_text())):
        name = call.func.id if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else ""
        if isinstance(call, ast.Call) and name in ("Invalid", "Conflict", "NotFound", "NotSignedIn", "TooLarge"):
            yield from (text for arg in call.args for text in _texts(arg))
        elif isinstance(call, ast.Call) and name == "Rejected":
            yield from (text for arg in call.args[2:] for text in _texts(arg))


def _bare(text: str) -> str:
    return "{}".join(part for at, part in enumerate(refusals.split(text)) if at % 2 == 0)


def test_every_code_that_a_page_can_get_has_words() -> None:
    known = {*errors.STATUS, *errors._HTTP_CODES.values(), *_codes(WaqtorError), "internal"}
    assert known - NOT_OF_A_PAGE == set(refusals.CODES)


def test_the_texts_are_those_of_the_server() -> None:
    files = [file for folder in ("core", "api") for file in (ROOT / folder).rglob("*.py")]
    says = {text for file in files for node in ast.walk(ast.parse(file.read_text())) for text in _texts(node)}
    assert [text for text in refusals.TEXTS if _bare(text) not in says] == []


@pytest.mark.parametrize("module", SAID_IN_ARABIC)
def test_all_that_is_refused_there_has_words(module: str) -> None:
    assert {*_refused(module)} - {_bare(text) for text in refusals.TEXTS} == set()


def test_names_go_into_the_sentence_and_the_rest_is_told_by_its_code() -> None:
    refused = Conflict("Campaign 7 is running; it cannot become draft.", code="conflict", hint="From running: paused.")
    told, hint = refusals.told(refused, "ar")
    assert ("7" in told, "running" in told, hint) == (True, False, "")
    unknown = Invalid("Value 9 is odd.", code="invalid", hint="Take 8.")
    told, hint = refusals.told(unknown, "ar")
    assert told == "في ما أُدخل شيء غير صحيح."
    assert "Value 9 is odd." in hint
    assert refusals.told(unknown, "en") == ("Value 9 is odd.", "Take 8.")
    assert refusals.told(Error("So.", code="new"), "ar") == ("So.", "")

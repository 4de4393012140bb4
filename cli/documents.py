"""Definitions out of files: every mistake with its file, its document and its field."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from cli.definitions import KINDS, Definition, Loader
from core.errors import Invalid

MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Document:
    """`place` is where it stands, for a message."""

    place: str
    definition: Definition

    def wrong(self, message: str, *, hint: str | None = None) -> Invalid:
        return Invalid(f"{self.place} ({self.definition}): {message}", hint=hint)


def load(paths: Sequence[str]) -> list[Document]:
    """Of files, of folders (`*.yaml` and `*.yml` in them) and of `-`, the standard input. Raises `Invalid` with
    everything that is wrong."""
    found: list[Document] = []
    problems: list[str] = []
    for name, data in _sources(paths):
        try:
            said = list(yaml.load_all(data, Loader=Loader))
        except yaml.YAMLError as error:
            problems.append(f"{name}{_where(error)}: this is not YAML: {getattr(error, 'problem', None) or error}")
            continue
        except RecursionError:
            problems.append(f"{name}: nested too deep")
            continue
        for number, document in enumerate(said, 1):
            if document is not None:
                try:
                    found.append(Document(f"{name}, document {number}", _read(document)))
                except _Wrong as error:
                    problems += [f"{name}, document {number}: {problem}" for problem in error.args]
    problems += _twice(found)
    if problems:
        raise Invalid("\n        ".join(problems), hint="What may stand in a document: docs/as-code.md")
    return sorted(found, key=lambda one: one.definition.order)


class _Wrong(Exception):
    """`args` are the problems."""


def _sources(paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    for path in paths:
        if path == "-":
            yield "standard input", _bounded("standard input", sys.stdin.buffer.read(MAX_BYTES + 1))
            continue
        place = Path(path)
        files = sorted(one for one in place.iterdir() if one.suffix in (".yaml", ".yml")) if place.is_dir() else [place]
        if not files:
            raise Invalid(f"There is no YAML file in {path}.")
        for file in files:
            try:
                with file.open("rb") as opened:
                    yield str(file), _bounded(str(file), opened.read(MAX_BYTES + 1))
            except OSError as error:
                raise Invalid(f"{file} cannot be read: {error.strerror}.") from None


def _bounded(name: str, data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise Invalid(f"{name} is larger than {MAX_BYTES:,} bytes.")
    return data


def _read(said: Any) -> Definition:
    if not isinstance(said, dict):
        raise _Wrong("a document has keys: kind, name and others")
    kind = KINDS.get(said["kind"]) if isinstance(said.get("kind"), str) else None
    if kind is None:
        raise _Wrong(f"kind: one of {', '.join(KINDS)}")
    try:
        return kind.model_validate(said)
    except ValidationError as error:
        named = f"({said['kind']} {said['name']!r}) " if isinstance(said.get("name"), str) else ""
        raise _Wrong(*(named + _problem(one) for one in error.errors())) from None


def _problem(error: Any) -> str:
    field = ".".join(str(part) for part in error["loc"] if part != "[key]")
    message = {"extra_forbidden": "there is no such key", "missing": "is needed"}.get(error["type"])
    message = message or error["msg"].removeprefix("Value error, ")
    return f"{field}: {message}" if field else message


def _twice(found: Sequence[Document]) -> list[str]:
    seen: dict[tuple[str, str], str] = {}
    problems = []
    for one in found:
        key = (one.definition.kind, one.definition.name)
        if key in seen:
            problems.append(f"{one.place}: {one.definition} stands in {seen[key]} too")
        seen.setdefault(key, one.place)
    return problems


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f", line {mark.line + 1}" if mark else ""

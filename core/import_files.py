"""Files of rows, whatever wrote them: a reader per format, each a stream, so that a large file is never held whole."""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path, PurePath
from typing import BinaryIO

from core import import_json, import_xlsx
from core.errors import Invalid
from core.import_text import plain, trimmed

MAX_COLUMNS = 500
UNKEEPABLE = re.compile("[\0\ud800-\udfff]")
"""A null character, or half of one: no database takes them."""
_ZIP, _OLD_EXCEL = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_FIRST_OBJECTS = 1_000  # so many objects of a JSON file say what its columns are


@dataclass(frozen=True, slots=True)
class Row:
    """`number` counts from 1 below the heading. `problem` says why there are no values."""

    number: int
    values: Mapping[str, str]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """`heading` names the columns in order; a row of JSON may have others too. `total` is what the file itself says."""

    heading: Sequence[str]
    rows: Iterator[Row]
    total: int | None = None


def format_of(filename: str, beginning: bytes) -> str:
    """By what the file begins with, then by its name. Raises `Invalid` for Excel's old format."""
    ending = PurePath(filename).suffix.lower()
    if beginning.startswith(_OLD_EXCEL):
        raise Invalid("This is an old Excel file.", field="file", hint="In Excel: Save as → Excel workbook (.xlsx).")
    if beginning.startswith(_ZIP) or ending in (".xlsx", ".xlsm"):
        return "xlsx"
    if ending in (".json", ".jsonl", ".ndjson"):
        return "json"
    is_text_table = ending in (".csv", ".tsv", ".txt")
    begins = beginning.removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    return "json" if begins in (b"[", b"{") and not is_text_table else "csv"


@contextmanager
def opened(path: Path, format: str) -> Iterator[Table]:
    """Raises `Invalid` for a file that is none of its format; so does the stream of rows where the rest is not."""
    with path.open("rb") as file:
        yield _table(file, format)


def count(path: Path, format: str) -> int | None:
    """How many rows there will be, as far as that is found without reading numbers; None where it is not."""
    try:
        with opened(path, format) as table:
            return table.total if format == "xlsx" else sum(1 for _ in table.rows)
    except Invalid:
        return None  # taking the rows will say why


def _table(file: BinaryIO, format: str) -> Table:
    if format == "json":
        table = _of_objects(import_json.objects(file))
    elif format == "xlsx":
        said, lines = import_xlsx.sheet(file)
        table = _of_cells(lines, is_ragged=True, total=None if said is None else max(0, said - 1))
    else:
        table = _of_cells(_csv_rows(file), is_ragged=False)
    if any(UNKEEPABLE.search(name) for name in table.heading):
        raise Invalid("The name of a column contains a null character or half a character.", field="file")
    named = Counter(name for name in table.heading if name)
    if len(table.heading) > MAX_COLUMNS:
        raise Invalid(f"More than {MAX_COLUMNS} columns: this is no list of contacts.", field="file")
    if twice := sorted(name for name, times in named.items() if times > 1):
        raise Invalid(f"The column {twice[0][:100]!r} is there twice.", field="file")
    return table


def _of_cells(lines: Iterator[list[str]], *, is_ragged: bool, total: int | None = None) -> Table:
    heading = [trimmed(name) for name in next(lines, [])]
    return Table(heading, _rows(heading, lines, is_ragged=is_ragged), total)


def _rows(heading: Sequence[str], lines: Iterator[list[str]], *, is_ragged: bool) -> Iterator[Row]:
    """An empty line counts and is no row. `is_ragged`: a line without its last cells is whole."""
    for number, cells in enumerate(lines, start=1):
        if not any(cells):
            continue
        if is_ragged and len(cells) < len(heading):
            cells = cells + [""] * (len(heading) - len(cells))
        if len(cells) != len(heading):
            yield Row(number, {}, f"{len(cells)} values for {len(heading)} columns.")
        else:
            yield Row(number, {name: plain(cell) for name, cell in zip(heading, cells, strict=True) if name})


def _of_objects(objects: Iterator[object]) -> Table:
    first = list(islice(objects, _FIRST_OBJECTS))
    heading = dict.fromkeys(name for one in first for name in import_json.cells(one)[0])
    rows = enumerate(chain(first, objects), start=1)
    return Table(list(heading), (Row(number, *import_json.cells(one)) for number, one in rows))


def _csv_rows(file: BinaryIO) -> Iterator[list[str]]:
    lines = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        heading = lines.readline()
        delimiter = max(",;\t", key=heading.count)
        yield next(csv.reader([heading], delimiter=delimiter), [])
        yield from csv.reader(lines, delimiter=delimiter)
    except UnicodeDecodeError:
        raise Invalid("The file is not UTF-8 text.", field="file", hint="In Excel: Save as → CSV UTF-8.") from None
    except csv.Error as error:
        raise Invalid(f"The file is not CSV: {error}.", field="file") from None

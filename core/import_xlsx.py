"""Excel workbooks: the first sheet, row by row."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import dropwhile
from typing import Any, BinaryIO

from openpyxl import load_workbook

from core.errors import Invalid
from core.import_text import plain

_MAX_UNPACKED = 2 * 2**30
_MAX_TEXTS = 256 * 2**20  # the texts of all cells are in a part that is held whole
_TEXTS = "xl/sharedStrings.xml"


def sheet(file: BinaryIO) -> tuple[int | None, Iterator[list[str]]]:
    """How many rows it says it has, where it does; and the cells of each from the first that is not empty, without
    the empty ones at its end. Raises `Invalid` for what is no workbook."""
    _refuse_a_bomb(file)
    with _readable():
        book = load_workbook(file, read_only=True, data_only=True)  # data_only: what a formula came to
        first = book.worksheets[0]
        said: int | None = first.max_row
        first.reset_dimensions()  # some programs write a wrong size, beyond which nothing would be read
    return said, dropwhile(lambda cells: not cells, _rows(first))


def _rows(sheet: Any) -> Iterator[list[str]]:
    with _readable():
        for row in sheet.iter_rows(values_only=True):
            cells = [plain(cell) for cell in row]
            while cells and not cells[-1]:
                cells.pop()
            yield cells


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # openpyxl raises whatever a damaged part makes its parsers raise
        raise Invalid(
            f"The Excel file is damaged ({type(error).__name__}).", field="file", hint="Open it in Excel and save it."
        ) from error


def _refuse_a_bomb(file: BinaryIO) -> None:
    try:
        parts = zipfile.ZipFile(file).infolist()
    except zipfile.BadZipFile:
        raise Invalid(
            "This is not an Excel file, whatever its name.", field="file", hint="Save it as .xlsx, or as CSV UTF-8."
        ) from None
    texts = sum(part.file_size for part in parts if part.filename == _TEXTS)
    if texts > _MAX_TEXTS or sum(part.file_size for part in parts) > _MAX_UNPACKED:
        raise Invalid(
            "The Excel file unpacks to more than is taken.", field="file", hint="Split it, or save it as CSV."
        )

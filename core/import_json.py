"""JSON: an array of objects, or one object per line; read piece by piece."""

import io
import json
from collections.abc import Iterator
from typing import BinaryIO

from core.errors import Invalid
from core.import_text import plain

_PIECE = 64 * 1024
_MAX_OBJECT = 1024 * 1024  # characters; what is longer is no row
_BLANK = " \t\r\n"


def objects(file: BinaryIO) -> Iterator[object]:
    """The values of the array, or those that follow one another. Raises `Invalid` where it is no JSON."""
    text = _Text(file)
    try:
        is_array = text.peek() == "["
        if is_array:
            text.skip()
        while text.peek() not in ("", "]"):
            yield text.value()
            if is_array and text.peek() == ",":
                text.skip()
                if text.peek() == "]":
                    raise ValueError("a comma before the end of the array")
            elif is_array and text.peek() != "]":
                raise ValueError("no comma between two values, or the end is missing")
        if is_array:
            if text.peek() != "]":
                raise ValueError("the end of the array is missing")
            text.skip()
        if text.peek():
            raise ValueError("something follows the end")
    except UnicodeDecodeError:
        raise Invalid("The file is not UTF-8 text.", field="file") from None
    except (ValueError, RecursionError) as error:
        said = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise Invalid(f"The file is not JSON: {said}.", field="file", hint='[{"phone": "+9665…"}, …]') from None


def cells(value: object) -> tuple[dict[str, str], str]:
    """The values of one object by their names, and "" or what is wrong with it."""
    if not isinstance(value, dict):
        return {}, "Not an object with names and values."
    found: dict[str, str] = {}
    for name, inner in value.items():
        if isinstance(inner, dict) and name == "attributes":
            for attribute, text in inner.items():
                if isinstance(text, dict | list):
                    return {}, f"{attribute!r} is neither text nor a number."
                found[f"attributes.{attribute}"] = plain(text)
        elif isinstance(inner, list) and not any(isinstance(one, dict | list) for one in inner):
            found[name] = ";".join(plain(one) for one in inner)
        elif isinstance(inner, dict | list):
            return {}, f"{name!r} is neither text nor a number."
        else:
            found[name] = plain(inner)
    return found, ""


class _Text:
    """The file from where it was read to; holds a piece of it, and more only while a value goes on beyond that."""

    def __init__(self, file: BinaryIO) -> None:
        self._lines = io.TextIOWrapper(file, encoding="utf-8-sig")
        self._decoder = json.JSONDecoder()
        self._held = ""
        self._at = 0
        self._is_whole = False

    def peek(self) -> str:
        """The next character that is not blank; "" at the end."""
        while True:
            while self._at < len(self._held) and self._held[self._at] in _BLANK:
                self._at += 1
            if self._at < len(self._held) or self._is_whole:
                return self._held[self._at : self._at + 1]
            self._more()

    def skip(self) -> None:
        self._at += 1

    def value(self) -> object:
        while True:
            try:
                value, end = self._decoder.raw_decode(self._held, self._at)
            except ValueError:
                if self._is_whole or len(self._held) - self._at > _MAX_OBJECT:
                    raise
            else:
                # A number at the end of what is held may go on; an object or a text has an end of its own.
                if self._is_whole or end < len(self._held) or isinstance(value, dict | list | str):
                    self._at = end
                    return value
            self._more()

    def _more(self) -> None:
        piece = self._lines.read(_PIECE)
        self._is_whole = not piece
        self._held, self._at = self._held[self._at :] + piece, 0

"""What the cell of a file says, as text."""

from datetime import date, datetime, time
from decimal import Decimal

# Marks of writing direction and the like: invisible, and at the ends of what is copied out of Arabic text.
_UNSEEN = "\u200b\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
_EXCEL_ERRORS = frozenset({"#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!"})


def trimmed(text: str) -> str:
    """Without blanks and unseen marks at its ends; within, an Arabic name needs them."""
    if text.isascii():
        return text.strip()
    shorter = text.strip().strip(_UNSEEN)
    return shorter if shorter == text else trimmed(shorter)


def plain(value: object) -> str:
    """A number without the point a spreadsheet adds, a date as ISO 8601 writes it."""
    match value:
        case None:
            return ""
        case str():
            return "" if value in _EXCEL_ERRORS else trimmed(value)
        case bool():
            return "true" if value else "false"
        case float():
            return str(int(value)) if value.is_integer() else format(Decimal(repr(value)), "f")
        case datetime():
            return value.date().isoformat() if value.time() == time() else value.isoformat(sep=" ", timespec="seconds")
        case date() | time():
            return value.isoformat()
        case _:
            return str(value)

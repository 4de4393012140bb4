"""What a message costs, from a dated file of your own: Meta's prices change, so none are shipped.

`rates.csv` in the data directory: `valid_from,country,category,price,currency`, for example
`2026-07-01,SA,marketing,0.0455,USD`. Of several lines for a country and category the newest that is valid counts.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

from core.errors import Invalid

FILE = "rates.csv"
_COLUMNS = ("valid_from", "country", "category", "price", "currency")


@dataclass(frozen=True, slots=True)
class Rate:
    price: Decimal
    currency: str
    valid_from: date


def read(file: Path, *, on: date) -> Mapping[tuple[str, str], Rate]:
    """Rates by (country, category) as of that day; empty where there is no file. Raises `Invalid` with the line."""
    if not file.is_file():
        return {}
    found: dict[tuple[str, str], Rate] = {}
    with file.open(encoding="utf-8-sig", newline="") as text:
        rows = csv.DictReader(text)
        if missing := [name for name in _COLUMNS if name not in (rows.fieldnames or ())]:
            raise Invalid(f"{file.name} has no column {missing[0]!r}.", field="rates", hint=",".join(_COLUMNS))
        for row in rows:
            try:
                rate = Rate(
                    price=Decimal(row["price"]),
                    currency=row["currency"].strip().upper(),
                    valid_from=date.fromisoformat(row["valid_from"].strip()),
                )
            except (InvalidOperation, ValueError, AttributeError):
                raise Invalid(f"{file.name}, line {rows.line_num}: this is no rate.", field="rates") from None
            key = (row["country"].strip().upper(), row["category"].strip().lower())
            if rate.valid_from <= on and (key not in found or found[key].valid_from <= rate.valid_from):
                found[key] = rate
    return found

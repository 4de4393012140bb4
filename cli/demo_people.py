"""A thousand invented people for the demo: names in Arabic and English, some numbers wrong, some who said no."""

import csv
import random
from pathlib import Path

_ARABIC = (
    "محمد أحمد فاطمة عائشة خالد سارة يوسف مريم عبدالله نورة إبراهيم هند سلمان ليلى طارق رنا حسن دانة ماجد أمل".split(),
    "العتيبي الحربي القحطاني الشمري المصري الزهراني الخطيب حداد النجار السيد".split(),
)
_LATIN = (
    "Mariam Omar Layla Hassan Noor Adam Sofia James Emma Lucas Amira Karim Zeina Rami Dina".split(),
    "Haddad Khoury Smith Rossi Garcia Nasser Saleh Brown Novak Mansour".split(),
)
# Country, mobile prefix, digits after it: numbers that exist as a kind, drawn at random.
_MOBILES = (("+966", "5", 8), ("+20", "10", 8), ("+971", "50", 7), ("+962", "79", 7), ("+44", "7400", 6))
_WRONG = ("12345", "+966 11", "not a number", "+9665000000000000", "٠٥٠٠", "")
_SHARE_WRONG, _SHARE_OPTED_OUT, _SHARE_NAMELESS = 0.02, 0.015, 0.01


def write_csv(path: Path, count: int, *, seed: int = 7) -> None:
    """`count` rows, the same for the same seed."""
    draw = random.Random(seed)  # noqa: S311  invented people, not secrets
    seen: set[str] = set()
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["phone", "name", "tags", "opted_out", "city"])
        for _ in range(count):
            first, last = draw.choice((_ARABIC, _ARABIC, _LATIN))
            name = f"{draw.choice(first)} {draw.choice(last)}"
            phone = _phone(draw, seen)
            if draw.random() < _SHARE_WRONG:
                phone = draw.choice(_WRONG)
            rows.writerow(
                [
                    phone,
                    "" if draw.random() < _SHARE_NAMELESS else name,
                    "customers;vip" if draw.random() < 0.1 else "customers",
                    "yes" if draw.random() < _SHARE_OPTED_OUT else "",
                    draw.choice(("Riyadh", "جدة", "القاهرة", "Dubai", "عمّان")),
                ]
            )


def _phone(draw: random.Random, seen: set[str]) -> str:
    while True:
        country, prefix, digits = draw.choice(_MOBILES)
        phone = country + prefix + "".join(draw.choice("0123456789") for _ in range(digits))
        if phone not in seen:
            seen.add(phone)
            return phone

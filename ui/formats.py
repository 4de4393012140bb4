"""Numbers and times as the locale writes them: its digits, its order, the time zone of who looks."""

from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from zoneinfo import ZoneInfo

import streamlit as st
from babel import Locale
from babel.dates import format_date, format_time, format_timedelta
from babel.numbers import format_currency, format_decimal, format_percent

from ui import words

_ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")


def locale() -> Locale:
    """The browser's where it is of the chosen language: in Cairo Arabic has other digits than in Dubai."""
    language, theirs = words.chosen(), (st.context.locale or "").replace("-", "_")
    try:
        return Locale.parse(theirs if theirs.partition("_")[0] == language else language)
    except ValueError:  # UnknownLocaleError is not one, so what is no locale at all
        return Locale.parse(language)


def zone() -> tzinfo:
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (KeyError, ValueError, OSError):
        return UTC


def number(value: float, *, digits: int = 0) -> str:
    pattern = "#,##0" + ("." + "#" * digits if digits else "")
    return with_digits(format_decimal(value, format=pattern, locale=locale(), numbering_system="default"))


def percent(share: float) -> str:
    return with_digits(format_percent(share, format="#,##0.#%", locale=locale(), numbering_system="default"))


def money(amount: Decimal, currency: str | None) -> str:
    if currency is None:
        return number(float(amount), digits=2)
    return with_digits(format_currency(amount, currency, locale=locale(), numbering_system="default"))


def country(code: str) -> str:
    """Its name; what is no code of a country stays as it is."""
    return str(locale().territories.get(code, code))


def moment(at: datetime | None) -> str:
    """Day and time to the minute; a dash for what has not happened."""
    if at is None:
        return "–"
    pattern = str(locale().datetime_formats["medium"]).replace("'", "")
    return pattern.format(clock(at), day(at))


def clock(at: datetime) -> str:
    return with_digits(format_time(at, "short", tzinfo=zone(), locale=locale()))


def day(at: datetime | None) -> str:
    return "–" if at is None else with_digits(format_date(at.astimezone(zone()), "medium", locale=locale()))


def ago(at: datetime | None) -> str:
    """Such as 3 minutes ago, or in 2 hours."""
    if at is None:
        return "–"
    return with_digits(format_timedelta(at - datetime.now(UTC), add_direction=True, locale=locale()))


def lasting(took: timedelta) -> str:
    return with_digits(format_timedelta(took, locale=locale()))


def today() -> datetime:
    """Its first moment, where the reader is."""
    return datetime.now(zone()).replace(hour=0, minute=0, second=0, microsecond=0)


def with_digits(text: str) -> str:
    """Its digits as those of the locale."""
    return text.translate(_ARABIC) if locale().default_numbering_system == "arab" else text

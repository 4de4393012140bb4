"""The country of a phone number by how the number begins, so that a database can tell it too.

A calling code is a country's own, or shared. Of the shared ones +1 and +7 are told apart by the three digits after
it; the others (+44 is also Jersey's) count for their main country.
"""

from collections.abc import Iterable
from functools import cache

import phonenumbers

from core.errors import Invalid

_BY_AREA = (1, 7)
_SUBSCRIBERS = (2345678, 5550123, 2000000, 9345678)  # one of them is a number in use within any area


@cache
def prefixes(country: str) -> tuple[str, ...]:
    """How numbers of this country begin: `("+966",)`. All are of one length. Raises `Invalid`."""
    region = country.upper()
    code = phonenumbers.country_code_for_region(region)
    if not code:
        raise Invalid(f"There is no country {country[:20]!r}.", field="filter", hint="Two letters, for example SA.")
    main = phonenumbers.region_codes_for_country_code(code)[0]
    if code in _BY_AREA:
        return tuple(f"+{code}{area}" for area, of in _areas(code).items() if of == region)
    if region != main:
        raise Invalid(
            f"{region} shares the calling code +{code} with {main}; they cannot be told apart.",
            field="filter",
            hint=f'country = "{main}" means both.',
        )
    return (f"+{code}",)


def spans(begins: Iterable[str]) -> list[tuple[str, str]]:
    """What begins so lies, byte by byte, in these: from the first text up to, and without, the second."""
    found: list[tuple[str, str]] = []
    for begin in sorted(set(begins)):
        after = f"+{int(begin) + 1}"
        if len(after) > len(begin):
            after = f"{begin[:-1]}:"  # what comes after 9
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], after))
        else:
            found.append((begin, after))
    return found


@cache
def _areas(code: int) -> dict[int, str]:
    areas = {}
    for area in range(200, 1000):
        for subscriber in _SUBSCRIBERS:
            number = phonenumbers.PhoneNumber(country_code=code, national_number=area * 10**7 + subscriber)
            if region := phonenumbers.region_code_for_number(number):
                areas[area] = region
                break
    return areas

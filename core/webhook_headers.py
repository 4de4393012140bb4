"""Headers that an endpoint may add to its deliveries, and those that it may not."""

import re
from collections.abc import Mapping
from typing import Final

from core.errors import Invalid

MOST: Final = 20
LONGEST: Final = 4096

FORBIDDEN: Final = frozenset(
    """
    accept-encoding age cache-control clear-site-data connection content-encoding content-language content-length
    content-location content-type cookie date expect expires forwarded host keep-alive origin pragma
    proxy-authenticate proxy-authorization proxy-connection referer sec-fetch-site set-cookie te trailer trailers
    transfer-encoding upgrade user-agent via warning x-client-ip x-http-method x-http-method-override
    x-method-override x-real-ip
    """.split()
)
"""What steers the connection and caches, says who asks and from where, or tells the length and form of the body:
the list of Svix, and what it lacks (`host`, `connection`, `cookie`, …)."""

FORBIDDEN_BEGINNINGS: Final = tuple(
    """
    access-control- cf- proxy- sec- svix- webhook- x-amz- x-amzn- x-azure- x-fd- x-forwarded- x-gfe x-goog- x-google
    x-svix- x-waqtor-
    """.split()
)

_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_VALUE: Final = re.compile(r"[\x20-\x7e]*")


def check(headers: Mapping[str, str]) -> dict[str, str]:
    """As they are to be kept. Raises `Invalid`; a value is never part of what it says, for it may be a secret."""
    if len(headers) > MOST:
        raise Invalid(f"These are {len(headers)} headers.", field="headers", hint=f"At most {MOST}.")
    kept: dict[str, str] = {}
    for name, value in headers.items():
        lower = name.lower()
        if not _NAME.fullmatch(name):
            raise Invalid("This is no name of a header.", field="headers", hint="Letters, digits and hyphens.")
        if lower in FORBIDDEN or lower.startswith(FORBIDDEN_BEGINNINGS):
            raise Invalid(
                f"The header {name} is not yours to set.",
                field="headers",
                hint="Choose a name of your own, such as X-Api-Key, or Authorization.",
            )
        if any(lower == other.lower() for other in kept):
            raise Invalid(f"The header {name} is there twice.", field="headers", hint="Case makes no difference.")
        if len(value) > LONGEST or not _VALUE.fullmatch(value):
            raise Invalid(
                f"The value of {name} cannot be sent.",
                field="headers",
                hint=f"At most {LONGEST} printable ASCII characters, on one line.",
            )
        kept[name] = value.strip()
    return kept

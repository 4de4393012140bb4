"""The API as the command line reaches it: the key from the environment, refusals in the API's own words."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from cli.settings import load_settings
from core.errors import Invalid, WaqtorError
from waqtor import Client, Error

console = Console()


class Refused(WaqtorError):
    """The API's own answer, in its own words."""


@contextmanager
def connected() -> Iterator[Client]:
    """What the API refuses leaves as `Refused`."""
    if not os.environ.get("WAQTOR_API_KEY"):
        raise Invalid(
            "There is no API key.", hint="export WAQTOR_API_KEY=$(waqtor keys create my-laptop), and WAQTOR_URL"
        )
    try:
        with Client(os.environ.get("WAQTOR_URL") or load_settings().api_url) as client:
            yield client
    except Error as error:
        raise Refused(error.message, field=error.field, hint=error.hint) from None

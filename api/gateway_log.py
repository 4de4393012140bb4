"""The last lines that the gateway logged, kept for who looks at the monitor."""

import logging
import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass

from core.discreet import Discreet

_MOST = 100
_LONGEST = 500
_MODULES = ("gateway", "connections", "entrance", "following", "live_session", "monitoring", "protocol")
_OF_THE_GATEWAY = frozenset(f"api.{name}" for name in _MODULES)
_DIGITS = re.compile(r"\d{9,}")


@dataclass(frozen=True, slots=True)
class Line:
    at_ms: int
    level: str
    source: str
    text: str


class LastLines(logging.Handler):
    """Struck out as in the log itself, and without traces: those are for who can read the log."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[Line] = deque(maxlen=_MOST)
        self._discreet = Discreet("%(message)s")

    def emit(self, record: logging.LogRecord) -> None:
        if record.name not in _OF_THE_GATEWAY:
            return
        plain = copy(record)
        plain.exc_info = plain.exc_text = plain.stack_info = None
        text = _DIGITS.sub("<number>", self._discreet.format(plain))
        if record.exc_info and record.exc_info[0]:
            text = f"{text} ({record.exc_info[0].__name__})"
        source = record.name.removeprefix("api.")
        self.lines.append(Line(int(record.created * 1000), record.levelname.lower(), source, text[:_LONGEST]))


@contextmanager
def kept() -> Iterator[LastLines]:
    """As long as the block runs."""
    handler = LastLines()
    gateway = logging.getLogger("api")
    gateway.addHandler(handler)
    try:
        yield handler
    finally:
        gateway.removeHandler(handler)

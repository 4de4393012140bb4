"""Logs name ids. What looks like a number or a secret is struck out, also from other people's errors."""

import logging
import re

_SECRET = re.compile(r"wq_\w{6,}_[\w-]+|\bwh(?:sec|sk)_[\w+/=-]{4,}|(?i:bearer|basic) [\w.~+/=-]{8,}|\bEAA\w{20,}")
_NUMBER = re.compile(r"(?<![\w.-])\+?\d{9,15}(?![\w.-])")


class Discreet(logging.Formatter):
    """`inner`: who else says what a line looks like."""

    def __init__(self, fmt: str | None = None, *, inner: logging.Formatter | None = None) -> None:
        super().__init__(fmt)
        self._inner = inner or logging.Formatter(fmt)

    def format(self, record: logging.LogRecord) -> str:
        return _NUMBER.sub("<number>", _SECRET.sub("<secret>", self._inner.format(record)))


def make_all_discreet() -> None:
    """Every handler there is, whoever made it."""
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    for logger in loggers:
        for handler in logger.handlers if isinstance(logger, logging.Logger) else ():
            if not isinstance(handler.formatter, Discreet):
                handler.setFormatter(Discreet(inner=handler.formatter))

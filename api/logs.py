"""Plain lines with ids. What looks like a number or a secret is struck out, also from other people's errors."""

import logging
import re

_SECRET = re.compile(r"wq_\w{6,}_[\w-]+|(?i:bearer|basic) [\w.~+/=-]{8,}|\bEAA\w{20,}")
_NUMBER = re.compile(r"(?<![\w.-])\+?\d{9,15}(?![\w.-])")


class Discreet(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return _NUMBER.sub("<number>", _SECRET.sub("<secret>", super().format(record)))


def configure(level: str) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(Discreet("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of each look at the revision

"""Looks at every line that is logged while the tests run, here and in the processes they start: none may hold a phone
number or a secret."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accounts import PASSWORD

FORBIDDEN = {
    "phone number": re.compile(r"\+\d{9,15}\b|\b966\d{9}\b|[\"']\d{10,15}[\"']"),
    "API key": re.compile(r"\bwq_[0-9a-f]{6,}_[\w-]{16,}"),
    "token": re.compile(r"\beyJ[\w-]{10,}\.[\w-]{10,}\.|\bEAA\w{16,}|(?i:bearer|basic) [\w.~+/=-]{12,}"),
    "password": re.compile(re.escape(PASSWORD) + r"|another marble kettle|\$argon2"),
    "one-time link": re.compile(r"/links?/[\w-]{20,}"),
}
_FILES = ("*.log", "supervisord.out")
_SHOWN = 20


def found_in(text: str) -> list[str]:
    return [kind for kind, pattern in FORBIDDEN.items() if pattern.search(text)]


class Watch:
    """`offences` say where and of what kind, not what. Not looked at: loggers below `apart`, of tests that show what is
    struck out."""

    def __init__(self, apart: str = "test") -> None:
        self._apart = apart
        self.offences: list[str] = []
        self.lines = 0

    @contextmanager
    def records(self) -> Iterator[None]:
        """By the factory of records: handlers come and go."""
        before = logging.getLogRecordFactory()
        formatter = logging.Formatter()

        def watched(*args: object, **kwargs: object) -> logging.LogRecord:
            record = before(*args, **kwargs)
            if record.name.partition(".")[0] != self._apart:
                self._look(f"logger {record.name}, {record.filename}:{record.lineno}", formatter.format(record))
            return record

        logging.setLogRecordFactory(watched)
        try:
            yield
        finally:
            logging.setLogRecordFactory(before)

    def files(self, folder: Path) -> None:
        for pattern in _FILES:
            for path in folder.rglob(pattern):
                for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
                    self._look(f"{path.relative_to(folder)}:{number}", line)

    def verdict(self) -> str:
        """Empty where all is well."""
        more = f"\n… and {len(self.offences) - _SHOWN} more" if len(self.offences) > _SHOWN else ""
        return "\n".join(self.offences[:_SHOWN]) + more

    def _look(self, where: str, text: str) -> None:
        self.lines += 1
        self.offences += [f"{where}: a {kind}" for kind in found_in(text)]
